package token_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/jwtplugin"
	"github.com/kongjwt/kong-jwt-operator/internal/token"
)

func probed(text credential.Sensitive, material credential.Material, keyClaim string, verify ...string) jwtplugin.Reason {
	config := jwtplugin.DefaultConfig()
	config.KeyClaimName, config.ClaimsToVerify = keyClaim, verify
	request := jwtplugin.Request{Method: http.MethodGet, Header: http.Header{"Authorization": {"Bearer " + text.Reveal()}}}
	return jwtplugin.Decide(config, request, john{material}, now).Reason
}

// What a data plane answers to a token that is valid at no time, for every algorithm: the signature is judged before
// the claims.
func TestUnusableTokensTellWhatKongKnows(t *testing.T) {
	for _, algorithm := range credential.Algorithms() {
		t.Run(string(algorithm), func(t *testing.T) {
			material := materialFor(t, algorithm)
			signed, rightly, err := token.MintUnusable(material, now)
			if err != nil || !rightly {
				t.Fatal(rightly, err)
			}
			if reason := probed(signed, material, "kid", "exp"); reason != jwtplugin.ClaimsRefused {
				t.Errorf("known: %s", reason)
			}
			if reason := probed(signed, material, "kid", "nbf"); reason != jwtplugin.ClaimsRefused {
				t.Errorf("by nbf: %s", reason)
			}
			if reason := probed(signed, material, "iss"); reason != jwtplugin.KeyClaimMissing {
				t.Errorf("a service that reads iss and verifies nothing: %s", reason)
			}
			missigned, err := token.MintMisSigned(material, now)
			if err != nil {
				t.Fatal(err)
			}
			if reason := probed(missigned, material, "kid", "exp"); reason != jwtplugin.SignatureInvalid {
				t.Errorf("signed wrongly: %s", reason)
			}
			other := material
			other.Key = "somebody"
			if reason := probed(missigned, other, "kid", "exp"); reason != jwtplugin.CredentialNotFound {
				t.Errorf("not known: %s", reason)
			}
			keyAlone := credential.Material{Key: material.Key, Algorithm: material.Algorithm}
			if missigned, err = token.MintMisSigned(keyAlone, now); err != nil {
				t.Fatal(err)
			}
			if reason := probed(missigned, material, "kid", "exp"); reason != jwtplugin.SignatureInvalid {
				t.Errorf("of which the key alone is known: %s", reason)
			}
		})
	}
}

func TestUnusableTokenOfAPublicKey(t *testing.T) {
	material := materialFor(t, "ES256")
	material.PrivateKeyPEM = credential.Sensitive{}
	text, rightly, err := token.MintUnusable(material, now)
	if err != nil || rightly {
		t.Fatal(rightly, err)
	}
	if reason := probed(text, material, "kid", "exp"); reason != jwtplugin.SignatureInvalid {
		t.Errorf("answered %s", reason)
	}
}

// A token of which no moment is within its times is refused by whoever verifies either.
func TestUnusableTokenIsValidAtNoTime(t *testing.T) {
	material := materialFor(t, "HS256")
	text, _, err := token.MintUnusable(material, now)
	if err != nil {
		t.Fatal(err)
	}
	for _, moment := range []time.Duration{-1000 * time.Hour, 0, 1000 * time.Hour, 200 * 365 * 24 * time.Hour} {
		if _, err := token.Verify(text.Reveal(), material, now.Add(moment)); err == nil {
			t.Errorf("valid at %s", moment)
		}
	}
	broken := material
	broken.Algorithm, broken.PublicKeyPEM = "RS256", "no key"
	if _, err := token.MintMisSigned(broken, now); err == nil || strings.Contains(err.Error(), "no key") {
		t.Errorf("a key that cannot be read: %v", err)
	}
}
