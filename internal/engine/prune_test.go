package engine

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
)

// Ten thousand resources are not looked at with each heartbeat: between two listings only those are asked about that
// were gone.
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
	r.gateway.orphans.Listed()
	expect("after the second listing", everybody, 1)
	expect("after that", []string{"a"}, 1)
}
