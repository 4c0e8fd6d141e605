package jwtplugin_test

import (
	"net/http"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/kongjwt/kong-jwt-operator/internal/jwtplugin"
)

// TestTraceAgrees: a trace ends as the decision does, whatever arrives.
func TestTraceAgrees(t *testing.T) {
	dir := john(t)
	header := rapid.SampledFrom([]string{`{"alg":"HS256"}`, `{"alg":"HS512"}`, `{"alg":"ES256","iss":"k-ES256"}`, `{"alg":"none"}`, `[]`, `7`, `{`})
	claims := rapid.SampledFrom([]string{`{"iss":"k"}`, `{"iss":"k","exp":1}`, `{"iss":"orphan"}`, `{"iss":"no-pem"}`, `{"iss":7}`, `{"iss":""}`, `{"iss":"nobody"}`, `null`, `false`})
	good := sign(t, "HS256", nil, nil, obj{"iss": "k", "exp": now.Unix() + 60, "nbf": 1})
	rapid.Check(t, func(rt *rapid.T) {
		cfg := withDefaults(jwtplugin.Config{
			ClaimsToVerify:    rapid.SampledFrom([][]string{nil, {"exp"}, {"exp", "nbf"}}).Draw(rt, "verify"),
			MaximumExpiration: rapid.SampledFrom([]float64{0, 10, 3600}).Draw(rt, "bound"),
			Anonymous:         rapid.SampledFrom([]string{"", "john", "not-there"}).Draw(rt, "anonymous"),
			RunOnPreflight:    rapid.Bool().Draw(rt, "preflight"),
		})
		text := raw(header.Draw(rt, "header"), claims.Draw(rt, "claims"), rapid.SampledFrom([]string{"", "AAAA", "+"}).Draw(rt, "signature"))
		req := bearerRequest(rapid.SampledFrom([]string{text, good, ""}).Draw(rt, "token"))
		req.Method = rapid.SampledFrom([]string{http.MethodGet, http.MethodOptions}).Draw(rt, "method")
		want := jwtplugin.Decide(cfg, req, dir, now)
		account := jwtplugin.Trace(cfg, req, dir, now)
		got, steps := account.Decision, account.Steps
		if !reflect.DeepEqual(got, want) {
			rt.Fatalf("traced to %+v, decided %+v", got, want)
		}
		first := jwtplugin.Reason("")
		for _, step := range steps {
			if step.Outcome == jwtplugin.Failed && first == "" {
				first = step.Reason
			}
		}
		if reason := want.Reason; !want.Passes() && want.Cause == "" && first != reason {
			rt.Fatalf("the first step that failed is %s, the decision %s", first, reason)
		}
	})
}

// gaps is a directory of which not all may be read.
type gaps struct {
	jwtplugin.Directory
	of jwtplugin.Gaps
}

func (g gaps) Credential(key string) (jwtplugin.Credential, bool) {
	c, _ := g.Directory.Credential(key)
	c.Gaps = g.of
	if g.of != 0 {
		c.Secret, c.PublicKey = "", ""
	}
	return c, true
}

// TestTraceGaps: what is not known is said, and what can be checked without it is checked.
func TestTraceGaps(t *testing.T) {
	cfg := withDefaults(jwtplugin.Config{ClaimsToVerify: []string{"exp"}})
	valid, expired := sign(t, "HS256", nil, nil, obj{"iss": "k", "exp": now.Unix() + 60}), sign(t, "HS256", nil, nil, obj{"iss": "k", "exp": now.Unix() - 60})
	tests := []struct {
		name    string
		gap     jwtplugin.Gaps
		token   string
		reason  jwtplugin.Reason
		unknown []jwtplugin.Check
	}{
		{"nothing missing", 0, valid, jwtplugin.Authenticated, nil},
		{"no material", jwtplugin.GapMaterial, valid, jwtplugin.Undecided, []jwtplugin.Check{jwtplugin.CheckKey, jwtplugin.CheckSignature}},
		{"no material, and expired", jwtplugin.GapMaterial, expired, jwtplugin.ClaimsRefused, []jwtplugin.Check{jwtplugin.CheckKey, jwtplugin.CheckSignature}},
		{"no material, another algorithm", jwtplugin.GapMaterial, sign(t, "HS512", nil, nil, obj{"iss": "k", "exp": now.Unix() + 60}), jwtplugin.AlgorithmMismatch, nil},
		{"no credential", jwtplugin.GapCredential, valid, jwtplugin.Undecided, []jwtplugin.Check{
			jwtplugin.CheckCredential, jwtplugin.CheckAlgorithm, jwtplugin.CheckKey, jwtplugin.CheckSignature, jwtplugin.CheckConsumer,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			account := jwtplugin.Trace(cfg, bearerRequest(tt.token), gaps{john(t), tt.gap}, now)
			d, steps := account.Decision, account.Steps
			if d.Reason != tt.reason {
				t.Errorf("%s, want %s", d.Reason, tt.reason)
			}
			var unknown []jwtplugin.Check
			for _, step := range steps {
				if step.Outcome == jwtplugin.Unknown {
					unknown = append(unknown, step.Check)
				}
			}
			if !reflect.DeepEqual(unknown, tt.unknown) {
				t.Errorf("unknown: %v, want %v", unknown, tt.unknown)
			}
			if decided := jwtplugin.Decide(cfg, bearerRequest(tt.token), gaps{john(t), tt.gap}, now); tt.gap != 0 && decided.Passes() {
				t.Error("a token passes that was not verified")
			}
		})
	}
}
