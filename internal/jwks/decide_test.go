package jwks_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kongjwt/kong-jwt-operator/internal/jwks"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func key(id string) jwks.Key {
	return jwks.Key{ID: id, Algorithm: "ES256", PublicKeyPEM: "pem of " + id}
}

func held(id string, removed time.Duration) jwks.Held {
	h := jwks.Held{Key: key(id), Since: noon.Add(-48 * time.Hour)}
	if removed > 0 {
		h.Removed = noon.Add(-removed)
	}
	return h
}

func TestDecide(t *testing.T) {
	other := jwks.Key{ID: "a", Algorithm: "ES384", PublicKeyPEM: "other"}
	came := func(k jwks.Key) jwks.Held { return jwks.Held{Key: k, Since: noon} }
	cases := map[string]struct {
		in   jwks.Input
		want jwks.Decision
	}{
		"the first set": {
			jwks.Input{Fetched: true, Keys: []jwks.Key{key("a"), key("b")}},
			jwks.Decision{Held: []jwks.Held{came(key("a")), came(key("b"))}, Joined: []string{"a", "b"}, Changed: true},
		},
		"nothing new": {
			jwks.Input{Held: []jwks.Held{held("a", 0)}, Fetched: true, Keys: []jwks.Key{key("a")}},
			jwks.Decision{Held: []jwks.Held{held("a", 0)}},
		},
		"one comes, one leaves": {
			jwks.Input{Held: []jwks.Held{held("a", 0)}, Fetched: true, Keys: []jwks.Key{key("b")}},
			jwks.Decision{
				Held:   []jwks.Held{{Key: key("a"), Since: held("a", 0).Since, Removed: noon}, came(key("b"))},
				Joined: []string{"b"}, Left: []string{"a"}, Changed: true,
			},
		},
		"within the overlap": {
			jwks.Input{Held: []jwks.Held{held("a", time.Hour), held("b", 0)}, Fetched: true, Keys: []jwks.Key{key("b")}},
			jwks.Decision{Held: []jwks.Held{held("a", time.Hour), held("b", 0)}},
		},
		"after the overlap": {
			jwks.Input{Held: []jwks.Held{held("a", 24*time.Hour), held("b", 0)}, Fetched: true, Keys: []jwks.Key{key("b")}},
			jwks.Decision{Held: []jwks.Held{held("b", 0)}, Gone: []string{"a"}, Changed: true},
		},
		"back in time": {
			jwks.Input{Held: []jwks.Held{held("a", 30*time.Hour), held("b", 0)}, Fetched: true, Keys: []jwks.Key{key("a"), key("b")}},
			jwks.Decision{Held: []jwks.Held{held("a", 0), held("b", 0)}, Returned: []string{"a"}, Changed: true},
		},
		"other material under the same kid": {
			jwks.Input{Held: []jwks.Held{held("a", 0)}, Fetched: true, Keys: []jwks.Key{other}},
			jwks.Decision{Held: []jwks.Held{came(other)}, Replaced: []string{"a"}, Changed: true},
		},
		"an empty set": {
			jwks.Input{Held: []jwks.Held{held("a", 0), held("b", time.Hour)}, Fetched: true},
			jwks.Decision{Held: []jwks.Held{held("a", 0), held("b", time.Hour)}, KeptEmpty: true},
		},
		"an empty set, and one whose time has come": {
			jwks.Input{Held: []jwks.Held{held("a", 0), held("b", 25*time.Hour)}, Fetched: true},
			jwks.Decision{Held: []jwks.Held{held("a", 0)}, Gone: []string{"b"}, KeptEmpty: true, Changed: true},
		},
		"an issuer that is away": {
			jwks.Input{Held: []jwks.Held{held("a", 0), held("b", 25*time.Hour)}},
			jwks.Decision{Held: []jwks.Held{held("a", 0)}, Gone: []string{"b"}, Changed: true},
		},
		"an overlap that is ended": {
			jwks.Input{Held: []jwks.Held{held("a", time.Hour), held("b", 0)}, Fetched: true, Keys: []jwks.Key{key("b")}, EndOverlap: true},
			jwks.Decision{Held: []jwks.Held{held("b", 0)}, Gone: []string{"a"}, Changed: true},
		},
		"an overlap that is ended while the issuer is away": {
			jwks.Input{Held: []jwks.Held{held("a", time.Hour), held("b", 0)}, EndOverlap: true},
			jwks.Decision{Held: []jwks.Held{held("b", 0)}, Gone: []string{"a"}, Changed: true},
		},
		"a clock that was set back": {
			jwks.Input{Held: []jwks.Held{{Key: key("a"), Removed: noon.Add(time.Hour)}, held("b", 0)}},
			jwks.Decision{Held: []jwks.Held{{Key: key("a"), Removed: noon}, held("b", 0)}, Changed: true},
		},
		"more that leave than are kept": {
			jwks.Input{
				Held: []jwks.Held{held("a", 2*time.Hour), held("b", 3*time.Hour), held("c", time.Hour), held("d", 0)}, MaxLeaving: 2,
				Fetched: true, Keys: []jwks.Key{key("d")},
			},
			jwks.Decision{Held: []jwks.Held{held("a", 2*time.Hour), held("c", time.Hour), held("d", 0)}, Gone: []string{"b"}, Changed: true},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			c.in.Overlap = 24 * time.Hour
			if c.in.MaxLeaving == 0 {
				c.in.MaxLeaving = 16
			}
			if got := jwks.Decide(c.in, noon); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestDecideWithoutOverlap(t *testing.T) {
	in := jwks.Input{Held: []jwks.Held{held("a", 0)}, Fetched: true, Keys: []jwks.Key{key("b")}, MaxLeaving: 16}
	if d := jwks.Decide(in, noon); len(d.Held) != 1 || !slices.Equal(d.Gone, []string{"a"}) || len(d.Left) > 0 {
		t.Errorf("got %+v", d)
	}
}

func TestNextLeave(t *testing.T) {
	in := jwks.Input{Held: []jwks.Held{held("a", 2*time.Hour), held("b", 3*time.Hour), held("c", 0)}, Overlap: 24 * time.Hour, MaxLeaving: 16}
	if got := jwks.Decide(in, noon).NextLeave(in.Overlap); !got.Equal(noon.Add(21 * time.Hour)) {
		t.Errorf("got %s", got)
	}
	if got := (jwks.Decision{}).NextLeave(time.Hour); !got.IsZero() {
		t.Errorf("of no key: got %s", got)
	}
}

// TestDecideProperties drives an issuer and a clock at random, and holds every step to what must never happen.
func TestDecideProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		overlap := time.Duration(rapid.IntRange(0, 48).Draw(t, "overlap")) * time.Hour
		limit := rapid.IntRange(1, 4).Draw(t, "limit")
		now := noon
		var have []jwks.Held
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(-12, 36).Draw(t, "hours")) * time.Hour)
			in := jwks.Input{Held: have, Fetched: rapid.Bool().Draw(t, "fetched"), Overlap: overlap, MaxLeaving: limit}
			for _, n := range rapid.SliceOfNDistinct(rapid.IntRange(0, 5), 0, 4, rapid.ID[int]).Draw(t, "set") {
				k := key(fmt.Sprint(n))
				k.PublicKeyPEM += fmt.Sprint(rapid.IntRange(0, 1).Draw(t, "material"))
				in.Keys = append(in.Keys, k)
			}
			d := jwks.Decide(in, now)
			checkStep(t, in, d, now)
			if again := jwks.Decide(jwks.Input{Held: d.Held, Fetched: in.Fetched, Keys: in.Keys, Overlap: overlap, MaxLeaving: limit}, now); again.Changed {
				t.Fatalf("a second decision changes again: %+v", again)
			}
			have = d.Held
		}
	})
}

