package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// State is what is known of a gateway.
type State struct {
	// Ready says that the Admin API answers and that the mirror is filled.
	Ready bool
	// Reason and Message say why it is not ready.
	Reason, Message string
	KongVersion     string
	// Database is "postgres", or "off".
	Database string
	// PropagationDelay is how long a change may take to reach every worker of every node.
	PropagationDelay time.Duration
	Counts           Counts
	// Told are the counts that the last event told of. They change once a heartbeat, not with every write.
	Told Counts
}

// Engine is the engine of one KongGateway. Its methods may be called from many goroutines.
type Engine struct {
	options  Options
	scope    desired.Scope
	settings Settings
	api      AdminAPI
	declared *declared
	fleet    *fleet
	hasher   hasher
	queue    *queue
	log      logr.Logger
	stop     context.CancelFunc
	// stopped is closed when the engine is stopped.
	stopped <-chan struct{}
	// suspect asks for a heartbeat at once.
	suspect chan struct{}
	// again asks for a listing at once.
	again chan struct{}
	// slots bounds how many owners are synced at once.
	slots   chan struct{}
	schemas schemas
	foreign foreignRoutes

	mu        sync.Mutex
	state     State
	connected bool
	mirror    *mirror
	// writes counts our writes; entries carry its value.
	writes uint64
	// reserved are claims on their way into Kong, by whom.
	reserved map[lookupKey]map[string]reservation
	// waiting are the owners to wake when something becomes free, or there.
	waiting map[waitKey]map[desired.Owner]bool
	// absent are the owners to wake when the gateway is back.
	absent map[desired.Owner]bool
	// routeGone is when a service was last known to lose a route.
	routeGone map[string]time.Time
	// credentialGone is when an owner was last known to lose a credential.
	credentialGone map[desired.Owner]time.Time
	// filled is when the mirror was first filled.
	filled time.Time
	// entered are the owners that are being synced.
	entered map[desired.Owner]bool
	// flying counts requests under way, by the id of the entity that they write.
	flying map[string]int
	// patience is since when the acl plugin of an owner waits for rows.
	patience map[desired.Owner]time.Time
	// rejected are the owners of what Kong refused: another version may take it.
	rejected map[desired.Owner]bool
	// plugins are those that Kong can run.
	plugins map[string]bool
	// attempts count conflicts in a row, by owner.
	attempts map[desired.Owner]int
	// deleted are entities that we deleted, by when: a listing that began before still has them.
	deleted map[string]uint64
	// attached are the services and routes of somebody else's that plugins of ours are on.
	attached map[desired.Target]*attachment
	// requested are the checks that were asked for last, by whom.
	requested map[desired.Owner]string
	// told are the counts that the last event told of.
	told Counts
	// listings counts how often Kong was listed, judged at which of them all owners were last looked for; missing remembers at which a resource was first gone.
	listings uint64
	judged   uint64
	missing  missing
	// drifts are the entities that somebody else changed, by id, until they are as they were or are written.
	drifts map[string]*drift
	// restored are, by owner, the entities that somebody else changed in a Kong without a database, and that are as they were again.
	restored map[desired.Owner][]Drift
	// attempted is what an owner wanted last, refusals what a push said of it: without a database only.
	attempted map[desired.Owner]hash
	refusals  map[desired.Owner]refusal
}

func newEngine(o Options, scope desired.Scope, s Settings, api AdminAPI, h hasher, q *queue) *Engine {
	concurrency := s.Client.Concurrency
	if concurrency <= 0 {
		concurrency = 50
	}
	staging := newDeclared(api)
	return &Engine{
		options: o, scope: scope, settings: s, api: staging, declared: staging, fleet: newFleet(o.Connect, s, api), hasher: h, queue: q,
		log:            o.Log.WithValues("gateway", scope.Gateway),
		suspect:        make(chan struct{}, 1),
		again:          make(chan struct{}, 1),
		slots:          make(chan struct{}, concurrency),
		schemas:        schemas{api: api, known: map[string]kong.Schema{}},
		state:          State{Reason: v1alpha1.ReasonProgressing, Message: "connecting to " + s.Client.URL},
		mirror:         newMirror(scope),
		reserved:       map[lookupKey]map[string]reservation{},
		waiting:        map[waitKey]map[desired.Owner]bool{},
		absent:         map[desired.Owner]bool{},
		routeGone:      map[string]time.Time{},
		entered:        map[desired.Owner]bool{},
		flying:         map[string]int{},
		patience:       map[desired.Owner]time.Time{},
		rejected:       map[desired.Owner]bool{},
		attempts:       map[desired.Owner]int{},
		deleted:        map[string]uint64{},
		attempted:      map[desired.Owner]hash{},
		refusals:       map[desired.Owner]refusal{},
		credentialGone: map[desired.Owner]time.Time{},
		attached:       map[desired.Target]*attachment{},
		missing:        missing{},
		requested:      map[desired.Owner]string{},
		drifts:         map[string]*drift{},
		restored:       map[desired.Owner][]Drift{},
	}
}

