package engine

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/arbiter"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

const foreignID = "3f2c0000-0000-4000-8000-000000000001"

func TestHolderWins(t *testing.T) {
	r := newRig(t)
	first, second := r.consumer("first", "john", "k1"), r.consumer("second", "john", "k2")
	r.mustSync(first)
	_, err := r.sync(second)
	stalled := r.stalls(err, "Conflict", "username john is held by JwtConsumer team/first")
	if stalled.RetryAfter != arbiter.FirstRetry {
		t.Errorf("tried again in %s, want %s", stalled.RetryAfter, arbiter.FirstRetry)
	}
	_, err = r.sync(second)
	if stalled = r.stalls(err, "Conflict"); stalled.RetryAfter != 2*arbiter.FirstRetry {
		t.Errorf("tried again in %s, want twice as long", stalled.RetryAfter)
	}
	if r.gateway.Holds(second.Owner) || r.there(kong.KindJWT, "k2") {
		t.Error("something of the refused consumer was written")
	}

	r.mustSync(r.consumer("first", "jane", "k1"))
	r.expect(EventFreed, &second.Owner)
	r.mustSync(second)
}

func TestConflictOfACredentialStopsNothingElse(t *testing.T) {
	r := newRig(t)
	r.mustSync(r.consumer("first", "first", "k1"))
	r.mustSync(r.consumer("second", "second", "a", "b", "c"))
	_, err := r.sync(r.consumer("second", "second", "a", "k1", "d"))
	r.stalls(err, "Conflict", "key k1 is held by JwtConsumer team/first")
	if !r.there(kong.KindJWT, "d") || r.there(kong.KindJWT, "c") {
		t.Error("the change of another credential was not made")
	}
	if !r.there(kong.KindJWT, "b") {
		t.Error("the refused credential has to stay as it was")
	}
}

func TestForeignHolders(t *testing.T) {
	for _, c := range []struct {
		name   string
		held   kong.Entity
		set    func(*rig) desired.Set
		claims string
	}{
		{
			"username", kong.Entity{Kind: kong.KindConsumer, ID: foreignID, Fields: kong.Fields{"username": "john"}},
			func(r *rig) desired.Set { return r.consumer("john", "john") }, "username john",
		},
		{
			"custom ID", kong.Entity{Kind: kong.KindConsumer, ID: foreignID, Fields: kong.Fields{"custom_id": "j"}},
			func(r *rig) desired.Set {
				set := r.consumer("john", "john")
				set.Entities[0].Fields["custom_id"] = "j"
				return set
			}, "custom ID j",
		},
		{
			"service name", kong.Entity{Kind: kong.KindService, ID: foreignID, Fields: kong.Fields{"name": "team.api", "host": "h"}},
			func(r *rig) desired.Set { return r.service("api") }, "service name team.api",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			r.hold(c.held)
			_, err := r.sync(c.set(r))
			r.stalls(err, "Conflict", c.claims, foreignID, "does not manage")
			if !r.there(c.held.Kind, foreignID) {
				t.Error("somebody else's entity is gone")
			}
			r.drop(c.held.Kind, "", foreignID)
			if _, err = r.sync(c.set(r)); err != nil {
				r.waits(err, "")
			}
		})
	}
}

func TestForeignRouteHoldsItsPath(t *testing.T) {
	r := newRig(t)
	r.hold(kong.Entity{Kind: kong.KindRoute, ID: foreignID, Fields: kong.Fields{"name": "by-hand", "paths": []string{"/one"}, "methods": []string{"GET"}}})
	set := r.service("api", "one", "two")
	_, err := r.sync(set)
	r.waits(err, "jwt")
	r.clock.Step(propagationDelay)
	_, err = r.sync(set)
	r.stalls(err, "Conflict", "/one", foreignID)
	if got := strings.Join(r.routes(), " "); !strings.Contains(got, "team.api.two") || strings.Contains(got, "team.api.one") {
		t.Errorf("routes %s", got)
	}
	r.drop(kong.KindRoute, "", foreignID)
	r.clock.Step(routesAge)
	r.mustSync(set)
}

