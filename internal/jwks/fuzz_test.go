package jwks_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"slices"
	"testing"

	"github.com/kongjwt/kong-jwt-operator/internal/jwks"
)

func b64(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }

// FuzzParse holds whatever an issuer may answer to what Kong needs of a key.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		string(documentOf(f, "RS256", "ES256", "ES384", "ES512", "EdDSA")),
		`{"keys":[` + jwk(f, "ES256", map[string]any{"alg": nil, "use": nil}) + `]}`,
		`{"keys":[` + jwk(f, "RS256", map[string]any{"alg": "PS256", "x5c": []string{"AA=="}}) + `]}`,
		`{"keys":[` + jwk(f, "RS256", map[string]any{"e": "AQAAAAAAAAAB"}) + `]}`,
		`{"keys":[` + jwk(f, "ES512", map[string]any{"y": "AA"}) + `]}`,
		`{"keys":[]}`, `{"keys":null}`, `{"keys":[{}]}`, `{"keys":[null,7,"a"]}`, `{}`, `[]`, "", "\x00", `{"keys":[`,
		`{"keys":[{"kty":"oct","kid":"a","k":"c2VjcmV0"}]}`,
		`{"keys":[{"kty":"OKP","crv":"X25519","kid":"a","x":"AAAA"}]}`,
	} {
		f.Add([]byte(seed), "HS256", 2)
	}
	f.Fuzz(func(t *testing.T, document []byte, fallback string, limit int) {
		set, err := jwks.Parse(document)
		if err != nil {
			if !errors.Is(err, jwks.ErrInvalid) {
				t.Fatalf("%v is not ErrInvalid", err)
			}
			return
		}
		limit = max(0, limit)
		selection := set.Select(fallback, limit)
		if len(selection.Keys) > limit {
			t.Fatalf("%d keys, and %d at most", len(selection.Keys), limit)
		}
		seen := map[string]bool{}
		for _, key := range selection.Keys {
			if key.ID == "" || seen[key.ID] || !slices.Contains(algorithms, key.Algorithm) {
				t.Fatalf("a key %q for %q", key.ID, key.Algorithm)
			}
			seen[key.ID] = true
			block, rest := pem.Decode([]byte(key.PublicKeyPEM))
			if block == nil || len(rest) > 0 {
				t.Fatal("no PEM")
			}
			if _, err := x509.ParsePKIXPublicKey(block.Bytes); err != nil {
				t.Fatal(err)
			}
		}
	})
}
