package jwtplugin

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// keyOf reads what a token is verified with: nil and a reason where Kong finds it unusable.
func (c Config) keyOf(t token, cred Credential) (any, Reason) {
	if strings.HasPrefix(t.alg, "HS") {
		return c.hmacKey(string(cred.Secret))
	}
	if cred.PublicKey == "" || c.SecretIsBase64 && c.decodesPublicKeys() {
		return nil, KeyUnusable
	}
	key, ok := parsePublicKey(cred.PublicKey)
	if !ok {
		return nil, PublicKeyInvalid
	}
	return key, ""
}

func (c Config) hmacKey(secret string) (any, Reason) {
	if !c.SecretIsBase64 {
		return []byte(secret), ""
	}
	decoded, ok := c.decodeBase64(secret)
	if !ok {
		return nil, KeyUnusable
	}
	return decoded, ""
}

// verify checks the signature: empty when it is valid, else the reason.
func verify(t token, key any) Reason {
	if want := algorithms[t.alg]; want != 0 && len(t.signature) != want {
		return SignatureLength
	}
	if !keyFits(t.alg, key) {
		return SignatureInvalid
	}
	if err := jwt.GetSigningMethod(t.alg).Verify(t.signingInput, t.signature, key); err != nil {
		return SignatureInvalid
	}
	return ""
}

// keyFits says whether the key is of the algorithm's type. Kong takes any key
// for any algorithm; one that does not fit verifies nothing.
func keyFits(alg string, key any) bool {
	switch key.(type) {
	case []byte:
		return strings.HasPrefix(alg, "HS")
	case *rsa.PublicKey:
		return alg[1:2] == "S" && (alg[0] == 'R' || alg[0] == 'P')
	case *ecdsa.PublicKey:
		return strings.HasPrefix(alg, "ES")
	case ed25519.PublicKey:
		return alg == "EdDSA"
	default:
		return false
	}
}

// parsePublicKey reads the first PEM block. Kong also loads a private key and
// verifies with its public half.
func parsePublicKey(text string) (crypto.PublicKey, bool) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, false
	}
	if key, err := x509.ParsePKIXPublicKey(block.Bytes); err == nil {
		return key, true
	}
	if key, err := x509.ParsePKCS1PublicKey(block.Bytes); err == nil {
		return key, true
	}
	private, ok := parsePrivateKey(block.Bytes)
	if !ok {
		return nil, false
	}
	return private.Public(), true
}

func parsePrivateKey(der []byte) (crypto.Signer, bool) {
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		signer, ok := key.(crypto.Signer)
		return signer, ok
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, true
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, true
	}
	return nil, false
}
