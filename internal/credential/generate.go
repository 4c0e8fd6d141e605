package credential

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// Defaults of generated material.
const (
	defaultSecretBytes = 48
	defaultRSABits     = 2048
)

// Recipe says how material is generated. Material made by an equal recipe need not be made again.
type Recipe struct {
	Algorithm v1alpha1.Algorithm `json:"algorithm"`
	// Length of an HMAC secret in random bytes.
	Length int `json:"length,omitempty"`
	// RSABits of an RSA key.
	RSABits int `json:"rsaBits,omitempty"`
}

// NewRecipe fills the defaults of spec.credentials[].generate.
func NewRecipe(algorithm v1alpha1.Algorithm, spec v1alpha1.Generate) Recipe {
	algorithm = orDefault(algorithm)
	recipe := Recipe{Algorithm: algorithm}
	switch FamilyOf(algorithm) {
	case HMAC:
		recipe.Length = int(spec.SecretBytes)
		if recipe.Length == 0 {
			recipe.Length = max(defaultSecretBytes, hashBytes(algorithm))
		}
	case RSA:
		recipe.RSABits = int(spec.RSABits)
		if recipe.RSABits == 0 {
			recipe.RSABits = defaultRSABits
		}
	}
	return recipe
}

// Generate makes new material with crypto/rand, the one source that the key types take. An HMAC secret is base64url
// without padding, so that it means the same to a service that decodes it (secretIsBase64) as to whoever wrote it.
func Generate(recipe Recipe, key string) (Material, error) {
	material := Material{Key: key, Algorithm: recipe.Algorithm}
	if FamilyOf(recipe.Algorithm) == HMAC {
		random := make([]byte, recipe.Length)
		if _, err := rand.Read(random); err != nil {
			return Material{}, fmt.Errorf("read random bytes: %w", err)
		}
		material.Secret = Conceal(base64.RawURLEncoding.EncodeToString(random))
		return material, nil
	}
	private, public, err := generatePair(recipe)
	if err != nil {
		return Material{}, fmt.Errorf("generate a key pair for %s: %w", recipe.Algorithm, err)
	}
	if material.PublicKeyPEM, err = encodePublic(public); err != nil {
		return Material{}, err
	}
	material.PrivateKeyPEM, err = encodePrivate(private)
	return material, err
}

func generatePair(recipe Recipe) (private, public any, err error) {
	switch FamilyOf(recipe.Algorithm) {
	case ECDSA:
		key, err := ecdsa.GenerateKey(curveOf(recipe.Algorithm), rand.Reader)
		if err != nil {
			return nil, nil, err
		}
		return key, &key.PublicKey, nil
	case Ed25519:
		public, private, err := ed25519.GenerateKey(rand.Reader)
		return private, public, err
	default:
		key, err := rsa.GenerateKey(rand.Reader, recipe.RSABits)
		if err != nil {
			return nil, nil, err
		}
		return key, &key.PublicKey, nil
	}
}

func encodePublic(key any) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", fmt.Errorf("encode the public key: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), nil
}

func encodePrivate(key any) (Sensitive, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Sensitive{}, fmt.Errorf("encode the private key: %w", err)
	}
	return Conceal(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))), nil
}
