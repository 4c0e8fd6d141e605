package engine

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/plan"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// canary is in every secret of these tests, and in no log line and no error.
const canary = "canary-0d5f-canary-0d5f-canary-0d5f"

const patience = 10 * time.Second

func TestSecondSyncSendsNothing(t *testing.T) {
	r := newRig(t)
	consumer, service := r.consumer("john", "john", "k1", "k2"), r.service("api", "one", "two")
	if writes := r.mustSync(consumer); writes != 4 {
		t.Errorf("%d writes for 4 entities", writes)
	}
	r.opened(service)

	for _, when := range []string{"in the same process", "after a restart"} {
		r.sim.ResetRequests()
		if writes := r.mustSync(consumer) + r.mustSync(service); writes != 0 {
			t.Errorf("%d writes %s", writes, when)
		}
		if list := r.requests(); len(list) > 0 {
			t.Errorf("requests %s: %v", when, list)
		}
		r.start(time.Hour)
	}
}

func TestChangeSendsWhatDiffers(t *testing.T) {
	r := newRig(t)
	r.mustSync(r.consumer("john", "john", "k1", "k2"))
	r.sim.ResetRequests()
	if writes := r.mustSync(r.consumer("john", "john", "k1", "k3")); writes != 1 {
		t.Errorf("%d writes for one changed key: %v", writes, r.requests())
	}
	if writes := r.mustSync(r.consumer("john", "john", "k1")); writes != 1 {
		t.Errorf("%d writes for one credential less", writes)
	}
	if r.there(kong.KindJWT, "k3") {
		t.Error("the credential is still there")
	}
}

func TestKeysChangePlaces(t *testing.T) {
	r := newRig(t)
	r.mustSync(r.consumer("john", "john", "k1", "k2"))
	swapped := r.consumer("john", "john", "k2", "k1")
	r.mustSync(swapped)
	held, err := r.kong.Get(t.Context(), kong.KindJWT, "k2")
	if err != nil {
		t.Fatal(err)
	}
	if held.ID != id(swapped, kong.KindJWT) {
		t.Error("key k2 is not the first credential's")
	}
}

func TestKeptEntitiesStay(t *testing.T) {
	r := newRig(t)
	full := r.consumer("john", "john", "k1")
	r.mustSync(full)
	rest := r.consumer("john", "john")
	rest.Keep = []string{id(full, kong.KindJWT)}
	if writes := r.mustSync(rest); writes != 0 || !r.there(kong.KindJWT, "k1") {
		t.Errorf("%d writes; the kept credential has to stay", writes)
	}
}

func TestRegistry(t *testing.T) {
	r := newRig(t)
	settings := Settings{Client: kong.Config{URL: r.sim.AdminURL()}, DriftInterval: time.Hour}
	if same, err := r.registry.Ensure("default", settings); err != nil || same != r.gateway {
		t.Errorf("the same settings gave another engine, error %v", err)
	}
	settings.Client.AuthToken = canary
	other, err := r.registry.Ensure("default", settings)
	if err != nil || other == r.gateway {
		t.Fatalf("another token gave the same engine, error %v", err)
	}
	r.expect(EventConnected, nil)
	_, err = r.gateway.Sync(t.Context(), r.consumer("john", "john"), SyncOptions{})
	r.waits(err, "looking again")
	if r.there(kong.KindConsumer, "john") {
		t.Error("the former engine wrote")
	}
	r.registry.Remove("default")
	if _, found := r.registry.Get("default"); found {
		t.Error("the engine is still there")
	}
}

// A gateway has one engine. What another kind of engine is started with says which gateway it is of.
func TestAnotherKindOfEngine(t *testing.T) {
	r := newRig(t)
	type other struct{ Programmer }
	pruned := map[string]int{}
	r.registry.options.Pruned = func(gateway string, kind kong.Kind) { pruned[gateway+" "+kind.Singular()]++ }
	var started []context.Context
	var with Start
	start := func(ctx context.Context, s Start) Programmer {
		started, with = append(started, ctx), s
		return &other{}
	}
	first := r.registry.EnsureOther("default", "a", start)
	if running, _ := r.registry.Get("default"); running != first {
		t.Error("it is not found")
	}
	_, err := r.gateway.Sync(t.Context(), r.consumer("john", "john"), SyncOptions{})
	r.waits(err, "looking again")
	if same := r.registry.EnsureOther("default", "a", start); same != first || len(started) != 1 {
		t.Error("the same settings start another")
	}
	if second := r.registry.EnsureOther("default", "b", start); second == first || len(started) != 2 || started[0].Err() == nil {
		t.Error("other settings leave the former running")
	}
	with.Pruned(kong.KindConsumer)
	with.Notify(Event{Gateway: "default", Reason: "Told"})
	r.expect("Told", nil)
	if with.Scope != r.scope || pruned["default consumer"] != 1 || started[1].Err() != nil {
		t.Errorf("scope %v, pruned %v, %v", with.Scope, pruned, started[1].Err())
	}
	r.registry.options.Pruned = nil
	with.Pruned(kong.KindConsumer) // nobody counts

	// The first kind has its turn again, though its settings are as they were.
	r.gateway, err = r.registry.Ensure("default", r.gateway.settings)
	if err != nil || started[1].Err() == nil {
		t.Fatalf("the other is left running, %v", err)
	}
	r.expect(EventConnected, nil)
	r.mustSync(r.consumer("john", "john"))
	r.registry.EnsureOther("default", "b", start)
	r.registry.Remove("default")
	if started[2].Err() == nil {
		t.Error("it is removed, and left running")
	}
	r.registry.Remove("default") // there is none
}

