package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// adopting starts the engine anew, with adoption on.
func (r *rig) adopting() {
	r.Helper()
	settings := r.gateway.settings
	settings.Adopt = true
	var err error
	if r.gateway, err = r.registry.Ensure("default", settings); err != nil {
		r.Fatal(err)
	}
	r.expect(EventConnected, nil)
}

// byHand makes what a set wants as somebody else would: under ids of its own, without tags of ours.
func (r *rig) byHand(set desired.Set, tags ...string) map[string]string {
	r.Helper()
	ids := map[string]string{}
	for i, e := range set.Entities {
		ids[e.ID] = fmt.Sprintf("3f2c0000-0000-4000-8000-%012d", i+100)
	}
	for _, e := range set.Entities {
		e = relocate(e, ids)
		e.Fields["tags"] = tags
		r.hold(e)
	}
	return ids
}

// written lists the requests that were to change something since the log was reset.
func (r *rig) written() (list []string) {
	for _, request := range r.sim.Requests() {
		if request.Write() {
			list = append(list, request.Method+" "+request.Path)
		}
	}
	return list
}

// onlyTags checks that nothing but the tags of each entity was written, under its own id.
func (r *rig) onlyTags(ids map[string]string) {
	r.Helper()
	written := r.written()
	if len(written) != len(ids) {
		r.Errorf("%d writes for %d entities: %v", len(written), len(ids), written)
	}
	for _, id := range ids {
		if !slices.ContainsFunc(written, func(w string) bool { return strings.HasPrefix(w, "PATCH ") && strings.HasSuffix(w, id) }) {
			r.Errorf("%s got no tags: %v", id, written)
		}
	}
}

func TestAdoptionWritesTagsAlone(t *testing.T) {
	for name, wants := range map[string]func(r *rig) desired.Set{
		"consumer": func(r *rig) desired.Set { return r.consumer("john", "john", "k1", "k2") },
		"service":  func(r *rig) desired.Set { return r.service("api", "one", "two") },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			set := wants(r)
			ids := r.byHand(set, "by-hand")
			r.adopting()
			r.sim.ResetRequests()
			if writes := r.mustSync(set); writes != len(ids) {
				t.Errorf("%d writes counted for %d entities", writes, len(ids))
			}
			r.onlyTags(ids)
			for given, actual := range ids {
				if got := r.gateway.ActualID(given); got != actual {
					t.Errorf("id %s, want %s", got, actual)
				}
			}

			// Neither another process nor adoption switched off again forgets the ids: they are told by
			// the tags in Kong.
			r.start(time.Hour)
			r.sim.ResetRequests()
			if writes := r.mustSync(set); writes != 0 || len(r.written()) > 0 {
				t.Errorf("%d writes after a restart: %v", writes, r.written())
			}

			if err := r.gateway.Delete(t.Context(), set.Owner); err != nil {
				r.waits(err, "former routes")
				r.clock.Step(r.gateway.State().PropagationDelay)
				if err := r.gateway.Delete(t.Context(), set.Owner); err != nil {
					t.Fatal(err)
				}
			}
			for _, e := range set.Entities {
				if r.there(e.Kind, ids[e.ID]) {
					t.Errorf("%s %s is left over", e.Kind, ids[e.ID])
				}
			}
		})
	}
}

func TestAdoptedEntityIsBroughtToTheSpec(t *testing.T) {
	r := newRig(t)
	ids := r.byHand(r.consumer("john", "john", "k1"))
	r.adopting()
	set := r.consumer("john", "john", "k1", "k2")
	r.mustSync(set)
	r.sim.ResetRequests()
	set.Entities[1].Fields["secret"] = canary + canary
	r.mustSync(set)
	actual := ids[set.Entities[1].ID]
	if got := strings.Join(r.written(), " "); got != "PUT /consumers/"+ids[set.Entities[0].ID]+"/jwt/"+actual {
		t.Errorf("wrote %s", got)
	}
	if writes := r.mustSync(set); writes != 0 {
		t.Errorf("%d writes for nothing", writes)
	}
}

