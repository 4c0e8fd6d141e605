package credential

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// pair is a key pair in the forms that people have.
type pair struct{ public, pkcs8, sec1OrPKCS1 string }

// pairs makes one of each kind, once.
var pairs = sync.OnceValue(func() map[string]pair {
	made := map[string]pair{}
	rsa2048, _ := rsa.GenerateKey(rand.Reader, 2048)
	rsa3072, _ := rsa.GenerateKey(rand.Reader, 3072)
	p256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	p521, _ := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	for name, key := range map[string]crypto.Signer{"RSA": rsa2048, "RSA 3072": rsa3072, "P-256": p256, "P-384": p384, "P-521": p521, "Ed25519": ed} {
		public, _ := x509.MarshalPKIXPublicKey(key.Public())
		private, _ := x509.MarshalPKCS8PrivateKey(key)
		p := pair{public: encode("PUBLIC KEY", public), pkcs8: encode("PRIVATE KEY", private)}
		switch typed := key.(type) {
		case *rsa.PrivateKey:
			p.sec1OrPKCS1 = encode("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(typed))
		case *ecdsa.PrivateKey:
			der, _ := x509.MarshalECPrivateKey(typed)
			p.sec1OrPKCS1 = encode("EC PRIVATE KEY", der)
		}
		made[name] = p
	}
	return made
})

func encode(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// keyFor names the pair that fits an algorithm.
func keyFor(algorithm v1alpha1.Algorithm) string {
	switch algorithm {
	case "EdDSA":
		return "Ed25519"
	case "ES256":
		return "P-256"
	case "ES384":
		return "P-384"
	case "ES512":
		return "P-521"
	}
	return "RSA"
}

func spec(algorithm v1alpha1.Algorithm, keys *v1alpha1.CredentialDataKeys) v1alpha1.Credential {
	return v1alpha1.Credential{
		Name: "primary", Algorithm: algorithm,
		SecretRef: &v1alpha1.CredentialSecretReference{Name: "given", DataKeys: keys},
	}
}

func contents(pairs ...string) map[string][]byte {
	data := map[string][]byte{}
	for i := 0; i < len(pairs); i += 2 {
		data[pairs[i]] = []byte(pairs[i+1])
	}
	return data
}

func TestMaterialOfEveryAlgorithmIsRead(t *testing.T) {
	for _, algorithm := range Algorithms() {
		t.Run(string(algorithm), func(t *testing.T) {
			if FamilyOf(algorithm) == HMAC {
				material, err := FromSecret("spec.credentials[0]", spec(algorithm, nil), "k", contents("secret", "line\n"))
				if err != nil || material.Secret.Reveal() != "line\n" || material.Key != "k" || material.Algorithm != algorithm || !material.CanSign() {
					t.Fatalf("%v: the secret is not taken byte by byte", err)
				}
				return
			}
			p := pairs()[keyFor(algorithm)]
			material, err := FromSecret("spec.credentials[0]", spec(algorithm, nil), "k", contents("public.pem", p.public))
			if err != nil || material.PublicKeyPEM != p.public || material.CanSign() {
				t.Fatalf("public key alone: %v, can sign %t", err, material.CanSign())
			}
			keys := &v1alpha1.CredentialDataKeys{PrivateKey: "tls.key"}
			for _, private := range []string{p.pkcs8, p.sec1OrPKCS1} {
				if private == "" {
					continue
				}
				material, err = FromSecret("spec.credentials[0]", spec(algorithm, keys), "k", contents("tls.key", private))
				if err != nil || material.PublicKeyPEM != p.public || material.PrivateKeyPEM.Reveal() != p.pkcs8 {
					t.Fatalf("private key alone: %v", err)
				}
			}
		})
	}
}

func TestKeyComesFromTheSecretWhereItSaysSo(t *testing.T) {
	keys := &v1alpha1.CredentialDataKeys{Key: "issuer", Secret: "value"}
	for _, key := range []string{"theirs", "0A1BA47D-0000-4000-8000-000000000000"} {
		material, err := FromSecret("spec.credentials[0]", spec("HS256", keys), "default", contents("issuer", key, "value", "s"))
		if err != nil || material.Key != key {
			t.Errorf("got key %q, %v", material.Key, err)
		}
	}
}

func TestSecretsThatCannotServeSayWhy(t *testing.T) {
	const canary = "canary-material"
	p := pairs()
	private := &v1alpha1.CredentialDataKeys{PrivateKey: "tls.key"}
	for what, c := range map[string]struct {
		algorithm v1alpha1.Algorithm
		keys      *v1alpha1.CredentialDataKeys
		data      map[string][]byte
		says      []string
	}{
		"a missing key":          {"HS256", nil, contents("password", canary), []string{"key secret", "is missing", "password", "dataKeys"}},
		"nothing at all":         {"HS256", nil, nil, []string{"key secret", "the Secret has nothing"}},
		"an empty value":         {"HS256", nil, contents("secret", ""), []string{"key secret", "is empty"}},
		"a blank value":          {"HS256", nil, contents("secret", " \n"), []string{"key secret", "is blank"}},
		"bytes that are no text": {"HS256", nil, contents("secret", canary+"\xff"), []string{"not text", "base64url", "secretIsBase64"}},
		"a NUL":                  {"HS256", nil, contents("secret", canary+"\x00"), []string{"not text"}},
		"a vault reference":      {"HS256", nil, contents("secret", "{vault://env/"+canary+"}"), []string{"vault reference"}},
		"a PEM for HMAC":         {"HS256", nil, contents("secret", p["RSA"].public), []string{"is a PEM", "HS256"}},
		"too long a secret":      {"HS256", nil, contents("secret", strings.Repeat("x", 8193)), []string{"8193 bytes", "8192"}},
		"an RSA key for ES256":   {"ES256", nil, contents("public.pem", p["RSA"].public), []string{"is an RSA key", "an EC key on P-256", "RS256"}},
		"another curve":          {"ES256", nil, contents("public.pem", p["P-384"].public), []string{"P-384", "P-256", "ES384"}},
		"an EC key for RS256":    {"RS256", nil, contents("public.pem", p["P-256"].public), []string{"an EC key on P-256", "an RSA key", "ES256"}},
		"3072 bits for PS256":    {"PS256", nil, contents("public.pem", p["RSA 3072"].public), []string{"3072 bits", "2048", "RS256"}},
		"a private key as public": {
			"RS256", nil, contents("public.pem", p["RSA"].pkcs8), []string{"is a private key", "must not get", "dataKeys.privateKey"},
		},
		"a PEM that was encoded twice": {
			"RS256", nil, contents("public.pem", base64.StdEncoding.EncodeToString([]byte(p["RSA"].public))), []string{"encoded twice"},
		},
		"line breaks spelled out": {
			"RS256", nil, contents("public.pem", strings.ReplaceAll(p["RSA"].public, "\n", `\n`)), []string{`\n spelled out`},
		},
		"an SSH key":       {"EdDSA", nil, contents("public.pem", "ssh-ed25519 "+canary), []string{"SSH key", "ssh-keygen"}},
		"a JWK":            {"RS256", nil, contents("public.pem", `{"kty":"`+canary+`"}`), []string{"is JSON"}},
		"two keys":         {"RS256", nil, contents("public.pem", p["RSA"].public+p["RSA 3072"].public), []string{"more than one key"}},
		"a damaged key":    {"RS256", nil, contents("public.pem", encode("PUBLIC KEY", []byte(canary))), []string{"no valid public key"}},
		"an encrypted key": {"RS256", private, contents("tls.key", encode("ENCRYPTED PRIVATE KEY", []byte(canary))), []string{"key tls.key", "encrypted", "openssl"}},
		"two halves of different pairs": {
			"ES256", private, contents("tls.key", p["P-256"].pkcs8, "public.pem", p["RSA"].public), []string{"is an RSA key"},
		},
		"a public key of another pair": {
			"RS256", private, contents("tls.key", p["RSA"].pkcs8, "public.pem", p["RSA 3072"].public), []string{"key tls.key", "does not belong", "public.pem"},
		},
		"a key with a line break": {
			"HS256", &v1alpha1.CredentialDataKeys{Key: "issuer"}, contents("issuer", "theirs\n", "secret", canary), []string{"key issuer", "control characters", "printf"},
		},
		"too long a key": {
			"HS256", &v1alpha1.CredentialDataKeys{Key: "issuer"}, contents("issuer", strings.Repeat("ä", 256), "secret", canary), []string{"256 characters", "255"},
		},
	} {
		t.Run(what, func(t *testing.T) {
			_, err := FromSecret("spec.credentials[0]", spec(c.algorithm, c.keys), "default", c.data)
			var stalled *status.StalledError
			if !errors.As(err, &stalled) || stalled.Reason != v1alpha1.ReasonSecretInvalid {
				t.Fatalf("got %v", err)
			}
			for _, text := range append(c.says, "Secret given") {
				if !strings.Contains(stalled.Message, text) {
					t.Errorf("%q does not say %q", stalled.Message, text)
				}
			}
			if strings.Contains(stalled.Message, canary) {
				t.Errorf("the material is quoted: %s", stalled.Message)
			}
		})
	}
}

func TestGeneratedMaterialIsWhatFromSecretReads(t *testing.T) {
	for _, algorithm := range Algorithms() {
		t.Run(string(algorithm), func(t *testing.T) {
			made, err := Generate(NewRecipe(algorithm, v1alpha1.Generate{}), "k")
			if err != nil || !made.CanSign() {
				t.Fatalf("made %v, can sign %t", err, made.CanSign())
			}
			keys, data := (*v1alpha1.CredentialDataKeys)(nil), contents("secret", made.Secret.Reveal())
			if FamilyOf(algorithm) != HMAC {
				keys = &v1alpha1.CredentialDataKeys{PrivateKey: "p"}
				data = contents("p", made.PrivateKeyPEM.Reveal(), "public.pem", made.PublicKeyPEM)
			}
			read, err := FromSecret("spec.credentials[0]", spec(algorithm, keys), "k", data)
			if err != nil || !read.Equal(made) {
				t.Errorf("read back differently: %v", err)
			}
			again, err := Generate(NewRecipe(algorithm, v1alpha1.Generate{}), "k")
			if err != nil || again.Equal(made) {
				t.Errorf("the same material twice, %v", err)
			}
		})
	}
}

// Kong decodes base64url where secret_is_base64 is set: a secret with + or / would fail every token (RFC 4648 section
// 5).
func TestGeneratedSecretsAreTheSameDecodedOrNot(t *testing.T) {
	for _, length := range []int32{0, 32, 47, 64, 512} {
		made, err := Generate(NewRecipe("HS512", v1alpha1.Generate{SecretBytes: length}), "k")
		if err != nil {
			t.Fatal(err)
		}
		decoded, err := base64.RawURLEncoding.DecodeString(made.Secret.Reveal())
		if err != nil {
			t.Fatalf("not base64url without padding: %v", err)
		}
		if want := max(int(length), 64*btoi(length == 0)); len(decoded) != want {
			t.Errorf("length %d gives %d random bytes, want %d", length, len(decoded), want)
		}
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
