package engine

import (
	"testing"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

func TestWhatKongIsKnownToHold(t *testing.T) {
	r := newRig(t)
	if !r.gateway.Filled() {
		t.Fatal("a connected engine does not know what Kong holds")
	}
	john := r.consumer("john", "team.john", "k1", "k2")
	if _, found := r.gateway.CredentialPart(john.Owner, "k2"); found || r.gateway.HasCredentials(john) {
		t.Fatal("it is held before it was written")
	}
	r.mustSync(john)
	if part, found := r.gateway.CredentialPart(john.Owner, "k2"); !found || part != "credential:b" {
		t.Errorf("got part %q, %t", part, found)
	}
	if _, found := r.gateway.CredentialPart(desired.Owner{Kind: john.Owner.Kind, Namespace: "team", Name: "jane"}, "k2"); found {
		t.Error("it is held for somebody else")
	}
	if !r.gateway.HasCredentials(john) {
		t.Error("what was written is not held")
	}
	changed := r.consumer("john", "team.john", "k1", "k2")
	for _, e := range changed.Entities {
		if e.Fields.Text("key") == "k2" {
			e.Fields["secret"] = canary + "2"
		}
	}
	if r.gateway.HasCredentials(changed) {
		t.Error("another secret under the same key is held")
	}
}

func TestWhoHoldsAPublicKey(t *testing.T) {
	r := newRig(t)
	const pem = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEVs/o5+uQbTjL3chynL4wXgUg2R9\nq9UU8I5mEovUf86QZ7kOBIjJwqnzD1omageEHWwHdBO6B+dFabmdT9POxg==\n-----END PUBLIC KEY-----\n"
	john := r.consumer("john", "team.john", "k1", "k2")
	for _, e := range john.Entities {
		if e.Fields.Text("key") == "k2" {
			e.Fields["algorithm"], e.Fields["rsa_public_key"] = "ES256", pem
		}
	}
	r.mustSync(john)
	for _, c := range []struct {
		what, key, pem string
		held           bool
	}{
		{"the key", "k2", pem, true}, {"it with a line more", "k2", pem + "\n", true},
		{"another public key", "k2", "another", false}, {"another kid", "k1", pem, false}, {"none of it", "k1", "", false},
	} {
		if owner, part, held := r.gateway.PublicKeyHolder(t.Context(), c.key, c.pem); held != c.held || held && (owner != john.Owner || part != "credential:b") {
			t.Errorf("%s: %v of %s, %t", c.what, part, owner, held)
		}
	}
}

func TestWhatIsOnItsWayIntoAConfigurationIsNotHeld(t *testing.T) {
	r := newDeclaredRig(t)
	john := r.consumer("john", "john", "k1")
	r.eventually("it is held", func() bool {
		result, err := r.sync(john)
		held := r.gateway.HasCredentials(john)
		if (held || result.Applied) && !r.there(kong.KindJWT, "k1") {
			t.Fatal("it is held, and Kong does not run it")
		}
		return held && result.Applied && err == nil
	})
}
