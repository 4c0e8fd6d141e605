package ingress

import (
	"errors"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/barrier"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/held"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

func TestAGuardIsNarrowerWhereSomebodyMayBeKeptOut(t *testing.T) {
	content := func(plugin string, config map[string]any) map[string]any {
		return map[string]any{"plugin": plugin, "config": config}
	}
	lists := func(allow ...any) map[string]any { return map[string]any{"allow": allow} }
	denied := func(deny ...any) map[string]any { return map[string]any{"deny": deny} }
	for name, test := range map[string]struct {
		former, now map[string]any
		want        bool
	}{
		"a group leaves":            {content("acl", lists("a", "b")), content("acl", lists("b")), true},
		"a group takes a place":     {content("acl", lists("a")), content("acl", lists("b")), true},
		"a group comes":             {content("acl", lists("a")), content("acl", lists("b", "a")), false},
		"a group is denied":         {content("acl", denied("a")), content("acl", denied("a", "b")), true},
		"a group is denied no more": {content("acl", denied("a", "b")), content("acl", denied("a")), false},
		"a claim is verified": {
			content("jwt", map[string]any{"realm": "x"}), content("jwt", map[string]any{"claims_to_verify": []any{"exp"}}), true,
		},
		"a realm changes": {
			content("jwt", map[string]any{"realm": "x"}), content("jwt", map[string]any{"realm": "y"}), false,
		},
		"a realm goes": {content("jwt", map[string]any{"realm": "x"}), content("jwt", nil), false},
		"what is in a Secret": {
			map[string]any{"plugin": "ip-restriction", "configFrom": "a"},
			map[string]any{"plugin": "ip-restriction", "configFrom": "b"}, true,
		},
		"another plugin": {content("jwt", nil), content("acl", lists("a")), true},
	} {
		if got := narrower(test.former, test.now); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestWhatWasTakenAwayIsOverdueOnceItIsLateAndUntilItIsConfirmed(t *testing.T) {
	now := time.Unix(1000, 0)
	owner, other := desired.ServiceOwner("team", "api"), desired.ServiceOwner("team", "other")
	r := &rooms{link: newLink(nil), held: held.New()}
	r.barrier = barrier.New(&barrierObject{}, barrier.Pace{Late: 40 * time.Second}, func() time.Time { return now })
	r.held.Began(r.barrier.Wrote())
	overdue := func(owner desired.Owner, said bool) (looks, is bool) {
		look, err := r.Overdue(owner, said)
		var wait *status.WaitError
		if err != nil && (!errors.As(err, &wait) || wait.Reason != v1alpha1.ReasonRevocationPending) {
			t.Error(err)
		}
		return look > 0, err != nil
	}
	if looks, _ := overdue(owner, true); !looks {
		t.Error("before anything is known of the objects the status is forgotten")
	}
	r.link.fill()
	r.held.Withdrew(owner, r.barrier.Wrote())
	if looks, is := overdue(owner, false); !looks || is {
		t.Errorf("at once: looks again %v, overdue %v", looks, is)
	}
	if looks, _ := overdue(other, false); looks {
		t.Error("of one from whom nothing was taken")
	}
	if looks, _ := overdue(other, true); !looks {
		t.Error("what a former process took away is forgotten, though the status says it")
	}
}
