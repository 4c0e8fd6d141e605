package dataplane

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/jwtplugin"
	"github.com/kongjwt/kong-jwt-operator/internal/router"
)

// Source is the database as the data plane reads it. Its methods are called
// from the goroutines of requests and of writes.
type Source interface {
	// routing and plugins capture what the database holds now; the functions
	// that they give turn it into views, much later and maybe never. Capturing
	// must be cheap: it happens at every write.
	Routing() func() Routing
	Plugins() func() []*PluginView
	// credential finds a credential by key.
	Credential(key string) (jwtplugin.Credential, bool)
	// consumer finds a consumer by id, or else by username.
	Consumer(ref string) (jwtplugin.Consumer, bool)
	// groups are a consumer's acl groups, in the order of their rows' ids.
	Groups(consumerID string) []string
}

// Routing is what a router is made of.
type Routing struct {
	Routes   []*router.Route
	Services map[string]*router.Service
}

// Change says what a write means to the data plane.
type Change struct {
	Routing     bool
	Plugins     bool
	Everything  bool     // a DB-less configuration was swapped
	Credentials []string // keys, old and new
	Consumers   []string // ids and usernames, old and new
	Groups      []string // ids of consumers whose groups changed
	// What went along with a deleted consumer.
	CascadeCredentials []string
	CascadeGroups      []string
}

// worker is one nginx worker: its own router, its own plugins, its own caches,
// each up to date at its own time.
type worker struct {
	source Source
	// swap makes one change of router and plugins appear as one to a request.
	swap        sync.RWMutex
	router      delayed[func() *router.Router]
	plugins     delayed[func() *pluginSet]
	credentials cache[jwtplugin.Credential]
	consumers   cache[jwtplugin.Consumer]
	groups      cache[[]string]
}

// workers are a node's workers; they share nothing but the database.
type workers struct {
	source Source
	delays Propagation
	all    []*worker

	mu     sync.Mutex // one change at a time; guards random too
	random *rand.Rand
}

// newWorkers starts n workers that know what the database holds now.
func newWorkers(src Source, n int, delays Propagation, seed uint64, now time.Time) *workers {
	ws := &workers{
		source: src,
		delays: delays,
		random: rand.New(rand.NewPCG(seed, seed)), //nolint:gosec // a simulation is to be repeatable
	}
	for range n {
		ws.all = append(ws.all, &worker{source: src})
	}
	routers, plugins := compileRouting(src.Routing()), compilePlugins(src.Plugins())
	for _, w := range ws.all {
		w.change(routers, plugins, now, now, now)
	}
	return ws
}

// compileRouting and compilePlugins put the work off until a worker needs the
// result, and do it once for all workers.
func compileRouting(captured func() Routing) func() *router.Router {
	return sync.OnceValue(func() *router.Router {
		r := captured()
		return router.New(r.Routes, r.Services)
	})
}

func compilePlugins(captured func() []*PluginView) func() *pluginSet {
	return sync.OnceValue(func() *pluginSet { return newPluginSet(captured()) })
}

// pick gives a worker at random, as the kernel does with a new connection.
func (ws *workers) pick() *worker {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.all[ws.random.IntN(len(ws.all))]
}

// apply announces a change to every worker. Call it after the database holds it.
func (ws *workers) apply(c Change, now time.Time) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	var (
		routers func() *router.Router
		plugins func() *pluginSet
	)
	if c.Routing || c.Everything {
		routers = compileRouting(ws.source.Routing())
	}
	if c.Plugins || c.Everything {
		plugins = compilePlugins(ws.source.Plugins())
	}
	for _, w := range ws.all {
		routerDue := ws.draw(now, ws.delays.RouterMin, ws.delays.RouterMax)
		pluginsDue := ws.draw(now, ws.delays.PluginsMin, ws.delays.PluginsMax)
		if c.Everything {
			pluginsDue = routerDue // without a database all is swapped at once
			w.credentials.invalidateAll(routerDue)
			w.consumers.invalidateAll(routerDue)
			w.groups.invalidateAll(routerDue)
		}
		w.change(routers, plugins, now, routerDue, pluginsDue)
		ws.invalidate(w, c, now)
	}
}

// change gives the worker a new router, new plugins, or both.
func (w *worker) change(routers func() *router.Router, plugins func() *pluginSet, now, routerDue, pluginsDue time.Time) {
	w.swap.Lock()
	defer w.swap.Unlock()
	if routers != nil {
		w.router.change(routers, now, routerDue)
	}
	if plugins != nil {
		w.plugins.change(plugins, now, pluginsDue)
	}
}

// invalidate announces changes to a worker's caches.
func (ws *workers) invalidate(w *worker, c Change, now time.Time) {
	d := ws.delays
	last := now
	for _, name := range c.Consumers {
		due := ws.draw(now, d.CredentialMin, d.CredentialMax)
		w.consumers.invalidate(name, due)
		if due.After(last) {
			last = due
		}
	}
	for _, key := range c.Credentials {
		w.credentials.invalidate(key, ws.draw(now, d.CredentialMin, d.CredentialMax))
	}
	for _, id := range c.Groups {
		w.groups.invalidate(id, ws.draw(now, d.ACLMin, d.ACLMax))
	}
	for _, key := range c.CascadeCredentials {
		w.credentials.invalidate(key, ws.draw(last, d.CascadeMin, d.CascadeMax))
	}
	for _, id := range c.CascadeGroups {
		w.groups.invalidate(id, ws.draw(last, d.CascadeMin, d.CascadeMax))
	}
}

// draw gives a moment between from+low and from+high.
func (ws *workers) draw(from time.Time, low, high time.Duration) time.Time {
	delay := low
	if high > low {
		delay += time.Duration(ws.random.Int64N(int64(high - low)))
	}
	return from.Add(delay)
}

// view is what a worker knows at a moment; it implements jwtplugin.Directory.
type view struct {
	worker  *worker
	now     time.Time
	router  func() *router.Router
	plugins func() *pluginSet
}

var _ jwtplugin.Directory = view{}

// at is the worker's view for one request.
func (w *worker) at(now time.Time) view {
	w.swap.RLock()
	defer w.swap.RUnlock()
	return view{worker: w, now: now, router: w.router.at(now), plugins: w.plugins.at(now)}
}

// Credential implements jwtplugin.Directory.
func (v view) Credential(key string) (jwtplugin.Credential, bool) {
	return v.worker.credentials.get(key, v.now, v.worker.source.Credential)
}

// Consumer implements jwtplugin.Directory.
func (v view) Consumer(ref string) (jwtplugin.Consumer, bool) {
	return v.worker.consumers.get(ref, v.now, v.worker.source.Consumer)
}

// groups are a consumer's acl groups.
func (v view) groups(consumerID string) []string {
	groups, _ := v.worker.groups.get(consumerID, v.now, func(id string) ([]string, bool) {
		return v.worker.source.Groups(id), true
	})
	return groups
}
