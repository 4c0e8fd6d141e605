package token_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/clitest"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
	cli "github.com/kongjwt/kong-jwt-operator/internal/cli/token"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/tokeninput"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
)

const (
	current = "a-secret-of-thirty-two-bytes-now"
	former  = "a-secret-of-thirty-two-bytes-old"
)

func material(key, secret string) credential.Material {
	return credential.Material{Key: key, Algorithm: "HS256", Secret: credential.Conceal(secret)}
}

func secret(name string, data map[string][]byte) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Data: data}
}

func consumer(name string, credentials ...v1alpha1.Credential) *v1alpha1.JwtConsumer {
	return &v1alpha1.JwtConsumer{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: v1alpha1.JwtConsumerSpec{Credentials: credentials}}
}

// objects are a consumer with a Secret of its own, one that rotated, one that follows a key set, and one with two
// credentials.
func objects(t *testing.T) []client.Object {
	t.Helper()
	state := credential.State{Credentials: map[string]credential.History{"primary": {Last: 2, Revisions: []credential.Revision{
		{Number: 1, Slot: credential.Slot{Credential: "primary", Number: 1}, State: v1alpha1.CredentialRetiring, Recipe: credential.Recipe{Algorithm: "HS256"}, Material: material("default.worker.primary.1", former), IssueTime: clitest.Now, RetiredAt: clitest.Now},
		{Number: 2, Slot: credential.Slot{Credential: "primary", Number: 2}, State: v1alpha1.CredentialActive, Recipe: credential.Recipe{Algorithm: "HS256"}, Material: material("default.worker.primary.2", current), IssueTime: clitest.Now},
	}}}}
	content, err := state.Encode()
	if err != nil {
		t.Fatal(err)
	}
	worker := consumer("worker", v1alpha1.Credential{Name: "primary", Algorithm: "HS256", Generate: &v1alpha1.Generate{SecretName: "worker-credential"}})
	worker.Status.Credentials = []v1alpha1.CredentialStatus{
		{Name: "primary", Key: "default.worker.primary.1", State: v1alpha1.CredentialRetiring}, {Name: "primary", Key: "default.worker.primary.2", State: v1alpha1.CredentialActive},
	}
	john := v1alpha1.Credential{Name: "primary", Algorithm: "HS256", SecretRef: &v1alpha1.CredentialSecretReference{Name: "john"}}
	second := john
	second.Name = "second"
	return []client.Object{
		consumer("john", john), secret("john", map[string][]byte{"secret": []byte(current)}),
		worker, secret("worker-credential", credential.PublishedData(material("default.worker.primary.2", current))),
		secret(credential.StateSecretName("worker"), map[string][]byte{credential.StateDataKey: content}),
		consumer("issuer", v1alpha1.Credential{Name: "keys", JWKS: &v1alpha1.JWKS{URL: "https://issuer.example.com"}}),
		consumer("both", john, second),
		consumer("lacking", v1alpha1.Credential{Name: "primary", Algorithm: "HS256", SecretRef: &v1alpha1.CredentialSecretReference{Name: "not-there"}}),
	}
}

// create creates a token that nothing else is printed with.
func create(t *testing.T, s *clitest.Session, args ...string) string {
	t.Helper()
	if err := s.Run(t, cli.Command, append([]string{"create"}, args...)...); err != nil {
		t.Fatal(err)
	}
	text := s.Out.String()
	if strings.Count(text, "\n") != 1 || strings.Count(text, ".") != 2 {
		t.Fatalf("printed %q", text)
	}
	return strings.TrimSpace(text)
}

func TestCreatedTokensSayWhatWasAsked(t *testing.T) {
	s := clitest.New(t, objects(t)...)
	token := create(t, s, "john", "--ttl", "10m", "--subject", "alice", "--audience", "a", "--audience", "b",
		"--claim", "admin=true", "--claim", `id="42"`, "--claim", "big=123456789012345678901", "--claim", "team=blue=ish")
	d, err := tokeninput.Decode(token)
	if err != nil {
		t.Fatal(err)
	}
	for name, expected := range map[string]any{
		"iss": "default.john.primary", "kid": "default.john.primary", "sub": "alice", "admin": true, "id": "42",
		"big": json.Number("123456789012345678901"), "team": "blue=ish",
	} {
		if d.ClaimFields[name] != expected {
			t.Errorf("claim %s is %v, want %v", name, d.ClaimFields[name], expected)
		}
	}
	if at, ok := d.Time("exp"); !ok || !at.Equal(clitest.Now.Add(10*time.Minute)) {
		t.Errorf("exp is %s", at)
	}
}

