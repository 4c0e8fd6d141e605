package refusals_test

import (
	"slices"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/refusals"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
)

var (
	plugin = objects.Reference{Kind: objects.KindClusterPlugin, Name: "api-1"}
	other  = objects.Reference{Kind: objects.KindClusterPlugin, Name: "api-2"}
	api    = desired.ServiceOwner("team", "api")
	second = desired.ServiceOwner("team", "second")
)

// rig is a Ledger with a clock.
type rig struct {
	*refusals.Ledger
	now time.Time
}

func newRig() *rig {
	r := &rig{now: time.Unix(1000, 0)}
	r.Ledger = refusals.New(10*time.Minute, func() time.Time { return r.now })
	return r
}

func TestTheSameContentIsRefusedUntilItChangesOrTimePasses(t *testing.T) {
	type step struct {
		sum     string
		later   time.Duration
		refused bool
	}
	for name, steps := range map[string][]step{
		"the same":           {{"a", 0, true}, {"a", time.Minute, true}},
		"another":            {{"b", 0, false}, {"a", 0, true}},
		"the same, too late": {{"a", 0, true}, {"a", 10*time.Minute + 1, false}, {"a", 0, false}},
	} {
		r := newRig()
		if len(r.Refused(api, refusals.Sums{plugin: "a"})) > 0 {
			t.Errorf("%s: refused from the start", name)
		}
		r.Note(api, plugin, "a", "invalid config.minute")
		for i, s := range steps {
			r.now = r.now.Add(s.later)
			what := r.Refused(api, refusals.Sums{plugin: s.sum, other: "a"})
			if len(what) > 0 != s.refused || s.refused && what[0] != (refusals.Refusal{Object: plugin, Message: "invalid config.minute"}) {
				t.Errorf("%s, step %d: %q", name, i, what)
			}
		}
	}
}

func TestACorrectionIsNotBlamedForItsPredecessor(t *testing.T) {
	r := newRig()
	bad, good := refusals.Sums{plugin: "bad"}, refusals.Sums{plugin: "good"}
	r.Refused(api, bad)
	r.Refused(api, good) // it cannot be written yet
	r.Note(api, plugin, "bad", "invalid config.minute")
	if what := r.Refused(api, good); len(what) > 0 {
		t.Errorf("%q", what)
	}
	if what := r.Left(api, bad, good); len(what) != 1 || what[0].Object != plugin {
		t.Errorf("what holds up the correction: %q", what)
	}
	for name, what := range map[string][]refusals.Refusal{
		"the correction":        r.Left(api, good, good),
		"one that is gone":      r.Left(api, nil, good),
		"what is wanted itself": r.Left(api, bad, bad),
	} {
		if len(what) > 0 {
			t.Errorf("%s is in the way: %q", name, what)
		}
	}
}

func TestAllThatIsRefusedOfAnOwnerIsRemembered(t *testing.T) {
	r := newRig()
	both := refusals.Sums{plugin: "1", other: "2"}
	r.Note(api, plugin, "1", "b")
	r.Note(api, other, "2", "a")
	r.Note(api, other, "2", "a")
	want := []refusals.Refusal{{Object: other, Message: "a"}, {Object: plugin, Message: "b"}}
	if what := r.Refused(api, both); !slices.Equal(what, want) {
		t.Errorf("%q", what)
	}
	if what := r.Refused(second, both); len(what) > 0 {
		t.Errorf("another owner is refused: %q", what)
	}
	r.Forget(api)
	if what := r.Refused(api, both); len(what) > 0 {
		t.Errorf("refused after it was forgotten: %q", what)
	}
}

func TestOneOwnerAtATimeTriesAgainWhatWasRefused(t *testing.T) {
	for name, end := range map[string]func(*rig){
		"refused again": func(r *rig) { r.Note(api, plugin, "1", "bad") },
		"taken":         func(r *rig) { r.Forget(api) },
		"no word":       func(r *rig) { r.now = r.now.Add(time.Minute) },
	} {
		r := newRig()
		sums := refusals.Sums{plugin: "1", other: "1"}
		r.Note(api, plugin, "1", "bad")
		r.Note(second, other, "1", "bad")
		if wait := r.Retry(second); wait != 10*time.Minute {
			t.Errorf("%s: waits %s", name, wait)
		}
		r.now = r.now.Add(10*time.Minute + 1)
		for range 2 {
			if len(r.Refused(api, sums)) > 0 {
				t.Errorf("%s: the first may not try", name)
			}
			if len(r.Refused(second, sums)) == 0 {
				t.Errorf("%s: both try at once", name)
			}
		}
		if wait := r.Retry(second); wait != time.Minute {
			t.Errorf("%s: waits %s for the other", name, wait)
		}
		end(r)
		if len(r.Refused(second, sums)) > 0 {
			t.Errorf("%s: the second never has its turn", name)
		}
	}
}

func TestPausesBetweenAttemptsGrow(t *testing.T) {
	r := newRig()
	for _, minutes := range []time.Duration{10, 20, 40, 60, 60} {
		r.Note(api, plugin, "1", "bad")
		r.Note(api, plugin, "1", "bad") // the controller says it with each push
		if wait := r.Retry(api); wait != minutes*time.Minute {
			t.Errorf("waits %s, want %d min", wait, minutes)
		}
		r.now = r.now.Add(minutes*time.Minute + 1)
	}
	r.Note(api, plugin, "2", "bad")
	if wait := r.Retry(api); wait != 10*time.Minute {
		t.Errorf("another content waits %s", wait)
	}
}
