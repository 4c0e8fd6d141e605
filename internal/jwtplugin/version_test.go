package jwtplugin_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/kongjwt/kong-jwt-operator/internal/jwtplugin"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// standard is a token in the standard base64 alphabet. A claim makes the alphabets differ.
func standard(t *testing.T, claims obj) string {
	t.Helper()
	claims["about"] = "???>>>~~~"
	parts := strings.Split(sign(t, "HS256", nil, nil, claims), ".")
	input := strings.NewReplacer("-", "+", "_", "/").Replace(parts[0] + "." + parts[1])
	if !strings.ContainsAny(input, "+/") {
		t.Fatal("the token is the same in both alphabets")
	}
	signature, err := jwt.SigningMethodHS256.Sign(input, []byte(hmacSecret))
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + base64.RawStdEncoding.EncodeToString(signature)
}

func TestVersions(t *testing.T) {
	withRealm, decodes := jwtplugin.DefaultConfig(), jwtplugin.DefaultConfig()
	withRealm.Realm, decodes.SecretIsBase64 = "r", true
	credentials := john(t)
	tests := map[string]struct {
		config jwtplugin.Config
		token  string
		want   map[string]jwtplugin.Reason // by version
	}{
		"ES512": {jwtplugin.DefaultConfig(), sign(t, "ES512", keyOf("ES512"), nil, obj{"iss": "k-ES512"}), map[string]jwtplugin.Reason{
			"3.4.2": jwtplugin.TokenAlgUnknown, "3.6.1": jwtplugin.TokenAlgUnknown, "3.7.0": jwtplugin.Authenticated, "": jwtplugin.Authenticated,
		}},
		"standard base64": {jwtplugin.DefaultConfig(), standard(t, obj{"iss": "k"}), map[string]jwtplugin.Reason{
			"3.4.2": jwtplugin.Authenticated, "3.7.0": jwtplugin.TokenNotJSON, "": jwtplugin.TokenNotJSON,
		}},
		"RS256 where secrets are base64": {decodes, sign(t, "RS256", keyOf("RS256"), nil, obj{"iss": "k-RS256"}), map[string]jwtplugin.Reason{
			"3.4.2": jwtplugin.KeyUnusable, "3.8.1": jwtplugin.KeyUnusable, "3.9.0": jwtplugin.Authenticated, "": jwtplugin.Authenticated,
		}},
	}
	for name, tt := range tests {
		for version, want := range tt.want {
			config := tt.config
			config.Version = kong.ParseVersion(version)
			if got := jwtplugin.Decide(config, bearerRequest(tt.token), credentials, now); got.Reason != want {
				t.Errorf("%s on Kong %q: %s, want %s", name, version, got.Reason, want)
			}
		}
	}
	for version, want := range map[string]string{
		"3.7.1": "", "3.8.0": `Bearer realm="r" error="invalid_token"`, "3.10.0": `Bearer realm="r" error="invalid_token"`,
		"3.11.0.0": `Bearer realm="r", error="invalid_token"`, "": `Bearer realm="r" error="invalid_token"`,
	} {
		config := withRealm
		config.Version = kong.ParseVersion(version)
		if got := jwtplugin.Decide(config, bearerRequest("x"), credentials, now); got.Refusal.Challenge != want {
			t.Errorf("the challenge of Kong %q: %s", version, got.Refusal.Challenge)
		}
	}
}
