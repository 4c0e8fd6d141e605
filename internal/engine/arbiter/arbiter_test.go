package arbiter

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
)

var (
	ann = desired.ConsumerOwner("team", "ann")
	bob = desired.ConsumerOwner("team", "bob")
	eve = desired.ConsumerOwner("team", "eve")
)

func name(value string) desired.UniqueKey {
	return desired.UniqueKey{Kind: desired.UniqueUsername, Value: value}
}

func keys(values ...string) (list []desired.UniqueKey) {
	for _, value := range values {
		list = append(list, name(value))
	}
	return list
}

func newArbiter() (*Arbiter, map[desired.Owner]int) {
	woken := map[desired.Owner]int{}
	return New(func(owner desired.Owner) { woken[owner]++ }, time.Minute), woken
}

func TestAReservationKeepsOthersAway(t *testing.T) {
	a, _ := newArbiter()
	if _, _, ok := a.Reserve("1", ann, keys("john", "jane")); !ok {
		t.Fatal("nobody has them")
	}
	if by, key, ok := a.Reserve("2", bob, keys("jim", "jane")); ok || by != ann || key != name("jane") {
		t.Errorf("reserved %v, by %s, %s", ok, by, key)
	}
	if _, _, ok := a.Reserve("3", bob, keys("jim")); !ok {
		t.Error("a refused reservation has reserved something")
	}
	a.Unreserve("1", keys("john", "jane"), false)
	if _, _, ok := a.Reserve("2", bob, keys("jane")); !ok {
		t.Error("an ended reservation keeps others away")
	}
}

// A route with two hosts of one domain keeps others from both: they are looked up by one value.
func TestEachOfSeveralKeysOfOneValueIsReserved(t *testing.T) {
	a, _ := newArbiter()
	host := func(namespace, host string) desired.UniqueKey {
		return desired.UniqueKey{Kind: desired.UniqueHost, Value: "bank.com", Namespace: namespace, Host: host}
	}
	if _, _, ok := a.Reserve("1", ann, []desired.UniqueKey{host("a", "api.bank.com"), host("a", "web.bank.com")}); !ok {
		t.Fatal("nobody has them")
	}
	for _, wanted := range []string{"api.bank.com", "web.bank.com"} {
		if by, _, ok := a.Reserve("2", bob, []desired.UniqueKey{host("b", wanted)}); ok || by != ann {
			t.Errorf("%s: reserved %v, by %s", wanted, ok, by)
		}
	}
	if _, _, ok := a.Reserve("2", bob, []desired.UniqueKey{host("b", "other.bank.com")}); !ok {
		t.Error("a host that nobody has is kept from others")
	}
}

func TestMethodsDecideWhetherRoutesOverlap(t *testing.T) {
	a, _ := newArbiter()
	get := desired.UniqueKey{Kind: desired.UniqueRoute, Value: "* /a", Methods: "GET"}
	post := desired.UniqueKey{Kind: desired.UniqueRoute, Value: "* /a", Methods: "POST"}
	if _, _, ok := a.Reserve("1", ann, []desired.UniqueKey{get}); !ok {
		t.Fatal("nobody has it")
	}
	if _, _, ok := a.Reserve("2", bob, []desired.UniqueKey{post}); !ok {
		t.Error("a route of other methods is kept away")
	}
}

func TestWhoWaitsIsWoken(t *testing.T) {
	a, woken := newArbiter()
	for _, owner := range []desired.Owner{ann, bob, eve} {
		turn := a.Begin(owner)
		turn.Wait(keys("john"))
		turn.End()
	}
	a.Free(keys("john"))
	a.Free(keys("john"))
	if woken[ann] != 1 || woken[bob] != 1 || woken[eve] != 1 {
		t.Errorf("woken %v", woken)
	}
}

// Whom a reservation kept away is woken when its owner did not get the keys, and nobody else is.
func TestWhomAReservationKeptAwayIsWoken(t *testing.T) {
	for _, open := range []bool{true, false} {
		a, woken := newArbiter()
		for _, owner := range []desired.Owner{bob, eve} {
			turn := a.Begin(owner)
			turn.Wait(keys("john"))
			turn.Refused(name("john"))
			turn.End()
		}
		a.Reserve("1", ann, keys("john"))
		if _, _, ok := a.Reserve("2", bob, keys("john")); ok {
			t.Fatal("two owners reserve the same")
		}
		a.Unreserve("1", keys("john"), open)
		a.Unreserve("1", keys("john"), open)
		if want := map[bool]int{true: 1}[open]; woken[bob] != want || woken[eve] != 0 || woken[ann] != 0 {
			t.Errorf("open %t: woken %v", open, woken)
		}
		if len(a.kept) > 0 {
			t.Errorf("kept %v", a.kept)
		}
	}
}

