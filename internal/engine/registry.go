package engine

import (
	"context"
	"crypto/rand"
	"maps"
	"reflect"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/kongjwt/kong-jwt-operator/internal/backend"
	"github.com/kongjwt/kong-jwt-operator/internal/backend/database"
	"github.com/kongjwt/kong-jwt-operator/internal/backend/declarative"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/plan"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// AdminAPI is what backends use of Kong's Admin API; *kong.Client has it.
type AdminAPI interface {
	database.API
	declarative.API
	backend.SchemaReader
	Capabilities(ctx context.Context, node kong.Node) (kong.Capabilities, error)
}

// Options are what all engines of a process share.
type Options struct {
	// Installation id, part of every id and tag.
	Installation string
	Log          logr.Logger
	// Now is the clock; time.Now by default.
	Now func() time.Time
	// Heartbeat is the time between two looks whether Kong is there; 5 s by default.
	Heartbeat time.Duration
	// Margin is added to the propagation delay that Kong's settings amount to; 1 s by default.
	Margin time.Duration
	// Connect makes the client; kong.New by default.
	Connect func(kong.Config) (AdminAPI, error)
	// InScope says whether this process is the one that writes an owner's entities: what another writes is no
	// drift. nil: it writes all.
	InScope func(desired.Owner) bool
	// Observe is told of every request to an Admin API, for metrics.
	Observe func(gateway string, o kong.Observation)
	// Drifted is told of every entity that somebody else changed, for metrics.
	Drifted func(gateway string, kind kong.Kind)
	// Pruned is told of every entity that was deleted because its resource is gone, for metrics.
	Pruned func(gateway string, kind kong.Kind)
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Heartbeat == 0 {
		o.Heartbeat = 5 * time.Second
	}
	if o.Margin == 0 {
		o.Margin = time.Second
	}
	if o.Connect == nil {
		o.Connect = func(config kong.Config) (AdminAPI, error) { return kong.New(config) }
	}
	return o
}

// Reasons of events.
const (
	// EventConnected: the engine knows for the first time what Kong holds. Every resource of the gateway should
	// look.
	EventConnected = "Connected"
	// EventChanged: the gateway's state, or its counts, changed.
	EventChanged = "Changed"
	// EventRecovered: the gateway is back, and the owner had waited for it.
	EventRecovered = "Recovered"
	// EventDrift: what the owner has in Kong was changed by somebody else.
	EventDrift = "Drift"
	// EventFreed: what the owner waited for is free, or there.
	EventFreed = "Freed"
)

// Event says that somebody should look again.
type Event struct {
	Gateway string
	// Owner to look again; nil: the gateway itself.
	Owner  *desired.Owner
	Reason string
}

// Registry holds the engines of all KongGateways of a process. controllers/gateway starts and stops engines by it, and
// the other controllers find them by the gateway's name.
type Registry struct {
	options Options
	hasher  plan.Hasher
	stop    context.CancelFunc
	ctx     context.Context //nolint:containedctx // The engines live as long as the registry, not as long as a call.
	mu      sync.Mutex
	engines map[string]registered
	listen  func(Event)
}

// NewRegistry makes an empty registry. Close stops what it starts. The key of the hashes is random and lives as long
// as the process: a hash that leaked would tell nothing of a secret.
func NewRegistry(options Options) *Registry {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails, see its documentation
	ctx, stop := context.WithCancel(context.Background())
	return &Registry{
		options: options.withDefaults(), hasher: plan.NewHasher(key), ctx: ctx, stop: stop, engines: map[string]registered{},
	}
}

// Close stops all engines.
func (r *Registry) Close() { r.stop() }

// Listen names who is told of events. It may be called from many goroutines at once, and may not block. It is set
// before the first Ensure; there is one at most.
func (r *Registry) Listen(to func(Event)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listen = to
}

// Ensure gives the running engine of a gateway. It is started anew where the settings changed. The error says which
// setting cannot be. A Sync that is under way in a former engine is not cut off, since a request whose answer is lost
// is worse than a late one. The next of its owner is sent away by admission.open, and finds the new engine.
func (r *Registry) Ensure(name string, s Settings) (*Engine, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if running, found := r.engines[name]; found {
		if engine, same := running.Programmer.(*Engine); same && reflect.DeepEqual(running.settings, s) {
			return engine, nil
		}
		running.stop()
		delete(r.engines, name)
	}
	config := s.Client
	if r.options.Observe != nil {
		config.Observer = func(o kong.Observation) { r.options.Observe(name, o) }
	}
	api, err := r.options.Connect(config)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(r.ctx)
	e := newEngine(about{
		scope: r.Scope(name), options: r.options, settings: s, hasher: r.hasher,
		log: r.options.Log.WithValues("gateway", name), notify: r.notify(),
	}, api, ctx.Done())
	r.engines[name] = registered{e, s, stop}
	go e.monitor.run(ctx)
	return e, nil
}

// Start is what an engine of another package is started with.
type Start struct {
	Scope  desired.Scope
	Now    func() time.Time
	Log    logr.Logger
	Notify func(Event)
	// Pruned is as Options has it.
	Pruned func(kind kong.Kind)
}

// EnsureOther gives the running engine of a gateway, where it is another than Engine. It is started anew where the
// settings changed; it runs until ctx ends.
func (r *Registry) EnsureOther(name string, settings any, start func(context.Context, Start) Programmer) Programmer {
	r.mu.Lock()
	defer r.mu.Unlock()
	if running, found := r.engines[name]; found {
		if reflect.DeepEqual(running.settings, settings) {
			return running.Programmer
		}
		running.stop()
	}
	ctx, stop := context.WithCancel(r.ctx)
	pruned := func(kind kong.Kind) {
		if r.options.Pruned != nil {
			r.options.Pruned(name, kind)
		}
	}
	one := start(ctx, Start{
		Scope: r.Scope(name), Now: r.options.Now, Log: r.options.Log.WithValues("gateway", name),
		Notify: r.notify(), Pruned: pruned,
	})
	r.engines[name] = registered{one, settings, stop}
	return one
}

// registered is a running engine.
type registered struct {
	Programmer
	settings any
	stop     context.CancelFunc
}

// notify tells whoever listens.
func (r *Registry) notify() func(Event) {
	if r.listen == nil {
		return func(Event) {}
	}
	return r.listen
}

// Get gives the engine of a gateway, if it runs.
func (r *Registry) Get(name string) (Programmer, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, found := r.engines[name]
	return e.Programmer, found
}

// AwaitLooks waits until each engine that Ensure has started has asked its Kong for the first time, whatever came of
// it, or until ctx ends. It gives the names of those that are ready.
func (r *Registry) AwaitLooks(ctx context.Context) (ready []string) {
	r.mu.Lock()
	engines := maps.Clone(r.engines)
	r.mu.Unlock()
	for name, running := range engines {
		engine, is := running.Programmer.(*Engine)
		if !is {
			continue
		}
		select {
		case <-engine.monitor.looked:
		case <-ctx.Done():
		}
		if engine.monitor.isReady() {
			ready = append(ready, name)
		}
	}
	return ready
}

// Scope gives what ids and tags of a gateway are made of, whether or not its engine runs.
func (r *Registry) Scope(name string) desired.Scope {
	return desired.Scope{Installation: r.options.Installation, Gateway: name}
}

// Remove stops the engine of a gateway. What is in Kong stays.
func (r *Registry) Remove(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e, found := r.engines[name]; found {
		e.stop()
		delete(r.engines, name)
	}
}