// Scope gives the installation and gateway that ids and tags are made of.
func (g *Engine) Scope() desired.Scope { return g.scope }

// State gives what is known of the gateway.
func (g *Engine) State() State {
	g.mu.Lock()
	defer g.mu.Unlock()
	state := g.state
	state.Counts, state.Told = g.mirror.counts(), g.told
	return state
}

// Holds says whether an owner has anything in Kong.
func (g *Engine) Holds(owner desired.Owner) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.mirror.byOwner[owner]) > 0
}

// Groups lists the acl groups that a consumer of ours has in Kong.
func (g *Engine) Groups(consumerID string) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	consumer := g.mirror.entries[g.mirror.actual(consumerID)]
	if consumer == nil {
		return nil
	}
	var groups []string
	for _, e := range g.mirror.of(consumer.owner) {
		if e.kind == kong.KindACL {
			groups = append(groups, e.groups...)
		}
	}
	return groups
}

// ActualID gives the id that something has in Kong: where it was adopted, another than the operator gives.
func (g *Engine) ActualID(given string) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.mirror.actual(given)
}

// GroupMembers lists the owners of the consumers that have a group.
func (g *Engine) GroupMembers(group string) []desired.Owner {
	g.mu.Lock()
	defer g.mu.Unlock()
	var owners []desired.Owner
	for _, e := range g.mirror.byGroup[group] {
		owners = append(owners, e.owner)
	}
	return owners
}

// GroupInUse says whether an acl plugin of ours allows a group.
func (g *Engine) GroupInUse(group string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.mirror.allowing[group]) > 0
}

// HasRow says whether a consumer of ours is known to have a group.
func (g *Engine) HasRow(row desired.ACLRow) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	held := g.mirror.entries[g.mirror.actual(g.scope.ACLID(row.ConsumerID, row.Group))]
	return held != nil && !held.unknown
}

// Owners lists everyone of whom something is in Kong.
func (g *Engine) Owners() []desired.Owner {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Collect(maps.Keys(g.mirror.byOwner))
}

// Plugins tells which plugins Kong can run. Before it was asked, it is taken to run all.
func (g *Engine) Plugins() (available func(name string) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	plugins := g.plugins
	return func(name string) bool { return plugins == nil || plugins[name] }
}

// run connects and keeps looking until ctx ends.
func (g *Engine) run(ctx context.Context) {
	defer g.fleet.close()
	go g.pushing(ctx)
	heartbeat := time.NewTicker(g.options.Heartbeat)
	defer heartbeat.Stop()
	drift := time.NewTicker(max(g.settings.DriftInterval, time.Second))
	defer drift.Stop()
	g.look(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-heartbeat.C:
			g.look(ctx)
		case <-g.suspect:
			g.look(ctx)
		case <-g.again:
			g.check(ctx)
		case <-drift.C:
			if g.ready() {
				g.check(ctx)
			}
		}
		g.tellCounts()
	}
}

// look asks whether the Admin API is there. One that comes, or comes back, is listed before anything is written to it.
func (g *Engine) look(ctx context.Context) {
	if !g.ready() {
		g.check(ctx)
		return
	}
	var reason, message string
	for range heartbeatTries {
		if reason, message = g.heartbeat(ctx); reason == "" {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(heartbeatPause):
		}
	}
	g.lose(reason, message)
}

// A gateway is away when it fails a few heartbeats in a row: one lost answer is no reason to stop.
const (
	heartbeatTries = 3
	heartbeatPause = 300 * time.Millisecond
	// heartbeatTimeout is how long a heartbeat waits for its answer: one that hangs is as good as none.
	heartbeatTimeout = 3 * time.Second
)

