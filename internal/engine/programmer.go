package engine

import (
	"context"
	"reflect"
	"time"

	"github.com/go-logr/logr"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

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

	Usable(owner desired.Owner) error
	Sync(ctx context.Context, set desired.Set, options SyncOptions) (Result, error)
	Revoke(ctx context.Context, owner desired.Owner) (Result, error)
	RemoveAccess(ctx context.Context, owner desired.Owner, keeps func(part string) bool) (Result, error)
	RemoveRoutes(ctx context.Context, owner desired.Owner) (Result, error)
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
	Credential(ctx context.Context, id string) (credential kong.Entity, found bool, err error)
	CredentialPart(owner desired.Owner, key string) (part string, found bool)
	CredentialIDs(owner desired.Owner, wanted func(part string) bool) []string
	HasCredentials(set desired.Set) bool
	HasConsumer(ctx context.Context, nameOrID string) (bool, error)
	HoldsKey(ctx context.Context, key string) (bool, error)

	// Leave takes away what the engine has for itself; its gateway is being deleted.
	Leave(ctx context.Context) error
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
func (r *Registry) EnsureOther(name string, settings any, start func(ctx context.Context,
	s Start) Programmer) Programmer {
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
		Scope: r.Scope(name), Now: r.options.Now, Log: r.options.Log.WithValues("gateway",
			name), Notify: r.notify(), Pruned: pruned,
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

// Leave implements Programmer: this engine has nothing for itself.
func (*Engine) Leave(context.Context) error { return nil }
