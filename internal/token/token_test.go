package token_test

import (
	"crypto"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/golang-jwt/jwt/v5"
	"pgregory.net/rapid"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/jwtplugin"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
	"github.com/kongjwt/kong-jwt-operator/internal/token"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 987654321, time.UTC)

const hmacSecret = "c2l4dHktZm91ci1ieXRlcy1vZi1hLXNlY3JldC1hcmUtZW5vdWdoLWZvci1hbGwtb2YtdGhlbQ"

// keyNames are the pairs of the recordings' keys that fit an algorithm.
var keyNames = map[credential.Family]map[string]string{
	credential.RSA:     {"": "rsa2048"},
	credential.ECDSA:   {"ES256": "p256", "ES384": "p384", "ES512": "p521"},
	credential.Ed25519: {"": "ed25519"},
}

func materialFor(t testing.TB, algorithm v1alpha1.Algorithm) credential.Material {
	t.Helper()
	material := credential.Material{Key: "my-api.john", Algorithm: algorithm}
	family := credential.FamilyOf(algorithm)
	if family == credential.HMAC {
		material.Secret = credential.Conceal(hmacSecret)
		return material
	}
	content, err := os.ReadFile(filepath.Join("..", "..", "test", "contract", "testdata", "3.9.3", "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	var pairs map[string]struct{ PrivatePEM, PublicPEM string }
	if err := json.Unmarshal(content, &pairs); err != nil {
		t.Fatal(err)
	}
	name := keyNames[family][string(algorithm)] + keyNames[family][""]
	material.PublicKeyPEM = pairs[name].PublicPEM
	material.PrivateKeyPEM = credential.Conceal(pairs[name].PrivatePEM)
	return material
}

// john is a data plane that holds one credential.
type john struct{ material credential.Material }

func (j john) Credential(key string) (jwtplugin.Credential, bool) {
	return jwtplugin.Credential{
		ID: "id", Key: j.material.Key, Algorithm: string(j.material.Algorithm), Secret: jwtplugin.Secret(j.material.Secret.Reveal()),
		PublicKey: j.material.PublicKeyPEM, ConsumerID: "john",
	}, key == j.material.Key
}

func (j john) Consumer(string) (jwtplugin.Consumer, bool) {
	return jwtplugin.Consumer{ID: "john", Username: "john"}, true
}

// Every algorithm's token passes the plugin, whichever claim it reads and whatever it verifies.
func TestKongTakesTokensOfEveryAlgorithm(t *testing.T) {
	for _, algorithm := range credential.Algorithms() {
		for _, keyClaim := range []string{"iss", "kid"} {
			t.Run(string(algorithm)+"/"+keyClaim, func(t *testing.T) {
				material := materialFor(t, algorithm)
				signed, err := token.Mint(material, token.Claims{Subject: "s"}, now, time.Hour)
				if err != nil {
					t.Fatal(err)
				}
				config := jwtplugin.DefaultConfig()
				config.KeyClaimName = keyClaim
				config.ClaimsToVerify = []string{"exp", "nbf"}
				config.MaximumExpiration = 3600
				request := jwtplugin.Request{Method: http.MethodGet, Header: http.Header{"Authorization": {"Bearer " + signed.Token.Reveal()}}}
				// A data plane whose clock is behind takes it too.
				for _, clock := range []time.Time{now, now.Add(59 * time.Minute)} {
					if decision := jwtplugin.Decide(config, request, john{material}, clock); !decision.Authenticated() {
						t.Errorf("refused at %s: %s", clock, decision.Reason)
					}
				}
				config.MaximumExpiration = 0
				if decision := jwtplugin.Decide(config, request, john{material}, now.Add(-token.Skew+time.Second)); !decision.Authenticated() {
					t.Errorf("refused by a clock that is behind: %s", decision.Reason)
				}
				if decision := jwtplugin.Decide(config, request, john{material}, now.Add(time.Hour)); decision.Authenticated() {
					t.Error("still taken after its expiry")
				}
			})
		}
	}
}

func TestClaimsAndTimes(t *testing.T) {
	material := materialFor(t, "HS256")
	claims := token.Claims{Subject: "workload", Audience: []string{"a", "b"}, Extra: map[string]any{"id": json.Number("9007199254740993")}}
	signed, err := token.Mint(material, claims, now, 90*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	issued := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	if !signed.IssueTime.Equal(issued) || !signed.ExpirationTime.Equal(issued.Add(90*time.Minute)) {
		t.Errorf("times %s to %s", signed.IssueTime, signed.ExpirationTime)
	}
	parts := strings.Split(signed.Token.Reveal(), ".")
	for part, want := range map[int]string{
		0: `{"alg":"HS256","kid":"my-api.john","typ":"JWT"}`,
		1: `{"aud":["a","b"],"exp":1795440600,"iat":1795435200,"id":9007199254740993,"iss":"my-api.john","kid":"my-api.john","nbf":1795435170,"sub":"workload"}`,
	} {
		got, err := base64.RawURLEncoding.DecodeString(parts[part])
		if err != nil || string(got) != want {
			t.Errorf("part %d is %s, want %s", part, got, want)
		}
	}
}

// RFC 7518 section 3.5 asks for a salt as long as the hash.
func TestPSSSaltIsAsLongAsTheHash(t *testing.T) {
	for algorithm, hash := range map[v1alpha1.Algorithm]crypto.Hash{"PS256": crypto.SHA256, "PS384": crypto.SHA384, "PS512": crypto.SHA512} {
		material := materialFor(t, algorithm)
		signed, err := token.Mint(material, token.Claims{}, now, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		text := signed.Token.Reveal()
		dot := strings.LastIndex(text, ".")
		signature, err := base64.RawURLEncoding.DecodeString(text[dot+1:])
		if err != nil {
			t.Fatal(err)
		}
		public, err := jwt.ParseRSAPublicKeyFromPEM([]byte(material.PublicKeyPEM))
		if err != nil {
			t.Fatal(err)
		}
		digest := hash.New()
		digest.Write([]byte(text[:dot]))
		if err := rsa.VerifyPSS(public, hash, digest.Sum(nil), signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}); err != nil {
			t.Errorf("%s: %v", algorithm, err)
		}
	}
}

func TestCannotSign(t *testing.T) {
	public := materialFor(t, "RS256")
	public.PrivateKeyPEM = credential.Sensitive{}
	for name, material := range map[string]credential.Material{
		"public key only": public,
		"no secret":       {Key: "k", Algorithm: "HS256"},
	} {
		_, err := token.Mint(material, token.Claims{}, now, time.Hour)
		var stalled *status.StalledError
		if !errors.As(err, &stalled) || stalled.Reason != v1alpha1.ReasonCredentialCannotSign {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, material := range map[string]credential.Material{
		"key of another algorithm": {Key: "k", Algorithm: "ES256", PrivateKeyPEM: materialFor(t, "RS256").PrivateKeyPEM},
		"curve of another":         {Key: "k", Algorithm: "ES384", PrivateKeyPEM: materialFor(t, "ES256").PrivateKeyPEM},
		"no key at all":            {Key: "k", Algorithm: "RS256", PrivateKeyPEM: credential.Conceal("canary-key")},
		"unknown algorithm":        {Key: "k", Algorithm: "XX256", PrivateKeyPEM: credential.Conceal("canary-key")},
	} {
		if _, err := token.Mint(material, token.Claims{}, now, time.Hour); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSecretIsBase64(t *testing.T) {
	material := materialFor(t, "HS256")
	signed, err := token.Mint(material, token.Claims{}, now, time.Hour, token.SecretIsBase64())
	if err != nil {
		t.Fatal(err)
	}
	request := jwtplugin.Request{Method: http.MethodGet, Header: http.Header{"Authorization": {"Bearer " + signed.Token.Reveal()}}}
	for _, isBase64 := range []bool{true, false} {
		config := jwtplugin.DefaultConfig()
		config.SecretIsBase64 = isBase64
		if decision := jwtplugin.Decide(config, request, john{material}, now); decision.Authenticated() != isBase64 {
			t.Errorf("secret_is_base64 %v: allowed is %v", isBase64, decision.Authenticated())
		}
	}
	if _, err := token.Verify(signed.Token.Reveal(), material, now); !errors.Is(err, token.ErrSignature) {
		t.Errorf("without the option: %v", err)
	}
	if _, err := token.Verify(signed.Token.Reveal(), material, now, token.SecretIsBase64()); err != nil {
		t.Errorf("with the option: %v", err)
	}
	material.Secret = credential.Conceal("canary+canary/canary")
	if _, err := token.Mint(material, token.Claims{}, now, time.Hour, token.SecretIsBase64()); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("a secret that is no base64url: %v", err)
	}
}

func TestVerify(t *testing.T) {
	material := materialFor(t, "HS256")
	signed, err := token.Mint(material, token.Claims{Extra: map[string]any{"n": json.Number("1")}}, now, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	text := signed.Token.Reveal()
	other, broken := material, materialFor(t, "RS256")
	other.Secret = credential.Conceal("another")
	broken.PublicKeyPEM = "canary"
	unsigned := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims{"iss": material.Key})
	none, err := unsigned.SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := token.Mint(materialFor(t, "RS256"), token.Claims{}, now, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text     string
		material credential.Material
		at       time.Time
		want     error
	}{
		"good":                 {text, material, now, nil},
		"other secret":         {text, other, now, token.ErrSignature},
		"other algorithm":      {text, materialFor(t, "HS512"), now, token.ErrSignature},
		"alg none":             {none, material, now, token.ErrSignature},
		"expired":              {text, material, now.Add(time.Hour), token.ErrExpired},
		"not yet":              {text, material, now.Add(-time.Minute), token.ErrNotYet},
		"no token":             {"canary", material, now, token.ErrMalformed},
		"empty":                {"", material, now, token.ErrMalformed},
		"unusable key":         {rs.Token.Reveal(), broken, now, token.ErrKey},
		"a part is no base64":  {"!.!.!", material, now, token.ErrMalformed},
		"signature is cut off": {text[:strings.LastIndex(text, ".")+1], material, now, token.ErrSignature},
	} {
		claims, err := token.Verify(c.text, c.material, c.at)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if c.want == nil && claims["iss"] != material.Key {
			t.Errorf("%s: claims %v", name, claims)
		}
	}
}

func TestFresh(t *testing.T) {
	claims := token.Claims{Subject: "s", Audience: []string{"a"}, Extra: map[string]any{"role": "x"}}
	const ttl, renewBefore = time.Hour, 20 * time.Minute
	for _, algorithm := range []v1alpha1.Algorithm{"HS256", "RS256", "PS256", "ES256", "EdDSA"} {
		material := materialFor(t, algorithm)
		signed, err := token.Mint(material, claims, now, ttl)
		if err != nil {
			t.Fatal(err)
		}
		text := signed.Token.Reveal()
		rekeyed, public := material, material
		rekeyed.Key = "other"
		public.Secret, public.PrivateKeyPEM = credential.Sensitive{}, credential.Sensitive{}
		other := materialFor(t, "HS512")
		for name, c := range map[string]struct {
			text     string
			material credential.Material
			claims   token.Claims
			ttl      time.Duration
			at       time.Time
			want     bool
		}{
			"as it was made":         {text, material, claims, ttl, now, true},
			"just before renewal":    {text, material, claims, ttl, signed.ExpirationTime.Add(-renewBefore - time.Second), true},
			"at renewal":             {text, material, claims, ttl, signed.ExpirationTime.Add(-renewBefore), false},
			"a clock a little back":  {text, material, claims, ttl, now.Add(-token.Skew / 2), true},
			"a clock set back":       {text, material, claims, ttl, now.Add(-time.Hour), false},
			"another ttl":            {text, material, claims, 2 * ttl, now, false},
			"another subject":        {text, material, token.Claims{Subject: "t", Audience: claims.Audience, Extra: claims.Extra}, ttl, now, false},
			"another key":            {text, rekeyed, claims, ttl, now, false},
			"another material":       {text, other, claims, ttl, now, false},
			"material cannot sign":   {text, public, claims, ttl, now, false},
			"no token":               {"", material, claims, ttl, now, false},
			"a token with a changed": {text[:len(text)-8] + "AAAAAAAA", material, claims, ttl, now, false},
		} {
			issued, expires, fresh := token.Fresh(c.text, c.material, c.claims, c.ttl, renewBefore, c.at)
			if fresh != c.want {
				t.Errorf("%s, %s: fresh is %v", algorithm, name, fresh)
			}
			if fresh && (!issued.Equal(signed.IssueTime) || !expires.Equal(signed.ExpirationTime)) {
				t.Errorf("%s, %s: times %s, %s", algorithm, name, issued, expires)
			}
		}
	}
}

// A token that was just minted is fresh and is renewed between its issue and its expiry, whatever the durations are.
func TestRenewalLiesWithinALife(t *testing.T) {
	material := materialFor(t, "HS256")
	rapid.Check(t, func(t *rapid.T) {
		ttl := time.Duration(rapid.Int64Range(10, 8760*3600).Draw(t, "ttl")) * time.Second
		renewBefore := time.Duration(rapid.Int64Range(1, 8760*3600).Draw(t, "renewBefore")) * time.Second
		at := now.Add(time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "offset")))
		signed, err := token.Mint(material, token.Claims{}, at, ttl)
		if err != nil {
			t.Fatal(err)
		}
		renewal := token.RenewAt(signed.IssueTime, signed.ExpirationTime, renewBefore)
		if !renewal.After(signed.IssueTime) || !renewal.Before(signed.ExpirationTime) {
			t.Fatalf("renewal at %s of a token from %s to %s", renewal, signed.IssueTime, signed.ExpirationTime)
		}
		if _, _, fresh := token.Fresh(signed.Token.Reveal(), material, token.Claims{}, ttl, renewBefore, signed.IssueTime); !fresh {
			t.Fatal("a new token is not fresh")
		}
	})
}

func TestNewClaims(t *testing.T) {
	for raw, want := range map[string]string{
		`{"role":"admin","n":12345678901234567890}`: "",
		``:                            "",
		`{"iss":"x","exp":1}`:         "spec.claims: exp, iss may not be set here",
		`{"sub":"x"}`:                 "spec.claims: sub may not be set here",
		`{"kid":1,"nbf":1,"iat":1}`:   "spec.claims: iat, kid, nbf may not be set here",
		`{"aud":["canary"]}`:          "spec.claims: aud may not be set here",
		`["canary"]`:                  "spec.claims: it is no object",
		`null`:                        "spec.claims: it is no object",
		`{"a":1}{"b":1}`:              "spec.claims: it is no object",
		`{"nested":{"iss":"theirs"}}`: "",
	} {
		claims, err := token.NewClaims(v1alpha1.JwtTokenSpec{Subject: "s", Audience: []string{"a"}, Claims: &apiextensionsv1.JSON{Raw: []byte(raw)}})
		if want == "" {
			if err != nil || claims.Subject != "s" || len(claims.Audience) != 1 {
				t.Errorf("%s: %v", raw, err)
			}
			if n, found := claims.Extra["n"]; found && n != json.Number("12345678901234567890") {
				t.Errorf("%s: the number became %v", raw, n)
			}
			continue
		}
		var stalled *status.StalledError
		if !errors.As(err, &stalled) || stalled.Reason != v1alpha1.ReasonInvalidSpec || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", raw, err)
		}
	}
}
