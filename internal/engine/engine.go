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
//
// The way of a Sync (sync.go): admission lets in one call an owner, and a bounded number that write. locate finds the
// ids that the wanted entities have in Kong (adopt.go). apply takes the difference op by op (apply.go): the gates say
// whether an op may be done at this moment, conflicts.go whether somebody else has what is unique in it, and write.go
// sends it and records the answer before the next op begins. What is refused, or has to wait, holds back what depends
// on it and nothing else.
//
// Nothing is kept on disk. A process that starts lists Kong, tells its entities by tags and computed ids
// (desired.Scope), and counts all delays from that listing. So an operator that is killed after any request leaves
// nothing that the next Sync does not see.
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
	"github.com/kongjwt/kong-jwt-operator/internal/engine/rivals"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// Settings are how an engine connects and how often it looks.
type Settings struct {
	Client kong.Config
	// DriftInterval is the time between two listings of what Kong holds.
	DriftInterval time.Duration
	// ReportDrift leaves what somebody else changed in Kong as it is, and tells of it.
	ReportDrift bool
	// Pods says that the address is a Service's: where Kong has no database, nothing is asked of it before
	// SetNodes has named the pods behind it. Two requests may reach two of them, which may run two configurations.
	Pods bool
	// Takeover lets a Kong without a database be given a configuration though it runs one that is not this
	// gateway's.
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

// Programmer is what controllers use of the engine of a gateway. Engine is the one for a Kong whose Admin API the
// operator writes to; internal/ingress has another, for a Kong that an ingress controller owns. The methods' comments
// are Engine's.
type Programmer interface {
	Scope() desired.Scope
	State() State
	SetNodes(nodes []Node) error
	Filled() bool
	Capabilities() kong.Capabilities
	AwaitUpgrade(owner desired.Owner)

	Usable(owner desired.Owner, urgent bool) error
	Sync(ctx context.Context, set desired.Set, options SyncOptions) (Result, error)
	Revoke(ctx context.Context, owner desired.Owner) (Result, error)
	RemoveAccess(ctx context.Context, owner desired.Owner, keeps func(part string) bool) (Result, error)
	RemoveRoutes(ctx context.Context, owner desired.Owner) (Result, error)
	NarrowAccess(ctx context.Context, access desired.Set) (Result, error)
	Delete(ctx context.Context, owner desired.Owner) error
	Orphan(ctx context.Context, owner desired.Owner) error
	Prune(ctx context.Context, owner desired.Owner) (entities int, err error)
	Orphans(gone func(desired.Owner) (bool, error), maxPercent int) (Orphans, error)
	Relist(owner desired.Owner, text string)

	Holds(owner desired.Owner) bool
	ActualID(given string) string
	Standing(id string) (held bool, remaining time.Duration)
	InKong(id string, before bool) bool
	RevocationRemaining(owner desired.Owner) time.Duration
	Overdue(owner desired.Owner, said bool) (look time.Duration, overdue error)
	Unprotected(owner desired.Owner) error
	Credential(ctx context.Context, id string) (credential kong.Entity, found bool, err error)
	CredentialPart(owner desired.Owner, key string) (part string, found bool)
	PublicKeyHolder(ctx context.Context, key, publicKeyPEM string) (owner desired.Owner, part string, found bool)
	CredentialIDs(owner desired.Owner, wanted func(part string) bool) []string
	HasCredentials(set desired.Set) bool
	HasConsumer(ctx context.Context, nameOrID string) (bool, error)
	HoldsKey(ctx context.Context, key string) (bool, error)

	// Leave takes away what the engine has for itself; its gateway is being deleted.
	Leave(ctx context.Context) error
}

// Engine is the engine of one KongGateway. Its methods may be called from many goroutines.
type Engine struct {
	*rooms
	known
	monitor   *monitor
	admission *admission
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

// rooms are what an engine knows. Each has a lock of its own, and does no I/O under it; foreign and rivals alone let
// others wait while they list. observed tells clocks what has left Kong inside its own lock, and memory reads observed
// before it takes its own. No other room calls another.
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
	rivals      *rivals.Ledger
	memory      *memory
	// doubt has Kong asked whether it is there; the owner is woken when it is back.
	doubt func(owner desired.Owner)
	// relist has Kong listed, which settles what is uncertain.
	relist func()
	// lack records that Kong refused a write for want of a license, and says what the owner does meanwhile.
	lack func(owner desired.Owner, err error) error
}

// It connects to nothing: monitor.run does, in a goroutine of its own.
func newEngine(a about, api AdminAPI, stopped <-chan struct{}) *Engine {
	r := &rooms{
		about: a, clocks: propagation.New(a.options.Now), drifts: drift.NewLedger(), orphans: prune.NewLedger(),
		attachments: newAttachments(), foreign: &foreignRoutes{}, rivals: rivals.NewLedger(), memory: newMemory(),
	}
	r.observed = observed.New(a.scope, r.clocks, a.options.Now)
	r.arbiter = arbiter.New(func(owner desired.Owner) { r.wake(owner, EventFreed) }, a.settings.DriftInterval)
	m := newMonitor(r)
	r.doubt, r.lack, r.relist = m.ask, m.lack, func() { request(m.relist) }
	r.link = newLink(r.about, api, &hearer{rooms: r, monitor: m})
	return &Engine{rooms: r, known: known{r}, monitor: m, admission: newAdmission(a.scope.Gateway, a.settings.Client.Concurrency, stopped)}
}

// sum hashes what of an entity is the operator's to say, as Kong keeps it. Canonical leaves out what Kong fills in by
// its schemas' defaults, so that an entity as it was sent and as it is shown have one hash. Before the schemas of a
// Kong are known, hashes mean less: see monitor.rehash.
func (r *rooms) sum(e kong.Entity) plan.Hash { return r.hasher.Sum(r.link.schemas.Canonical(e)) }

// wake asks an owner to look again.
func (r *rooms) wake(owner desired.Owner, reason string) {
	r.notify(Event{Gateway: r.scope.Gateway, Owner: &owner, Reason: reason})
}

// changed asks the gateway's own resource to look again.
func (r *rooms) changed(reason string) { r.notify(Event{Gateway: r.scope.Gateway, Reason: reason}) }

// follow does what a change of what Kong holds means for others: what is free is given to whoever waits for it. It is
// for writes. What a listing finds goes through release alone, since the drifts are what it tells of.
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
		r.arbiter.Free(freed)
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
	r.rivals.Reset()
	r.memory.reset()
}

