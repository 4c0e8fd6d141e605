package jwtplugin_test

import (
	"encoding/base64"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/kongjwt/kong-jwt-operator/internal/jwtplugin"
)

type obj = map[string]any

// raw builds a token of JSON texts, signed by nobody.
func raw(header, claims, signature string) string {
	b := base64.RawURLEncoding.EncodeToString
	return b([]byte(header)) + "." + b([]byte(claims)) + "." + signature
}

// TestDecideToken holds tokens in the Authorization header against Kong's answers.
func TestDecideToken(t *testing.T) {
	unix := now.Unix()
	verified := jwtplugin.Config{ClaimsToVerify: []string{"exp", "nbf"}, MaximumExpiration: 3600}
	bounded := jwtplugin.Config{MaximumExpiration: 600}
	plain := jwtplugin.Config{}
	es256 := sign(t, "ES256", keyOf("ES256"), nil, obj{"iss": "k-ES256"})

	tests := []struct {
		name    string
		cfg     jwtplugin.Config
		token   string
		reason  jwtplugin.Reason
		message string
		errors  map[string]string
	}{
		{"valid", plain, sign(t, "HS256", nil, nil, obj{"iss": "k"}), jwtplugin.Authenticated, "", nil},
		{"key in the header", plain, sign(t, "HS256", nil, obj{"iss": "k"}, obj{}), jwtplugin.Authenticated, "", nil},
		{"payload goes before header", plain, sign(t, "HS256", nil, obj{"iss": "k"}, obj{"iss": "x"}), jwtplugin.CredentialNotFound, "No credentials found for given 'iss'", nil},
		{"false in the payload falls to the header", plain, sign(t, "HS256", nil, obj{"iss": "k"}, obj{"iss": false}), jwtplugin.Authenticated, "", nil},
		{"garbage", plain, "garbage", jwtplugin.TokenNotJSON, "Bad token; invalid JSON", nil},
		{"three parts of garbage", plain, "a.b.c", jwtplugin.TokenNotJSON, "Bad token; invalid JSON", nil},
		{"two parts", plain, "e30.e30", jwtplugin.TokenNotJSON, "Bad token; invalid JSON", nil},
		{"something after the object", plain, raw(`{"alg":"HS256"}`, `{}}`, ""), jwtplugin.TokenNotJSON, "Bad token; invalid JSON", nil},
		{"standard alphabet", plain, "+/+/.e30.", jwtplugin.TokenNotJSON, "Bad token; invalid JSON", nil},
		{"alg none", plain, raw(`{"alg":"none"}`, `{"iss":"k"}`, ""), jwtplugin.TokenAlgUnknown, "Bad token; invalid alg", nil},
		{"no alg", plain, raw(`{}`, `{}`, ""), jwtplugin.TokenAlgUnknown, "Bad token; invalid alg", nil},
		{"header is text", plain, raw(`"x"`, `{}`, ""), jwtplugin.TokenAlgUnknown, "Bad token; invalid alg", nil},
		{"header is a number", plain, raw(`7`, `{}`, ""), jwtplugin.TokenNotObject, "An unexpected error occurred", nil},
		{"payload is false", plain, raw(`{"alg":"HS256"}`, `false`, ""), jwtplugin.TokenClaimsFalse, "Bad token; invalid claims", nil},
		{"payload is null", plain, raw(`{"alg":"HS256"}`, `null`, ""), jwtplugin.TokenNotObject, "An unexpected error occurred", nil},
		{"payload is a list", plain, raw(`{"alg":"HS256"}`, `[1]`, ""), jwtplugin.KeyClaimMissing, "No mandatory 'iss' in claims", nil},
		{"signature not base64url", plain, raw(`{"alg":"HS256"}`, `null`, "a+b"), jwtplugin.SignatureNotBase64, "Bad token; invalid signature", nil},
		{"a fourth part belongs to the signature", plain, sign(t, "HS256", nil, nil, obj{"iss": "k"}) + ".x", jwtplugin.SignatureNotBase64, "Bad token; invalid signature", nil},
		{"padding and what follows is ignored", plain, sign(t, "HS256", nil, nil, obj{"iss": "k"}) + "==.+", jwtplugin.Authenticated, "", nil},
		{"no key claim", plain, sign(t, "HS256", nil, nil, obj{}), jwtplugin.KeyClaimMissing, "No mandatory 'iss' in claims", nil},
		{"empty key claim", plain, sign(t, "HS256", nil, nil, obj{"iss": ""}), jwtplugin.KeyClaimEmpty, "Invalid 'iss' in claims", nil},
		{"key claim is a number", plain, sign(t, "HS256", nil, nil, obj{"iss": 7}), jwtplugin.KeyClaimNotString, "An unexpected error occurred", nil},
		{"key claim is null", plain, sign(t, "HS256", nil, nil, obj{"iss": nil}), jwtplugin.KeyClaimNotString, "An unexpected error occurred", nil},
		{"another key claim", jwtplugin.Config{KeyClaimName: "kid"}, sign(t, "HS256", nil, nil, obj{"iss": "k"}), jwtplugin.KeyClaimMissing, "No mandatory 'kid' in claims", nil},
		{"unknown key", plain, sign(t, "HS256", nil, nil, obj{"iss": "no"}), jwtplugin.CredentialNotFound, "No credentials found for given 'iss'", nil},
		{"HS512 for HS256", plain, sign(t, "HS512", nil, nil, obj{"iss": "k"}), jwtplugin.AlgorithmMismatch, "Invalid algorithm", nil},
		{"HS256 for RS256", plain, sign(t, "HS256", nil, nil, obj{"iss": "k-RS256"}), jwtplugin.AlgorithmMismatch, "Invalid algorithm", nil},
		{"another secret", plain, sign(t, "HS256", []byte("wrong"), nil, obj{"iss": "k"}), jwtplugin.SignatureInvalid, "Invalid signature", nil},
		{"no signature", plain, raw(`{"alg":"HS256"}`, `{"iss":"k"}`, ""), jwtplugin.SignatureInvalid, "Invalid signature", nil},
		{"no public key", plain, sign(t, "ES256", keyOf("ES256"), nil, obj{"iss": "no-pem"}), jwtplugin.KeyUnusable, "Invalid key/secret", nil},
		{"public key cannot be read", plain, sign(t, "RS256", keyOf("RS256"), nil, obj{"iss": "bad-pem"}), jwtplugin.PublicKeyInvalid, "An unexpected error occurred", nil},
		{"EC key for RS256", plain, sign(t, "RS256", keyOf("RS256"), nil, obj{"iss": "ec-for-rs"}), jwtplugin.SignatureInvalid, "Invalid signature", nil},
		{"ES256 signature of a wrong length", plain, es256[:len(es256)-4], jwtplugin.SignatureLength, "An unexpected error occurred", nil},
		{"PS256 by more than 2048 bits", plain, sign(t, "PS256", keyOf("rsa3072"), nil, obj{"iss": "k-PS256"}), jwtplugin.SignatureLength, "An unexpected error occurred", nil},
		{"RS256 by another size", plain, sign(t, "RS256", keyOf("rsa3072"), nil, obj{"iss": "k-RS256"}), jwtplugin.SignatureInvalid, "Invalid signature", nil},
		{"base64 secret", jwtplugin.Config{SecretIsBase64: true}, sign(t, "HS256", nil, nil, obj{"iss": "b64"}), jwtplugin.Authenticated, "", nil},
		{"base64 secret with +", jwtplugin.Config{SecretIsBase64: true}, sign(t, "HS256", nil, nil, obj{"iss": "plus"}), jwtplugin.KeyUnusable, "Invalid key/secret", nil},
		{"base64 leaves public keys alone", jwtplugin.Config{SecretIsBase64: true}, es256, jwtplugin.Authenticated, "", nil},
		{"claims verified", verified, sign(t, "HS256", nil, nil, obj{"iss": "k", "exp": unix + 60, "nbf": unix}), jwtplugin.Authenticated, "", nil},
		{"expired this second", verified, sign(t, "HS256", nil, nil, obj{"iss": "k", "exp": unix, "nbf": unix}), jwtplugin.ClaimsRefused, "", obj2("exp", "token expired")},
		{"no exp, no nbf", verified, sign(t, "HS256", nil, nil, obj{"iss": "k"}), jwtplugin.ClaimsRefused, "", obj2("exp", "must be a number", "nbf", "must be a number")},
		{"exp is text", verified, sign(t, "HS256", nil, nil, obj{"iss": "k", "exp": "9999999999", "nbf": 1}), jwtplugin.ClaimsRefused, "", obj2("exp", "must be a number")},
		{"expired and not yet", verified, sign(t, "HS256", nil, nil, obj{"iss": "k", "exp": unix - 1, "nbf": unix + 1}), jwtplugin.ClaimsRefused, "", obj2("exp", "token expired", "nbf", "token not valid yet")},
		{"exp too far", verified, sign(t, "HS256", nil, nil, obj{"iss": "k", "exp": unix + 3601, "nbf": 1}), jwtplugin.ExpirationTooFar, "", obj2("exp", "exceeds maximum allowed expiration")},
		{"bound without exp verified: expired passes", bounded, sign(t, "HS256", nil, nil, obj{"iss": "k", "exp": unix - 60}), jwtplugin.Authenticated, "", nil},
		{"bound without exp verified: none is refused", bounded, sign(t, "HS256", nil, nil, obj{"iss": "k"}), jwtplugin.ExpirationTooFar, "", obj2("exp", "exceeds maximum allowed expiration")},
		{"bound without exp verified: text of a number", bounded, sign(t, "HS256", nil, nil, obj{"iss": "k", "exp": "1"}), jwtplugin.Authenticated, "", nil},
		{"bound without exp verified: text", bounded, sign(t, "HS256", nil, nil, obj{"iss": "k", "exp": "soon"}), jwtplugin.ExpirationNotNumber, "An unexpected error occurred", nil},
		{"exp beyond float64", verified, sign(t, "HS256", nil, nil, obj{"iss": "k", "exp": number("1e999"), "nbf": 1}), jwtplugin.ExpirationTooFar, "", obj2("exp", "exceeds maximum allowed expiration")},
		{"consumer gone", plain, sign(t, "HS256", nil, nil, obj{"iss": "orphan"}), jwtplugin.ConsumerNotFound, "Could not find consumer for 'iss=orphan'", nil},
	}
	dir := john(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := withDefaults(tt.cfg)
			d := jwtplugin.Decide(cfg, bearerRequest(tt.token), dir, now)
			if d.Reason != tt.reason {
				t.Fatalf("reason %s, want %s", d.Reason, tt.reason)
			}
			if d.Passes() != (tt.reason == jwtplugin.Authenticated) {
				t.Fatalf("passes: %v", d.Passes())
			}
			if d.Passes() {
				return
			}
			checkRefusal(t, d, tt.message, tt.errors)
		})
	}
}

