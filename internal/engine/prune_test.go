package engine

import (
	"errors"
	"slices"
	"testing"
	"time"

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
			{map[desired.Owner]int{a: 2, b: 3}, owners("a"), Orphans{Entities: 2, Total: 5, Limit: PruneFloor}},
			{map[desired.Owner]int{a: 2, b: 3}, owners("a"), Orphans{Confirmed: owners("a"), Entities: 2, Total: 5, Limit: PruneFloor}},
		},
		"it came back in between": {
			{map[desired.Owner]int{a: 2}, owners("a"), Orphans{Entities: 2, Total: 2, Limit: PruneFloor}},
			{map[desired.Owner]int{a: 2}, nil, Orphans{Total: 2, Limit: PruneFloor}},
			{map[desired.Owner]int{a: 2}, owners("a"), Orphans{Entities: 2, Total: 2, Limit: PruneFloor}},
		},
		"what it had left Kong in between": {
			{map[desired.Owner]int{a: 2}, owners("a"), Orphans{Entities: 2, Total: 2, Limit: PruneFloor}},
			{map[desired.Owner]int{}, owners("a"), Orphans{Limit: PruneFloor}},
			{map[desired.Owner]int{a: 2}, owners("a"), Orphans{Entities: 2, Total: 2, Limit: PruneFloor}},
		},
		"those seen for the first time count towards the limit": {
			{map[desired.Owner]int{a: 6, b: 5, c: 1}, owners("a"), Orphans{Entities: 6, Total: 12, Limit: PruneFloor}},
			{map[desired.Owner]int{a: 6, b: 5, c: 1}, owners("a", "b"), Orphans{Confirmed: owners("a"), Entities: 11, Total: 12, Limit: PruneFloor}},
		},
		"a percentage of many": {
			{map[desired.Owner]int{a: 100, b: 900}, owners("a"), Orphans{Entities: 100, Total: 1000, Limit: 200}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			seen := missing{}
			for i, l := range looks {
				gone := map[desired.Owner]bool{}
				for _, owner := range l.gone {
					gone[owner] = true
				}
				// Between two listings it may be asked any number of times.
				for range 3 {
					got := seen.judge(uint64(i), l.held, gone, 20)
					if !slices.Equal(got.Confirmed, l.want.Confirmed) || got.Entities != l.want.Entities || got.Total != l.want.Total || got.Limit != l.want.Limit {
						t.Fatalf("look %d: %+v, want %+v", i, got, l.want)
					}
				}
			}
		})
	}
}

// Ten thousand resources are not looked at with each heartbeat: between two listings only those that were gone are asked about, to be let off.
func TestOnlySuspectsAreAskedAboutBetweenListings(t *testing.T) {
	r := newRig(t)
	r.start(time.Hour)
	for _, name := range []string{"a", "b", "c"} {
		r.mustSync(r.consumer(name, name))
	}
	var asked []string
	absent := map[string]bool{"a": true, "b": true}
	look := func() (confirmed int) {
		t.Helper()
		asked = nil
		found, err := r.gateway.Orphans(func(owner desired.Owner) (bool, error) {
			asked = append(asked, owner.Name)
			return absent[owner.Name], nil
		}, 100)
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(asked)
		return len(found.Confirmed)
	}
	expect := func(when string, names []string, confirmed int) {
		t.Helper()
		if got := look(); got != confirmed || !slices.Equal(asked, names) {
			t.Errorf("%s: asked about %v, %d confirmed; want %v, %d", when, asked, got, names, confirmed)
		}
	}
	everybody := []string{"a", "b", "c"}
	unknown := errors.New("the API server does not answer")
	if _, err := r.gateway.Orphans(func(desired.Owner) (bool, error) { return false, unknown }, 100); !errors.Is(err, unknown) {
		t.Fatalf("got %v", err)
	}
	expect("after the listing, and an answer that did not come", everybody, 0)
	absent["b"] = false
	expect("between listings", []string{"a", "b"}, 0)
	expect("once b is there again", []string{"a"}, 0)
	r.gateway.listed()
	expect("after the second listing", everybody, 1)
	expect("after that", []string{"a"}, 1)
}

// Whatever comes and goes: nobody is confirmed who was there at this listing or at the one before, and who is not in Kong.
func TestConfirmedOrphansWereGoneBefore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seen := missing{}
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
			found := seen.judge(listing, held, gone, percent)
			for _, owner := range found.Confirmed {
				if !gone[owner] || held[owner] == 0 || !former[owner] {
					t.Fatalf("listing %d: %s is confirmed", listing, owner)
				}
			}
			if want := found.Entities > PruneFloor && found.Entities*100 > found.Total*percent; found.TooMany() != want {
				t.Fatalf("%d of %d at %d%%: too many is %v", found.Entities, found.Total, percent, found.TooMany())
			}
			former = map[desired.Owner]bool{}
			for owner := range held {
				former[owner] = gone[owner]
			}
		}
	})
}
