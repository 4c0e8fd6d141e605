package engine

import (
	"testing"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// TestCheckOnRequest: the drift interval of the rig is an hour, so that nothing but the request finds what was changed.
func TestCheckOnRequest(t *testing.T) {
	r := newRig(t)
	set := r.consumer("john", "john", "k1")
	r.mustSync(set)
	r.drop(kong.KindJWT, set.Entities[0].ID, id(set, kong.KindJWT))
	r.gateway.CheckFor(set.Owner, "once")
	r.expect(EventDrift, &set.Owner)
	if writes := r.mustSync(set); writes != 1 {
		t.Errorf("%d writes for one entity that was deleted", writes)
	}

	r.sim.ResetRequests()
	r.gateway.CheckFor(set.Owner, "once")
	r.gateway.CheckFor(set.Owner, "twice")
	r.eventually("the second request lists again", func() bool { return len(r.requests()) >= len(kinds) })
	if got := len(r.requests()); got > len(kinds) {
		t.Errorf("%d requests: the same request is not a new one", got)
	}
}