func TestCreateRefuses(t *testing.T) {
	for name, refused := range map[string]struct {
		args     []string
		expected string
	}{
		"no consumer":      {[]string{"nobody"}, `"nobody" not found`},
		"no credential":    {[]string{"john/other"}, "has no credential other; it has: primary"},
		"several":          {[]string{"both"}, "both/primary, both/second"},
		"a key set":        {[]string{"issuer"}, "no credential for this; it has: keys"},
		"a key set, named": {[]string{"issuer/keys"}, "private keys are the issuer's"},
		"no Secret":        {[]string{"lacking"}, "there is no Secret default/not-there"},
		"iss":              {[]string{"john", "--claim", "iss=me"}, "iss may not be set here"},
		"aud":              {[]string{"john", "--claim", "aud=me"}, "use --audience"},
		"twice":            {[]string{"john", "--claim", "a=1", "--claim", "a=2"}, "set twice"},
		"no claim":         {[]string{"john", "--claim", "admin"}, "NAME=VALUE"},
		"no time":          {[]string{"john", "--ttl", "0s"}, "--ttl"},
		"bad reference":    {[]string{"team/john/primary"}, "CONSUMER/CREDENTIAL"},
	} {
		t.Run(name, func(t *testing.T) {
			s := clitest.New(t, objects(t)...)
			err := s.Run(t, cli.Command, append([]string{"create"}, refused.args...)...)
			if err == nil || !strings.Contains(err.Error(), refused.expected) || s.Out.Len() > 0 {
				t.Errorf("error %v does not say %q; printed %q", err, refused.expected, s.Out.String())
			}
		})
	}
}

func TestRevokedConsumersAreWarnedOf(t *testing.T) {
	all := objects(t)
	all[0].(*v1alpha1.JwtConsumer).Spec.Revoked = true
	s := clitest.New(t, all...)
	create(t, s, "john")
	if !strings.Contains(s.ErrOut.String(), "is revoked") {
		t.Errorf("stderr is %q", s.ErrOut.String())
	}
}

func TestDecodeShowsNoSignature(t *testing.T) {
	s := clitest.New(t, objects(t)...)
	token := create(t, s, "john", "--ttl", "10m")
	signature := token[strings.LastIndex(token, ".")+1:]
	for _, args := range [][]string{{"decode"}, {"decode", "-o", "json"}, {"decode", "-o", "yaml"}} {
		s.In.WriteString("Bearer " + token)
		if err := s.Run(t, cli.Command, args...); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(s.Out.String()+s.ErrOut.String(), signature) || !strings.Contains(s.Out.String(), "default.john.primary") {
			t.Errorf("%v printed\n%s", args, s.Out.String())
		}
		s.In.WriteString(token)
		if err := s.Run(t, cli.Command, append(args, "--show-signature")...); err != nil || !strings.Contains(s.Out.String(), signature) {
			t.Errorf("%v: %v\n%s", args, err, s.Out.String())
		}
	}
}

func TestDecodeSaysTimesInWords(t *testing.T) {
	s := clitest.New(t)
	// {"alg":"none"} {"exp":1763980000,"nbf":"soon","iat":1795521900,"x":"\u001b[2J"}
	s.In.WriteString("eyJhbGciOiJub25lIn0.eyJleHAiOjE3NjM5ODAwMDAsIm5iZiI6InNvb24iLCJpYXQiOjE3OTU1MjE5MDAsIngiOiLCm1x1MDAxYlsySiJ9.")
	if err := s.Run(t, cli.Command, "decode"); err != nil {
		t.Fatal(err)
	}
	for _, expected := range []string{"exp  2025-11-24T10:26:40Z  expired, 365d ago", "nbf  is no time", "iat  2026-11-24T12:05:00Z  issued in the future", "0 bytes"} {
		if !strings.Contains(s.Out.String(), expected) {
			t.Errorf("%q is not in\n%s", expected, s.Out.String())
		}
	}
	if strings.ContainsAny(s.Out.String(), "\x1b\u009b") {
		t.Errorf("the token acts on the terminal: %q", s.Out.String())
	}
}

