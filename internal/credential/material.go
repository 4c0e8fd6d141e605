package credential

import (
	"fmt"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// Material is what one JWT credential consists of.
type Material struct {
	// Key is what tokens carry in the claim that services read.
	Key       string
	Algorithm v1alpha1.Algorithm
	// Secret of an HMAC algorithm.
	Secret Sensitive
	// PublicKeyPEM of an asymmetric algorithm, PKIX.
	PublicKeyPEM string
	// PrivateKeyPEM, PKCS #8, where it is known.
	PrivateKeyPEM Sensitive
}

// Equal says whether two materials are the same in everything.
func (m Material) Equal(other Material) bool {
	return m.Key == other.Key && m.Algorithm == other.Algorithm && m.PublicKeyPEM == other.PublicKeyPEM &&
		m.Secret.Equal(other.Secret) && m.PrivateKeyPEM.Equal(other.PrivateKeyPEM)
}

// CanSign says whether tokens can be signed with the material.
func (m Material) CanSign() bool {
	if FamilyOf(m.Algorithm) == HMAC {
		return !m.Secret.Empty()
	}
	return !m.PrivateKeyPEM.Empty()
}

// sameButKey compares two materials in all but their keys.
func (m Material) sameButKey(other Material) bool {
	m.Key = other.Key
	return m.Equal(other)
}

// Weakness says how an HMAC secret falls short of RFC 7518 section 3.2, or nothing. A size is no secret.
func (m Material) Weakness() string {
	need := hashBytes(m.Algorithm)
	if FamilyOf(m.Algorithm) != HMAC || len(m.Secret.Reveal()) >= need {
		return ""
	}
	return fmt.Sprintf("the secret has %d bytes, and %s asks for %d or more (RFC 7518 section 3.2)", len(m.Secret.Reveal()), m.Algorithm, need)
}

// LineBreak warns of an HMAC secret that ends in a line break, or gives nothing. It is used as it is, since whoever
// signs may do the same, but mostly echo or an editor put it there and tokens are signed without it.
func (m Material) LineBreak() string {
	if !strings.HasSuffix(m.Secret.Reveal(), "\n") {
		return ""
	}
	return "the secret ends in a line break, and Kong refuses tokens that are signed without it; write the Secret with printf or kubectl --from-literal if it should not be there"
}
