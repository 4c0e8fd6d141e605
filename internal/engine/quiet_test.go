package engine

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// TestMain has the same cases each time, so that nobody's change fails for what was there before. -rapid.seed=N with
// another number looks further.
func TestMain(m *testing.M) {
	flag.Parse()
	if seed := flag.Lookup("rapid.seed"); seed.Value.String() == seed.DefValue {
		if err := seed.Value.Set("1"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// wanted is an entity of an owner. parent is the id of what it belongs to, and field says how it refers to it.
func wanted(scope desired.Scope, set *desired.Set, kind kong.Kind, part, field, parent string, fields kong.Fields) string {
	b := builder{scope: scope, set: *set}
	consumer := ""
	if field == "" {
		consumer = parent
	} else if parent != "" {
		fields[field] = on(parent)
	}
	id := b.add(kind, consumer, part, fields)
	*set = b.set
	return id
}

// drawConsumer draws what a consumer wants, of these usernames and keys.
func (w *world) drawConsumer(a *actor, usernames, keys []string) desired.Set {
	scope, set := w.registry.Scope("default"), desired.Set{Owner: a.owner}
	id := wanted(scope, &set, kong.KindConsumer, "consumer", "", "", kong.Fields{"username": rapid.SampledFrom(usernames).Draw(w.T, "username")})
	parts := rapid.Permutation([]string{"a", "b", "c"}).Draw(w.T, "parts")
	for i, key := range rapid.Permutation(keys).Draw(w.T, "keys")[:rapid.IntRange(0, 2).Draw(w.T, "credentials")] {
		wanted(scope, &set, kong.KindJWT, "credential:"+parts[i], "", id, kong.Fields{
			"key": key, "algorithm": "HS256", "secret": canary + rapid.SampledFrom([]string{"1", "2"}).Draw(w.T, "secret"),
		})
	}
	for _, group := range []string{"admin", "staff"}[:rapid.IntRange(0, 2).Draw(w.T, "groups")] {
		wanted(scope, &set, kong.KindACL, "group:"+group, "", id, kong.Fields{"group": group})
	}
	if rapid.Bool().Draw(w.T, "plugin") {
		wanted(scope, &set, kong.KindPlugin, "plugin:limit", "consumer", id, kong.Fields{
			"name": "rate-limiting", "config": map[string]any{"minute": rapid.IntRange(1, 2).Draw(w.T, "minute")},
		})
	}
	return set
}

// drawService draws what a service wants, of these names and paths.
func (w *world) drawService(a *actor, names, paths []string) desired.Set {
	scope, set := w.registry.Scope("default"), desired.Set{Owner: a.owner}
	id := wanted(scope, &set, kong.KindService, "service", "", "", kong.Fields{
		"name": rapid.SampledFrom(names).Draw(w.T, "service name"), "host": "upstream.example",
	})
	wanted(scope, &set, kong.KindPlugin, "jwt", "service", id, kong.Fields{
		"name": "jwt", "config": map[string]any{"key_claim_name": rapid.SampledFrom([]string{"iss", "kid"}).Draw(w.T, "claim")},
	})
	if rapid.Bool().Draw(w.T, "acl") {
		wanted(scope, &set, kong.KindPlugin, "acl", "service", id, kong.Fields{
			"name": "acl", "config": map[string]any{"allow": []string{rapid.SampledFrom([]string{"admin", "staff"}).Draw(w.T, "allow")}},
		})
	}
	parts := rapid.Permutation([]string{"a", "b", "c"}).Draw(w.T, "parts")
	for i, path := range rapid.Permutation(paths).Draw(w.T, "paths")[:rapid.IntRange(0, min(2, len(paths))).Draw(w.T, "routes")] {
		route := wanted(scope, &set, kong.KindRoute, "route:"+parts[i], "service", id, kong.Fields{
			"name": "route" + path, "paths": []string{"/" + path},
		})
		if rapid.Bool().Draw(w.T, "on the route") {
			wanted(scope, &set, kong.KindPlugin, "cors:"+parts[i], "route", route, kong.Fields{"name": "cors"})
		}
	}
	return set
}

// specs are what owners choose from: what they all may have at once is disputed.
var (
	usernames = []string{"john", "jane"}
	keys      = []string{"k1", "k2", "k3", "k4"}
	names     = []string{"api", "web"}
	paths     = []string{"a", "b", "c", "d"}
)

func (w *world) drawSpec(a *actor, usernames, keys, names, paths []string) {
	delete(w.drifts, a.owner) // the status is that of a former spec
	a.gone, a.due, a.former = false, time.Now(), a.wants
	a.withdraws = rapid.Bool().Draw(w.T, "withdraws")
	if a.owner.Kind == "JwtConsumer" {
		a.wants = w.drawConsumer(a, usernames, keys)
	} else {
		a.wants = w.drawService(a, names, paths)
	}
}

// drawChange draws what becomes of a resource: another spec, the former one, or its end.
func (w *world) drawChange(a *actor) {
	switch rapid.SampledFrom([]string{"spec", "back", "delete"}).Draw(w.T, "change") {
	case "spec":
		w.drawSpec(a, usernames, keys, names, paths)
	case "back":
		delete(w.drifts, a.owner)
		a.wants, a.former, a.due = a.former, a.wants, time.Now()
		a.gone = len(a.wants.Entities) == 0
	default:
		a.gone, a.due = true, time.Now()
		a.retains = rapid.Bool().Draw(w.T, "retains")
	}
}

func (w *world) drawActor() *actor { return w.actors[rapid.IntRange(0, 3).Draw(w.T, "owner")] }

// list lists Kong at once. Where it can, the operator knows what somebody else did.
func (w *world) list() {
	_, before := w.gateway.orphans.Suspects(nil)
	w.relist()
	w.listed(before)
}

func (w *world) relist() {
	request(w.gateway.monitor.relist)
	synctest.Wait()
}

// listed clears what was not known, where Kong was listed.
func (w *world) listed(before uint64) {
	if _, now := w.gateway.orphans.Suspects(nil); now > before {
		clear(w.kong.changed)
	}
}

// drawHand has somebody else change something in Kong. The operator knows nothing of it before the next listing.
func (w *world) drawHand() {
	k := w.drawNode()
	k.mu.Lock()
	defer k.mu.Unlock()
	ids := slices.Sorted(maps.Keys(k.held))
	if len(ids) == 0 {
		return
	}
	e := k.held[rapid.SampledFrom(ids).Draw(w.T, "entity")]
	if w.alone || e.ID == strangerID {
		return
	}
	what := rapid.SampledFrom([]string{"drop", "change", "untag", "move", "hang on", "make"}).Draw(w.T, "by hand")
	if k.declarative() && (what == "make" || what == "move") {
		return // what is nobody's here is what all of it is
	}
	if what == "make" {
		w.drawOther()
		return
	}
	k.lost = k.declarative()
	w.say("by hand: %s %s %s", what, e.Kind, e.ID)
	w.excuse(e)
	e.Fields = maps.Clone(e.Fields)
	switch what {
	case "drop":
		_ = k.drop(e.ID, true) // Kong may refuse it
		return
	case "change":
		e.Fields["by_hand"] = time.Now().String()
	case "untag":
		delete(e.Fields, "tags")
	case "move":
		if e.Kind != kong.KindJWT {
			return
		}
		e.ConsumerID = strangerID
	case "hang on":
		fields := kong.Fields{"marker": "foreign", "name": "http-log", e.Kind.Singular(): on(e.ID)}
		if e.Kind == kong.KindConsumer || e.Kind == kong.KindService {
			e = kong.Entity{Kind: kong.KindPlugin, ID: "on-" + e.ID, Fields: fields}
		}
	}
	_ = k.put(e, true) // Kong may refuse it
}

// drawOther has somebody make what owners want too, and what they may take over where the gateway adopts.
func (w *world) drawOther() {
	w.others++
	e := kong.Entity{ID: fmt.Sprintf("other-%d", w.others), Fields: kong.Fields{"marker": "foreign"}}
	e.Kind = rapid.SampledFrom([]kong.Kind{kong.KindConsumer, kong.KindJWT, kong.KindService, kong.KindRoute}).Draw(w.T, "made")
	switch e.Kind {
	case kong.KindConsumer:
		e.Fields["username"] = rapid.SampledFrom(usernames).Draw(w.T, "username")
	case kong.KindJWT:
		e.ConsumerID = w.drawHeld(kong.KindConsumer)
		e.Fields["key"], e.Fields["algorithm"] = rapid.SampledFrom(keys).Draw(w.T, "key"), "HS256"
	case kong.KindService:
		e.Fields["name"], e.Fields["host"] = rapid.SampledFrom(names).Draw(w.T, "name"), "other.example"
	default:
		path := rapid.SampledFrom(paths).Draw(w.T, "path")
		e.Fields["name"], e.Fields["paths"] = "route"+path, []string{"/" + path}
		e.Fields["service"] = on(w.drawHeld(kong.KindService))
	}
	w.say("by hand: make %s %s %v", e.Kind, e.ID, e.Fields)
	w.excuse(e)
	_ = w.kong.put(e, true) // Kong may refuse it
}

// drawHeld draws the id of something of a kind in Kong; "" where there is nothing.
func (w *world) drawHeld(kind kong.Kind) string {
	ids := slices.DeleteFunc(slices.Sorted(maps.Keys(w.kong.held)), func(id string) bool { return w.kong.held[id].Kind != kind })
	if len(ids) == 0 {
		return ""
	}
	return rapid.SampledFrom(ids).Draw(w.T, "of")
}

// excuse notes that the operator does not know of a change before it has listed, and what it will leave so.
func (w *world) excuse(e kong.Entity) {
	if ownership, ours := desired.ParseTags(e.Fields.Tags()); ours && w.reports {
		w.touched[ownership.Owner] = true
	}
	service := described(e).Service
	if e.Kind == kong.KindService {
		service = e.ID
	}
	w.kong.changed[service] = true
}

// strangerID is a consumer of somebody else's.
const strangerID = "5f0e4a2e-0d0b-4a53-9a55-3f0c6b0a5d11"

// restsWithin is how long it takes until all is as wanted. Nothing of it is left to a listing, but for what somebody
// else did.
const restsWithin = 4 * time.Minute

// quiet lets everything come to rest: nobody disturbs any more, and what owners want can all be had.
func (w *world) quiet() {
	w.say("quiet")
	w.kong.mu.Lock()
	w.kong.trouble = nil
	w.kong.mu.Unlock()
	for _, node := range append(w.nodes, w.front) {
		node.away.Store(false)
	}
	w.tidy()
	w.tidyPods()
	usernames, names := rapid.Permutation(usernames).Draw(w.T, "usernames"), rapid.Permutation(names).Draw(w.T, "names")
	keys, paths := rapid.Permutation(keys).Draw(w.T, "keys"), rapid.Permutation(paths).Draw(w.T, "paths")
	w.rotation.want.Interval, w.rotation.due, w.rotation.lives = 0, time.Now(), -1
	for i, a := range w.actors[:4] {
		n := i / 2
		w.drawSpec(a, usernames[n:n+1], keys[2*n:2*n+2], names[n:n+1], paths[2*n:2*n+2])
		// What is retained now would have names that others want: nobody says when it goes.
		a.gone, a.retains = rapid.IntRange(0, 4).Draw(w.T, "gone") == 0, false
	}
	w.pass(time.Minute)
	if len(w.kong.changed) > 0 {
		w.list()
	}
	w.pass(restsWithin)
	if w.kong.declarative() {
		w.pass(2 * listsEvery) // what a configuration was refused for is tried again within that
	}
	w.isAsWanted()
	if !w.touched[w.rotation.owner] {
		w.rotation.isSettled()
	}
	writes := w.kong.writes.Load()
	w.pass(2 * listsEvery)
	for _, a := range w.actors {
		w.reconcile(a)
	}
	if now := w.kong.writes.Load(); now != writes {
		w.Fatalf("%d writes once all is as wanted\n%s", now-writes, join(w.story))
	}
}

// tidy takes out what is nobody's.
func (w *world) tidy() {
	w.kong.mu.Lock()
	defer w.kong.mu.Unlock()
	for id, e := range w.kong.held {
		if _, tagged := desired.ParseTags(e.Fields.Tags()); tagged || id == strangerID || w.kong.declarative() {
			continue
		}
		w.excuse(e)
		for _, child := range w.kong.childrenOf(id) {
			w.excuse(child)
			_ = w.kong.drop(child.ID, true) // a route has no routes
		}
		_ = w.kong.drop(id, true) // no more than it
	}
}

// isAsWanted holds that Kong has what is wanted, and nothing else of the operator's.
func (w *world) isAsWanted() {
	want, held := 0, 0
	for _, node := range w.nodes {
		node.lost = false
	}
	for _, a := range w.actors {
		w.isDone(a)
		if !a.gone && !w.touched[a.owner] {
			want += len(w.nodes) * len(a.wants.Entities)
		}
	}
	for _, node := range w.nodes {
		for _, e := range node.all() {
			if ownership, tagged := desired.ParseTags(e.Fields.Tags()); tagged && !w.touched[ownership.Owner] {
				held++
			}
		}
	}
	if held != want {
		w.Fatalf("%d entities in the end, want %d\n%s", held, want, join(w.story))
	}
}

// inBubble does one check in a bubble of its own. What rapid throws to end a check goes on outside.
func inBubble(t *testing.T, check func(*testing.T)) {
	var thrown any
	synctest.Test(t, func(t *testing.T) {
		defer func() { thrown = recover() }()
		check(t)
	})
	switch {
	case thrown == nil:
	case fmt.Sprintf("%T", thrown) == "rapid.invalidData":
		panic(thrown) // another line than below: rapid tells failures apart by where they come from
	default:
		panic(thrown)
	}
}

// Whatever happens, no promise is broken on the way; and once nothing happens any more, Kong is as wanted and nothing
// is written to it.
func TestEverythingComesToRest(t *testing.T) {
	rapid.Check(t, func(drawn *rapid.T) {
		inBubble(t, func(t *testing.T) {
			w := newWorld(drawn, t)
			defer w.close()
			drawn.Repeat(map[string]func(*rapid.T){
				"spec": func(*rapid.T) { w.drawChange(w.drawActor()) },
				"spec and trouble": func(*rapid.T) {
					a := w.drawActor()
					w.drawTrouble()
					w.drawChange(a)
					w.turn()
					w.drawChange(a)
				},
				"list":      func(*rapid.T) { w.list() },
				"reconcile": func(*rapid.T) { w.turn() },
				"time": func(*rapid.T) {
					w.pass(rapid.SampledFrom([]time.Duration{time.Second, propagates, time.Minute, listsEvery}).Draw(drawn, "time"))
				},
				"trouble":  func(*rapid.T) { w.drawTrouble() },
				"rotation": func(t *rapid.T) { w.rotation.drawMove(t) },
				"hand":     func(*rapid.T) { w.drawHand() },
				"restart":  func(*rapid.T) { w.start() },
				"away":     func(*rapid.T) { w.drawAway() },
				"pod":      func(*rapid.T) { w.drawPod() },
				"":         func(*rapid.T) { w.holds() },
			})
			w.quiet()
		})
	})
}
