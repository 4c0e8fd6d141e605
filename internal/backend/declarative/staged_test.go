package declarative

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// crowd is a configuration of so many consumers, each with a credential.
func crowd(n int) *staged {
	s := newStaged()
	base := configuration{}
	for i := range n {
		consumer := fmt.Sprintf("consumer-%d", i)
		base[consumer] = kong.Entity{Kind: kong.KindConsumer, ID: consumer}
		key := fmt.Sprintf("jwt-%d", i)
		base[key] = kong.Entity{Kind: kong.KindJWT, ID: key, ConsumerID: consumer}
	}
	s.setBase(base)
	return s
}

// empty takes every consumer out, as the engine does: what belongs to it is listed first, for every kind.
func (s *staged) empty(tb testing.TB, n int) {
	tb.Helper()
	const kindsOfChildren = 7
	for i := range n {
		id := fmt.Sprintf("consumer-%d", i)
		for range kindsOfChildren {
			s.listChildren(id)
		}
		s.remove(id)
	}
	if changes := len(s.snapshot()); changes != 2*n {
		tb.Fatalf("%d changes are staged, not %d", changes, 2*n)
	}
}

// The end of many is to cost as much for each as the end of few: compare the figures a consumer.
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
func (s *staged) childrenByLooking(id string) []string {
	var found []string
	for childID, e := range s.all() {
		if slices.Contains(parentsOf(e), id) {
			found = append(found, childID)
		}
	}
	slices.Sort(found)
	return found
}

func TestChildrenAreThoseThatALookThroughEverythingFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := newStaged()
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
				d.rebase(withChanges(d.base, d.changes))
				for id := range d.changes {
					d.unstage(id)
				}
			},
			"": func(t *rapid.T) {
				for _, id := range []string{"a", "b", "c", "d"} {
					var found []string
					for _, e := range d.listChildren(id) {
						found = append(found, e.ID)
					}
					slices.Sort(found)
					if want := d.childrenByLooking(id); !slices.Equal(found, want) {
						t.Fatalf("children of %s: %v, not %v", id, found, want)
					}
				}
				if len(d.changes) == 0 && len(d.newChildren) > 0 {
					t.Fatalf("kept: %v", d.newChildren)
				}
			},
		})
	})
}

// What an owner stages while a push is under way rests on what is pushed, as a route does on its plugin: it goes with
// its refusal, but for access that is taken away.
func TestARefusalLeavesWhatWasTakenAwaySince(t *testing.T) {
	s, owner := newStaged(), consumerOf("john")
	entity := func(part, secret string) kong.Entity {
		return kong.Entity{Kind: kong.KindJWT, ID: part, Fields: kong.Fields{"secret": secret, "tags": scope.Tags(owner, part)}}
	}
	s.setBase(configuration{"kept": entity("kept", "a"), "going": entity("going", "a")})
	s.put(entity("refused", "a"))
	pushed := s.snapshot()
	s.put(entity("rests on it", "a"))
	s.remove("going")
	var left []string
	for _, e := range s.drop(owner, pushed) {
		left = append(left, e.ID)
	}
	slices.Sort(left)
	if want := []string{"kept"}; !slices.Equal(left, want) || !s.pending(owner) {
		t.Errorf("%v is left, want %v; pending: %v", left, want, s.pending(owner))
	}
}