// All routes are listed for what others have there: once for all who ask at about the same time.
func TestRoutesAreListedOnceForMany(t *testing.T) {
	r := newRig(t)
	var sets []desired.Set
	for _, name := range []string{"one", "two", "three"} {
		sets = append(sets, r.service(name, name))
		_, err := r.sync(sets[len(sets)-1])
		r.waits(err, "jwt")
	}
	r.clock.Step(propagationDelay)
	r.sim.ResetRequests()
	for _, set := range sets {
		r.mustSync(set)
	}
	lists := slices.DeleteFunc(r.requests(), func(request string) bool { return !strings.HasPrefix(request, "GET /routes") })
	if len(lists) != 1 {
		t.Errorf("%d lists of routes: %v", len(lists), r.requests())
	}
}

func TestForeignPluginOnOurService(t *testing.T) {
	r := newRig(t)
	set := r.service("api", "one")
	service := set.Entities[0]
	r.mustSync(desired.Set{Owner: set.Owner, Entities: []kong.Entity{service}})
	r.hold(kong.Entity{Kind: kong.KindPlugin, ID: foreignID, Fields: kong.Fields{"name": "jwt", "service": on(service.ID)}})
	_, err := r.sync(set)
	r.stalls(err, "Conflict", foreignID)
	if len(r.routes()) > 0 {
		t.Error("a route is open")
	}
}

func TestHolderOfAnotherInstallation(t *testing.T) {
	r := newRig(t)
	for scope, text := range map[desired.Scope]string{
		{Installation: "there", Gateway: "default"}: "another installation of this operator (there)",
		{Installation: "here", Gateway: "other"}:    "KongGateway other",
	} {
		owner := desired.Owner{Kind: "JwtConsumer", Namespace: "far", Name: "away"}
		r.hold(kong.Entity{Kind: kong.KindConsumer, ID: foreignID, Fields: kong.Fields{"username": "john", "tags": scope.Tags(owner, "consumer")}})
		_, err := r.sync(r.consumer("john", "john"))
		r.stalls(err, "Conflict", "JwtConsumer far/away", text)
	}
}

func TestOlderGoesFirst(t *testing.T) {
	r := newRig(t)
	set := r.consumer("young", "john")
	older := func(c desired.UniqueKey) (desired.Owner, bool) {
		return desired.Owner{Kind: "JwtConsumer", Namespace: "team", Name: "old"}, c.Value == "john"
	}
	_, err := r.gateway.Sync(t.Context(), set, SyncOptions{Older: older})
	r.stalls(err, "Conflict", "JwtConsumer team/old, which is older")
	r.mustSync(set)
	if _, err = r.gateway.Sync(t.Context(), set, SyncOptions{Older: older}); err != nil {
		t.Errorf("who holds has to win over who is older: %v", err)
	}
}

func TestOneOfManyGetsIt(t *testing.T) {
	r := newRig(t)
	const rivals = 8
	sets := make([]desired.Set, rivals)
	for i := range sets {
		sets[i] = r.service(fmt.Sprintf("api%d", i), "same")
		for _, e := range sets[i].Entities {
			if e.Kind == kong.KindRoute {
				e.Fields["paths"] = []string{"/same"}
			}
		}
		_, err := r.sync(sets[i])
		r.waits(err, "jwt")
	}
	r.clock.Step(propagationDelay)
	var won, lost int
	var mu sync.Mutex
	var group sync.WaitGroup
	for _, set := range sets {
		group.Go(func() {
			_, err := r.gateway.Sync(t.Context(), set, SyncOptions{})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else {
				lost++
			}
		})
	}
	group.Wait()
	if won != 1 || lost != rivals-1 || len(r.routes()) != 1 {
		t.Errorf("%d won, %d lost, routes %v", won, lost, r.routes())
	}
}

