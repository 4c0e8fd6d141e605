package jwks

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

func begun(own *turn) bool {
	select {
	case <-own.granted:
		return true
	default:
		return false
	}
}

// Thousands of slow issuers of one namespace leave slots to the others, and a set that it follows too does not wait in
// its queue.
func TestSlowIssuersOfOneNamespaceLeaveSlotsToOthers(t *testing.T) {
	all := newTurns(maxInFlight, maxOfNamespace)
	var slow []*turn
	for range 3200 {
		own := newTurn()
		all.wait(own, "attacker")
		slow = append(slow, own)
	}
	if !begun(slow[maxOfNamespace-1]) || begun(slow[maxOfNamespace]) {
		t.Fatal("a namespace has its share of the slots")
	}
	all.wait(slow[3199], "victim")
	if !begun(slow[3199]) {
		t.Error("a set that both follow waits for the attacker's")
	}
	own := newTurn()
	all.wait(own, "victim")
	if !begun(own) {
		t.Error("a set of the victim's waits")
	}
	all.done(slow[0])
	if !begun(slow[maxOfNamespace]) || begun(slow[maxOfNamespace+1]) {
		t.Error("a slot that is given back goes to the next")
	}
}

func TestNamespacesTakeTurns(t *testing.T) {
	all := newTurns(1, 1)
	first := newTurn()
	all.wait(first, "a")
	var a []*turn
	for range 3 {
		own := newTurn()
		all.wait(own, "a")
		a = append(a, own)
	}
	b := newTurn()
	all.wait(b, "b")
	all.done(first)
	all.done(a[0])
	if !begun(b) || begun(a[1]) {
		t.Error("b comes after one of a's")
	}
}

// Every turn comes, no slot is lost, and no namespace has more than its share.
func TestEveryTurnComes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := newTurns(rapid.IntRange(1, 4).Draw(t, "slots"), rapid.IntRange(1, 3).Draw(t, "share"))
		slots := all.free
		var open []*turn
		end := func(i int) {
			if begun(open[i]) {
				all.done(open[i])
				open = append(open[:i], open[i+1:]...)
			}
		}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			if len(open) > 0 && rapid.Bool().Draw(t, "ends") {
				end(rapid.IntRange(0, len(open)-1).Draw(t, "which"))
				continue
			}
			own := newTurn()
			for range rapid.IntRange(1, 2).Draw(t, "followers") {
				all.wait(own, fmt.Sprint(rapid.IntRange(0, 2).Draw(t, "namespace")))
			}
			open = append(open, own)
			for namespace, n := range all.running {
				if n > all.share {
					t.Fatalf("%s has %d of %d", namespace, n, all.share)
				}
			}
		}
		for len(open) > 0 {
			before := len(open)
			for i := len(open) - 1; i >= 0; i-- {
				end(i)
			}
			if len(open) == before {
				t.Fatalf("%d wait for ever", before)
			}
		}
		if all.free != slots || len(all.running)+len(all.waiting)+len(all.order) != 0 {
			t.Fatalf("left: %+v", all)
		}
	})
}
