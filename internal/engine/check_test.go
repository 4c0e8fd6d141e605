package engine

import (
	"net/http"
	"strings"
	"testing"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/backend"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/observed"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
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
	m.forget(owner)
	if m.asks(owner, "newest") {
		t.Error("it was deleted and made again with its request, and is taken to be known")
	}
}

// Who a listing wakes: each for something that only the listing knows.
func TestWhomAListingWakes(t *testing.T) {
	for what, c := range map[string]struct {
		reason string
		before func(r *rig) (woken desired.Owner)
	}{
		"who waits for a name that somebody freed by hand": {EventFreed, func(r *rig) desired.Owner {
			first, second := r.consumer("first", "john"), r.consumer("second", "john")
			r.mustSync(first)
			_, err := r.sync(second)
			r.stalls(err, v1alpha1.ReasonConflict)
			r.drop(kong.KindConsumer, "", id(first, kong.KindConsumer))
			return second.Owner
		}},
		"whose write may have been done": {EventFreed, func(r *rig) desired.Owner {
			set := r.consumer("john", "john", "k1")
			r.sim.Faults.Set(1, kongsim.Fault{Methods: []string{http.MethodPut}, ResetAfter: true})
			_, err := r.sync(set)
			r.waits(err, "cannot be written")
			r.sim.Faults.Set(1)
			return set.Owner
		}},
		"who is refused something, and lost something else": {EventDrift, func(r *rig) desired.Owner {
			r.mustSync(r.consumer("first", "first", "k1"))
			second := r.consumer("second", "second", "k2", "k1")
			_, err := r.sync(second)
			r.stalls(err, v1alpha1.ReasonConflict)
			r.drop(kong.KindJWT, id(second, kong.KindConsumer), id(second, kong.KindJWT))
			return second.Owner
		}},
		"whose adopted entity was given to another": {EventDrift, func(r *rig) desired.Owner {
			set := r.consumer("john", "john")
			ids := r.byHand(set)
			r.adopting()
			r.mustSync(set)
			tags := r.scope.Tags(desired.ConsumerOwner("team", "jane"), "consumer")
			if _, err := r.kong.PatchTags(r.Context(), kong.KindConsumer, "", ids[id(set, kong.KindConsumer)], tags); err != nil {
				r.Fatal(err)
			}
			return set.Owner
		}},
	} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t)
			owner := c.before(r)
			r.gateway.relist()
			r.expect(c.reason, &owner)
		})
	}
}

// A change that this operator wrote over, before it was told, is none.
func TestADriftThatWasWrittenOverIsNotTold(t *testing.T) {
	r := newRig(t)
	me := r.neighbor("here", "default", nil)
	set := me.consumer("john", "john", "k1")
	me.mustSync(set)
	mark := me.gateway.observed.Mark()
	was, _ := me.gateway.observed.Get(id(set, kong.KindJWT))
	me.mustSync(me.consumer("john", "john", "k2"))
	is, _ := me.gateway.observed.Get(was.ID)
	me.gateway.monitor.take(observed.Finding{Verdict: observed.Changed, Change: observed.Change{Before: &was, After: &is}}, mark, true)
	if _, noted := me.gateway.drifts.Get(was.ID); noted || me.drifts() > 0 {
		t.Errorf("noted %v, %d are told", noted, me.drifts())
	}
}

// The log says what becomes of a change, and when it is over: nobody else does where the owner has nothing to write.
func TestWhatTheLogSaysOfADrift(t *testing.T) {
	for policy, reports := range map[string]bool{"Correct": false, "Report": true} {
		t.Run(policy, func(t *testing.T) {
			r := newRig(t)
			settings := r.gateway.settings
			settings.ReportDrift = reports
			var err error
			if r.gateway, err = r.registry.Ensure("default", settings); err != nil {
				t.Fatal(err)
			}
			r.eventually("Kong was listed", r.gateway.Filled)
			set := r.consumer("john", "john", "k1")
			r.mustSync(set)
			theirs := relocate(set.Entities[0], nil)
			theirs.Fields["custom_id"] = "by-hand"
			for _, step := range []struct {
				now  kong.Entity
				says string
			}{
				{theirs, "Kong was changed by somebody else"}, {set.Entities[0], "Kong is as it was again"},
			} {
				r.hold(step.now)
				r.gateway.relist()
				r.expect(EventDrift, &set.Owner)
				r.eventually("the log says "+step.says, func() bool { return strings.Contains(r.logs.String(), step.says) })
			}
			said := r.logs.String()
			if strings.Count(said, "Kong was changed by somebody else") != 1 || !strings.Contains(said, `"policy"="`+policy+`"`) {
				t.Errorf("it says %s", said)
			}
			if result, err := r.sync(set); err != nil || result.Writes > 0 || len(result.Drifts) > 0 {
				t.Errorf("%d writes, drifts %v, %v", result.Writes, result.Drifts, err)
			}
		})
	}
}
