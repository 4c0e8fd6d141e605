package engine

import (
	"net/http"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/plan"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

// A credential that is replaced goes after the one that replaces it, and also where that cannot come, because the
// consumer is refused its new name.
func TestAReplacedCredentialGoesThoughItsConsumerIsRefused(t *testing.T) {
	r := newRig(t)
	set := r.consumer("john", "john", "k1")
	r.mustSync(set)
	r.hold(kong.Entity{Kind: kong.KindConsumer, ID: foreignID, Fields: kong.Fields{"username": "jane"}})
	changed := r.set("JwtConsumer", "john")
	consumer := changed.add(kong.KindConsumer, "", "consumer", kong.Fields{"username": "jane"})
	changed.add(kong.KindJWT, consumer, "credential:other", kong.Fields{"key": "k2", "algorithm": "HS256", "secret": canary})
	_, err := r.sync(changed.set)
	r.stalls(err, v1alpha1.ReasonConflict, "username jane")
	if r.there(kong.KindJWT, "k1") {
		t.Error("the credential that is not wanted any more is valid")
	}
}

// A plugin that is replaced stays as long as what replaces it is refused. What is not new goes on.
func TestWhatProtectsStaysWhileItsReplacementIsRefused(t *testing.T) {
	r := newRig(t)
	with := func(part string, config map[string]any) desired.Set {
		b := builder{scope: r.scope, set: r.service("api", "one")}
		b.add(kong.KindPlugin, "", part, kong.Fields{
			"name": "ip-restriction", "service": on(id(b.set, kong.KindService)), "config": config,
		})
		return b.set
	}
	former := with("plugin former", map[string]any{"allow": []string{"10.0.0.0/8"}})
	r.opened(former)
	b := builder{scope: r.scope, set: r.service("api", "one")}
	b.add(kong.KindPlugin, "", "plugin next", kong.Fields{
		"name": "rate-limiting", "service": on(id(b.set, kong.KindService)), "config": map[string]any{"minute": "many"},
	})
	route := b.set.Entities[2]
	route.Fields["preserve_host"] = true
	_, err := r.sync(b.set)
	r.stalls(err, "KongRejected", "config.minute")
	if !r.there(kong.KindPlugin, former.Entities[len(former.Entities)-1].ID) {
		t.Error("the plugin is gone, and nothing is there instead")
	}
	if held, err := r.kong.Get(t.Context(), kong.KindRoute, route.ID); err != nil || held.Fields["preserve_host"] != true {
		t.Errorf("the route that was there is %v, error %v", held.Fields["preserve_host"], err)
	}
}

// Two plans of one owner at once would each take back what the other did.
func TestAnOwnerIsSyncedOnceAtATime(t *testing.T) {
	a := newAdmission("default", 2, nil)
	john := desired.ConsumerOwner("team", "john")
	first, err := a.enter(t.Context(), john)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.enter(t.Context(), john); err == nil {
		t.Fatal("a second Sync was let in")
	}
	first.leave()
	if _, err := a.enter(t.Context(), john); err != nil {
		t.Errorf("once the first is done: %v", err)
	}
}

// What goes along with a service, and may not, is named with its owner.
func TestWhoIsAStranger(t *testing.T) {
	r := newRig(t)
	set := r.service("api", "one")
	r.opened(set)
	service, _ := r.gateway.observed.Get(id(set, kong.KindService))
	other := desired.Owner{Kind: "JwtProtectedService", Namespace: "other", Name: "api"}
	elsewhere := desired.Scope{Installation: "there", Gateway: "default"}
	plugin := func(id string, tags []string) kong.Entity {
		return kong.Entity{Kind: kong.KindPlugin, ID: id, Fields: kong.Fields{"name": "cors", "tags": tags}}
	}
	known := id(set, kong.KindPlugin)
	for what, c := range map[string]struct {
		child kong.Entity
		name  string
	}{
		"its own":                         {plugin(known, r.scope.Tags(set.Owner, "jwt")), ""},
		"its own, which was not known":    {plugin(foreignID, r.scope.Tags(set.Owner, "cors")), ""},
		"its own, without tags":           {plugin(known, nil), ""},
		"of nobody":                       {plugin(foreignID, nil), "plugin cors (" + foreignID + ")"},
		"of another":                      {plugin(foreignID, r.scope.Tags(other, "cors")), "plugin cors (" + foreignID + ") of " + other.String()},
		"of the same in another operator": {plugin(foreignID, elsewhere.Tags(set.Owner, "cors")), "plugin cors (" + foreignID + ") of " + set.Owner.String()},
		"given to another":                {plugin(known, r.scope.Tags(other, "jwt")), "plugin cors (" + known + ") of " + other.String()},
	} {
		if name, is := r.gateway.stranger(c.child, service); name != c.name || is != (c.name != "") {
			t.Errorf("%s: %q, want %q", what, name, c.name)
		}
	}
}

// Who is refused one of several names waits for that one alone: whoever holds another would give it up for nothing.
func TestOnlyWhatIsRefusedIsWaitedFor(t *testing.T) {
	username := desired.UniqueKey{Kind: desired.UniqueUsername, Value: "anna"}
	customID := desired.UniqueKey{Kind: desired.UniqueCustomID, Value: "1"}
	nobody := desired.Owner{Kind: "JwtConsumer", Namespace: "team", Name: "nobody"}
	for what, hold := range map[string]func(r *rig){
		"held": func(r *rig) { r.mustSync(r.consumer("left", "anna")) },
		"on its way": func(r *rig) {
			r.gateway.arbiter.Reserve("on its way", desired.ConsumerOwner("team", "left"), []desired.UniqueKey{username})
		},
		"free": func(*rig) {},
	} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t)
			hold(r)
			set := r.consumer("right", "anna")
			set.Entities[0].Fields["custom_id"] = "1"
			_, err := r.sync(set)
			if refused := err != nil; refused != (what != "free") || r.gateway.arbiter.Awaited(username, nobody) != refused {
				t.Errorf("error %v, and the username is waited for: %t", err, r.gateway.arbiter.Awaited(username, nobody))
			}
			if r.gateway.arbiter.Awaited(customID, nobody) {
				t.Error("the custom ID is waited for, and nobody has it")
			}
		})
	}
}

