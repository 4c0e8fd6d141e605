package jwks

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// largest is a set of so many keys, as long as they are read.
func largest(count int) []byte {
	modulus := make([]byte, maxRSABits/8)
	modulus[0], modulus[len(modulus)-1] = 0x80, 1
	var keys []map[string]string
	for i := range count {
		keys = append(keys, map[string]string{
			"kty": "RSA", "e": "AQAB", "n": base64.RawURLEncoding.EncodeToString(modulus),
			"kid": fmt.Sprintf("%0*d", maxID, i),
		})
	}
	document, _ := json.Marshal(map[string]any{"keys": keys})
	return document
}

// reading makes a Refresher whose issuers all answer with one document.
func reading(document []byte) *Refresher {
	return NewRefresher(func(context.Context, Source, Validators) (Answer, error) { return Answer{Document: document}, nil }, time.Now)
}

func (r *Refresher) lookUp(t *testing.T, who string, source int) View {
	t.Helper()
	query := Query{Source: sourceNumber(source), Interval: time.Hour, Who: who}
	if !r.Follow(who, query.Source) {
		t.Fatalf("%s may not follow set %d", who, source)
	}
	r.Lookup(t.Context(), query)
	synctest.Wait()
	return r.Lookup(t.Context(), query)
}

// kept counts the bytes of all sets.
func (r *Refresher) kept() (bytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.entries {
		bytes += e.view.Set.size
	}
	return bytes
}

func TestOfASetIsKeptWhatIsUsed(t *testing.T) {
	document := largest(MaxSetKeys)
	set, err := Parse(document)
	if err != nil {
		t.Fatal(err)
	}
	if most := MaxKeys * (perItem + maxID + 2*maxRSABits/8); set.size > most || set.size < most/2 {
		t.Errorf("of %d bytes %d are kept; %d are used at most", len(document), set.size, most)
	}
	if selection := set.Select("", 2); len(selection.Keys) != 2 || selection.Beyond != MaxSetKeys-2 {
		t.Errorf("%d keys, and %d more", len(selection.Keys), selection.Beyond)
	}
	none, err := Parse([]byte(`{"keys":[` + strings.Repeat(`{"kty":"oct"},`, MaxSetKeys-1) + `{}]}`))
	if err != nil || len(none.skipped) != 2 {
		t.Errorf("%d reasons are kept of two: %v", len(none.skipped), err)
	}
}

func TestASetGoesWithItsLastFollower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := reading(largest(MaxKeys))
		for n := range 40 {
			r.lookUp(t, "attacker/one/idp", n)
		}
		if len(r.entries) != 1 {
			t.Errorf("a credential that follows one set has %d kept, %d bytes", len(r.entries), r.kept())
		}
		r.lookUp(t, "victim/c/idp", 39)
		r.Keep("attacker/one", nil)
		if view := r.lookUp(t, "victim/c/idp", 39); !view.Known || len(r.entries) != 1 {
			t.Error("a set is gone that somebody follows")
		}
		r.Keep("victim/c", []string{"another"})
		if len(r.entries) != 0 || len(r.follows) != 0 {
			t.Errorf("nobody follows the %d sets that are kept", len(r.entries))
		}
	})
}

// What nobody follows any more is not asked for: neither what is under way, nor what waits for its turn.
func TestALookEndsWithItsLastFollower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		r := NewRefresher(func(ctx context.Context, _ Source, _ Validators) (Answer, error) {
			asked.Add(1)
			<-ctx.Done()
			return Answer{}, &Error{Kind: ErrUnreachable}
		}, time.Now)
		for n := range 2 * maxOfNamespace {
			r.Lookup(t.Context(), Query{Source: sourceNumber(n), Interval: time.Hour, Who: fmt.Sprintf("attacker/c%d/idp", n)})
		}
		synctest.Wait()
		for n := 2*maxOfNamespace - 1; n >= 0; n-- {
			r.Keep(fmt.Sprintf("attacker/c%d", n), nil)
		}
		synctest.Wait()
		if asked.Load() != maxOfNamespace || r.turns.free != maxInFlight || len(r.turns.waiting)+len(r.turns.order) != 0 {
			t.Errorf("%d looks, %d slots free, waiting %v", asked.Load(), r.turns.free, r.turns.waiting)
		}
	})
}

func TestWhatTheSetsOfANamespaceMayTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := reading(largest(MaxKeys))
		size := r.lookUp(t, "victim/c/idp", 0).Set.size
		fits := MaxNamespaceBytes / size
		for n := range fits {
			if view := r.lookUp(t, fmt.Sprintf("attacker/c%d/idp", n), n+1); view.Err != nil || !view.Known {
				t.Fatalf("set %d of %d is refused: %v", n, fits, view.Err)
			}
		}
		view := r.lookUp(t, "attacker/more/idp", fits+1)
		if !errors.Is(view.Err, ErrRefused) || view.Known || !strings.Contains(view.Err.Error(), fmt.Sprint(MaxNamespaceBytes)) {
			t.Errorf("one more: %v", view.Err)
		}
		if view := r.lookUp(t, "attacker/same/idp", 0); view.Err != nil {
			t.Errorf("a set that another namespace has: %v", view.Err)
		}
		if view := r.lookUp(t, "victim/second/idp", fits+2); view.Err != nil || !view.Known {
			t.Errorf("another namespace's: %v", view.Err)
		}
		r.Keep("attacker/c0", nil)
		time.Sleep(time.Hour)
		if view := r.lookUp(t, "attacker/more/idp", fits+1); view.Err == nil {
			t.Error("it follows one that it does not pay for, and one that counts too much")
		}
		r.Keep("attacker/same", nil)
		time.Sleep(time.Hour)
		if view := r.lookUp(t, "attacker/more/idp", fits+1); view.Err != nil || !view.Known {
			t.Errorf("what was left is not free: %v", view.Err)
		}
	})
}

func TestWhatTheSetsOfAllMayTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := reading(largest(MaxKeys))
		refused := 0
		for namespace := range 2 * maxAllBytes / MaxNamespaceBytes {
			for n := range 20 {
				if r.lookUp(t, fmt.Sprintf("attacker%d/c%d/idp", namespace, n), 100*namespace+n).Err != nil {
					refused++
				}
			}
		}
		if refused == 0 || r.kept() > 2*maxAllBytes {
			t.Errorf("%d are refused, and %d bytes are kept", refused, r.kept())
		}
		if view := r.lookUp(t, "victim/c/idp", 100_000); view.Err != nil {
			t.Errorf("a namespace that has less than its part gets none: %v", view.Err)
		}
	})
}
