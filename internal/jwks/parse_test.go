package jwks_test

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/kongjwt/kong-jwt-operator/internal/jwks"
	"github.com/kongjwt/kong-jwt-operator/test/issuer"
)

// algorithms are all that an issuer can publish keys for.
var algorithms = []string{"RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "EdDSA"}

func TestEveryAlgorithmBecomesAPEM(t *testing.T) {
	provider := issuer.Start()
	defer provider.Close()
	for _, algorithm := range algorithms {
		if err := provider.Add("key-"+algorithm, algorithm); err != nil {
			t.Fatal(err)
		}
	}
	document, err := provider.Set()
	if err != nil {
		t.Fatal(err)
	}
	set, err := jwks.Parse(document)
	if err != nil {
		t.Fatal(err)
	}
	selection := set.Select("HS256", 64)
	if len(selection.Keys) != len(algorithms) || len(selection.Skipped) != 0 {
		t.Fatalf("got %d keys, skipped %v", len(selection.Keys), selection.Skipped)
	}
	for i, key := range selection.Keys {
		if key.ID != "key-"+algorithms[i] || key.Algorithm != algorithms[i] {
			t.Errorf("key %d is %s for %s", i, key.ID, key.Algorithm)
		}
		block, rest := pem.Decode([]byte(key.PublicKeyPEM))
		if block == nil || block.Type != "PUBLIC KEY" || len(rest) > 0 {
			t.Fatalf("%s: no PEM of one public key", key.ID)
		}
		public, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if equal, ok := public.(interface{ Equal(x any) bool }); ok && !equal.Equal(provider.PublicKey(key.ID)) {
			t.Errorf("%s: another key came out", key.ID)
		}
	}
}

// jwk takes a key of a set and changes fields of it; nil takes one out.
func jwk(t testing.TB, algorithm string, changes map[string]any) string {
	t.Helper()
	document := documentOf(t, algorithm)
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	if err := json.Unmarshal(document, &set); err != nil {
		t.Fatal(err)
	}
	for name, value := range changes {
		if set.Keys[0][name] = value; value == nil {
			delete(set.Keys[0], name)
		}
	}
	text, err := json.Marshal(set.Keys[0])
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func documentOf(t testing.TB, algorithms ...string) []byte {
	t.Helper()
	provider := issuer.Start()
	defer provider.Close()
	for i, algorithm := range algorithms {
		if err := provider.Add(fmt.Sprintf("key-%d", i), algorithm); err != nil {
			t.Fatal(err)
		}
	}
	document, err := provider.Set()
	if err != nil {
		t.Fatal(err)
	}
	return document
}

func TestAlgorithmOfAKey(t *testing.T) {
	cases := map[string]struct {
		made     string
		changes  map[string]any
		fallback string
		want     string
	}{
		"its own":                               {"RS256", map[string]any{"alg": "PS384"}, "RS512", "PS384"},
		"the fallback":                          {"RS256", map[string]any{"alg": nil}, "RS512", "RS512"},
		"the fallback for RSA that is PS":       {"RS256", map[string]any{"alg": nil}, "PS256", "PS256"},
		"RSA, a fallback that does not fit":     {"RS256", map[string]any{"alg": nil}, "HS256", "RS256"},
		"P-256, no fallback":                    {"ES256", map[string]any{"alg": nil}, "", "ES256"},
		"P-384, a fallback of another curve":    {"ES384", map[string]any{"alg": nil}, "ES256", "ES384"},
		"P-521, a fallback of another kind":     {"ES512", map[string]any{"alg": nil}, "RS256", "ES512"},
		"Ed25519, a fallback of another kind":   {"EdDSA", map[string]any{"alg": nil}, "HS256", "EdDSA"},
		"an empty alg":                          {"ES256", map[string]any{"alg": ""}, "HS256", "ES256"},
		"without use":                           {"ES256", map[string]any{"use": nil}, "", "ES256"},
		"with key_ops":                          {"ES256", map[string]any{"use": nil, "key_ops": []string{"verify"}}, "", "ES256"},
		"with fields that nobody knows":         {"ES256", map[string]any{"issuer": "x", "x5c": []string{"no certificate"}}, "", "ES256"},
		"padded, as some issuers write":         {"RS256", map[string]any{"e": "AQAB===="}, "", "RS256"},
		"a kid that looks like a UUID":          {"ES256", map[string]any{"kid": "0e6b8e3a-7c0a-4b3e-9a53-3a4d5c0f6f5e"}, "", "ES256"},
		"a kid of 255 characters beyond ASCII":  {"ES256", map[string]any{"kid": strings.Repeat("ä", 255)}, "", "ES256"},
		"a kid with characters of URLs in it":   {"ES256", map[string]any{"kid": "https://login.example.com/keys?a=b&c/d"}, "", "ES256"},
		"a curve's alg for a key of that curve": {"ES512", map[string]any{"alg": "ES512"}, "", "ES512"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			set, err := jwks.Parse([]byte(`{"keys":[` + jwk(t, c.made, c.changes) + `]}`))
			if err != nil {
				t.Fatal(err)
			}
			selection := set.Select(c.fallback, 16)
			if len(selection.Keys) != 1 || selection.Keys[0].Algorithm != c.want {
				t.Fatalf("got %+v", selection)
			}
		})
	}
}

func TestKeysOfNoUse(t *testing.T) {
	long := new(big.Int).Lsh(big.NewInt(1), 10_000)
	cases := map[string]struct{ key, reason string }{
		"not an object":         {`7`, "no JSON Web Key"},
		"of a wrong type":       {`{"kty":5}`, "no JSON Web Key"},
		"null":                  {`null`, "kid"},
		"for encryption":        {jwk(t, "RS256", map[string]any{"use": "enc"}), "not for signatures"},
		"for wrapping":          {jwk(t, "RS256", map[string]any{"use": nil, "key_ops": []string{"wrapKey"}}), "not for signatures"},
		"with no kid":           {jwk(t, "ES256", map[string]any{"kid": nil}), "no kid"},
		"with a line in kid":    {jwk(t, "ES256", map[string]any{"kid": "a\nb"}), "kid"},
		"with a long kid":       {jwk(t, "ES256", map[string]any{"kid": strings.Repeat("k", 256)}), "255"},
		"with a vault kid":      {jwk(t, "ES256", map[string]any{"kid": "{vault://env/pg-password}"}), "vault"},
		"symmetric":             {`{"kty":"oct","kid":"a","k":"c2VjcmV0","alg":"HS256"}`, "symmetric"},
		"with its private half": {jwk(t, "ES256", map[string]any{"d": "AQAB"}), "private half"},
		"of an unknown kind":    {`{"kty":"XYZ","kid":"a"}`, "no valid public key"},
		"on an unknown curve":   {jwk(t, "ES256", map[string]any{"crv": "secp256k1", "alg": "ES256K"}), "no valid public key"},
		"for key agreement":     {jwk(t, "EdDSA", map[string]any{"crv": "X25519", "alg": nil}), "kind"},
		"not on its curve":      {jwk(t, "ES256", map[string]any{"x": "AQAB"}), "no valid public key"},
		"at infinity":           {jwk(t, "ES256", map[string]any{"x": "AA", "y": "AA"}), "no valid public key"},
		"beyond its field":      {jwk(t, "ES256", map[string]any{"x": strings.Repeat("_", 200)}), "no valid public key"},
		"not base64url":         {jwk(t, "RS256", map[string]any{"n": "+/+/"}), "no valid public key"},
		"short RSA":             {jwk(t, "RS256", map[string]any{"n": "2_-_"}), "2048"},
		"huge RSA":              {jwk(t, "RS256", map[string]any{"n": b64(long)}), "8192"},
		"RSA of exponent 1":     {jwk(t, "RS256", map[string]any{"e": "AQ"}), "exponent"},
		"RSA of a cut exponent": {jwk(t, "RS256", map[string]any{"e": b64(new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 64), big.NewInt(3)))}), "exponent"},
		"RSA of exponent 2^32":  {jwk(t, "RS256", map[string]any{"e": b64(new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 40), big.NewInt(1)))}), "exponent"},
		"with another alg":      {jwk(t, "RS256", map[string]any{"alg": "RSA-OAEP"}), "alg"},
		"alg of another curve":  {jwk(t, "ES256", map[string]any{"alg": "ES384"}), "alg"},
		"alg none":              {jwk(t, "ES256", map[string]any{"alg": "none"}), "alg"},
		"alg of a secret":       {jwk(t, "RS256", map[string]any{"alg": "HS256"}), "alg"},
		"Ed25519 as alg":        {jwk(t, "EdDSA", map[string]any{"alg": "Ed25519"}), "alg"},
		"PS with another size":  {`{"kty":"RSA","kid":"a","alg":"PS256","e":"AQAB","n":"` + b64(new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 4095), big.NewInt(1))) + `"}`, "2048-bit"},
	}
	good := jwk(t, "ES256", map[string]any{"kid": "good"})
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			set, err := jwks.Parse([]byte(`{"keys":[` + c.key + `,` + good + `]}`))
			if err != nil {
				t.Fatal(err)
			}
			selection := set.Select("HS256", 16)
			if len(selection.Keys) != 1 || selection.Keys[0].ID != "good" {
				t.Fatalf("the good key is not the only one: %+v", selection)
			}
			if len(selection.Skipped) != 1 || selection.Skipped[0].Index != 0 || !strings.Contains(selection.Skipped[0].Reason, c.reason) {
				t.Errorf("skipped %+v, want a reason with %q", selection.Skipped, c.reason)
			}
		})
	}
}

