package dataplane

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kongjwt/kong-jwt-operator/internal/jwtplugin"
	"github.com/kongjwt/kong-jwt-operator/internal/router"
)

// database is one in memory.
type database struct {
	routed      Routing
	pluginViews []*PluginView
	creds       map[string]jwtplugin.Credential
	people      map[string]jwtplugin.Consumer
	memberships map[string][]string
}

func (d *database) Routing() func() Routing {
	captured := d.routed
	return func() Routing { return captured }
}

func (d *database) Plugins() func() []*PluginView {
	captured := d.pluginViews
	return func() []*PluginView { return captured }
}

func (d *database) Credential(key string) (jwtplugin.Credential, bool) {
	c, ok := d.creds[key]
	return c, ok
}
func (d *database) Consumer(ref string) (jwtplugin.Consumer, bool) {
	c, ok := d.people[ref]
	return c, ok
}
func (d *database) Groups(id string) []string { return d.memberships[id] }

var start = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// protected is a service with a route and, on the service, the jwt plugin.
func protected() *database {
	return &database{
		routed: Routing{
			Routes:   []*router.Route{{ID: "r", ServiceID: "s", Paths: []string{"/"}, Protocols: []string{"http"}}},
			Services: map[string]*router.Service{"s": {ID: "s", Enabled: true}},
		},
		pluginViews: []*PluginView{{
			ID: "p", Name: "jwt", ServiceID: "s", Enabled: true, Protocols: []string{"http"},
			Config: map[string]any{"key_claim_name": "iss", "run_on_preflight": true},
		}},
	}
}

// exposed says whether a worker would let a request through without a token.
func exposed(w *worker, at time.Time) bool {
	v := w.at(at)
	return v.router().Find(router.Request{Path: "/"}) != nil &&
		v.plugins().find("jwt", scope{route: "r", service: "s"}) == nil
}

// exposures counts the milliseconds in which any worker is exposed.
func exposures(ws *workers, from time.Time, during time.Duration) int {
	n := 0
	for at := from; at.Before(from.Add(during)); at = at.Add(time.Millisecond) {
		for _, w := range ws.all {
			if exposed(w, at) {
				n++
				break
			}
		}
	}
	return n
}

// TestDeletedAtOnceIsExposed: what the operator's gate is for exists here.
// Deleting route, plugin and service at once leaves the upstream open for a
// while; waiting in between does not.
func TestDeletedAtOnceIsExposed(t *testing.T) {
	tests := []struct {
		name     string
		delays   Propagation
		wait     time.Duration // between the route and the plugin
		exposure bool
	}{
		{"at once", Typical(), 0, true},
		{"a second between", Typical(), time.Second, true},
		{"the longest delay between", Typical(), 3500 * time.Millisecond, false},
		{"slowest, at once", Slowest(5*time.Second, 5*time.Second), 0, true},
		{"slowest, 3.5 s between", Slowest(5*time.Second, 5*time.Second), 3500 * time.Millisecond, true},
		{"slowest, both periods between", Slowest(5*time.Second, 5*time.Second), 10 * time.Second, false},
		{"instant, at once", Instant(), 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			total := 0
			for seed := range uint64(30) {
				db := protected()
				ws := newWorkers(db, 2, tt.delays, seed, start)
				deleted := start.Add(time.Minute)
				db.routed.Routes = nil
				ws.apply(Change{Routing: true}, deleted)
				total += exposures(ws, deleted, tt.wait)
				db.pluginViews = nil
				ws.apply(Change{Plugins: true}, deleted.Add(tt.wait))
				total += exposures(ws, deleted.Add(tt.wait), 12*time.Second)
			}
			if (total > 0) != tt.exposure {
				t.Errorf("exposed for %d ms in all, want exposure: %v", total, tt.exposure)
			}
		})
	}
}

// TestCreatedAtOnceIsExposed: the same holds for creation, where the plugin's
// timer may fire after the router's.
func TestCreatedAtOnceIsExposed(t *testing.T) {
	for _, gated := range []bool{false, true} {
		total := 0
		for seed := range uint64(30) {
			db, want := &database{}, protected()
			ws := newWorkers(db, 2, Typical(), seed, start)
			at := start.Add(time.Minute)
			db.pluginViews = want.pluginViews
			ws.apply(Change{Plugins: true}, at)
			if gated {
				at = at.Add(3500 * time.Millisecond)
			}
			db.routed = want.routed
			ws.apply(Change{Routing: true}, at)
			total += exposures(ws, at, 4*time.Second)
		}
		if (total > 0) == gated {
			t.Errorf("gated %v: exposed for %d ms", gated, total)
		}
	}
}