// Each of several routes is found by what it matches, also once one of them was taken over a moment ago.
func TestAdoptionByMatch(t *testing.T) {
	r := newRig(t)
	set, named := r.service("api", "one", "two"), r.service("api", "one", "two")
	for _, e := range named.Entities {
		if e.Kind == kong.KindRoute {
			e.Fields["name"] = "by-hand." + e.Fields.Text("name")
		}
	}
	ids := r.byHand(named)
	r.adopting()
	r.mustSync(set)
	for _, e := range set.Entities {
		if e.Kind != kong.KindRoute {
			continue
		}
		held, err := r.kong.Get(t.Context(), kong.KindRoute, ids[e.ID])
		if err != nil {
			t.Fatal(err)
		}
		if name := held.Fields.Text("name"); name != e.Fields.Text("name") || len(r.routes()) != 2 {
			t.Errorf("route %s of %v", name, r.routes())
		}
	}
}

// What hangs on the same parent, and is not asked for, stays as it is, and does not keep the rest from being adopted.
func TestAdoptionLeavesWhatIsBeside(t *testing.T) {
	for name, c := range map[string]struct {
		wants  func(r *rig) desired.Set
		beside func(set desired.Set, ids map[string]string) kong.Entity
	}{
		"a group": {
			func(r *rig) desired.Set { return r.consumer("john", "john") },
			func(set desired.Set, ids map[string]string) kong.Entity {
				return kong.Entity{
					Kind: kong.KindACL, ID: foreignID, ConsumerID: ids[id(set, kong.KindConsumer)], Fields: kong.Fields{"group": "staff"},
				}
			},
		},
		"a plugin": {
			func(r *rig) desired.Set { return r.service("api", "one") },
			func(set desired.Set, ids map[string]string) kong.Entity {
				return kong.Entity{
					Kind: kong.KindPlugin, ID: foreignID, Fields: kong.Fields{"name": "cors", "service": on(ids[id(set, kong.KindService)])},
				}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			set := c.wants(r)
			ids := r.byHand(set)
			r.hold(c.beside(set, ids))
			r.adopting()
			r.sim.ResetRequests()
			r.mustSync(set)
			r.onlyTags(ids)
		})
	}
}

// A route of the same path for other methods is in nobody's way: it is left, and does not hold up the one that is
// wanted.
func TestARouteOfOtherMethodsIsLeft(t *testing.T) {
	r := newRig(t)
	set := r.service("api", "one")
	set.Entities[len(set.Entities)-1].Fields["methods"] = []string{"POST"}
	r.hold(kong.Entity{Kind: kong.KindRoute, ID: foreignID, Fields: kong.Fields{
		"name": "by-hand", "paths": []string{"/one"}, "methods": []string{"GET"},
	}})
	r.adopting()
	r.opened(set)
	held, err := r.kong.Get(t.Context(), kong.KindRoute, foreignID)
	if err != nil || len(held.Fields.Tags()) > 0 || !r.there(kong.KindRoute, id(set, kong.KindRoute)) {
		t.Errorf("routes %v; somebody else's has tags %v, %v", r.routes(), held.Fields.Tags(), err)
	}
}

// meddled is an Admin API that somebody else changes just before a route is read.
type meddled struct {
	AdminAPI
	meanwhile func()
}

func (m *meddled) Get(ctx context.Context, kind kong.Kind, nameOrID string) (kong.Entity, error) {
	if change := m.meanwhile; kind == kong.KindRoute && change != nil {
		m.meanwhile = nil
		change()
	}
	return m.AdminAPI.Get(ctx, kind, nameOrID)
}