func TestLeftoverOfTheOwnerGoesFirst(t *testing.T) {
	r := newRig(t)
	set := r.consumer("john", "john", "k1")
	r.mustSync(desired.Set{Owner: set.Owner, Entities: set.Entities[:1]})
	fields := kong.Fields{"key": "k1", "secret": "x", "algorithm": "HS256", "tags": r.scope.Tags(set.Owner, "credential:former")}
	r.hold(kong.Entity{Kind: kong.KindJWT, ID: foreignID, ConsumerID: set.Entities[0].ID, Fields: fields})
	r.mustSync(set)
	if held, err := r.kong.Get(t.Context(), kong.KindJWT, "k1"); err != nil || held.ID == foreignID {
		t.Errorf("key k1 is held by %s, error %v", held.ID, err)
	}
}

func TestForeignChildrenBlockDeletion(t *testing.T) {
	r := newRig(t)
	set := r.consumer("john", "john", "k1")
	r.mustSync(set)
	consumer := id(set, kong.KindConsumer)
	r.hold(kong.Entity{Kind: kong.KindJWT, ID: foreignID, ConsumerID: consumer, Fields: kong.Fields{"key": "by-hand", "secret": canary}})
	r.stalls(r.gateway.Delete(t.Context(), set.Owner), "Conflict", "jwt credential "+foreignID)
	if r.there(kong.KindJWT, "k1") {
		t.Error("the credential that was deleted still works")
	}
	if !r.there(kong.KindJWT, foreignID) {
		t.Fatal("somebody else's credential is gone")
	}
	r.drop(kong.KindJWT, consumer, foreignID)
	if err := r.gateway.Delete(t.Context(), set.Owner); err != nil {
		t.Fatal(err)
	}
	if r.there(kong.KindConsumer, consumer) {
		t.Error("the consumer is still there")
	}
}

func TestForeignRouteBlocksDeletionOfAService(t *testing.T) {
	r := newRig(t)
	set := r.service("api", "one")
	r.opened(set)
	r.hold(kong.Entity{Kind: kong.KindRoute, ID: foreignID, Fields: kong.Fields{"name": "by-hand", "paths": []string{"/x"}, "service": on(id(set, kong.KindService))}})
	r.waits(r.gateway.Delete(t.Context(), set.Owner), "former routes")
	r.clock.Step(propagationDelay)
	r.stalls(r.gateway.Delete(t.Context(), set.Owner), "Conflict", "route by-hand ("+foreignID+")")
	if !r.there(kong.KindPlugin, id(set, kong.KindPlugin)) {
		t.Error("the other's route is left without the jwt plugin")
	}
}

func TestRetainTakesOurTagsOff(t *testing.T) {
	r := newRig(t)
	set := r.consumer("john", "john", "k1")
	r.mustSync(set)
	if err := r.gateway.Orphan(t.Context(), set.Owner); err != nil {
		t.Fatal(err)
	}
	held, err := r.kong.Get(t.Context(), kong.KindJWT, "k1")
	if err != nil {
		t.Fatal(err)
	}
	if tags := held.Fields.Tags(); len(tags) != 1 || tags[0] != "theirs" {
		t.Errorf("tags %v, want the user's own", tags)
	}
	if r.gateway.Holds(set.Owner) {
		t.Error("the owner still holds something")
	}
	// What was let go and is wanted again has our id: it is ours.
	if writes := r.mustSync(set); writes != 3 {
		t.Errorf("%d writes to take 3 entities up again", writes)
	}
	if left := r.gateway.observed.Owners(); len(left) != 1 {
		t.Errorf("owners %v", left)
	}
}

