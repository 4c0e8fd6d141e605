package credential

import (
	"crypto/elliptic"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// Family is how an algorithm signs.
type Family string

// The families of the algorithms that Kong's jwt plugin verifies (RFC 7518 section 3.1, RFC 8037).
const (
	HMAC    Family = "HMAC"
	RSA     Family = "RSA"
	ECDSA   Family = "EC"
	Ed25519 Family = "Ed25519"
)

// DefaultAlgorithm is that of a credential which names none, here as in Kong.
const DefaultAlgorithm = v1alpha1.HS256

// Algorithms are all that the API takes, and all that Kong's jwt plugin verifies.
func Algorithms() []v1alpha1.Algorithm {
	return []v1alpha1.Algorithm{
		"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "EdDSA",
	}
}

// FamilyOf gives the family of an algorithm. RS and PS share RSA keys; none is DefaultAlgorithm.
func FamilyOf(algorithm v1alpha1.Algorithm) Family {
	switch {
	case algorithm == "", strings.HasPrefix(string(algorithm), "HS"):
		return HMAC
	case strings.HasPrefix(string(algorithm), "ES"):
		return ECDSA
	case algorithm == "EdDSA":
		return Ed25519
	default:
		return RSA
	}
}

// orDefault fills in DefaultAlgorithm.
func orDefault(algorithm v1alpha1.Algorithm) v1alpha1.Algorithm {
	if algorithm == "" {
		return DefaultAlgorithm
	}
	return algorithm
}

// curveOf gives the curve of an ES algorithm (RFC 7518 section 3.4).
func curveOf(algorithm v1alpha1.Algorithm) elliptic.Curve {
	switch algorithm {
	case "ES384":
		return elliptic.P384()
	case "ES512":
		return elliptic.P521()
	default:
		return elliptic.P256()
	}
}

// hashBytes is the size of the hash of an HMAC algorithm, in bytes: the least that a secret should have (RFC 7518
// section 3.2).
func hashBytes(algorithm v1alpha1.Algorithm) int {
	switch algorithm {
	case "HS512":
		return 64
	case "HS384":
		return 48
	default:
		return 32
	}
}

// psBits is the only size of RSA key that Kong verifies PS256, PS384 and PS512 with: it answers 500 for others.
const psBits = 2048

// minRSABits is the least that RFC 7518 sections 3.3 and 3.5 ask. Kong takes less; we do not.
const minRSABits = 2048

// maxRSABits keeps one tenant from making every verification of a data plane slow.
const maxRSABits = 8192

func isPS(algorithm v1alpha1.Algorithm) bool { return strings.HasPrefix(string(algorithm), "PS") }
