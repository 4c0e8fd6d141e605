package engine

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// rig is an engine on a simulated Kong.
type rig struct {
	*testing.T
	sim      *kongsim.Server
	kong     *kong.Client
	clock    *clocktesting.FakeClock
	logs     *logs
	registry *Registry
	gateway  *Engine
	scope    desired.Scope
}

// heard has, by registry, the events that were heard.
var heard sync.Map

// listening makes a registry whose events are kept for eventsOf.
func listening(options Options) *Registry {
	registry, events := NewRegistry(options), make(chan Event, 100_000)
	registry.Listen(func(e Event) { events <- e })
	heard.Store(registry, events)
	return registry
}

func eventsOf(registry *Registry) <-chan Event {
	events, _ := heard.Load(registry)
	return events.(chan Event)
}

type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) write(prefix, args string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.WriteString(prefix + " " + args + "\n")
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newRig(t *testing.T) *rig { return newRigOn(t, kongsim.Options{}) }

func newRigOn(t *testing.T, options kongsim.Options) *rig {
	t.Helper()
	sim, err := kongsim.Start(options)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{T: t, sim: sim, clock: clocktesting.NewFakeClock(time.Unix(1_700_000_000, 0)), logs: &logs{}}
	if r.kong, err = kong.New(kong.Config{URL: sim.AdminURL()}); err != nil {
		t.Fatal(err)
	}
	r.start(time.Hour)
	t.Cleanup(func() {
		r.registry.Close()
		r.kong.CloseIdle()
		_ = sim.Close()
		if strings.Contains(r.logs.String(), canary) {
			t.Error("a log line has a secret")
		}
	})
	return r
}

// start starts an engine, instead of the former one if there is one: as after a restart of the process.
func (r *rig) start(drift time.Duration) {
	r.Helper()
	if r.registry != nil {
		r.registry.Close()
	}
	r.registry = listening(Options{
		Installation: "here", Now: r.clock.Now, Heartbeat: 20 * time.Millisecond,
		Log: funcr.New(r.logs.write, funcr.Options{Verbosity: 2}),
	})
	var err error
	r.gateway, err = r.registry.Ensure("default", Settings{Client: kong.Config{URL: r.sim.AdminURL()}, DriftInterval: drift})
	if err != nil {
		r.Fatal(err)
	}
	r.scope = r.gateway.Scope()
	r.expect(EventConnected, nil)
}

// expect waits for an event; others are passed over.
func (r *rig) expect(reason string, owner *desired.Owner) {
	r.Helper()
	late := time.After(patience)
	for {
		select {
		case e := <-eventsOf(r.registry):
			if e.Reason == reason && (owner == nil && e.Owner == nil || owner != nil && e.Owner != nil && *owner == *e.Owner) {
				return
			}
		case <-late:
			r.Fatalf("no event %s for %v", reason, owner)
		}
	}
}

func (r *rig) sync(set desired.Set) (Result, error) {
	r.Helper()
	result, err := r.gateway.Sync(r.Context(), set, SyncOptions{})
	if err != nil && strings.Contains(err.Error(), canary) {
		r.Error("an error has a secret")
	}
	return result, err
}

func (r *rig) mustSync(set desired.Set) int {
	r.Helper()
	result, err := r.sync(set)
	if err != nil {
		r.Fatal(err)
	}
	return result.Writes
}

// stalls checks that an error is a StalledError whose message holds the texts.
func (r *rig) stalls(err error, reason string, texts ...string) *status.StalledError {
	r.Helper()
	var stalled *status.StalledError
	if !errors.As(err, &stalled) {
		r.Fatalf("got %v, want a stall", err)
	}
	if stalled.Reason != reason {
		r.Errorf("reason %s, want %s: %v", stalled.Reason, reason, err)
	}
	// That of a gateway is told when it is back.
	if stalled.RetryAfter == 0 && !strings.HasPrefix(err.Error(), "spec.gatewayRef") {
		r.Errorf("%v is never tried again", err)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			r.Errorf("%q does not say %q", err, text)
		}
	}
	return stalled
}

