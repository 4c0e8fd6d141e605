package targets_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/targets"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
)

func TestWhatAnOwnerHadIsRememberedUntilItWantsAnother(t *testing.T) {
	l, owner := targets.New(), desired.ServiceOwner("team", "a")
	one, other := objects.Reference{Kind: "Service", Name: "x"}, objects.Reference{Kind: "Ingress", Name: "x"}
	l.Want(owner, one)
	if l.Taken(owner) {
		t.Error("taken at once")
	}
	l.Take(owner)
	if l.Want(owner, one); !l.Taken(owner) {
		t.Error("forgotten by the same wish")
	}
	l.Lose(owner, 7)
	if l.LastLost(owner) != 7 {
		t.Error("when it was off is forgotten")
	}
	if l.Want(owner, other); l.Taken(owner) || l.LastLost(owner) != 0 {
		t.Error("the other object is not taken, and was never lost")
	}
}

func TestOwnersOfAnObjectAreThoseThatWantedItLast(t *testing.T) {
	owners := []desired.Owner{desired.ServiceOwner("team", "a"), desired.ServiceOwner("team", "b")}
	all := []objects.Reference{{Kind: "Service", Namespace: "team", Name: "x"}, {Kind: "Ingress", Namespace: "team", Name: "x"}}
	rapid.Check(t, func(t *rapid.T) {
		l, want := targets.New(), map[desired.Owner]objects.Reference{}
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			owner := rapid.SampledFrom(owners).Draw(t, "owner")
			if rapid.Bool().Draw(t, "forget") {
				l.Forget(owner)
				delete(want, owner)
			} else {
				want[owner] = rapid.SampledFrom(all).Draw(t, "object")
				l.Want(owner, want[owner])
			}
			for _, owner := range owners {
				if r, wants := l.Of(owner); wants != (want[owner] != objects.Reference{}) || r != want[owner] {
					t.Fatalf("%s attaches to %s, not to %s", owner, r, want[owner])
				}
				for _, r := range all {
					if slices.Contains(l.Owners(r), owner) != (want[owner] == r) {
						t.Fatalf("%s: owners of %s are %v", owner, r, l.Owners(r))
					}
				}
			}
		}
	})
}
