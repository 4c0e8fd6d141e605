package credential_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
)

// FuzzDecodeState reads whatever may stand in a state Secret: an error, which repeats nothing of it, or a state.
func FuzzDecodeState(f *testing.F) {
	for _, seed := range []string{
		"", "null", "{}", "[]", `{"version":1}`, `{"version":1,"credentials":{"a":{"generations":[{"number":1,"phase":"Active","material":{"secret":"s"}}]}}}`,
		`{"version":99}`, `{"credentials":null}`, "\x00",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		_, err := credential.DecodeState(content)
		if err != nil && len(content) > 16 && strings.Contains(err.Error(), string(content)) {
			t.Fatalf("the error repeats the Secret: %v", err)
		}
	})
}

// secretMessage is the form of what is said of a Secret: the field, what is wrong, what to do.
var secretMessage = regexp.MustCompile(`(?s)^spec\.credentials\[0\]\.secretRef: key \S+ of Secret s (is|has|does|looks) .*[^.]\. [A-Z].*\.$`)

// FuzzFromSecret reads whatever may stand in the Secret of a credential, for every algorithm: an error that repeats
// nothing of it, or material of that algorithm.
func FuzzFromSecret(f *testing.F) {
	for _, seed := range []string{
		"", "secret", "ssh-rsa AAAA", "{\"kty\":\"RSA\"}", "LS0tLS1CRUdJTi", "\"-----BEGIN PUBLIC KEY-----\"", "-----BEGIN PUBLIC KEY-----\nAA",
		"-----BEGIN PUBLIC KEY----- AA -----END PUBLIC KEY-----", "-----BEGIN X-----\n  AA\n-----END X-----", `-----BEGIN X-----\nAA`,
		"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
		"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n", strings.Repeat("A", 20000),
		"-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
		"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "-----BEGIN EC PRIVATE KEY-----\nMHcC\n-----END EC PRIVATE KEY-----\n", "\xff\xfe", "{vault://env/x}",
	} {
		for i := range credential.Algorithms() {
			f.Add([]byte(seed), []byte(seed), i)
		}
	}
	all := credential.Algorithms()
	f.Fuzz(func(t *testing.T, first, second []byte, which int) {
		algorithm := all[((which%len(all))+len(all))%len(all)]
		spec := v1alpha1.Credential{Name: "primary", Algorithm: algorithm, SecretRef: &v1alpha1.CredentialSecretReference{Name: "s"}}
		if len(second) > 0 {
			spec.SecretRef.DataKeys = &v1alpha1.CredentialDataKeys{PrivateKey: "private.pem"}
		}
		material, err := credential.FromSecret("spec.credentials[0]", spec, "key", map[string][]byte{"secret": first, "public.pem": first, "private.pem": second})
		switch {
		case err != nil && !secretMessage.MatchString(err.Error()):
			t.Fatalf("the error names no field, or no remedy: %v", err)
		case err == nil && material.Algorithm != algorithm:
			t.Fatalf("%s for %s", material.Algorithm, algorithm)
		case err != nil && len(first) > 16 && strings.Contains(err.Error(), string(first)), err != nil && len(second) > 16 && strings.Contains(err.Error(), string(second)):
			t.Fatalf("the error repeats the Secret: %v", err)
		}
	})
}