// What stands for a content in the memory of one process says nothing to another: it has secrets in it.
func TestHashesAreOfOneProcess(t *testing.T) {
	sum := func() plan.Hash {
		registry := NewRegistry(Options{})
		defer registry.Close()
		return registry.hasher.Sum([]byte(canary))
	}
	one, other := sum(), sum()
	if one == other {
		t.Error("two processes hash alike")
	}
}

// An engine whose settings cannot be is none, and the former one is not kept: it would write by settings of before.
func TestSettingsThatCannotBe(t *testing.T) {
	r := newRig(t)
	settings := r.gateway.settings
	settings.Client.URL = "::"
	if _, err := r.registry.Ensure("default", settings); err == nil {
		t.Fatal("it runs")
	}
	if _, found := r.registry.Get("default"); found {
		t.Error("the former one is found")
	}
}

// What nobody sets has a default, and nobody has to listen. A registry that is closed asks Kong for nothing more.
func TestARegistryWithoutOptions(t *testing.T) {
	r := newRig(t)
	r.registry.Close()
	registry := NewRegistry(Options{Installation: "here"})
	gateway, err := registry.Ensure("default", Settings{Client: kong.Config{URL: r.sim.AdminURL()}})
	if err != nil {
		t.Fatal(err)
	}
	r.eventually("it is ready", func() bool { return gateway.State().Ready })
	if delay := gateway.State().PropagationDelay; delay != propagationDelay {
		t.Errorf("the propagation delay is %s", delay)
	}
	registry.Close()
	_, err = gateway.Sync(t.Context(), r.consumer("john", "john"), SyncOptions{})
	r.waits(err, "looking again")
}

// Requests are told of, with the gateway that they are for.
func TestRequestsAreObserved(t *testing.T) {
	r := newRig(t)
	r.registry.Close()
	var observed atomic.Int64
	r.registry = listening(Options{Installation: "here", Observe: func(gateway string, _ kong.Observation) {
		if gateway == "default" {
			observed.Add(1)
		}
	}})
	if _, err := r.registry.Ensure("default", Settings{Client: kong.Config{URL: r.sim.AdminURL()}}); err != nil {
		t.Fatal(err)
	}
	r.expect(EventConnected, nil)
	if observed.Load() == 0 {
		t.Error("no request was told of")
	}
}

func TestCancelledSyncIsInDoubt(t *testing.T) {
	r := newRig(t)
	set := r.consumer("john", "john", "k1")
	r.sim.Faults.Set(1, kongsim.Fault{Methods: []string{http.MethodPut}, Hang: true, Count: 1})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := r.gateway.Sync(ctx, set, SyncOptions{})
		done <- err
	}()
	r.eventually("the request is processed", func() bool { return r.there(kong.KindConsumer, "john") })
	cancel()
	if err := <-done; err == nil {
		t.Error("a canceled Sync succeeded")
	}
	r.mustSync(set)
	if writes := r.mustSync(set); writes != 0 {
		t.Errorf("%d writes once all is known", writes)
	}
}

// The other owners of a Kong that answers slowly come again and again, and what they would read is read for nothing.
// An owner of which Kong holds all is in nobody's way.
func TestWhereAllSlotsAreTaken(t *testing.T) {
	r := newRig(t)
	settled := r.consumer("jane", "jane", "k2")
	r.mustSync(settled)
	var first *visit
	for i := range cap(r.gateway.admission.slots) {
		v, err := r.gateway.admission.enter(t.Context(), desired.ConsumerOwner("team", fmt.Sprint(i)))
		if err == nil {
			err = v.takeSlot(false)
		}
		if err != nil {
			t.Fatalf("slot %d is not free: %v", i, err)
		}
		if first == nil {
			first = v
		}
	}
	john := r.consumer("john", "john", "k1")
	sentAway := func(err error) {
		t.Helper()
		var wait *status.WaitError
		if !errors.As(err, &wait) || !wait.Quiet || wait.After <= 0 {
			t.Errorf("got %v", err)
		}
	}
	sentAway(r.gateway.Usable(john.Owner, false))
	_, err := r.sync(john)
	sentAway(err)
	if r.there(kong.KindConsumer, "john") {
		t.Error("john is written without a slot")
	}
	if writes := r.mustSync(settled); writes != 0 {
		t.Errorf("%d writes of what is there", writes)
	}
	if err := r.gateway.Usable(john.Owner, true); err != nil {
		t.Errorf("access that may have to be taken away waits: %v", err)
	}
	if err := r.gateway.Delete(t.Context(), settled.Owner); err != nil || r.there(kong.KindConsumer, "jane") {
		t.Errorf("access is not taken away: %v", err)
	}
	first.leave()
	if err := r.gateway.Usable(john.Owner, false); err != nil {
		t.Error(err)
	}
	r.mustSync(john)
}
