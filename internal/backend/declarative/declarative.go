// Package declarative is the backend of a Kong without a database: it takes nothing but a whole configuration. Writes
// are staged, and go in with the next push, which every node is given.
package declarative

import (
	"context"
	"iter"

	"github.com/go-logr/logr"

	"github.com/kongjwt/kong-jwt-operator/internal/backend"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// API is what of a node's Admin API is used; *kong.Client has it.
type API interface {
	List(ctx context.Context, kind kong.Kind, options kong.ListOptions) iter.Seq2[kong.Entity, error]
	Status(ctx context.Context) (kong.Status, error)
	PostConfig(ctx context.Context, entities []kong.Entity) error
	CloseIdle()
}

// Listener hears what becomes of writes after they were staged. Its methods may be called at any time, and return
// soon.
type Listener interface {
	// Accepted: Kong runs what these owners wrote.
	Accepted(owners []desired.Owner)
	// Refused: Kong refuses what an owner wrote. It holds these entities of that owner, or is about to.
	Refused(owner desired.Owner, held []kong.Entity, why *status.StalledError)
	// Restored: a node ran an entity as shown, which it was given otherwise, and was given it again. nil: it was
	// not there.
	Restored(shown, given *kong.Entity)
	// Differs: a node runs something else than it was given; Align is to be called.
	Differs()
	// Failed: a push could not be done.
	Failed(err error)
}

// Options are how the backend works.
type Options struct {
	Scope desired.Scope
	// Client is how the nodes are connected to, and Connect connects to one.
	Client  kong.Config
	Connect func(kong.Config) (API, error)
	// SeveralPods says that the address is a Service's: nothing is asked before SetNodes has named the pods behind
	// it. Two requests may reach two of them, which may run two configurations.
	SeveralPods bool
	// Takeover lets a configuration be replaced that is not of this gateway.
	Takeover bool
	// MaxBytes is how long a configuration may be; zero: it is not known.
	MaxBytes int64
	// InScope says whether this process writes an owner's entities; nil: it writes all.
	InScope func(desired.Owner) bool
	Schemas *backend.Schemas
	Log     logr.Logger
}

// Backend writes to the nodes of one gateway.
type Backend struct {
	options  Options
	listener Listener
	staged   *staged
	nodes    *nodes
	// posting is held while a configuration is made and given: no older one may come after a newer.
	posting turn
	// revisions numbers the configurations, and aligned says that it is known what the nodes run.
	revisions revisions
	aligned   bool
}

var _ backend.Backend = (*Backend)(nil)

// New makes the backend of the nodes behind front, the client of the gateway's own address.
func New(front API, listener Listener, o Options) *Backend {
	return &Backend{
		options: o, listener: listener, staged: newStaged(), posting: make(turn, 1),
		nodes: newNodes(front, o.Client, o.SeveralPods, o.Connect),
	}
}

// turn is had by one at a time. Who waits for it stops waiting when its context ends: a push may take as long as Kong
// does.
type turn chan struct{}

func (t turn) take(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t turn) tryTake() bool {
	select {
	case t <- struct{}{}:
		return true
	default:
		return false
	}
}

func (t turn) leave() { <-t }

// Put stages an entity, and gives it as it was sent.
func (b *Backend) Put(_ context.Context, e kong.Entity) (kong.Entity, error) {
	b.staged.put(e)
	return e, nil
}

// Retag stages an entity's tags.
func (b *Backend) Retag(_ context.Context, _ kong.Kind, _, id string, tags []string) (kong.Entity, error) {
	if e, found := b.staged.retag(id, tags); found {
		return e, nil
	}
	return kong.Entity{}, &kong.NotFoundError{}
}

// Delete stages the end of an entity and of what belongs to it.
func (b *Backend) Delete(_ context.Context, _ kong.Kind, _, id string) error {
	b.staged.remove(id)
	return nil
}

// Get gives an entity by its id, as it is staged.
func (b *Backend) Get(_ context.Context, kind kong.Kind, id string) (kong.Entity, error) {
	if e, found := b.staged.get(id); found && e.Kind == kind {
		return e, nil
	}
	return kong.Entity{}, &kong.NotFoundError{}
}

// ConsumerByCustomID finds nobody: in a configuration that is this operator's own, nobody else has a custom ID.
func (b *Backend) ConsumerByCustomID(context.Context, string) (kong.Entity, bool, error) {
	return kong.Entity{}, false, nil
}

// List gives what all nodes run, or are about to: Align asked each of them, and they may not be asked as one.
func (b *Backend) List(_ context.Context, kind kong.Kind, _ kong.ListOptions) iter.Seq2[kong.Entity, error] {
	all := b.staged.all()
	return func(yield func(kong.Entity, error) bool) {
		for _, e := range all {
			if e.Kind == kind && !yield(e, nil) {
				return
			}
		}
	}
}

// Children gives what belongs to an entity, as it is staged.
func (b *Backend) Children(
	_ context.Context, _ kong.Kind, parentID string, child kong.Kind,
) iter.Seq2[kong.Entity, error] {
	children := b.staged.listChildren(parentID)
	return func(yield func(kong.Entity, error) bool) {
		for _, e := range children {
			if e.Kind == child && !yield(e, nil) {
				return
			}
		}
	}
}

// Pending says whether anything of an owner is staged.
func (b *Backend) Pending(owner desired.Owner) bool { return b.staged.pending(owner) }

// PendingEntity says whether an entity is staged: Kong does not run it as it is wanted yet.
func (b *Backend) PendingEntity(id string) bool { return b.staged.pendingEntity(id) }

// SetNodes names the nodes.
func (b *Backend) SetNodes(wanted []backend.Node) (changed bool, err error) {
	return b.nodes.set(wanted)
}

// Healthy asks every node how it is, and tells the listener where one runs something else than it was given.
func (b *Backend) Healthy(ctx context.Context) error {
	if !b.posting.tryTake() {
		return nil // they are being given a configuration, and say by that how they are
	}
	defer b.posting.leave()
	others, err := b.nodes.changed(ctx)
	if err == nil && len(others) > 0 {
		b.listener.Differs()
	}
	return err
}

// Confirmed says whether every node is known to run what it was given.
func (b *Backend) Confirmed(ctx context.Context) bool {
	others, err := b.nodes.changed(ctx)
	return err == nil && len(others) == 0
}
