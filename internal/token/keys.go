package token

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// signingKey gives what golang-jwt signs with. Its errors quote nothing of the material.
func signingKey(material credential.Material, o options) (any, error) {
	if jwt.GetSigningMethod(string(material.Algorithm)) == nil {
		return nil, fmt.Errorf("sign with %q: there is no such algorithm", material.Algorithm)
	}
	family := credential.FamilyOf(material.Algorithm)
	if !material.CanSign() {
		missing, dataKey := "private key", "privateKey"
		if family == credential.HMAC {
			missing, dataKey = "secret", "secret"
		}
		return nil, status.Stalled(v1alpha1.ReasonCredentialCannotSign,
			"the credential has no %s here. Name one in its secretRef.dataKeys.%s, or use a generated credential.",
			missing, dataKey)
	}
	private := []byte(material.PrivateKeyPEM.Reveal())
	var key any
	var err error
	switch family {
	case credential.HMAC:
		return hmacKey(material, o)
	case credential.ECDSA:
		key, err = jwt.ParseECPrivateKeyFromPEM(private)
	case credential.Ed25519:
		key, err = jwt.ParseEdPrivateKeyFromPEM(private)
	default:
		key, err = jwt.ParseRSAPrivateKeyFromPEM(private)
	}
	if err != nil {
		return nil, fmt.Errorf("read the private key for %s: it does not fit the algorithm", material.Algorithm)
	}
	return key, nil
}

// hmacKey gives the bytes of an HMAC key: those of the secret as it is written, or those that it stands for.
func hmacKey(material credential.Material, o options) ([]byte, error) {
	secret := material.Secret.Reveal()
	if !o.secretIsBase64 {
		return []byte(secret), nil
	}
	key, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(secret, "="))
	if err != nil {
		return nil, status.Stalled(v1alpha1.ReasonCredentialCannotSign,
			"the credential's secret is not base64url, which secretIsBase64 asks for. "+
				"Write it with - and _ in place of + and /, and without line breaks.")
	}
	return key, nil
}

// errKeyUnusable tells a key that cannot be used from a token that cannot.
var errKeyUnusable = errors.New("unusable key")

// verifyingKey gives what golang-jwt verifies with.
func verifyingKey(material credential.Material, o options) (any, error) {
	key, err := publicKey(material, o)
	if err != nil {
		return nil, errKeyUnusable
	}
	return key, nil
}

func publicKey(material credential.Material, o options) (any, error) {
	switch credential.FamilyOf(material.Algorithm) {
	case credential.HMAC:
		return hmacKey(material, o)
	case credential.ECDSA:
		return jwt.ParseECPublicKeyFromPEM([]byte(material.PublicKeyPEM))
	case credential.Ed25519:
		return jwt.ParseEdPublicKeyFromPEM([]byte(material.PublicKeyPEM))
	default:
		return jwt.ParseRSAPublicKeyFromPEM([]byte(material.PublicKeyPEM))
	}
}

// What Verify can find wrong with a token.
var (
	ErrMalformed = errors.New("the token is malformed")
	ErrSignature = errors.New("the token is not signed with this credential")
	ErrExpired   = errors.New("the token is expired")
	ErrNotYet    = errors.New("the token is not valid yet")
	ErrKey       = errors.New("the credential's key does not fit its algorithm")
)

// verifyError puts one of ours in place of the parser's errors, which may quote the token.
func verifyError(err error) error {
	for _, pair := range []struct{ theirs, ours error }{
		{errKeyUnusable, ErrKey},
		{jwt.ErrTokenSignatureInvalid, ErrSignature},
		{jwt.ErrTokenExpired, ErrExpired},
		{jwt.ErrTokenNotValidYet, ErrNotYet},
		{jwt.ErrTokenUsedBeforeIssued, ErrNotYet},
	} {
		if errors.Is(err, pair.theirs) {
			return pair.ours
		}
	}
	return ErrMalformed
}