// Of all routes a listing tells, and of the one that is to be adopted what it is at that moment.
func TestARouteThatChangesIsNotAdopted(t *testing.T) {
	for what, change := range map[string]func(r *rig, route kong.Entity){
		"deleted": func(r *rig, route kong.Entity) { r.drop(kong.KindRoute, "", route.ID) },
		"serves another path": func(r *rig, route kong.Entity) {
			route.Fields["paths"] = []string{"/another"}
			r.hold(route)
		},
	} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t)
			set, named := r.service("api", "one"), r.service("api", "one")
			last := len(named.Entities) - 1
			named.Entities[last].Fields["name"] = "by-hand"
			ids := r.byHand(named)
			given := set.Entities[last].ID
			route := relocate(named.Entities[last], ids)
			route.Fields["tags"] = nil
			api := &meddled{meanwhile: func() { change(r, route) }}
			r.registry.options.Connect = func(config kong.Config) (AdminAPI, error) {
				client, err := kong.New(config)
				api.AdminAPI = client
				return api, err
			}
			r.adopting()
			r.opened(set)
			if actual := r.gateway.ActualID(given); actual != given || !r.there(kong.KindRoute, given) {
				t.Errorf("the route is %s, want one of its own", actual)
			}
			if held, err := r.kong.Get(t.Context(), kong.KindRoute, route.ID); err == nil && len(held.Fields.Tags()) > 0 {
				t.Errorf("somebody else's has tags %v", held.Fields.Tags())
			}
		})
	}
}

// TestNotAdopted: what somebody claims, or what is somebody else's part, stays a conflict, and nothing of it is
// written.
func TestNotAdopted(t *testing.T) {
	consumer := func(r *rig) desired.Set { return r.consumer("john", "john", "k1") }
	for _, c := range []struct {
		name string
		held func(r *rig) []kong.Entity
		set  func(r *rig) desired.Set
		text string
	}{
		{"managed by the ingress controller", func(*rig) []kong.Entity {
			return []kong.Entity{{Kind: kong.KindConsumer, ID: foreignID, Fields: kong.Fields{"username": "john", "tags": []string{"managed-by-ingress-controller"}}}}
		}, consumer, "username john"},
		{"another installation's", func(*rig) []kong.Entity {
			tags := desired.Scope{Installation: "there", Gateway: "default"}.Tags(desired.Owner{Kind: "JwtConsumer", Namespace: "a", Name: "b"}, "consumer")
			return []kong.Entity{{Kind: kong.KindConsumer, ID: foreignID, Fields: kong.Fields{"username": "john", "tags": tags}}}
		}, consumer, "another installation"},
		{"a part of our tags", func(*rig) []kong.Entity {
			return []kong.Entity{{Kind: kong.KindConsumer, ID: foreignID, Fields: kong.Fields{"username": "john", "tags": []string{"kongjwt"}}}}
		}, consumer, "username john"},
		{"another consumer's credential", func(*rig) []kong.Entity {
			return []kong.Entity{
				{Kind: kong.KindConsumer, ID: foreignID, Fields: kong.Fields{"username": "jane"}},
				{Kind: kong.KindJWT, ID: strings.Replace(foreignID, "3f", "4f", 1), ConsumerID: foreignID, Fields: kong.Fields{"key": "k1", "secret": canary}},
			}
		}, consumer, "key k1"},
		{"username and custom ID of two", func(*rig) []kong.Entity {
			return []kong.Entity{
				{Kind: kong.KindConsumer, ID: foreignID, Fields: kong.Fields{"username": "john"}},
				{Kind: kong.KindConsumer, ID: strings.Replace(foreignID, "3f", "4f", 1), Fields: kong.Fields{"username": "jane", "custom_id": "j"}},
			}
		}, func(r *rig) desired.Set {
			set := consumer(r)
			set.Entities[0].Fields["custom_id"] = "j"
			return set
		}, "held by several (consumer john (" + foreignID + ") in Kong, which this operator does not manage and consumer jane"},
		{"a route of another service", func(*rig) []kong.Entity {
			return []kong.Entity{{Kind: kong.KindRoute, ID: foreignID, Fields: kong.Fields{"paths": []string{"/one"}}}}
		}, func(r *rig) desired.Set { return r.service("api", "one") }, "/one"},
		{"a route that has another path too", func(*rig) []kong.Entity {
			return []kong.Entity{{Kind: kong.KindRoute, ID: foreignID, Fields: kong.Fields{"paths": []string{"/one", "/two"}}}}
		}, func(r *rig) desired.Set { return r.service("api", "one") }, "/one"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			for _, e := range c.held(r) {
				r.hold(e)
			}
			r.adopting()
			r.sim.ResetRequests()
			set := c.set(r)
			_, err := r.sync(set)
			if set.Owner.Kind == "JwtProtectedService" {
				r.clock.Step(r.gateway.State().PropagationDelay)
				_, err = r.sync(set)
			}
			r.stalls(err, "Conflict", c.text)
			for _, w := range r.written() {
				if strings.HasPrefix(w, "PATCH") || strings.HasPrefix(w, "DELETE") {
					t.Errorf("wrote %s", w)
				}
			}
		})
	}
}