// forgetOwner drops what is kept of an owner that has nothing in Kong any more. observed has nothing of it by then.
// clocks keep the departures, since data planes may hold the credentials for some time; Expire drops them.
func (r *rooms) forgetOwner(owner desired.Owner) {
	r.arbiter.Forget(owner)
	r.drifts.Forget(owner)
	r.attachments.detach(owner, nil)
	r.rivals.Forget(owner)
	r.memory.forget(owner)
}

// Scope gives the installation and gateway that ids and tags are made of.
func (e *Engine) Scope() desired.Scope { return e.scope }

// State gives what is known of the gateway.
func (e *Engine) State() State { return e.monitor.State() }

// SetNodes names the nodes of a gateway that has no database. None: the gateway's own address.
func (e *Engine) SetNodes(nodes []Node) error {
	changed, err := e.link.setNodes(nodes)
	if changed {
		request(e.monitor.suspect)
	}
	return err
}

// Capabilities are what Kong takes; before it was asked, all.
func (e *Engine) Capabilities() kong.Capabilities { return e.link.describe().Capabilities }

// AwaitUpgrade wakes an owner when Kong's version or plugins change: it wants what this Kong does not take. It is
// forgotten with the next Sync that goes through.
func (e *Engine) AwaitUpgrade(owner desired.Owner) { e.memory.reject(owner) }

// Credential reads a credential of this operator's in Kong; found is false where Kong holds none of that id. It is a
// request to Kong: the engine keeps no material. What is not this operator's is not read, whoever asks.
func (e *Engine) Credential(ctx context.Context, id string) (credential kong.Entity, found bool, err error) {
	actual := e.observed.Actual(id)
	if !e.knows(actual) {
		return kong.Entity{}, false, nil
	}
	credential, err = e.link.current().Get(ctx, kong.KindJWT, actual)
	if kong.IsNotFound(err) {
		return kong.Entity{}, false, nil
	}
	return credential, err == nil, err
}

// HasConsumer asks Kong whether it has a consumer of a name, or of an id, managed by anybody.
func (e *Engine) HasConsumer(ctx context.Context, nameOrID string) (bool, error) {
	_, err := e.link.current().Get(ctx, kong.KindConsumer, nameOrID)
	if kong.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// HoldsKey says whether Kong has a credential of a key, whoever it belongs to. The error is Kong's, and says that it
// is not known.
func (e *Engine) HoldsKey(ctx context.Context, key string) (bool, error) {
	unique := desired.UniqueKey{Kind: desired.UniqueCredentialKey, Value: key}
	if _, held := e.observed.Holder(unique, ""); held {
		return true, nil
	}
	_, found, err := e.find().lookUp(ctx, unique)
	return found, err
}

// HasCredentials says whether Kong is known to hold every credential of a set just as it is there. What is staged for
// the next configuration of a Kong without a database is not held yet.
func (e *Engine) HasCredentials(set desired.Set) bool {
	ids := e.observed.ActualIDs(set.Entities)
	for _, entity := range set.Entities {
		if entity.Kind != kong.KindJWT {
			continue
		}
		entity = relocate(entity, ids)
		held, found := e.observed.Get(entity.ID)
		if !found || !held.Is(e.sum(entity)) || e.link.current().PendingEntity(entity.ID) {
			return false
		}
	}
	return true
}

// Leave implements Programmer: this engine has nothing for itself.
func (*Engine) Leave(context.Context) error { return nil }