// A route that matches more than the one that is wanted is somebody's own, though it is on the service that is
// adopted.
func TestARouteThatMatchesMoreIsNotAdopted(t *testing.T) {
	r := newRig(t)
	set := r.service("api", "one")
	wider := r.service("api", "one")
	route := len(wider.Entities) - 1
	wider.Entities[route].Fields["name"], wider.Entities[route].Fields["paths"] = "by-hand", []string{"/one", "/two"}
	ids := r.byHand(wider)
	r.adopting()
	_, err := r.sync(set)
	r.stalls(err, v1alpha1.ReasonConflict, "by-hand")
	held, err := r.kong.Get(t.Context(), kong.KindRoute, ids[set.Entities[route].ID])
	if err != nil || len(held.Fields.Tags()) > 0 || len(held.Fields.Strings("paths")) != 2 {
		t.Errorf("the route has tags %v and paths %v, error %v", held.Fields.Tags(), held.Fields.Strings("paths"), err)
	}
}

// Where drift is reported, what somebody changed stays as it is as long as it is wanted, and no longer.
func TestWhatWasChangedAndIsNotWantedGoesThoughDriftIsReported(t *testing.T) {
	r := newRig(t)
	settings := Settings{Client: kong.Config{URL: r.sim.AdminURL()}, DriftInterval: time.Hour, ReportDrift: true}
	var err error
	if r.gateway, err = r.registry.Ensure("default", settings); err != nil {
		t.Fatal(err)
	}
	r.expect(EventConnected, nil)
	set := r.consumer("john", "john", "k1")
	r.mustSync(set)
	credential := set.Entities[1]
	// Another process saw it changed, and it is as it was again.
	result, err := r.gateway.Sync(t.Context(), set, SyncOptions{Drifted: []string{credential.ID}})
	if err != nil || len(result.Drifts) > 0 || len(result.Undone) > 0 {
		t.Errorf("drifts %v, not done %v, error %v", result.Drifts, result.Undone, err)
	}
	credential.Fields = kong.Fields{"key": "k1", "secret": "changed", "algorithm": "HS256", "tags": credential.Fields["tags"]}
	r.hold(credential)
	r.gateway.relist()
	r.expect(EventDrift, &set.Owner)
	if writes := r.mustSync(set); writes != 0 {
		t.Errorf("%d writes for what is to be reported", writes)
	}
	r.mustSync(r.consumer("john", "john"))
	if r.there(kong.KindJWT, "k1") {
		t.Error("a credential that is not wanted any more is valid")
	}
}

// Two that exchange one of their names keep the other: what is let go is what somebody waits for.
func TestWhatNobodyWaitsForIsKept(t *testing.T) {
	r := newRig(t)
	with := func(name, username, customID string) desired.Set {
		set := r.consumer(name, username)
		set.Entities[0].Fields["custom_id"] = customID
		return set
	}
	r.mustSync(with("left", "anna", "1"))
	r.mustSync(with("right", "bert", "2"))
	left, right := with("left", "anna", "2"), with("right", "bert", "1")
	_, err := r.sync(left)
	r.stalls(err, v1alpha1.ReasonConflict, "custom ID 2")
	result, err := r.sync(right)
	r.stalls(err, v1alpha1.ReasonConflict, "custom ID 1")
	if result.Writes != 1 {
		t.Errorf("%d writes, want the one that lets go", result.Writes)
	}
	held, err := r.kong.Get(t.Context(), kong.KindConsumer, id(right, kong.KindConsumer))
	if err != nil || held.Fields.Text("username") != "bert" || held.Fields.Text("custom_id") != "" {
		t.Errorf("username %q, custom ID %q, error %v", held.Fields.Text("username"), held.Fields.Text("custom_id"), err)
	}
	r.mustSync(left)
	r.mustSync(right)
}

