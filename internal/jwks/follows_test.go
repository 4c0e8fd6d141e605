package jwks

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// A namespace follows so many sets and no more, whatever it changes; the others do not feel it.
func TestANamespaceFollowsSoManySets(t *testing.T) {
	r := NewRefresher(nil, time.Now)
	source := func(i int) Source { return Source{URL: fmt.Sprintf("https://login%d.example.com/keys", i)} }
	follow := func(who string, i int) error { return r.Follow(who, source(i)) }
	for i := range maxSources {
		if err := follow(fmt.Sprintf("attacker/c%d/idp", i/2)+fmt.Sprint(i%2), i); err != nil {
			t.Fatalf("set %d: %v", i, err)
		}
	}
	var refusal *Error
	if err := follow("attacker/more/idp", maxSources); !errors.As(err, &refusal) || refusal.Kind != ErrRefused ||
		!strings.Contains(refusal.Message, "attacker") {
		t.Fatalf("one more: %v", err)
	}
	if err := follow("attacker/same/idp", 0); err != nil {
		t.Errorf("one that it follows already: %v", err)
	}
	if err := follow("attacker/c0/idp1", maxSources); err != nil {
		t.Errorf("another instead of one: %v", err)
	}
	if err := follow("victim/c/idp", maxSources+1); err != nil {
		t.Errorf("another namespace: %v", err)
	}
	r.Keep("attacker/c3", []string{"idp0"})
	r.Keep("attacker/same", nil)
	if err := follow("attacker/more/idp", maxSources+2); err != nil {
		t.Errorf("after one is no longer followed: %v", err)
	}
	if follow("attacker/most/idp", maxSources+3) == nil {
		t.Error("two after one")
	}
	r.Keep("victim/c", nil)
	if len(r.follows) != 1 {
		t.Errorf("%d namespaces are remembered", len(r.follows))
	}
}
