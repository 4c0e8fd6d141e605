package jwks

import (
	"fmt"
	"testing"
	"time"
)

// A namespace follows so many sets and no more, whatever it changes; the others do not feel it.
func TestANamespaceFollowsSoManySets(t *testing.T) {
	r := NewRefresher(nil, time.Now)
	expect := func(when, who string, set int, follows bool) {
		t.Helper()
		if r.Follow(who, Source{URL: fmt.Sprintf("https://login%d.example.com/keys", set)}) != follows {
			t.Errorf("%s: not %v", when, follows)
		}
	}
	for i := range MaxSources {
		expect("up to the limit", fmt.Sprintf("attacker/c%d/idp%d", i/2, i%2), i, true)
	}
	expect("one more", "attacker/more/idp", MaxSources, false)
	expect("one that it follows already", "attacker/same/idp", 0, true)
	expect("another instead of one", "attacker/c1/idp0", MaxSources, true)
	expect("another namespace", "victim/c/idp", MaxSources+1, true)
	r.Keep("attacker/c3", []string{"idp0"})
	r.Keep("attacker/same", nil)
	expect("after one is no longer followed", "attacker/more/idp", MaxSources+2, true)
	expect("two after one", "attacker/most/idp", MaxSources+3, false)
	r.Keep("victim/c", nil)
	if len(r.follows) != 1 {
		t.Errorf("%d namespaces are remembered", len(r.follows))
	}
}