// An owner that does not ask for a key any more does not make its holder give it up.
func TestAWaitEndsWhenItsOwnerAsksForSomethingElse(t *testing.T) {
	a, woken := newArbiter()
	first := a.Begin(ann)
	first.Wait(keys("john", "jane"))
	first.End()
	if !a.Awaited(name("john"), bob) || a.Awaited(name("john"), ann) {
		t.Error("john is awaited by ann, and by nobody else")
	}
	second := a.Begin(ann)
	second.Wait(keys("jane"))
	second.End()
	if a.Awaited(name("john"), bob) || !a.Awaited(name("jane"), bob) {
		t.Error("ann waits for jane alone")
	}
	a.Forget(ann)
	a.Free(keys("john", "jane"))
	if len(woken) > 0 || len(a.waiting)+len(a.waits)+len(a.attempts) > 0 {
		t.Errorf("a forgotten owner is remembered: woken %v", woken)
	}
}

// Of what an owner asked for it gets one key and is refused another: it waits for the one that it was refused.
func TestAnOwnerWaitsForWhatItWasRefused(t *testing.T) {
	a, woken := newArbiter()
	turn := a.Begin(ann)
	turn.Wait(keys("john", "jane"))
	turn.Refused(name("jane"))
	turn.Refused(name("jim"))
	turn.Got(keys("john", "jane", "jim"))
	turn.End()
	if a.Awaited(name("john"), bob) || !a.Awaited(name("jane"), bob) || !a.Awaited(name("jim"), bob) {
		t.Error("ann waits for jane and jim alone")
	}
	if a.Free(keys("john")); woken[ann] != 0 {
		t.Error("ann is woken for what she has")
	}
	if a.Free(keys("jane", "jim")); woken[ann] == 0 {
		t.Error("ann is not woken for what she was refused")
	}
	next := a.Begin(ann)
	next.Wait(keys("jane"))
	next.Got(keys("jane"))
	next.End()
	if a.Awaited(name("jane"), bob) {
		t.Error("a refusal outlives its turn")
	}
}

func TestAnOwnerIsNotInItsOwnWay(t *testing.T) {
	a, _ := newArbiter()
	for _, id := range []string{"1", "2"} {
		if by, _, ok := a.Reserve(id, ann, keys("john")); !ok {
			t.Errorf("two entities of one owner: kept away by %s", by)
		}
	}
	if by, _, ok := a.Reserve("1", bob, keys("john")); ok || by != ann {
		t.Error("the other of two reservations counts for nothing")
	}
	a.Retry(ann)
	if a.Forget(ann); a.Retry(ann) != FirstRetry {
		t.Error("a forgotten owner's failures are remembered")
	}
}

func TestPausesGrowUntilItSucceeds(t *testing.T) {
	a, _ := newArbiter()
	for _, want := range []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second, 40 * time.Second, time.Minute} {
		turn := a.Begin(ann)
		for range 3 {
			if got := a.Retry(ann); got != want {
				t.Errorf("pause %s, want %s: a turn is one attempt, however many keys it is refused", got, want)
			}
		}
		turn.End()
	}
	a.Succeeded(ann)
	if got := a.Retry(ann); got != FirstRetry {
		t.Errorf("pause %s after a success", got)
	}
}

// Whatever happens in whatever order: two owners never have reservations that overlap, and nothing is kept for nobody.
func TestNoTwoOwnersReserveTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, _ := newArbiter()
		owners := []desired.Owner{ann, bob, eve}
		held := map[string]desired.Owner{}
		value := rapid.SampledFrom([]string{"john", "jane"})
		t.Repeat(map[string]func(*rapid.T){
			"reserve": func(t *rapid.T) {
				owner, key := rapid.SampledFrom(owners).Draw(t, "owner"), value.Draw(t, "key")
				_, _, ok := a.Reserve(owner.Name, owner, keys(key))
				by, taken := held[key]
				if ok != (!taken || by == owner) {
					t.Fatalf("%s reserves %s: %v; it is held by %v", owner, key, ok, by)
				}
				if ok {
					held[key] = owner
				}
			},
			"unreserve": func(t *rapid.T) {
				key := value.Draw(t, "key")
				a.Unreserve(held[key].Name, keys(key), false)
				delete(held, key)
			},
			"": func(t *rapid.T) {
				if len(held) == 0 && len(a.reserved) > 0 {
					t.Fatalf("kept: %v", a.reserved)
				}
			},
		})
	})
}
