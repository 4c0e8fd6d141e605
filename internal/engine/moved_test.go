package engine

import (
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// A credential that somebody moved to another consumer is as valid there as before: it goes all the same.
func TestACredentialThatWasMovedIsTakenAway(t *testing.T) {
	r := newRig(t)
	john := r.consumer("john", "john", "k1")
	r.mustSync(john)
	jane := r.hold(kong.Entity{
		Kind: kong.KindConsumer, ID: "00000000-0000-4000-8000-000000000001", Fields: kong.Fields{"username": "jane"},
	})
	credential := john.Entities[1]
	r.drop(kong.KindJWT, credential.ConsumerID, credential.ID)
	credential.ConsumerID = jane.ID
	r.hold(credential)
	r.mustSync(r.consumer("john", "john"))
	if r.there(kong.KindJWT, credential.ID) {
		t.Error("it is valid still, for the other consumer")
	}
}

// What somebody puts back with the operator's tags stays where drift is reported, but for access that is revoked.
func TestARevocationTakesWhatSomebodyPutBackThoughDriftIsReported(t *testing.T) {
	r := newRig(t)
	settings := Settings{Client: kong.Config{URL: r.sim.AdminURL()}, DriftInterval: time.Hour, ReportDrift: true}
	var err error
	if r.gateway, err = r.registry.Ensure("default", settings); err != nil {
		t.Fatal(err)
	}
	r.expect(EventConnected, nil)
	john := r.consumer("john", "john", "k1", "k2")
	r.mustSync(john)
	less := r.consumer("john", "john", "k1")
	r.mustSync(less)
	back := john.Entities[2]
	r.hold(back)
	r.gateway.Relist(john.Owner, "")
	r.gateway.Relist(john.Owner, "look")
	r.eventually("it is seen", func() bool {
		return len(r.gateway.CredentialIDs(john.Owner, func(string) bool { return true })) == 2
	})
	r.mustSync(less)
	if !r.there(kong.KindJWT, back.ID) {
		t.Fatal("it was taken away, and drift was to be reported")
	}
	if _, err := r.gateway.Revoke(t.Context(), john.Owner); err != nil {
		t.Fatal(err)
	}
	if r.there(kong.KindJWT, back.ID) || r.there(kong.KindJWT, john.Entities[1].ID) {
		t.Error("a revoked consumer has a credential in Kong")
	}
}

// A key that a credential has whose Secret cannot be read stays its own: another credential of the consumer waits, and
// is not tried without a pause.
func TestAKeyThatIsKeptIsNoOthers(t *testing.T) {
	r := newRig(t)
	john := r.consumer("john", "john", "k1")
	r.mustSync(john)
	kept := john.Entities[1].ID
	other := r.set("JwtConsumer", "john")
	id := other.add(kong.KindConsumer, "", "consumer", kong.Fields{"username": "john"})
	other.add(kong.KindJWT, id, "credential:other", kong.Fields{"key": "k1", "algorithm": "HS256", "secret": canary})
	other.set.Keep = []string{kept}
	for range 2 {
		_, err := r.sync(other.set)
		stalled := r.stalls(err, v1alpha1.ReasonConflict, "k1", "its Secret cannot be read")
		if stalled.RetryAfter < 5*time.Second {
			t.Errorf("it is tried again after %s", stalled.RetryAfter)
		}
	}
	if !r.there(kong.KindJWT, kept) {
		t.Error("the credential that serves is gone")
	}
}