func (r *rig) waits(err error, text string) *status.WaitError {
	r.Helper()
	var wait *status.WaitError
	if !errors.As(err, &wait) {
		r.Fatalf("got %v, want a wait", err)
	}
	if !strings.Contains(err.Error(), text) {
		r.Errorf("%q does not say %q", err, text)
	}
	return wait
}

func (r *rig) there(kind kong.Kind, nameOrID string) bool {
	r.Helper()
	_, err := r.kong.Get(r.Context(), kind, nameOrID)
	if err != nil && !kong.IsNotFound(err) {
		r.Fatal(err)
	}
	return err == nil
}

func (r *rig) hold(e kong.Entity) kong.Entity {
	r.Helper()
	held, err := r.kong.Put(r.Context(), e)
	if err != nil {
		r.Fatal(err)
	}
	return held
}

func (r *rig) drop(kind kong.Kind, consumerID, id string) {
	r.Helper()
	if err := r.kong.Delete(r.Context(), kind, consumerID, id); err != nil {
		r.Fatal(err)
	}
}

// requests counts those that are neither heartbeats nor of the test's own client since the log was reset.
func (r *rig) requests() (list []string) {
	for _, request := range r.sim.Requests() {
		if request.Path != "/status" && request.Path != "/" {
			list = append(list, request.Method+" "+request.Path)
		}
	}
	return list
}

func (r *rig) eventually(what string, check func() bool) {
	r.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !check() {
		select {
		case <-deadline.C:
			r.Fatalf("not in time: %s", what)
		case <-tick.C:
		}
	}
}

// builder makes sets as package desired does.
type builder struct {
	scope desired.Scope
	set   desired.Set
}

func (r *rig) set(kind, name string) *builder {
	return &builder{scope: r.scope, set: desired.Set{Owner: desired.Owner{Kind: kind, Namespace: "team", Name: name}}}
}

func (b *builder) add(kind kong.Kind, consumerID, part string, fields kong.Fields) string {
	id := b.scope.ID(kind, b.set.Owner, part)
	if kind == kong.KindACL {
		id = b.scope.ACLID(consumerID, fields.Text("group"))
	}
	fields["tags"] = b.scope.Tags(b.set.Owner, part, "theirs")
	b.set.Entities = append(b.set.Entities, kong.Entity{Kind: kind, ID: id, ConsumerID: consumerID, Fields: fields})
	return id
}

func on(id string) map[string]any { return map[string]any{"id": id} }

// consumer wants a consumer with credentials of these keys and one group.
func (r *rig) consumer(name, username string, keys ...string) desired.Set {
	b := r.set("JwtConsumer", name)
	id := b.add(kong.KindConsumer, "", "consumer", kong.Fields{"username": username})
	for i, key := range keys {
		b.add(kong.KindJWT, id, "credential:"+string(rune('a'+i)), kong.Fields{"key": key, "algorithm": "HS256", "secret": canary})
	}
	b.add(kong.KindACL, id, "group:admin", kong.Fields{"group": "admin"})
	return b.set
}

// service wants a service with the jwt plugin, and a route for each path.
func (r *rig) service(name string, paths ...string) desired.Set {
	b := r.set("JwtProtectedService", name)
	id := b.add(kong.KindService, "", "service", kong.Fields{"name": "team." + name, "protocol": "http", "host": "upstream.example", "port": 80})
	b.add(kong.KindPlugin, "", "jwt", kong.Fields{"name": "jwt", "enabled": true, "service": on(id), "config": map[string]any{"key_claim_name": "kid"}})
	for _, path := range paths {
		b.add(kong.KindRoute, "", "route:"+path, kong.Fields{"name": "team." + name + "." + path, "paths": []string{"/" + path}, "service": on(id)})
	}
	return b.set
}

func id(set desired.Set, kind kong.Kind) string {
	for _, e := range set.Entities {
		if e.Kind == kind {
			return e.ID
		}
	}
	return ""
}

// opened syncs a service until its routes are open.
func (r *rig) opened(set desired.Set) {
	r.Helper()
	if _, err := r.sync(set); err != nil {
		r.waits(err, "before routes are opened")
		r.clock.Step(r.gateway.State().PropagationDelay)
		r.mustSync(set)
	}
}
