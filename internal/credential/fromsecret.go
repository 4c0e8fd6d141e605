package credential

import (
	"crypto"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// Default keys of a Secret's data, and the keys that the operator itself writes.
const (
	DataKeySecret     = "secret"
	DataKeyPublicKey  = "public.pem"
	DataKeyPrivateKey = "private.pem"
	DataKeyKey        = "key"
	DataKeyAlgorithm  = "algorithm"
)

// secretReader reads material out of the data of one Secret. Its errors name keys of the data, never values.
type secretReader struct {
	// field is that of the spec that names the Secret.
	field string
	name  string
	data  map[string][]byte
}

func (r secretReader) invalid(key, format string, args ...any) error {
	return status.Stalled(v1alpha1.ReasonSecretInvalid, "%s: key %s of Secret %s %s", r.field, key, r.name, fmt.Sprintf(format, args...))
}

func (r secretReader) get(key string) ([]byte, error) {
	value, found := r.data[key]
	switch {
	case !found:
		has := strings.Join(slices.Sorted(maps.Keys(r.data)), ", ")
		if has == "" {
			has = "nothing"
		}
		return nil, r.invalid(key, "is missing (the Secret has %s). Add it, or name the right one in dataKeys.", has)
	case len(value) == 0:
		return nil, r.invalid(key, "is empty. Put the value there, or name another in dataKeys.")
	}
	return value, nil
}

// FromSecret reads the material of a credential with a secretRef out of the Secret's data. field is the credential's
// in the spec of its consumer. key is the credential's, or its default, and counts where dataKeys.key is not set.
// Errors are *status.StalledError with reason SecretInvalid; they name the Secret's data keys and say what to do.
func FromSecret(field string, spec v1alpha1.Credential, key string, data map[string][]byte) (Material, error) {
	r := secretReader{field: field + ".secretRef", name: spec.SecretRef.Name, data: data}
	var keys v1alpha1.CredentialDataKeys
	if spec.SecretRef.DataKeys != nil {
		keys = *spec.SecretRef.DataKeys
	}
	material := Material{Key: key, Algorithm: orDefault(spec.Algorithm)}
	if keys.Key != "" {
		value, err := r.get(keys.Key)
		if err != nil {
			return Material{}, err
		}
		material.Key = string(value)
		if err := r.checkKey(keys.Key, material.Key); err != nil {
			return Material{}, err
		}
	}
	if FamilyOf(material.Algorithm) == HMAC {
		return r.hmac(material, or(keys.Secret, DataKeySecret))
	}
	return r.asymmetric(material, keys)
}

func or(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}

// maxSecret is the longest HMAC secret, in bytes. A hash of the secret is used beyond the hash's block anyway (RFC
// 2104).
const maxSecret = 8192

// vaultReference begins what Kong would resolve from its own vaults and environment.
const vaultReference = "{vault://"

// hmac takes a secret byte by byte, as Kong and the clients do: even a line break at its end belongs to it.
func (r secretReader) hmac(material Material, dataKey string) (Material, error) {
	value, err := r.get(dataKey)
	if err != nil {
		return Material{}, err
	}
	switch text := string(value); {
	case len(value) > maxSecret:
		return Material{}, r.invalid(dataKey, "has %d bytes, and a secret may have %d. Put a shorter one there.", len(value), maxSecret)
	case !utf8.Valid(value), strings.ContainsRune(text, 0):
		return Material{}, r.invalid(dataKey, "is not text (UTF-8 without NUL), which is all that Kong takes. Encode it as base64url, and set secretIsBase64 on the services.")
	case strings.TrimSpace(text) == "":
		return Material{}, r.invalid(dataKey, "is blank. Put the secret there, or name another in dataKeys.")
	case strings.Contains(text, vaultReference):
		return Material{}, r.invalid(dataKey, "has a vault reference ({vault://...}) in it, which Kong would resolve from its own. Put the secret itself there.")
	case strings.HasPrefix(strings.TrimSpace(text), "-----BEGIN "):
		return Material{}, r.invalid(dataKey, "is a PEM, and %s needs a shared secret. Set the algorithm that the key is for.", material.Algorithm)
	default:
		material.Secret = Conceal(text)
		return material, nil
	}
}

// asymmetric reads a public key, and a private one where dataKeys.privateKey names it. A private key alone is enough.
func (r secretReader) asymmetric(material Material, keys v1alpha1.CredentialDataKeys) (Material, error) {
	var signer crypto.Signer
	if keys.PrivateKey != "" {
		value, err := r.get(keys.PrivateKey)
		if err != nil {
			return Material{}, err
		}
		if signer, err = parsePrivate(value); err != nil {
			return Material{}, r.invalid(keys.PrivateKey, "%v", err)
		}
		if material.PrivateKeyPEM, err = encodePrivate(signer); err != nil {
			return Material{}, r.invalid(keys.PrivateKey, "is no valid private key. Put one there as PKCS #8 (openssl pkey).")
		}
	}
	public, dataKey, err := r.public(keys, signer)
	if err != nil {
		return Material{}, err
	}
	if err := checkFits(public, material.Algorithm); err != nil {
		return Material{}, r.invalid(dataKey, "%v", err)
	}
	if signer != nil && !samePublic(signer.Public(), public) {
		return Material{}, r.invalid(keys.PrivateKey, "does not belong to the public key under %s. Put both halves of one pair there, or the private key alone.", dataKey)
	}
	if material.PublicKeyPEM, err = encodePublic(public); err != nil {
		return Material{}, r.invalid(dataKey, "is no valid public key. Put one there (openssl pkey -pubout).")
	}
	return material, nil
}

// public reads the public key, or takes the private key's where the Secret has none.
func (r secretReader) public(keys v1alpha1.CredentialDataKeys, signer crypto.Signer) (crypto.PublicKey, string, error) {
	dataKey := or(keys.PublicKey, DataKeyPublicKey)
	if _, found := r.data[dataKey]; !found && signer != nil && keys.PublicKey == "" {
		return signer.Public(), keys.PrivateKey, nil
	}
	value, err := r.get(dataKey)
	if err != nil {
		return nil, dataKey, err
	}
	key, err := parsePublic(value)
	if err != nil {
		return nil, dataKey, r.invalid(dataKey, "%v", err)
	}
	return key, dataKey, nil
}

func samePublic(a, b crypto.PublicKey) bool {
	key, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && key.Equal(b)
}

// checkKey holds a key out of a Secret to what the schema asks of one in the spec.
func (r secretReader) checkKey(dataKey, key string) error {
	switch {
	case utf8.RuneCountInString(key) > maxKey:
		return r.invalid(dataKey, "has %d characters, and a key may have %d. Choose a shorter one.", utf8.RuneCountInString(key), maxKey)
	case strings.Contains(key, vaultReference):
		return r.invalid(dataKey, "has a vault reference ({vault://...}) in it, which Kong would resolve from its own. Put the key itself there.")
	case !utf8.ValidString(key) || strings.ContainsFunc(key, func(c rune) bool { return c < 0x20 || c == 0x7f }):
		return r.invalid(dataKey, "has control characters or is not text. Put it there without: a line break at its end is one (use printf or kubectl --from-literal).")
	}
	return nil
}
