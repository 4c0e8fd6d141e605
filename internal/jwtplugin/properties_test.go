package jwtplugin_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/kongjwt/kong-jwt-operator/internal/jwtplugin"
)

type number = json.Number

// obj2 builds a map of texts from pairs.
func obj2(pairs ...string) map[string]string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

// withDefaults fills in what a table leaves out.
func withDefaults(cfg jwtplugin.Config) jwtplugin.Config {
	d := jwtplugin.DefaultConfig()
	if cfg.HeaderNames == nil {
		cfg.HeaderNames = d.HeaderNames
	}
	if cfg.URIParamNames == nil {
		cfg.URIParamNames = d.URIParamNames
	}
	if cfg.KeyClaimName == "" {
		cfg.KeyClaimName = d.KeyClaimName
	}
	return cfg
}

// TestEveryAlgorithm: a rightly signed token passes, and does not with any
// byte of its payload or signature changed.
func TestEveryAlgorithm(t *testing.T) {
	dir := john(t)
	for _, alg := range allAlgorithms {
		t.Run(alg, func(t *testing.T) {
			var key any
			if alg[:2] != "HS" {
				key = keyOf(alg)
			}
			rapid.Check(t, func(rt *rapid.T) {
				claims := obj{"iss": "k-" + alg, "sub": rapid.String().Draw(rt, "sub"), "exp": now.Unix() + rapid.Int64Range(1, 1<<40).Draw(rt, "ttl")}
				text := sign(t, alg, key, nil, claims)
				cfg := jwtplugin.DefaultConfig()
				cfg.ClaimsToVerify = []string{"exp"}
				if d := jwtplugin.Decide(cfg, bearerRequest(text), dir, now); !d.Authenticated() {
					rt.Fatalf("refused: %s", d.Reason)
				}
				// The last character of a part may hold unused bits: leave it.
				first := strings.IndexByte(text, '.') + 1
				at := rapid.IntRange(first, len(text)-2).Draw(rt, "at")
				if text[at] == '.' || text[at+1] == '.' {
					return
				}
				changed := text[:at] + string(flip(text[at])) + text[at+1:]
				if d := jwtplugin.Decide(cfg, bearerRequest(changed), dir, now); d.Passes() {
					rt.Fatalf("passes with byte %d changed", at)
				}
			})
		})
	}
}

// flip gives another character of the base64url alphabet.
func flip(c byte) byte {
	if c == 'A' {
		return 'B'
	}
	return 'A'
}

// TestNeverPanics: whatever arrives is decided, with a pass only for a valid token.
func TestNeverPanics(t *testing.T) {
	dir := john(t)
	text := rapid.OneOf(
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
		rapid.Custom(func(rt *rapid.T) string {
			part := rapid.SampledFrom([]string{`{"alg":"HS256"}`, `{"alg":"ES256","iss":"k-ES256"}`, `{"iss":"k"}`, `[]`, `null`, `"iss"`, `7`, `true`, `{"iss":{}}`, `{`})
			return raw(part.Draw(rt, "header"), part.Draw(rt, "claims"), rapid.StringMatching(`[A-Za-z0-9_=+.-]{0,100}`).Draw(rt, "signature"))
		}),
	)
	rapid.Check(t, func(rt *rapid.T) {
		cfg := jwtplugin.Config{
			URIParamNames: []string{"jwt"}, CookieNames: []string{"tok"}, HeaderNames: []string{"authorization"}, KeyClaimName: "iss",
			SecretIsBase64: rapid.Bool().Draw(rt, "base64"), ClaimsToVerify: []string{"exp", "nbf"}, MaximumExpiration: 60,
		}
		req := jwtplugin.Request{
			Method:   http.MethodGet,
			RawQuery: rapid.SampledFrom([]string{"", "jwt=", "jwt", "%"}).Draw(rt, "query") + text.Draw(rt, "value"),
			Header: http.Header{
				"Authorization": {"Bearer " + text.Draw(rt, "bearer")},
				"Cookie":        {"tok=" + text.Draw(rt, "cookie")},
			},
		}
		d := jwtplugin.Decide(cfg, req, dir, now)
		if d.Passes() {
			rt.Fatalf("an unsigned request passes: %s", d.Reason)
		}
		if len(d.Refusal.Body()) == 0 {
			rt.Fatalf("%s has no body", d.Reason)
		}
		for _, v := range d.Refusal.Body() {
			if v == "" {
				rt.Fatalf("%s has an empty message", d.Reason)
			}
		}
	})
}

func TestSecretCannotBePrinted(t *testing.T) {
	c := jwtplugin.Credential{Secret: "canary"}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("Read", "secret", c.Secret, "credential", c)
	encoded, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	out := fmt.Sprintf("%v %+v %#v %s %q %x %d", c, c, c, c.Secret, c.Secret, c.Secret, c.Secret) + log.String() + string(encoded)
	if strings.Contains(out, "canary") || strings.Contains(out, "63616e617279") {
		t.Errorf("printed: %s", out)
	}
}
