package jwks

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Key is one public key that tokens are verified with.
type Key struct {
	// ID is the kid.
	ID string
	// Algorithm of the tokens, one of RS, ES and PS 256 to 512, and EdDSA (RFC 7518 section 3.1, RFC 8037).
	Algorithm string
	// PublicKeyPEM is a SubjectPublicKeyInfo in PEM (RFC 7468 section 13).
	PublicKeyPEM string
}

const (
	// minRSABits is the least that RFC 7518 sections 3.3 and 3.5 ask for.
	minRSABits = 2048
	// maxRSABits keeps one issuer from making every verification of a data plane slow.
	maxRSABits = 8192
	// psBits is the only size that Kong verifies PS256, PS384 and PS512 with: it answers 500 for others.
	psBits = 2048
)

var (
	rsaAlgorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
	edAlgorithms  = []string{"EdDSA"}
	ecAlgorithms  = map[elliptic.Curve][]string{
		elliptic.P256(): {"ES256"}, elliptic.P384(): {"ES384"}, elliptic.P521(): {"ES512"},
	}
)

// fitting lists the algorithms that Kong verifies with a public key, the first being what a key has that says
// nothing. It is empty for keys of no use. RS256 is what OpenID Connect has issuers use where nothing else is agreed
// (OpenID Connect Core 1.0 section 15.1).
func fitting(key crypto.PublicKey) []string {
	switch typed := key.(type) {
	case *rsa.PublicKey:
		if typed.N.BitLen() == psBits {
			return rsaAlgorithms
		}
		return rsaAlgorithms[:3]
	case *ecdsa.PublicKey:
		return ecAlgorithms[typed.Curve]
	case ed25519.PublicKey:
		return edAlgorithms
	}
	return nil
}

// algorithmOf says which algorithm a key is used with: its own, else the fallback, else what its kind has. fits are
// those of fitting.
func algorithmOf(own, fallback string, fits []string) (string, error) {
	switch {
	case len(fits) == 0:
		return "", errors.New("is of a kind that Kong verifies nothing with")
	case own == "" && slices.Contains(fits, fallback):
		return fallback, nil
	case own == "":
		return fits[0], nil
	case slices.Contains(fits, own):
		return own, nil
	case strings.HasPrefix(own, "PS") && slices.Contains(rsaAlgorithms, own) && fits[0] == "RS256":
		return "", fmt.Errorf("alg is %s, and Kong verifies that with %d-bit keys only", own, psBits)
	default:
		return "", errors.New("alg is one that Kong does not verify with such a key")
	}
}

// maxExponent is the longest e in base64url, 64 bits: the library cuts off what goes beyond.
const maxExponent = 11

// checkRSA says why an RSA key is not taken. exponent is as the set has it.
func checkRSA(key crypto.PublicKey, exponent string) error {
	typed, isRSA := key.(*rsa.PublicKey)
	if !isRSA {
		return nil
	}
	if bits := typed.N.BitLen(); bits < minRSABits || bits > maxRSABits {
		return fmt.Errorf("has %d bits; %d to %d are taken", bits, minRSABits, maxRSABits)
	}
	if len(exponent) > maxExponent || typed.E < 3 || typed.E > math.MaxInt32 || typed.E%2 == 0 || typed.N.Bit(0) == 0 {
		return errors.New("has a modulus or an exponent that no RSA key has")
	}
	return nil
}
