package token

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
)

// MintUnusable makes a token that asks a Kong whether it knows the material, and that is valid at no time: exp is
// before now, and nbf far behind it. Its only claims are these and kid: a service that reads iss takes it for
// nobody's. Where the material can sign, the signature is right and rightly is true; else it is random, of the length
// that Kong expects: one of another length is answered 500 for some algorithms.
func MintUnusable(material credential.Material, now time.Time) (text credential.Sensitive, rightly bool, err error) {
	unsigned := unusable(material, now)
	if !material.CanSign() {
		text, err = misSigned(unsigned, material)
		return text, false, err
	}
	key, err := signingKey(material, options{})
	if err != nil {
		return credential.Sensitive{}, false, err
	}
	signed, err := unsigned.SignedString(key)
	if err != nil {
		return credential.Sensitive{}, false, fmt.Errorf("sign with %s: the key does not fit the algorithm", material.Algorithm)
	}
	return credential.Conceal(signed), true, nil
}

// MintMisSigned is MintUnusable's token with a wrong signature always: it asks for the key alone, and gives away
// nothing.
func MintMisSigned(material credential.Material, now time.Time) (credential.Sensitive, error) {
	return misSigned(unusable(material, now), material)
}

const (
	// expiredFor is how long an unusable token has been expired: more than any clock is wrong.
	expiredFor = 365 * 24 * time.Hour
	// neverBefore is how far away its nbf is.
	neverBefore = 100 * 365 * 24 * time.Hour
)

func unusable(material credential.Material, now time.Time) *jwt.Token {
	claims := jwt.MapClaims{"kid": material.Key, "exp": now.Add(-expiredFor).Unix(), "nbf": now.Add(neverBefore).Unix()}
	return jwt.NewWithClaims(jwt.GetSigningMethod(string(material.Algorithm)), claims)
}

func misSigned(unsigned *jwt.Token, material credential.Material) (credential.Sensitive, error) {
	text, err := unsigned.SigningString()
	if err != nil {
		return credential.Sensitive{}, fmt.Errorf("encode a token: %w", err)
	}
	length, err := signatureBytes(material)
	if err != nil {
		return credential.Sensitive{}, err
	}
	signature := make([]byte, length)
	_, _ = rand.Read(signature) // never fails, see its documentation
	return credential.Conceal(text + "." + base64.RawURLEncoding.EncodeToString(signature)), nil
}

// signatureBytes is the length of a signature (RFC 7518 sections 3.2 to 3.5, RFC 8032 section 5.1.6). Of an RSA key
// that is not known it is that of 2048 bits: one of another length is a wrong signature too.
func signatureBytes(material credential.Material) (int, error) {
	if material.PublicKeyPEM == "" {
		switch credential.FamilyOf(material.Algorithm) {
		case credential.RSA:
			return 256, nil
		case credential.ECDSA:
			return map[v1alpha1.Algorithm]int{"ES256": 64, "ES384": 96, "ES512": 132}[material.Algorithm], nil
		}
	}
	switch credential.FamilyOf(material.Algorithm) {
	case credential.HMAC:
		return map[v1alpha1.Algorithm]int{"HS256": 32, "HS384": 48, "HS512": 64}[material.Algorithm], nil
	case credential.Ed25519:
		return 64, nil
	}
	key, err := publicKey(material, options{})
	if err != nil {
		return 0, fmt.Errorf("read the public key for %s: it does not fit the algorithm", material.Algorithm)
	}
	switch typed := key.(type) {
	case *rsa.PublicKey:
		return typed.Size(), nil
	case *ecdsa.PublicKey:
		return 2 * ((typed.Curve.Params().BitSize + 7) / 8), nil
	default:
		return 0, fmt.Errorf("%s: no signature is known", material.Algorithm)
	}
}
