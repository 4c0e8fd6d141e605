// Package engine keeps Kong Gateways true to what custom resources want of them.
//
// Each KongGateway has an Engine: a goroutine that connects, asks every few seconds whether Kong is still there and
// lists from time to time what it holds. What an engine knows is kept in rooms with locks of their own: observed
// (what Kong holds), arbiter (who may have what is unique), propagation (when a change is everywhere), drift and
// prune (judgements on a listing). Engine.Sync compares what one owner wants with what is observed (package plan,
// which is pure) and sends exactly the writes that differ to a backend, in an order and at a time that leave no route
// reachable without its plugins.
//
// Nothing here knows Kubernetes: what an owner wants comes in as a desired.Set, and what to do next goes out as an
// error of internal/status or as an Event.
package engine

import (
	"context"
	"time"

	"github.com/go-logr/logr"

	"github.com/kongjwt/kong-jwt-operator/internal/backend"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/arbiter"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/drift"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/observed"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/plan"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/propagation"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/prune"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// Settings are how an engine connects and how often it looks.
type Settings struct {
	Client kong.Config
	// DriftInterval is the time between two listings of what Kong holds.
	DriftInterval time.Duration
	// ReportDrift leaves what somebody else changed in Kong as it is, and tells of it.
	ReportDrift bool
	// Pods says that the address is a Service's: where Kong has no database, nothing is asked of it before SetNodes has
	// named the pods behind it. Two requests may reach two of them, which may run two configurations.
	Pods bool
	// Takeover lets a Kong without a database be given a configuration though it runs one that is not this gateway's.
	Takeover bool
	// Adopt takes over what no tags claim, where an owner asks for its name.
	Adopt bool
}

// ClientConfig is the client's, for callers that do not know the client.
type ClientConfig = kong.Config

// ClientSecret is a text that does not print; see ClientConfig.
type ClientSecret = kong.Secret

// Node is one Kong pod; see Engine.SetNodes.
type Node = backend.Node

// Drift is an entity that somebody else changed in Kong.
type Drift = drift.Drift

// What somebody else did to an entity.
const (
	Changed  = observed.Changed
	Deleted  = observed.Deleted
	Appeared = observed.Appeared
)

// Orphans are the owners whose resource is gone while Kong still has entities of theirs.
type Orphans = prune.Orphans

// Counts are how many entities in Kong are this operator's, by kind.
type Counts = observed.Counts

// Engine is the engine of one KongGateway. Its methods may be called from many goroutines.
type Engine struct {
	*rooms
	monitor   *monitor
	admission *admission
	stop      context.CancelFunc
}

// about is what the parts of an engine have in common.
type about struct {
	scope    desired.Scope
	options  Options
	settings Settings
	hasher   plan.Hasher
	log      logr.Logger
	notify   func(Event)
}

// rooms are what an engine knows. Each has a lock of its own, and none calls another.
type rooms struct {
	about
	link        *link
	observed    *observed.Store
	arbiter     *arbiter.Arbiter
	clocks      *propagation.Clocks
	drifts      *drift.Ledger
	orphans     *prune.Ledger
	attachments *attachments
	foreign     *foreignRoutes
	memory      *memory
	// doubt has Kong asked whether it is there; the owner is woken when it is back.
	doubt func(owner desired.Owner)
	// lack records that Kong refused a write for want of a license, and says what the owner does meanwhile.
	lack func(owner desired.Owner, err error) error
}

func newEngine(a about, api AdminAPI, stopped <-chan struct{}) *Engine {
	r := &rooms{
		about: a, clocks: propagation.New(a.options.Now), drifts: drift.NewLedger(), orphans: prune.NewLedger(),
		attachments: newAttachments(), foreign: &foreignRoutes{}, memory: newMemory(),
	}
	r.observed = observed.New(a.scope, r.clocks, a.options.Now)
	r.arbiter = arbiter.New(func(owner desired.Owner) { r.wake(owner, EventFreed) }, a.settings.DriftInterval)
	m := newMonitor(r)
	r.doubt, r.lack = m.ask, m.lack
	r.link = newLink(r.about, api, &hearer{rooms: r, monitor: m})
	return &Engine{rooms: r, monitor: m, admission: newAdmission(a.settings.Client.Concurrency, stopped)}
}

// run connects, and keeps looking until ctx ends.
func (e *Engine) run(ctx context.Context) {
	defer e.link.close()
	e.monitor.run(ctx)
}

// sum hashes what of an entity is the operator's to say, as Kong keeps it.
func (r *rooms) sum(e kong.Entity) plan.Hash { return r.hasher.Sum(r.link.schemas.Canonical(e)) }

// wake asks an owner to look again.
func (r *rooms) wake(owner desired.Owner, reason string) {
	r.notify(Event{Gateway: r.scope.Gateway, Owner: &owner, Reason: reason})
}

// changed asks the gateway's own resource to look again.
func (r *rooms) changed(reason string) { r.notify(Event{Gateway: r.scope.Gateway, Reason: reason}) }

// follow does what a change of what Kong holds means for others: what is free is given to whoever waits for it.
func (r *rooms) follow(changes ...observed.Change) {
	for _, c := range changes {
		for _, e := range []*plan.Entry{c.Before, c.After} {
			if e != nil {
				r.drifts.Written(e.ID)
			}
		}
		r.release(c)
	}
}

// release wakes those who waited for what a change freed.
func (r *rooms) release(c observed.Change) {
	if freed := c.Freed(); len(freed) > 0 {
		r.arbiter.Free(freed, desired.Owner{})
	}
}

// reset drops all that was known: another Kong is there.
func (r *rooms) reset() {
	r.observed.Reset()
	r.clocks.Reset()
	r.drifts.Reset()
	r.orphans.Reset()
	r.attachments.reset()
	r.foreign.forget()
	r.memory.reset()
}

// forgetOwner drops what is kept of an owner that has nothing in Kong any more.
func (r *rooms) forgetOwner(owner desired.Owner) {
	r.arbiter.Forget(owner)
	r.drifts.Forget(owner)
	r.attachments.detach(owner, nil)
	r.memory.forget(owner)
}