func checkStep(t *rapid.T, in jwks.Input, d jwks.Decision, now time.Time) {
	find := func(list []jwks.Held, id string) (jwks.Held, bool) {
		i := slices.IndexFunc(list, func(h jwks.Held) bool { return h.ID == id })
		if i < 0 {
			return jwks.Held{}, false
		}
		return list[i], true
	}
	leaving, seen := 0, map[string]bool{}
	for _, h := range d.Held {
		if seen[h.ID] {
			t.Fatalf("%s is held twice", h.ID)
		}
		if seen[h.ID] = true; h.Leaving() {
			leaving++
		}
		if _, had := find(in.Held, h.ID); !had && (!in.Fetched || !slices.Contains(in.Keys, h.Key)) {
			t.Fatalf("%s came from nowhere", h.ID)
		}
	}
	if leaving > in.MaxLeaving {
		t.Fatalf("%d are leaving", leaving)
	}
	if in.Fetched {
		for _, k := range in.Keys {
			if h, found := find(d.Held, k.ID); !found || h.Key != k || h.Leaving() {
				t.Fatalf("%s of the set is not held as it is there", k.ID)
			}
		}
	}
	inSet := 0
	for _, h := range in.Held {
		after, stays := find(d.Held, h.ID)
		if !h.Leaving() {
			inSet++
			if !stays && (!in.Fetched || len(in.Keys) == 0) {
				t.Fatalf("%s went, and no set says so", h.ID)
			}
		}
		if !stays && h.Leaving() && now.Before(h.LeaveTime(in.Overlap)) && leaving < in.MaxLeaving {
			t.Fatalf("%s went before its time", h.ID)
		}
		if stays && after.Leaving() && !now.Before(after.LeaveTime(in.Overlap)) {
			t.Fatalf("%s stays beyond its time", h.ID)
		}
	}
	if inSet > 0 && len(d.Held) == 0 {
		t.Fatal("all keys went at once")
	}
}
