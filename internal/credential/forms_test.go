package credential

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// certificate makes one for a key, signed by itself and long over: neither its dates nor its issuer matter.
func certificate(t *testing.T, key crypto.Signer) string {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Unix(1_000_000_000, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return encode("CERTIFICATE", der)
}

// Whatever form a key is brought in, Kong gets the same: one credential is not written again because its Secret was
// written by another tool.
func TestKeysInEveryForm(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public := func(key crypto.Signer) string {
		der, err := x509.MarshalPKIXPublicKey(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		return encode("PUBLIC KEY", der)
	}
	sec1, err := x509.MarshalECPrivateKey(ecKey)
	if err != nil {
		t.Fatal(err)
	}
	curve := encode("EC PARAMETERS", []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07})
	for what, c := range map[string]struct {
		algorithm v1alpha1.Algorithm
		dataKey   string
		text      string
		want      string
	}{
		"PKIX, RSA":                   {"RS256", "public.pem", public(rsaKey), public(rsaKey)},
		"PKIX, EC":                    {"ES256", "public.pem", public(ecKey), public(ecKey)},
		"PKCS #1":                     {"RS512", "public.pem", encode("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsaKey.PublicKey)), public(rsaKey)},
		"a certificate, RSA":          {"PS256", "public.pem", certificate(t, rsaKey), public(rsaKey)},
		"a certificate, EC":           {"ES256", "public.pem", certificate(t, ecKey), public(ecKey)},
		"a certificate with issuers":  {"RS256", "public.pem", certificate(t, rsaKey) + certificate(t, ecKey), public(rsaKey)},
		"line breaks of Windows":      {"RS256", "public.pem", strings.ReplaceAll(public(rsaKey), "\n", "\r\n"), public(rsaKey)},
		"no line break at its end":    {"ES256", "public.pem", strings.TrimRight(public(ecKey), "\n"), public(ecKey)},
		"blanks around it":            {"ES256", "public.pem", "\n  " + public(ecKey) + "\n\n", public(ecKey)},
		"text before it":              {"RS256", "public.pem", "Bag Attributes\n    friendlyName: key\n" + public(rsaKey), public(rsaKey)},
		"PKCS #1, private":            {"RS256", "tls.key", encode("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey)), public(rsaKey)},
		"SEC 1, behind its own curve": {"ES256", "tls.key", curve + encode("EC PRIVATE KEY", sec1), public(ecKey)},
	} {
		t.Run(what, func(t *testing.T) {
			var keys *v1alpha1.CredentialDataKeys
			if c.dataKey == "tls.key" {
				keys = &v1alpha1.CredentialDataKeys{PrivateKey: c.dataKey}
			}
			material, err := FromSecret("spec.credentials[0]", spec(c.algorithm, keys), "k", contents(c.dataKey, c.text))
			if err != nil {
				t.Fatal(err)
			}
			if material.PublicKeyPEM != c.want {
				t.Errorf("Kong gets\n%s\nnot\n%s", material.PublicKeyPEM, c.want)
			}
			if signs := c.dataKey == "tls.key"; material.CanSign() != signs {
				t.Errorf("can sign: %t, want %t", material.CanSign(), signs)
			}
		})
	}
}