// Who is refused is tried again after a pause, or when what it waits for is free, and not at once: it would be
// refused again, and so on for ever.
func TestWhoIsRefusedDoesNotWakeItself(t *testing.T) {
	r := newRig(t)
	theirs := r.consumer("theirs", "john", "k1").Entities[0]
	theirs.ID, theirs.Fields["tags"] = uuid.NewString(), []string{"by-hand"}
	r.hold(theirs)
	refused, rival, other := r.consumer("john", "john", "k2"), r.consumer("rival", "john", "k3"), desired.ConsumerOwner("team", "other")
	for _, set := range []desired.Set{refused, rival, refused} {
		_, err := r.sync(set)
		r.stalls(err, v1alpha1.ReasonConflict, "john")
	}
	r.gateway.wake(other, EventFreed)
	for {
		select {
		case e := <-eventsOf(r.registry):
			switch {
			case e.Owner == nil:
			case *e.Owner == other:
				return // events come in order: there was none for those who were refused
			default:
				t.Fatalf("%s is woken by its own refusal, or by that of a rival", e.Owner)
			}
		case <-time.After(patience):
			t.Fatal("the last event did not come")
		}
	}
}

// Of several that are refused the same key, none is woken by another's refusal: they would go round for ever.
func TestThoseThatAreRefusedDoNotWakeEachOther(t *testing.T) {
	r := newRig(t)
	r.mustSync(r.consumer("first", "john", "k1"))
	sets := map[desired.Owner]desired.Set{}
	for _, name := range []string{"second", "third", "fourth"} {
		set := r.consumer(name, "john")
		set.Entities[0].Fields["custom_id"] = "j"
		sets[set.Owner] = set
	}
	woken := 0
	for owner, set := range sets {
		_, err := r.sync(set)
		r.stalls(err, "Conflict", "username john is held by JwtConsumer team/first")
		for more := true; more && woken < 20; {
			select {
			case e := <-eventsOf(r.registry):
				if e.Owner != nil && e.Reason == EventFreed && *e.Owner != owner {
					woken++
					_, _ = r.sync(sets[*e.Owner])
				}
			default:
				more = false
			}
		}
	}
	if woken > 0 {
		t.Errorf("woken %d times, while the holder has it", woken)
	}
	r.mustSync(r.consumer("first", "jane", "k1"))
	for owner := range sets {
		r.expect(EventFreed, &owner)
		break
	}
}

// Of routes that match differently, each is refused for the host that another namespace holds. None may wake another.
func TestThoseThatAreRefusedAHostDoNotWakeEachOther(t *testing.T) {
	r := newRig(t)
	taking := func(namespace, name, path string) desired.Set {
		b := &builder{scope: r.scope, set: desired.Set{Owner: desired.Owner{Kind: "JwtProtectedService", Namespace: namespace, Name: name}}}
		id := b.add(kong.KindService, "", "service", kong.Fields{"name": namespace + "." + name, "protocol": "http", "host": "upstream.example"})
		b.add(kong.KindRoute, "", "route:api", kong.Fields{
			"name": namespace + "." + name, "hosts": []string{"api.example.com"}, "paths": []string{path}, "service": on(id),
		})
		return b.set
	}
	r.opened(taking("holder", "api", "/pay"))
	sets := map[desired.Owner]desired.Set{}
	for _, set := range []desired.Set{
		taking("one", "v1", "/pay/v1"), taking("one", "v2", "/pay/v2"), taking("two", "v3", "/pay/v3"),
	} {
		sets[set.Owner] = set
	}
	woken := 0
	for _, set := range sets {
		_, err := r.sync(set)
		r.stalls(err, "Conflict", "host api.example.com is held by JwtProtectedService holder/api")
		for more := true; more && woken < 20; {
			select {
			case e := <-eventsOf(r.registry):
				if e.Owner != nil && e.Reason == EventFreed {
					woken++
					_, _ = r.sync(sets[*e.Owner])
				}
			default:
				more = false
			}
		}
	}
	if woken > 0 {
		t.Errorf("woken %d times, while the holder has it", woken)
	}
}