func TestSameKidTwiceAndTooMany(t *testing.T) {
	first, second := jwk(t, "ES256", nil), jwk(t, "EdDSA", nil)
	others := jwk(t, "ES384", map[string]any{"kid": "b"}) + "," + jwk(t, "ES512", map[string]any{"kid": "c"})
	set, err := jwks.Parse([]byte(`{"keys":[` + first + `,` + second + `,` + others + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	selection := set.Select("", 2)
	if len(selection.Keys) != 2 || selection.Keys[0].Algorithm != "ES256" || selection.Keys[1].ID != "b" || selection.Beyond != 1 || len(selection.Skipped) != 1 {
		t.Errorf("got %+v", selection)
	}
}

func TestWhatIsNoSet(t *testing.T) {
	for name, c := range map[string]struct{ document, says string }{
		"nothing":              {"", "is empty"},
		"HTML":                 {"\n<html>canary</html>", "a web page"},
		"a PEM":                {"-----BEGIN PUBLIC KEY-----\ncanary", "a PEM"},
		"in quotes":            {`"{\"keys\":[\"canary\"]}"`, "in quotes"},
		"base64":               {"eyJrZXlzIjpbXX0=", "base64"},
		"cut off":              {`{"keys":[{"kid":"canary"`, "cut off"},
		"a discovery document": {`{"issuer":"https://canary","jwks_uri":"https://canary/keys"}`, "jwks_uri"},
		"one key":              {`{"kty":"EC","kid":"canary"}`, `{"keys": [...]}`},
		"a list":               {`[{"kty":"EC"}]`, "no JSON Web Key Set"},
		"keys that are none":   {`{"keys":{"canary":1}}`, "no JSON Web Key Set"},
		"null":                 {`null`, "without keys"},
		"keys null":            {`{"keys":null}`, "without keys"},
		"two documents":        {`{"keys":[]}{"keys":[]}`, "something follows"},
		"too many keys":        {`{"keys":[` + strings.TrimSuffix(strings.Repeat(`{"canary":1},`, jwks.MaxSetKeys+1), ",") + `]}`, "at most"},
	} {
		_, err := jwks.Parse([]byte(c.document))
		if !errors.Is(err, jwks.ErrInvalid) || strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := jwks.Parse([]byte("\ufeff {\"keys\":[]}\r\n")); err != nil {
		t.Errorf("a byte order mark and blanks around it: %v", err)
	}
	set, err := jwks.Parse([]byte(`{"keys":[]}`))
	if err != nil || len(set.Select("", 16).Keys) != 0 {
		t.Errorf("an empty set: %v", err)
	}
}