// TestWithoutADatabaseNothingIsExposed: a worker takes a DB-less configuration
// in whole.
func TestWithoutADatabaseNothingIsExposed(t *testing.T) {
	for seed := range uint64(30) {
		db := &database{}
		ws := newWorkers(db, 3, Typical(), seed, start)
		*db = *protected()
		ws.apply(Change{Everything: true}, start)
		if n := exposures(ws, start, 4*time.Second); n > 0 {
			t.Errorf("seed %d: exposed for %d ms after a load", seed, n)
		}
		*db = database{}
		ws.apply(Change{Everything: true}, start.Add(time.Minute))
		if n := exposures(ws, start.Add(time.Minute), 4*time.Second); n > 0 {
			t.Errorf("seed %d: exposed for %d ms after an unload", seed, n)
		}
	}
}

// TestDelayedIsOldThenNew: a change is not seen before the minimum, and always
// from the maximum on, whatever came before it.
func TestDelayedIsOldThenNew(t *testing.T) {
	const low, high = 10 * time.Millisecond, 100 * time.Millisecond
	rapid.Check(t, func(rt *rapid.T) {
		var d delayed[int]
		now, last := start, start
		d.change(0, now, now)
		for i := range rapid.IntRange(1, 20).Draw(rt, "changes") {
			now = now.Add(time.Duration(rapid.IntRange(0, 150).Draw(rt, "pause")) * time.Millisecond)
			before := d.at(now)
			if now.Sub(last) >= high && before != i {
				rt.Fatalf("change %d is not there after the longest delay", i)
			}
			delay := time.Duration(rapid.Int64Range(int64(low), int64(high)).Draw(rt, "delay"))
			d.change(i+1, now, now.Add(delay))
			if i == 0 && d.at(now.Add(low-1)) != 0 {
				rt.Fatal("seen before the shortest delay")
			}
			last = now
		}
	})
}

// TestCacheForgetsWhatChanged: an entry stays as it was read until it is due.
func TestCacheForgetsWhatChanged(t *testing.T) {
	var c cache[string]
	value, loads := "old", 0
	load := func(string) (string, bool) { loads++; return value, value != "" }
	get := func(at time.Duration) string { v, _ := c.get("k", start.Add(at), load); return v }

	if get(0) != "old" {
		t.Fatal("not read")
	}
	value = "new"
	c.invalidate("k", start.Add(5))
	c.invalidate("k", start.Add(9)) // does not put the first off
	if got := get(4); got != "old" {
		t.Errorf("before it is due: %s", got)
	}
	if got := get(5); got != "new" {
		t.Errorf("when it is due: %s", got)
	}
	value = ""
	c.invalidateAll(start.Add(20))
	get(20)
	if _, found := c.get("k", start.Add(21), load); found || loads != 3 {
		t.Errorf("absence is not remembered: found %v after %d reads", found, loads)
	}
}

// TestDeletedConsumerOutlivedByCredential is the recorded answer to a token
// right after its consumer was deleted.
func TestDeletedConsumerOutlivedByCredential(t *testing.T) {
	db := &database{
		creds:  map[string]jwtplugin.Credential{"k": {Key: "k", ConsumerID: "john"}},
		people: map[string]jwtplugin.Consumer{"john": {ID: "john"}},
	}
	ws := newWorkers(db, 1, Typical(), 1, start)
	sees := func(at time.Duration) (credential, consumer bool) {
		v := ws.all[0].at(start.Add(at))
		_, credential = v.Credential("k")
		_, consumer = v.Consumer("john")
		return credential, consumer
	}
	if credential, consumer := sees(0); !credential || !consumer {
		t.Fatal("not known")
	}
	db.creds, db.people = nil, nil
	ws.apply(Change{Consumers: []string{"john"}, CascadeCredentials: []string{"k"}}, start)
	if credential, consumer := sees(10 * time.Millisecond); !credential || consumer {
		t.Errorf("after 10 ms: credential %v consumer %v", credential, consumer)
	}
	if credential, consumer := sees(200 * time.Millisecond); credential || consumer {
		t.Errorf("after 200 ms: credential %v consumer %v", credential, consumer)
	}
}