// check reads the node and lists what it holds.
func (g *Engine) check(ctx context.Context) {
	node, err := g.api.Node(ctx)
	switch {
	case err != nil:
	case node.Database == "off":
		err = g.refreshDeclared(ctx, node)
	default:
		err = g.refresh(ctx, node)
	}
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		g.failed(ctx, err)
		return
	}
	g.listed()
	g.gain()
}

// failed decides what a failed look means. A gateway that is ready stays so as long as it answers: the listing is tried again.
func (g *Engine) failed(ctx context.Context, err error) {
	var strangers *strangersError
	if errors.As(err, &strangers) {
		g.lose(v1alpha1.ReasonConflict, strangers.Error())
		return
	}
	if errors.Is(err, errPodsUnnamed) {
		g.lose(v1alpha1.ReasonProgressing, err.Error())
		return
	}
	reason, message := g.unready(err)
	if ambiguous(err) {
		// The status knows better: that it is the database, say, whose lack every other request answers with 500.
		why, detail := g.heartbeat(ctx)
		if why == "" && g.ready() {
			g.log.Info("Kong could not be listed; it is tried again", "error", err.Error())
			return
		}
		if why != "" {
			reason, message = why, detail
		}
	}
	g.lose(reason, message)
}

func (g *Engine) heartbeat(ctx context.Context) (reason, message string) {
	ctx, cancel := context.WithTimeout(ctx, heartbeatTimeout)
	defer cancel()
	if g.declared.active.Load() {
		return g.heartbeatNodes(ctx)
	}
	status, err := g.api.Status(ctx)
	if isUnauthorized(err) {
		// A token for one workspace may not read the status; the node's root is open to it.
		_, err = g.api.Node(ctx)
		status.DatabaseReachable = true
	}
	if err != nil {
		return g.unready(err)
	}
	if !status.DatabaseReachable {
		return v1alpha1.ReasonKongUnreachable, fmt.Sprintf("Kong at %s cannot reach its database; nothing is written until it can", g.settings.Client.URL)
	}
	return "", ""
}

func (g *Engine) ready() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.state.Ready
}

// lose notes that the gateway is away.
func (g *Engine) lose(reason, message string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.state.Ready && g.state.Reason == reason && g.state.Message == message {
		return
	}
	if g.state.Reason == v1alpha1.ReasonProgressing {
		// Those that wait were told nothing so far.
		for owner := range g.absent {
			g.wake(owner, EventRecovered)
		}
	}
	g.state.Ready, g.state.Reason, g.state.Message = false, reason, message
	g.log.Info("Gateway cannot be used", "reason", reason, "message", message)
	g.queue.add(Event{Gateway: g.scope.Gateway, Reason: EventChanged})
}

// gain notes that the gateway is there, and wakes those that waited for it.
func (g *Engine) gain() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state.Ready {
		return
	}
	g.state.Ready, g.state.Reason, g.state.Message = true, v1alpha1.ReasonSucceeded, ""
	if g.filled.IsZero() {
		g.filled = g.options.Now()
	}
	reason := EventChanged
	if !g.connected {
		g.connected, reason = true, EventConnected
	}
	g.log.Info("Gateway is ready", "kongVersion", g.state.KongVersion, "propagationDelay", g.state.PropagationDelay.String())
	g.told = g.mirror.counts()
	g.queue.add(Event{Gateway: g.scope.Gateway, Reason: reason})
	if reason != EventConnected { // which wakes everybody
		for owner := range g.absent {
			g.wake(owner, EventRecovered)
		}
	}
	clear(g.absent)
	g.declared.nudge()
}

// tellCounts says that the counts changed, at most once a heartbeat.
func (g *Engine) tellCounts() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if counts := g.mirror.counts(); g.state.Ready && counts != g.told {
		g.told = counts
		g.queue.add(Event{Gateway: g.scope.Gateway, Reason: EventChanged})
	}
}

// wake asks an owner to look again. The caller holds the lock.
func (g *Engine) wake(owner desired.Owner, reason string) {
	g.queue.add(Event{Gateway: g.scope.Gateway, Owner: &owner, Reason: reason})
}
