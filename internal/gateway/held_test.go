package gateway

import (
	"testing"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
)

func TestWhatKongIsKnownToHold(t *testing.T) {
	r := newRig(t)
	if !r.gateway.Filled() {
		t.Fatal("a connected engine does not know what Kong holds")
	}
	john := r.set("JwtConsumer", "john")
	consumer := john.consumer("team.john")
	john.credential(consumer, "team.john.primary", canary)
	owner := john.set.Owner
	if _, found := r.gateway.CredentialPart(owner, "team.john.primary"); found || r.gateway.HasCredential(john.set) {
		t.Fatal("it is held before it was written")
	}
	r.mustSync(john.set)
	if part, found := r.gateway.CredentialPart(owner, "team.john.primary"); !found || part == "" {
		t.Errorf("got part %q, %t", part, found)
	}
	if _, found := r.gateway.CredentialPart(desired.Owner{Kind: owner.Kind, Namespace: owner.Namespace, Name: "jane"}, "team.john.primary"); found {
		t.Error("it is held for somebody else")
	}
	if !r.gateway.HasCredential(john.set) {
		t.Error("what was written is not held")
	}
	changed := r.set("JwtConsumer", "john")
	changed.credential(changed.consumer("team.john"), "team.john.primary", canary+"2")
	if r.gateway.HasCredential(changed.set) {
		t.Error("another secret under the same key is held")
	}
}