// Who was kept from a name by a write under way looks again where that write did not get it, and not where somebody
// else has it.
func TestWhoIsKeptFromANameIsWokenWhereItIsFree(t *testing.T) {
	r := newRig(t)
	john, jane := r.consumer("john", "john"), desired.ConsumerOwner("team", "jane")
	r.mustSync(john)
	held, _ := r.gateway.observed.Get(id(john, kong.KindConsumer))
	anna := []desired.UniqueKey{{Kind: desired.UniqueUsername, Value: "anna"}}
	for what, c := range map[string]struct {
		id    string
		keys  []desired.UniqueKey
		taken bool
		woken bool
	}{
		"it was refused":              {held.ID, anna, false, true},
		"it was refused, and was new": {foreignID, anna, false, true},
		"somebody has it":             {held.ID, anna, true, false},
		"it got it":                   {held.ID, held.Keys, false, false},
	} {
		run := &syncRun{rooms: r.gateway.rooms}
		r.gateway.arbiter.Reserve(c.id, john.Owner, c.keys)
		r.gateway.arbiter.Reserve("jane's", jane, c.keys)
		run.unreserve(plan.Wanted{Entry: plan.Entry{ID: c.id}}, c.keys, c.taken)
		woken := false
		for len(eventsOf(r.registry)) > 0 {
			e := <-eventsOf(r.registry)
			woken = woken || e.Owner != nil && *e.Owner == jane
		}
		if woken != c.woken {
			t.Errorf("%s: woken %t", what, woken)
		}
	}
}

// RemoveRoutes closes a service, and leaves what protects it.
func TestRoutesAloneAreRemoved(t *testing.T) {
	r := newRig(t)
	b := builder{scope: r.scope, set: r.service("api", "one", "two")}
	onRoute := b.add(kong.KindPlugin, "", "cors", kong.Fields{"name": "cors", "route": on(id(b.set, kong.KindRoute))})
	r.opened(b.set)
	result, err := r.gateway.RemoveRoutes(t.Context(), b.set.Owner)
	if err != nil || result.Writes != 2 || len(r.routes()) > 0 || r.there(kong.KindPlugin, onRoute) {
		t.Errorf("%d writes, routes %v, error %v", result.Writes, r.routes(), err)
	}
	if !r.there(kong.KindService, id(b.set, kong.KindService)) || !r.there(kong.KindPlugin, id(b.set, kong.KindPlugin)) {
		t.Error("what protects the service is gone")
	}
}

// A resource of the same name has the same owner in its tags, whichever operator it is of.
func TestTheSameOwnerOfAnotherInstallationIsSomebodyElse(t *testing.T) {
	r := newRig(t)
	set := r.consumer("john", "john", "k1")
	elsewhere := desired.Scope{Installation: "there", Gateway: "default"}
	tags := elsewhere.Tags(set.Owner, "consumer")
	r.hold(kong.Entity{Kind: kong.KindConsumer, ID: foreignID, Fields: kong.Fields{"username": "john", "tags": tags}})
	_, err := r.sync(set)
	r.stalls(err, v1alpha1.ReasonConflict, "another installation")
	if !r.there(kong.KindConsumer, foreignID) {
		t.Error("the other's consumer is gone")
	}
}

// Of an owner that is done nothing is kept that went wrong before, and of one that is gone nothing at all.
func TestWhatIsKeptOfAnOwnerThatIsDone(t *testing.T) {
	r := newRig(t)
	set := r.consumer("john", "john", "k1")
	waits := func() bool {
		m := r.gateway.monitor
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.absent[set.Owner]
	}
	r.sim.Faults.Set(1, kongsim.Fault{Methods: []string{http.MethodPut}, ResetBefore: true})
	_, err := r.sync(set)
	r.waits(err, "cannot be written")
	if !waits() {
		t.Error("it is not woken when Kong is back")
	}
	r.sim.Faults.Set(1)
	r.mustSync(set)
	if waits() {
		t.Error("it is woken when Kong is back, and has nothing to do")
	}
	if err := r.gateway.Delete(t.Context(), set.Owner); err != nil {
		t.Fatal(err)
	}
	r.gateway.memory.mu.Lock()
	defer r.gateway.memory.mu.Unlock()
	if _, kept := r.gateway.memory.settled[set.Owner]; kept {
		t.Error("it is gone, and it is known still what it left in Kong")
	}
}

// Of several plugins on a service the one is named that is in the way.
func TestThePluginThatIsInTheWayIsNamed(t *testing.T) {
	r := newRig(t)
	b := builder{scope: r.scope, set: r.service("api")}
	service := id(b.set, kong.KindService)
	r.mustSync(b.set)
	for id, name := range map[string]string{foreignID: "cors", "ffffffff-0000-4000-8000-000000000001": "key-auth"} {
		r.hold(kong.Entity{Kind: kong.KindPlugin, ID: id, Fields: kong.Fields{"name": name, "service": on(service)}})
	}
	b.add(kong.KindPlugin, "", "plugin cors", kong.Fields{"name": "cors", "service": on(service)})
	_, err := r.sync(b.set)
	r.stalls(err, v1alpha1.ReasonConflict, foreignID)
}