func checkRefusal(t *testing.T, d jwtplugin.Decision, message string, errors map[string]string) {
	t.Helper()
	status, challenge := http.StatusUnauthorized, `Bearer error="invalid_token"`
	if message == "An unexpected error occurred" {
		status, challenge = http.StatusInternalServerError, ""
	}
	if d.Reason == jwtplugin.ConsumerNotFound {
		challenge = ""
	}
	want := jwtplugin.Response{Status: status, Message: message, Errors: errors, Challenge: challenge}
	if !reflect.DeepEqual(*d.Refusal, want) {
		t.Errorf("answered %+v, want %+v", *d.Refusal, want)
	}
	if d.Consumer != nil || len(d.Upstream.Set) > 0 {
		t.Errorf("a refused request names consumer %v and sets %v", d.Consumer, d.Upstream.Set)
	}
}

// TestDecideWhere says where a token is found.
func TestDecideWhere(t *testing.T) {
	good := sign(t, "HS256", nil, nil, obj{"iss": "k"})
	other := sign(t, "HS256", nil, nil, obj{"iss": "k", "n": 1})
	cfg := jwtplugin.Config{CookieNames: []string{"tok"}, HeaderNames: []string{"authorization", "x_jwt"}}
	header := func(name, value string) jwtplugin.Request {
		return jwtplugin.Request{Header: http.Header{name: {value}}}
	}
	tests := []struct {
		name   string
		req    jwtplugin.Request
		reason jwtplugin.Reason
	}{
		{"nowhere", jwtplugin.Request{}, jwtplugin.NoToken},
		{"lower case", header("Authorization", "bearer "+good), jwtplugin.Authenticated},
		{"upper case", header("Authorization", "BEARER "+good), jwtplugin.NoToken},
		{"not at the beginning", header("Authorization", "My Bearer   "+good), jwtplugin.Authenticated},
		{"basic", header("Authorization", "Basic am9objpqb2hu"), jwtplugin.NoToken},
		{"empty", header("Authorization", "Bearer "), jwtplugin.NoToken},
		{"underscore for dash", header("X-Jwt", "Bearer "+good), jwtplugin.Authenticated},
		{"another header", header("X-Other", "Bearer "+good), jwtplugin.NoToken},
		{"first value only", jwtplugin.Request{Header: http.Header{"X-Jwt": {"Bearer " + good, "Bearer " + other}}}, jwtplugin.Authenticated},
		{"two headers", jwtplugin.Request{Header: http.Header{"Authorization": {"Bearer " + good}, "X-Jwt": {"Bearer " + other}}}, jwtplugin.MultipleTokens},
		{"the same twice", jwtplugin.Request{RawQuery: "jwt=" + good, Header: http.Header{"Authorization": {"Bearer " + good}}}, jwtplugin.Authenticated},
		{"query", jwtplugin.Request{RawQuery: "a=b&jwt=" + good}, jwtplugin.Authenticated},
		{"query, escaped", jwtplugin.Request{RawQuery: "%6awt=" + strings.ReplaceAll(good, ".", "%2E")}, jwtplugin.Authenticated},
		{"query, twice", jwtplugin.Request{RawQuery: "jwt=" + good + "&jwt=" + other}, jwtplugin.MultipleTokens},
		{"query, twice the same", jwtplugin.Request{RawQuery: "jwt=" + good + "&jwt=" + good}, jwtplugin.Authenticated},
		{"query, empty", jwtplugin.Request{RawQuery: "jwt="}, jwtplugin.NoToken},
		{"query, bare", jwtplugin.Request{RawQuery: "jwt"}, jwtplugin.UnrecognizableToken},
		{"query, bare and another", jwtplugin.Request{RawQuery: "jwt&jwt=" + good}, jwtplugin.MultipleTokens},
		{"query, too late", jwtplugin.Request{RawQuery: strings.Repeat("a=b&", 100) + "jwt=" + good}, jwtplugin.NoToken},
		{"query, just in time", jwtplugin.Request{RawQuery: strings.Repeat("a=b&", 99) + "jwt=" + good}, jwtplugin.Authenticated},
		{"cookie", header("Cookie", "a=b; tok="+good), jwtplugin.Authenticated},
		{"cookie, any case", header("Cookie", "TOK = "+good), jwtplugin.Authenticated},
		{"cookie, first match", header("Cookie", "tok="+good+"; tok="+other), jwtplugin.Authenticated},
		{"cookie, a longer name", header("Cookie", "token="+good), jwtplugin.NoToken},
		{"cookie and query", jwtplugin.Request{RawQuery: "jwt=" + other, Header: http.Header{"Cookie": {"tok=" + good}}}, jwtplugin.MultipleTokens},
	}
	dir := john(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if d := jwtplugin.Decide(withDefaults(cfg), tt.req, dir, now); d.Reason != tt.reason {
				t.Errorf("reason %s, want %s", d.Reason, tt.reason)
			}
		})
	}
}