func TestDecodeRefuses(t *testing.T) {
	for text, expected := range map[string]string{
		"abc": "it has 1 parts", "a.b.c.d.e": "encrypted", "!.e30.x": "header is not base64url", "e30.W10.x": "payload is no JSON object",
		"e30.e30e30.x": "payload", "e30.e30.!": "signature is not base64url",
	} {
		s := clitest.New(t)
		s.In.WriteString(text)
		if err := s.Run(t, cli.Command, "decode"); err == nil || !strings.Contains(err.Error(), expected) {
			t.Errorf("%s: error %v does not say %q", text, err, expected)
		}
	}
}

func TestVerify(t *testing.T) {
	s := clitest.New(t, objects(t)...)
	johns := create(t, s, "john")
	expired := create(t, s, "john", "--ttl=-5m")
	workers := create(t, s, "worker")
	for name, c := range map[string]struct {
		token    string
		args     []string
		valid    bool
		expected string
	}{
		"by the key it names":      {workers, nil, true, "valid, by credential primary of JwtConsumer default/worker"},
		"by a consumer":            {johns, []string{"john"}, true, "ok      signature  it is signed with this credential"},
		"by a credential":          {johns, []string{"john/primary"}, true, "ok      key"},
		"expired":                  {expired, []string{"john"}, false, "FAILED  exp"},
		"another's":                {johns, []string{"worker"}, false, "FAILED  key"},
		"one of several":           {johns, []string{"both/second"}, false, "FAILED  key"},
		"changed":                  {tampered(johns), []string{"john"}, false, "FAILED  signature  it is not signed with this credential"},
		"decoded secret, not this": {johns, []string{"john", "--secret-is-base64"}, false, "FAILED  signature"},
	} {
		t.Run(name, func(t *testing.T) {
			s.In.WriteString(c.token)
			err := s.Run(t, cli.Command, append([]string{"verify"}, c.args...)...)
			if c.valid != (err == nil) || err != nil && !errors.Is(err, env.ErrNegative) || !strings.Contains(s.Out.String(), c.expected) {
				t.Errorf("%v\n%s", err, s.Out.String())
			}
			if strings.Contains(s.Out.String(), current) || strings.Contains(s.Out.String(), c.token[strings.LastIndex(c.token, "."):]) {
				t.Error("the answer holds a secret")
			}
		})
	}
	s.In.WriteString(tampered(johns))
	if err := s.Run(t, cli.Command, "verify", "lacking"); err == nil || errors.Is(err, env.ErrNegative) {
		t.Errorf("what cannot be known was answered: %v", err)
	}
}

func TestFormerGenerationsVerify(t *testing.T) {
	all := objects(t)
	s := clitest.New(t, append(all, consumer("past", v1alpha1.Credential{
		Name: "primary", Key: "default.worker.primary.1", SecretRef: &v1alpha1.CredentialSecretReference{Name: "past"},
	}), secret("past", map[string][]byte{"secret": []byte(former)}))...)
	old := create(t, s, "past")
	s.In.WriteString(old)
	if err := s.Run(t, cli.Command, "verify", "worker"); err != nil || !strings.Contains(s.Out.String(), "former generation, key default.worker.primary.1") {
		t.Errorf("%v\n%s", err, s.Out.String())
	}
}

func TestVerifyWithAPublicKey(t *testing.T) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, privatePEM := write(t, private.Public()), pkcs8(t, private)
	s := clitest.New(t, consumer("ec", v1alpha1.Credential{
		Name: "primary", Algorithm: "ES256",
		SecretRef: &v1alpha1.CredentialSecretReference{Name: "ec", DataKeys: &v1alpha1.CredentialDataKeys{PrivateKey: "private.pem"}},
	}), secret("ec", map[string][]byte{"private.pem": privatePEM}))
	token := create(t, s, "ec")
	s.In.WriteString(token)
	if err := s.Run(t, cli.Command, "verify", "--public-key", public); err != nil || !strings.Contains(s.Out.String(), "valid, by "+public) {
		t.Errorf("%v\n%s", err, s.Out.String())
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s.In.WriteString(token)
	if err := s.Run(t, cli.Command, "verify", "--public-key", write(t, other.Public())); !errors.Is(err, env.ErrNegative) {
		t.Errorf("another's key: %v\n%s", err, s.Out.String())
	}
}

// tampered changes a token's first signature character.
func tampered(token string) string {
	at := strings.LastIndex(token, ".") + 1
	changed := "A"
	if token[at] == 'A' {
		changed = "B"
	}
	return token[:at] + changed + token[at+1:]
}

func write(t *testing.T, key crypto.PublicKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "public.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func pkcs8(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}
