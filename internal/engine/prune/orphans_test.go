package prune

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
)

func owners(names ...string) (some []desired.Owner) {
	for _, name := range names {
		some = append(some, desired.ConsumerOwner("ns", name))
	}
	return some
}

// look is one listing: how many entities each owner has, and whose resource is gone.
type look struct {
	held map[desired.Owner]int
	gone []desired.Owner
	want Orphans
}

func TestOrphansAreConfirmedByASecondListing(t *testing.T) {
	names := owners("a", "b", "c")
	a, b, c := names[0], names[1], names[2]
	for name, looks := range map[string][]look{
		"gone twice": {
			{map[desired.Owner]int{a: 2, b: 3}, owners("a"), Orphans{Entities: 2, Total: 5}},
			{map[desired.Owner]int{a: 2, b: 3}, owners("a"),
				Orphans{Confirmed: owners("a"), Entities: 2, Total: 5}},
		},
		"it came back in between": {
			{map[desired.Owner]int{a: 2}, owners("a"), Orphans{Entities: 2, Total: 2}},
			{map[desired.Owner]int{a: 2}, nil, Orphans{Total: 2}},
			{map[desired.Owner]int{a: 2}, owners("a"), Orphans{Entities: 2, Total: 2}},
		},
		"what it had left Kong in between": {
			{map[desired.Owner]int{a: 2}, owners("a"), Orphans{Entities: 2, Total: 2}},
			{map[desired.Owner]int{}, owners("a"), Orphans{}},
			{map[desired.Owner]int{a: 2}, owners("a"), Orphans{Entities: 2, Total: 2}},
		},
		"those seen for the first time count towards the limit": {
			{map[desired.Owner]int{a: 6, b: 5, c: 1}, owners("a"), Orphans{Entities: 6, Total: 12}},
			{map[desired.Owner]int{a: 6, b: 5, c: 1}, owners("a", "b"),
				Orphans{Kept: owners("a"), Entities: 11, Total: 12}},
		},
		"a percentage of many": {
			{map[desired.Owner]int{a: 100, b: 900}, owners("a"), Orphans{Entities: 100, Total: 1000}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			seen := NewLedger()
			for i, l := range looks {
				gone := map[desired.Owner]bool{}
				for _, owner := range l.gone {
					gone[owner] = true
				}
				// Between two listings it may be asked any number of times.
				for range 3 {
					got := seen.Judge(uint64(i), l.held, gone, 20)
					if !reflect.DeepEqual(got, l.want) {
						t.Fatalf("look %d: %+v, want %+v", i, got, l.want)
					}
				}
			}
		})
	}
}

// No owner is confirmed that was there at this listing or at the one before, or that has nothing in Kong.
func TestConfirmedOrphansWereGoneBefore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seen := NewLedger()
		all := owners("a", "b", "c", "d")
		former := map[desired.Owner]bool{}
		for listing := range uint64(rapid.IntRange(1, 8).Draw(t, "listings")) {
			held, gone := map[desired.Owner]int{}, map[desired.Owner]bool{}
			for _, owner := range all {
				if n := rapid.IntRange(0, 20).Draw(t, "entities"); n > 0 {
					held[owner] = n
				}
				gone[owner] = rapid.Bool().Draw(t, "gone")
			}
			percent := rapid.IntRange(1, 100).Draw(t, "percent")
			found := seen.Judge(listing, held, gone, percent)
			for _, owner := range found.Confirmed {
				if !gone[owner] || held[owner] == 0 || !former[owner] {
					t.Fatalf("listing %d: %s is confirmed", listing, owner)
				}
			}
			for _, owner := range found.Kept {
				if !gone[owner] || held[owner] == 0 || !former[owner] {
					t.Fatalf("listing %d: %s is kept", listing, owner)
				}
			}
			if len(found.Confirmed)+len(found.Kept) == 0 {
				former = goneOf(held, gone)
				continue
			}
			over := found.Entities > Floor && found.Entities*100/found.Total > percent
			under := found.Entities <= Floor || found.Entities*100 <= found.Total*percent
			if over && len(found.Confirmed) > 0 || under && len(found.Kept) > 0 {
				t.Fatalf("%d of %d at %d%%: %+v", found.Entities, found.Total, percent, found)
			}
			former = goneOf(held, gone)
		}
	})
}

func goneOf(held map[desired.Owner]int, gone map[desired.Owner]bool) map[desired.Owner]bool {
	former := map[desired.Owner]bool{}
	for owner := range held {
		former[owner] = gone[owner]
	}
	return former
}

func TestTheGuardCountsByNamespace(t *testing.T) {
	for name, c := range map[string]struct {
		namespaces map[string]counts
		want       map[string]bool
	}{
		"one that took its finalizers off keeps its own alone": {
			map[string]counts{"attacker": {500, 500}, "victim": {7, 500}}, map[string]bool{"victim": true},
		},
		"few of one may go": {map[string]counts{"small": {10, 10}, "large": {0, 1000}},
			map[string]bool{"small": true, "large": true}},
		"a little of each is a lot": {
			map[string]counts{"a": {10, 10}, "b": {10, 10}, "c": {10, 10}, "d": {10, 10}}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := mayGo(c.namespaces, 20); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// Where the orphans of some namespaces may go without another one, they may go with it, whatever its tenant does.
func TestNoNamespaceStopsThePruningOfOthers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		namespaces := map[string]counts{}
		together := 0
		for _, name := range []string{"a", "b", "c", "d"} {
			total := rapid.IntRange(0, 200).Draw(t, "total")
			namespaces[name] = counts{rapid.IntRange(0, total).Draw(t, "gone"), total}
		}
		percent := rapid.IntRange(1, 100).Draw(t, "percent")
		all := counts{}
		for _, c := range namespaces {
			all.total += c.total
			if c.gone <= c.limit(percent) {
				together += c.gone
			}
		}
		if together > all.limit(percent) {
			t.Skip("the others alone are too many")
		}
		total := rapid.IntRange(0, 2000).Draw(t, "the attacker's total")
		namespaces["attacker"] = counts{rapid.IntRange(0, total).Draw(t, "the attacker's gone"), total}
		may := mayGo(namespaces, percent)
		for name, c := range namespaces {
			if name != "attacker" && c.gone <= c.limit(percent) && !may[name] {
				t.Fatalf("%s is stopped: %v at %d%%", name, namespaces, percent)
			}
		}
	})
}