func TestDecidePreflight(t *testing.T) {
	cfg := jwtplugin.DefaultConfig()
	options := jwtplugin.Request{Method: http.MethodOptions}
	if d := jwtplugin.Decide(cfg, options, john(t), now); d.Reason != jwtplugin.NoToken {
		t.Errorf("by default: %s", d.Reason)
	}
	cfg.RunOnPreflight = false
	if d := jwtplugin.Decide(cfg, options, john(t), now); d.Reason != jwtplugin.Preflight || !d.Passes() {
		t.Errorf("with run_on_preflight false: %s", d.Reason)
	}
}

func TestDecideRealm(t *testing.T) {
	cfg := jwtplugin.DefaultConfig()
	cfg.Realm = "my-realm"
	none := jwtplugin.Decide(cfg, jwtplugin.Request{}, john(t), now)
	if got, want := none.Refusal.Challenge, `Bearer realm="my-realm"`; got != want {
		t.Errorf("no token: %q, want %q", got, want)
	}
	bad := jwtplugin.Decide(cfg, bearerRequest("x"), john(t), now)
	if got, want := bad.Refusal.Challenge, `Bearer realm="my-realm" error="invalid_token"`; got != want {
		t.Errorf("bad token: %q, want %q", got, want)
	}
}

func TestDecideAnonymous(t *testing.T) {
	tests := []struct {
		name      string
		anonymous string
		token     string
		reason    jwtplugin.Reason
		cause     jwtplugin.Reason
		set       map[string]string
	}{
		{"no token", "nobody", "", jwtplugin.Anonymous, jwtplugin.NoToken,
			obj2("X-Consumer-ID", "id-nobody", "X-Consumer-Username", "nobody", "X-Anonymous-Consumer", "true")},
		{"by id", "id-nobody", "garbage", jwtplugin.Anonymous, jwtplugin.TokenNotJSON,
			obj2("X-Consumer-ID", "id-nobody", "X-Consumer-Username", "nobody", "X-Anonymous-Consumer", "true")},
		{"good token", "nobody", sign(t, "HS256", nil, nil, obj{"iss": "k"}), jwtplugin.Authenticated, "",
			obj2("X-Consumer-ID", "id-john", "X-Consumer-Username", "john", "X-Consumer-Custom-ID", "cid-john", "X-Credential-Identifier", "k")},
		{"not there", "not-there", "", jwtplugin.AnonymousNotFound, jwtplugin.NoToken, nil},
		{"a failure stays one", "nobody", raw(`7`, `{}`, ""), jwtplugin.TokenNotObject, "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := jwtplugin.DefaultConfig()
			cfg.Anonymous = tt.anonymous
			d := jwtplugin.Decide(cfg, bearerRequest(tt.token), john(t), now)
			if d.Reason != tt.reason || d.Cause != tt.cause {
				t.Fatalf("reason %s cause %s, want %s and %s", d.Reason, d.Cause, tt.reason, tt.cause)
			}
			if !reflect.DeepEqual(d.Upstream.Set, tt.set) {
				t.Errorf("sets %v, want %v", d.Upstream.Set, tt.set)
			}
		})
	}
}

// TestUpstreamHeadersCannotBeForged: what the client sends under the plugin's
// names never reaches the upstream.
func TestUpstreamHeadersCannotBeForged(t *testing.T) {
	names := []string{"X-Consumer-Id", "X-Consumer-Custom-Id", "X-Consumer-Username", "X-Credential-Identifier", "X-Anonymous-Consumer"}
	for _, anonymous := range []string{"", "nobody"} {
		cfg := jwtplugin.DefaultConfig()
		cfg.Anonymous = anonymous
		req := bearerRequest(sign(t, "HS256", nil, nil, obj{"iss": "k"}))
		if anonymous != "" {
			req = bearerRequest("bad")
		}
		for _, name := range names {
			req.Header.Set(name, "forged")
		}
		jwtplugin.Decide(cfg, req, john(t), now).Upstream.Apply(req.Header)
		for _, name := range names {
			if req.Header.Get(name) == "forged" {
				t.Errorf("anonymous %q: %s is forged", anonymous, name)
			}
		}
	}
}