// TestLostAnswerOfAnAdoption: the tags were written and nobody was told; the next look finds them.
func TestLostAnswerOfAnAdoption(t *testing.T) {
	r := newRig(t)
	set := r.consumer("john", "john")
	ids := r.byHand(set)
	r.adopting()
	first := set.Entities[0]
	if _, err := r.kong.PatchTags(t.Context(), kong.KindConsumer, "", ids[first.ID], first.Fields.Tags()); err != nil {
		t.Fatal(err)
	}
	r.sim.ResetRequests()
	r.mustSync(set)
	if got := r.written(); len(got) != 1 {
		t.Errorf("wrote %v, want the group's tags alone", got)
	}
}

// A resource leaves what it had in Kong, another takes it over, and the first is made again: each has its own then,
// also in another process, and goes without the other.
func TestWhatAnotherTookOverIsNotTakenBack(t *testing.T) {
	r := newRig(t)
	r.adopting()
	first := r.consumer("first", "john", "k1")
	r.mustSync(first)
	if err := r.gateway.Orphan(t.Context(), first.Owner); err != nil {
		t.Fatal(err)
	}
	second := r.consumer("second", "john", "k1")
	r.mustSync(second)
	consumer := r.gateway.ActualID(id(second, kong.KindConsumer))
	if consumer != id(first, kong.KindConsumer) {
		t.Fatalf("consumer %s was not taken over", id(first, kong.KindConsumer))
	}

	first = r.consumer("first", "jane", "k2")
	r.mustSync(first)
	for range 2 {
		for _, e := range slices.Concat(first.Entities, second.Entities) {
			ownership, _ := desired.ParseTags(e.Fields.Tags())
			held, err := r.kong.Get(t.Context(), e.Kind, r.gateway.ActualID(e.ID))
			if err != nil {
				t.Fatalf("%s of %s: %v", e.Kind, ownership.Owner, err)
			}
			if now, _ := desired.ParseTags(held.Fields.Tags()); now.Owner != ownership.Owner {
				t.Errorf("%s %s is %v, want %v", e.Kind, held.ID, now.Owner, ownership.Owner)
			}
			if is, _ := r.gateway.Standing(e.ID); !is {
				t.Errorf("%s of %s is not known to be in Kong", e.Kind, ownership.Owner)
			}
		}
		r.start(time.Hour)
		if writes := r.mustSync(first) + r.mustSync(second); writes != 0 {
			t.Errorf("%d writes after a restart", writes)
		}
	}
	if err := r.gateway.Delete(t.Context(), first.Owner); err != nil {
		t.Fatal(err)
	}
	if !r.there(kong.KindConsumer, consumer) || !r.there(kong.KindJWT, "k1") {
		t.Error("what the other has is gone")
	}
}
