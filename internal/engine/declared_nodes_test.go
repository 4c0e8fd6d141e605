package engine

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/backend/declarative"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

// fleetRig is an engine on two nodes of a simulated Kong without a database.
type fleetRig struct {
	*rig
	second *kongsim.Server
	two    *kong.Client
}

func newFleetRig(t *testing.T) *fleetRig {
	t.Helper()
	f := &fleetRig{rig: newDeclaredRig(t)}
	var err error
	if f.second, err = kongsim.Start(kongsim.Options{Database: "off"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.second.Close() })
	if f.two, err = kong.New(kong.Config{URL: f.second.AdminURL()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.two.CloseIdle)
	f.join(f.gateway)
	return f
}

// join names both nodes to an engine.
func (f *fleetRig) join(g *Engine) {
	f.Helper()
	var nodes []Node
	for _, sim := range []*kongsim.Server{f.sim, f.second} {
		nodes = append(nodes, Node{Address: f.address(sim), Ready: true})
	}
	if err := g.SetNodes(nodes); err != nil {
		f.Fatal(err)
	}
}

func (f *fleetRig) address(sim *kongsim.Server) string {
	return strings.TrimPrefix(sim.AdminURL(), "http://")
}

// settled says whether every node is known to run what it was given.
func (f *fleetRig) settled() bool {
	return confirmed(f.gateway)
}

// confirmed says whether every node of an engine is known to run what it was given.
func confirmed(e *Engine) bool {
	nodes, ok := e.link.current().(*declarative.Backend)
	return ok && nodes.Confirmed(context.Background())
}

// onBoth says whether both nodes have a credential.
func (f *fleetRig) onBoth(key string) bool { return f.there(kong.KindJWT, key) && f.onSecond(key) }

func (f *fleetRig) onSecond(key string) bool {
	f.Helper()
	_, err := f.two.Get(f.Context(), kong.KindJWT, key)
	if err != nil && !kong.IsNotFound(err) {
		f.Fatal(err)
	}
	return err == nil
}

// given counts the configurations that a node was given.
func given(sim *kongsim.Server) (n int) {
	for _, request := range sim.Requests() {
		if request.Method == http.MethodPost && strings.HasPrefix(request.Path, "/config") {
			n++
		}
	}
	return n
}

// A restart writes nothing, however many nodes there are.
func TestARestartGivesNoNodeAConfiguration(t *testing.T) {
	f := newFleetRig(t)
	john, api := f.consumer("john", "john", "k1"), f.service("api", "one")
	f.pushed(john, api)
	f.eventually("both nodes run it", func() bool { return f.onBoth("k1") })
	f.sim.ResetRequests()
	f.second.ResetRequests()
	f.start(time.Hour)
	f.join(f.gateway)
	f.eventually("both nodes are looked at", func() bool { return f.settled() })
	if writes := f.mustSync(john) + f.mustSync(api); writes != 0 {
		t.Errorf("%d writes after a restart", writes)
	}
	if n := given(f.sim) + given(f.second); n != 0 {
		t.Errorf("%d configurations after a restart", n)
	}
}

// A node that took a configuration, and whose answer was lost, is not taken back to what it ran before: a credential
// that was withdrawn would be good again.
func TestALostAnswerToAConfigurationIsNotUndone(t *testing.T) {
	for name, fault := range map[string]kongsim.Fault{"cut": {ResetAfter: true}, "hangs": {Hang: true}} {
		t.Run(name, func(t *testing.T) {
			r := newDeclaredRig(t)
			r.registry.Remove("default")
			var err error
			r.gateway, err = r.registry.Ensure("default", Settings{Client: kong.Config{URL: r.sim.AdminURL(), Timeout: time.Second}, DriftInterval: time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			r.expect(EventConnected, nil)
			r.pushed(r.consumer("john", "john", "k1", "k2"))
			fault.Methods, fault.PathPrefix, fault.Count = []string{http.MethodPost}, "/config", 1
			r.sim.Faults.Set(1, fault)
			withdrawn := r.consumer("john", "john", "k1")
			_, err = r.sync(withdrawn)
			r.waits(err, "")
			r.eventually("Kong runs it", func() bool { return !r.there(kong.KindJWT, "k2") })
			r.eventually("it is known", func() bool {
				if r.there(kong.KindJWT, "k2") {
					t.Fatal("the credential is back")
				}
				_, err := r.sync(withdrawn)
				return err == nil
			})
		})
	}
}

// A pod that is not ready is not waited for. When it is back it runs what it ran before, and that is not what it has
// to run.
func TestANodeThatMissedAPushIsGivenIt(t *testing.T) {
	f := newFleetRig(t)
	f.pushed(f.consumer("john", "john", "k1", "k2"))
	f.eventually("both nodes run it", func() bool { return f.onBoth("k2") })
	f.eventually("that is known", func() bool { return f.settled() })
	unready := func(ready bool) {
		t.Helper()
		if err := f.gateway.SetNodes([]Node{{Address: f.address(f.sim), Ready: true}, {Address: f.address(f.second), Ready: ready}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.second.StopAdmin(); err != nil {
		t.Fatal(err)
	}
	unready(false)
	f.pushed(f.consumer("john", "john", "k1"))
	before := given(f.second)
	if err := f.second.StartAdmin(); err != nil {
		t.Fatal(err)
	}
	unready(true)
	f.eventually("it does not accept any more what was withdrawn", func() bool { return !f.onSecond("k2") })
	if given(f.second) == before {
		t.Error("it did not miss the push")
	}
	if drifts := f.gateway.drifts.Take(desired.ConsumerOwner("team", "john")); len(drifts) > 0 {
		t.Errorf("that was nobody else: %v", drifts)
	}
}

// Somebody posts a configuration of theirs to one node, made of ours.
func TestDriftOfANodeIsToldAndPutBack(t *testing.T) {
	f := newFleetRig(t)
	var counted atomic.Int32
	f.registry.Close()
	f.registry = listening(Options{Installation: "here", Now: f.clock.Now, Heartbeat: 20 * time.Millisecond, Drifted: func(string, kong.Kind) { counted.Add(1) }})
	var err error
	if f.gateway, err = f.registry.Ensure("default", Settings{Client: kong.Config{URL: f.sim.AdminURL()}, DriftInterval: time.Hour}); err != nil {
		t.Fatal(err)
	}
	f.expect(EventConnected, nil)
	f.join(f.gateway)
	john, api := f.consumer("john", "john", "k1"), f.service("api", "one")
	f.pushed(john, api)
	f.eventually("that is known", func() bool { return f.settled() && f.onBoth("k1") })

	var meddled []kong.Entity
	for _, e := range slices.Concat(john.Entities, api.Entities) {
		switch e.Kind {
		case kong.KindJWT:
			continue
		case kong.KindPlugin:
			e.Fields = maps.Clone(e.Fields)
			e.Fields["config"] = map[string]any{"key_claim_name": "sub", "claims_to_verify": []string{"exp"}}
		}
		meddled = append(meddled, e)
	}
	if err := f.two.PostConfig(t.Context(), meddled); err != nil {
		t.Fatal(err)
	}
	f.eventually("it is put back", func() bool { return f.onSecond("k1") })
	for _, c := range []struct {
		set  desired.Set
		want Drift
	}{
		{john, Drift{Kind: kong.KindJWT, Name: "credential:a", ID: id(john, kong.KindJWT), Change: Deleted, Corrected: true}},
		{api, Drift{
			Kind: kong.KindPlugin, Name: "jwt", ID: id(api, kong.KindPlugin), Change: Changed, Corrected: true,
			Fields: []string{"config.claims_to_verify", "config.key_claim_name"},
		}},
	} {
		var result Result
		f.eventually("it is told of", func() bool { result, err = f.sync(c.set); return len(result.Drifts) > 0 })
		if err != nil || result.Writes != 0 || !reflect.DeepEqual(result.Drifts, []Drift{c.want}) {
			t.Errorf("%d writes, drift %+v, %v; want %+v", result.Writes, result.Drifts, err, c.want)
		}
		if again, err := f.sync(c.set); err != nil || len(again.Drifts) > 0 {
			t.Errorf("it is told of twice: %+v, %v", again.Drifts, err)
		}
	}
	if counted.Load() != 2 {
		t.Errorf("%d are counted", counted.Load())
	}
}

// shard is an engine that writes what is of some owners alone, beside another of the same installation and gateway.
func (f *fleetRig) shard(own func(desired.Owner) bool) *rig {
	f.Helper()
	registry := listening(Options{Installation: "here", Now: f.clock.Now, Heartbeat: 20 * time.Millisecond, InScope: own})
	f.Cleanup(registry.Close)
	engine, err := registry.Ensure("default", Settings{Client: kong.Config{URL: f.sim.AdminURL()}, DriftInterval: time.Hour})
	if err != nil {
		f.Fatal(err)
	}
	r := &rig{T: f.T, sim: f.sim, kong: f.kong, clock: f.clock, registry: registry, gateway: engine, scope: engine.Scope()}
	r.expect(EventConnected, nil)
	f.join(engine)
	return r
}

// Two processes that share a Kong without a database replace its configuration as a whole, both of them: neither
// leaves out what is the other's.
func TestShardsShareAConfiguration(t *testing.T) {
	f := newFleetRig(t)
	f.registry.Close()
	// What a label says, and nothing of the name, is in which shard a resource is: a deleted one is in none.
	shards := map[string]string{}
	in := func(shard string) func(desired.Owner) bool {
		return func(owner desired.Owner) bool { return shards[owner.Name] == shard }
	}
	for _, name := range []string{"john", "jim"} {
		shards[name] = "one"
	}
	for _, name := range []string{"jane", "jill"} {
		shards[name] = "two"
	}
	one, two := f.shard(in("one")), f.shard(in("two"))

	one.pushed(one.consumer("john", "john", "k-john"))
	two.pushed(two.consumer("jane", "jane", "k-jane"))
	one.pushed(one.consumer("jim", "jim", "k-jim"))
	two.pushed(two.consumer("jill", "jill", "k-jill"))
	everybody := func() bool {
		return f.onBoth("k-john") && f.onBoth("k-jane") && f.onBoth("k-jim") && f.onBoth("k-jill")
	}
	f.eventually("everybody is on both nodes", everybody)
	settled := func() (posts int) {
		f.eventually("both processes know both nodes", func() bool {
			for _, r := range []*rig{one, two} {
				if !confirmed(r.gateway) {
					return false
				}
			}
			return true
		})
		return given(f.sim) + given(f.second)
	}
	before := settled()
	for range 3 {
		one.gateway.Relist(desired.ConsumerOwner("team", "john"), "")
		one.gateway.Relist(desired.ConsumerOwner("team", "john"), fmt.Sprint(time.Now()))
		two.gateway.Relist(desired.ConsumerOwner("team", "jane"), "")
		two.gateway.Relist(desired.ConsumerOwner("team", "jane"), fmt.Sprint(time.Now()))
	}
	if posts := settled() - before; posts != 0 || !everybody() {
		t.Errorf("%d configurations where nothing changes: one undoes what the other does", posts)
	}

	if err := f.two.PostConfig(t.Context(), nil); err != nil { // a pod that starts again
		t.Fatal(err)
	}
	f.eventually("everybody is back", everybody)
	settled()
	two.eventually("jane is gone", func() bool {
		return two.gateway.Delete(t.Context(), desired.ConsumerOwner("team", "jane")) == nil
	})
	settled()
	if f.there(kong.KindJWT, "k-jane") || f.onSecond("k-jane") {
		t.Error("what was deleted came back")
	}
	if !f.onBoth("k-john") || !f.onBoth("k-jim") || !f.onBoth("k-jill") {
		t.Error("somebody else went with it")
	}
	if writes := one.mustSync(one.consumer("john", "john", "k-john")) + two.mustSync(two.consumer("jill", "jill", "k-jill")); writes != 0 {
		t.Errorf("%d writes where all is as it is wanted", writes)
	}
}
