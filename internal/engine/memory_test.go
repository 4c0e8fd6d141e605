package engine

import (
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/observed"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/plan"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/propagation"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// What went wrong for an owner is remembered until something says that it may go well: how much of it depends on what.
func TestWhatEndsTheMemoryOfARefusal(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	john, wanted := desired.ConsumerOwner("team", "john"), plan.Hash{1}
	for what, c := range map[string]struct {
		then func(m *memory)
		// refused says that the same is refused again without a try, upgrade that another version of Kong wakes
		// the owner, and failures counts what failed in a row.
		refused, upgrade bool
		failures         int
	}{
		"nothing":                       {func(*memory) {}, true, true, 3},
		"Kong takes what was written":   {func(m *memory) { m.accept(john) }, false, true, 3},
		"a Sync goes through":           {func(m *memory) { m.succeeded(john, 1) }, false, false, 1},
		"the owner goes":                {func(m *memory) { m.forget(john) }, false, false, 1},
		"another Kong is there":         {func(m *memory) { m.reset() }, false, false, 1},
		"something else is wanted":      {func(m *memory) { m.wants(john, plan.Hash{2}, now) }, false, true, 3},
		"somebody else's Sync succeeds": {func(m *memory) { m.succeeded(desired.ConsumerOwner("team", "jane"), 1) }, true, true, 3},
	} {
		m := newMemory()
		m.wants(john, wanted, now)
		m.refuse(john, status.Stalled(v1alpha1.ReasonKongRejected, "spec.plugins: is wrong"), now.Add(time.Minute))
		m.fail(john, "id")
		m.fail(john, "id")
		c.then(m)
		_, refused := m.wants(john, wanted, now.Add(time.Second))
		failures, upgrade := m.fail(john, "id"), len(m.rejectedOwners()) > 0
		if refused != c.refused || upgrade != c.upgrade || failures != c.failures {
			t.Errorf("%s: refused %v, woken by an upgrade %v, %d failures", what, refused, upgrade, failures)
		}
	}
}

// Until its time is over a refusal says how long that takes, and no less than a second.
func TestARefusalSaysWhenItIsOver(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	john := desired.ConsumerOwner("team", "john")
	for passed, left := range map[time.Duration]time.Duration{
		0: time.Minute, 20 * time.Second: 40 * time.Second, time.Minute - 1: time.Second, time.Minute: 0, time.Hour: 0,
	} {
		m := newMemory()
		m.wants(john, plan.Hash{1}, now)
		m.refuse(john, status.Stalled(v1alpha1.ReasonKongRejected, "spec.plugins: is wrong"), now.Add(time.Minute))
		why, refused := m.wants(john, plan.Hash{1}, now.Add(passed))
		if refused != (left > 0) || refused && why.RetryAfter != left {
			t.Errorf("after %s: refused %v, %v; want %s", passed, refused, why, left)
		}
	}
}

// A listing wakes those whose entities are not as they left them, once.
func TestWhoIsWokenForWhatDiffers(t *testing.T) {
	m, john, jane := newMemory(), desired.ConsumerOwner("team", "john"), desired.ConsumerOwner("team", "jane")
	clocks := propagation.New(time.Now)
	store := observed.New(desired.Scope{Installation: "here", Gateway: "default"}, clocks, time.Now)
	m.succeeded(john, 7)
	m.succeeded(jane, store.Fingerprint(jane))
	if woken := m.differing(store); len(woken) != 1 || woken[0] != john {
		t.Errorf("woken: %v", woken)
	}
	if woken := m.differing(store); len(woken) > 0 {
		t.Errorf("woken again: %v", woken)
	}
	m.succeeded(john, 7)
	m.reset()
	if woken := m.differing(store); len(woken) > 0 {
		t.Errorf("woken for what another Kong held: %v", woken)
	}
}
