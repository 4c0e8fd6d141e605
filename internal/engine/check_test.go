package engine

import (
	"testing"

	"github.com/kongjwt/kong-jwt-operator/internal/backend"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// TestCheckOnRequest: the drift interval of the rig is an hour, so that nothing but the request finds what was
// changed.
func TestCheckOnRequest(t *testing.T) {
	r := newRig(t)
	set := r.consumer("john", "john", "k1")
	r.mustSync(set)
	r.drop(kong.KindJWT, set.Entities[0].ID, id(set, kong.KindJWT))
	r.gateway.Relist(set.Owner, "")
	r.gateway.Relist(set.Owner, "once")
	r.expect(EventDrift, &set.Owner)
	if writes := r.mustSync(set); writes != 1 {
		t.Errorf("%d writes for one entity that was deleted", writes)
	}

	r.sim.ResetRequests()
	r.gateway.Relist(set.Owner, "once")
	r.gateway.Relist(set.Owner, "twice")
	r.eventually("the second request lists again", func() bool { return len(r.requests()) >= len(backend.Kinds) })
	if got := len(r.requests()); got > len(backend.Kinds) {
		t.Errorf("%d requests: the same request is not a new one", got)
	}
}

// Two hundred resources that were asked for long ago are not asked for again by each restart.
func TestARequestFromBeforeIsNoNewOne(t *testing.T) {
	m := newMemory()
	owner := desired.ConsumerOwner("team", "john")
	for i, c := range []struct {
		text string
		asks bool
	}{{"from before", false}, {"from before", false}, {"new", true}, {"new", false}, {"", false}, {"newer", true}} {
		if got := m.asks(owner, c.text); got != c.asks {
			t.Errorf("%d, %q: asks %v, want %v", i, c.text, got, c.asks)
		}
	}
}
