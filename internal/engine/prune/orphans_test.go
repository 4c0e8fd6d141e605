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
			{map[desired.Owner]int{a: 2, b: 3}, owners("a"), Orphans{Entities: 2, Total: 5, Limit: Floor}},
			{map[desired.Owner]int{a: 2, b: 3}, owners("a"),
				Orphans{Confirmed: owners("a"), Entities: 2, Total: 5, Limit: Floor}},
		},
		"it came back in between": {
			{map[desired.Owner]int{a: 2}, owners("a"), Orphans{Entities: 2, Total: 2, Limit: Floor}},
			{map[desired.Owner]int{a: 2}, nil, Orphans{Total: 2, Limit: Floor}},
			{map[desired.Owner]int{a: 2}, owners("a"), Orphans{Entities: 2, Total: 2, Limit: Floor}},
		},
		"what it had left Kong in between": {
			{map[desired.Owner]int{a: 2}, owners("a"), Orphans{Entities: 2, Total: 2, Limit: Floor}},
			{map[desired.Owner]int{}, owners("a"), Orphans{Limit: Floor}},
			{map[desired.Owner]int{a: 2}, owners("a"), Orphans{Entities: 2, Total: 2, Limit: Floor}},
		},
		"those seen for the first time count towards the limit": {
			{map[desired.Owner]int{a: 6, b: 5, c: 1}, owners("a"), Orphans{Entities: 6, Total: 12, Limit: Floor}},
			{map[desired.Owner]int{a: 6, b: 5, c: 1}, owners("a", "b"),
				Orphans{Confirmed: owners("a"), Entities: 11, Total: 12, Limit: Floor}},
		},
		"a percentage of many": {
			{map[desired.Owner]int{a: 100, b: 900}, owners("a"), Orphans{Entities: 100, Total: 1000, Limit: 200}},
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
			if want := found.Entities > Floor && found.Entities*100 > found.Total*percent; found.TooMany() != want {
				t.Fatalf("%d of %d at %d%%: too many is %v", found.Entities, found.Total, percent, found.TooMany())
			}
			former = map[desired.Owner]bool{}
			for owner := range held {
				former[owner] = gone[owner]
			}
		}
	})
}
