package engine

import (
	"encoding/json"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/backend"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// neighbor is an engine that shares a Kong, with what it was told of drift.
type neighbor struct {
	*rig
	mu      sync.Mutex
	drifted int
}

// neighbor starts an engine on the rig's Kong.
func (r *rig) neighbor(installation, gateway string, own func(desired.Owner) bool) *neighbor {
	r.Helper()
	n := &neighbor{}
	registry := listening(Options{
		Installation: installation, Now: r.clock.Now, Heartbeat: 20 * time.Millisecond, InScope: own,
		Drifted: func(string, kong.Kind) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.drifted++
		},
	})
	r.Cleanup(registry.Close)
	engine, err := registry.Ensure(gateway, Settings{Client: kong.Config{URL: r.sim.AdminURL()}, DriftInterval: time.Hour})
	if err != nil {
		r.Fatal(err)
	}
	n.rig = &rig{T: r.T, sim: r.sim, kong: r.kong, clock: r.clock, registry: registry, gateway: engine, scope: engine.Scope()}
	n.expect(EventConnected, nil)
	return n
}

// drifts are how many entities were found changed.
func (n *neighbor) drifts() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.drifted
}

// look lists Kong once more.
func (n *neighbor) look(request string) {
	n.Helper()
	listings := func() uint64 {
		_, listings := n.gateway.orphans.Suspects(nil)
		return listings
	}
	before := listings()
	n.gateway.Relist(desired.Owner{Kind: "KongGateway", Name: "any"}, "")
	n.gateway.Relist(desired.Owner{Kind: "KongGateway", Name: "any"}, request)
	n.eventually("Kong is listed", func() bool { return listings() > before })
}

// everything is what Kong holds, as it shows it, by id.
func (n *neighbor) everything() map[string]string {
	n.Helper()
	all := map[string]string{}
	for _, kind := range backend.Kinds {
		for e, err := range n.kong.List(n.Context(), kind, kong.ListOptions{}) {
			if err != nil {
				n.Fatal(err)
			}
			content, err := json.Marshal(e.Fields)
			if err != nil {
				n.Fatal(err)
			}
			all[e.ID] = string(kind) + " " + string(content)
		}
	}
	return all
}

// without takes the entities of some sets out.
func without(all map[string]string, sets ...desired.Set) map[string]string {
	rest := maps.Clone(all)
	for _, set := range sets {
		for _, e := range set.Entities {
			delete(rest, e.ID)
		}
	}
	return rest
}

// Engines that share a Kong see, repair, prune and delete what is their own, though a neighbor's resources may have
// the same names.
func TestNeighborsAreLeftAlone(t *testing.T) {
	in := func(names ...string) func(desired.Owner) bool {
		return func(owner desired.Owner) bool {
			for _, name := range names {
				if owner.Name == name {
					return true
				}
			}
			return false
		}
	}
	for name, c := range map[string]struct {
		installation, gateway string
		// mine and theirs are the names of the resources.
		mine, theirs string
		shards       bool
	}{
		"another installation":              {"elsewhere", "default", "john", "john", false},
		"another gateway":                   {"here", "other", "john", "john", false},
		"another shard of the same gateway": {"here", "default", "john", "jane", true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.registry.Close()
			var own, others func(desired.Owner) bool
			if c.shards {
				own, others = in(c.mine, c.mine+"-api"), in(c.theirs, c.theirs+"-api")
			}
			me, they := r.neighbor("here", "default", own), r.neighbor(c.installation, c.gateway, others)
			sets := func(n *neighbor, name, unique string) []desired.Set {
				service := n.service(name+"-api", "one")
				for _, e := range service.Entities {
					if text := e.Fields.Text("name"); text != "jwt" {
						e.Fields["name"] = unique + "." + text
					}
					if e.Fields["paths"] != nil {
						e.Fields["paths"] = []string{"/" + unique}
					}
				}
				return []desired.Set{n.consumer(name, unique, unique+"-key"), service}
			}
			mine, theirs := sets(me, c.mine, "mine"), sets(they, c.theirs, "theirs")
			for _, set := range mine {
				me.opened(set)
			}
			for _, set := range theirs {
				they.opened(set)
			}
			me.look("both are there")
			they.look("both are there")

			// Somebody meddles with both.
			for _, set := range []desired.Set{mine[0], theirs[0]} {
				credential := set.Entities[1]
				r.drop(kong.KindJWT, credential.ConsumerID, credential.ID)
			}
			me.look("after the meddling")
			if me.drifts() != 1 {
				t.Errorf("%d drifted entities, one of them is mine", me.drifts())
			}
			if writes := me.mustSync(mine[0]); writes != 1 || r.there(kong.KindJWT, "theirs-key") {
				t.Errorf("%d writes, and theirs is put back: %v", writes, r.there(kong.KindJWT, "theirs-key"))
			}
			they.look("after the meddling")
			if writes := they.mustSync(theirs[0]); writes != 1 || they.drifts() != 1 {
				t.Errorf("they wrote %d and saw %d", writes, they.drifts())
			}

			// All my resources are gone, and what they have is pruned.
			before := without(me.everything(), mine...)
			gone := func(owner desired.Owner) (bool, error) { return own == nil || own(owner), nil }
			for _, request := range []string{"first look", "second look"} {
				me.look(request)
				orphans, err := me.gateway.Orphans(gone, 100)
				if err != nil {
					t.Fatal(err)
				}
				for _, owner := range orphans.Confirmed {
					me.eventually("it is pruned", func() bool {
						r.clock.Step(time.Minute)
						_, err := me.gateway.Prune(t.Context(), owner)
						return err == nil
					})
				}
			}
			if after := me.everything(); !maps.Equal(after, before) {
				t.Errorf("%d entities are left, %d are theirs; or their content differs", len(after), len(before))
			}
			for _, set := range theirs {
				if writes := they.mustSync(set); writes != 0 {
					t.Errorf("they had to write %d", writes)
				}
			}
		})
	}
}
