package engine

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// crowd is a Kong without a database that runs so many consumers, each with a credential.
func crowd(n int) *declared {
	d := newDeclared(nil)
	d.active.Store(true)
	base := map[string]kong.Entity{}
	for i := range n {
		consumer := fmt.Sprintf("consumer-%d", i)
		base[consumer] = kong.Entity{Kind: kong.KindConsumer, ID: consumer}
		key := fmt.Sprintf("jwt-%d", i)
		base[key] = kong.Entity{Kind: kong.KindJWT, ID: key, ConsumerID: consumer}
	}
	d.rebase(base)
	return d
}

// empty takes every consumer out, as the engine does: what hangs on it is listed first, for every kind.
func (d *declared) empty(tb testing.TB, n int) {
	tb.Helper()
	for i := range n {
		id := fmt.Sprintf("consumer-%d", i)
		for _, kind := range childKinds[kong.KindConsumer] {
			for _, err := range d.ListChildren(tb.Context(), kong.KindConsumer, id, kind) {
				if err != nil {
					tb.Fatal(err)
				}
			}
		}
		if err := d.Delete(tb.Context(), kong.KindConsumer, "", id); err != nil {
			tb.Fatal(err)
		}
	}
	if len(d.staged) != 2*n {
		tb.Fatalf("%d changes are staged, not %d", len(d.staged), 2*n)
	}
}

// The end of many is to cost as much for each as the end of few.
func TestTheEndOfThousandsIsLinear(t *testing.T) {
	const few, factor = 500, 16
	each := func(n int) time.Duration {
		best := time.Duration(1 << 62)
		for range 3 {
			d := crowd(n)
			began := time.Now()
			d.empty(t, n)
			best = min(best, time.Since(began)/time.Duration(n))
		}
		return best
	}
	small, large := each(few), each(few*factor)
	ratio := float64(large) / float64(small)
	t.Logf("%d: %s each, %d: %s each, ratio %.1f; it would be %d if all were looked through for each", few, small, few*factor, large, ratio, factor)
	if ratio > factor/2 {
		t.Errorf("each of %d takes %.1f times as long as each of %d", few*factor, ratio, few)
	}
}

func BenchmarkTheEndOfThousands(b *testing.B) {
	for _, n := range []int{500, 2000, 8000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				d := crowd(n)
				b.StartTimer()
				d.empty(b, n)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/consumer")
		})
	}
}

// childrenByLooking is what children has to agree with: a look through everything.
func (d *declared) childrenByLooking(id string) []string {
	var found []string
	for childID, e := range withChanges(d.base, d.staged) {
		if slices.Contains(parentsOf(e), id) {
			found = append(found, childID)
		}
	}
	slices.Sort(found)
	return found
}

func TestChildrenAreThoseThatALookThroughEverythingFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := newDeclared(nil)
		ids := rapid.SampledFrom([]string{"a", "b", "c", "d"})
		entity := func(t *rapid.T, id string) kong.Entity {
			e := kong.Entity{Kind: kong.KindPlugin, ID: id, Fields: kong.Fields{}}
			if parent := ids.Draw(t, "service"); parent != id {
				e.Fields["service"] = map[string]any{"id": parent}
			}
			if parent := ids.Draw(t, "consumer"); parent != id {
				e.ConsumerID = parent
			}
			return e
		}
		t.Repeat(map[string]func(*rapid.T){
			"stage": func(t *rapid.T) {
				e := entity(t, ids.Draw(t, "id"))
				d.stage(e.ID, change{entity: &e})
			},
			"stage the end": func(t *rapid.T) { d.stage(ids.Draw(t, "id"), change{}) },
			"unstage":       func(t *rapid.T) { d.unstage(ids.Draw(t, "id")) },
			"push": func(*rapid.T) {
				d.rebase(withChanges(d.base, d.staged))
				for id := range d.staged {
					d.unstage(id)
				}
			},
			"": func(t *rapid.T) {
				for _, id := range []string{"a", "b", "c", "d"} {
					var found []string
					for _, e := range d.children(id) {
						found = append(found, e.ID)
					}
					slices.Sort(found)
					if want := d.childrenByLooking(id); !slices.Equal(found, want) {
						t.Fatalf("children of %s: %v, not %v", id, found, want)
					}
				}
				if len(d.staged) == 0 && len(d.stagedChildren) > 0 {
					t.Fatalf("kept: %v", d.stagedChildren)
				}
			},
		})
	})
}
