// Package ingress is the engine of a gateway whose Kong belongs to an ingress controller: it writes Kubernetes objects
// (internal/objects), which the controller makes Kong's configuration of. Controllers use it as they use the engine of
// an Admin API, see engine.Programmer.
package ingress

import (
	"context"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/arbiter"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/prune"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/barrier"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/held"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/holders"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/refusals"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/targets"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
)

// Settings of an engine.
type Settings struct {
	// Class is the ingress class that the controller takes.
	Class string
	// Namespace is the operator's own.
	Namespace string
	// DriftInterval is the time between two looks at all objects.
	DriftInterval time.Duration
	// Key of the sums of contents; it is the installation's own.
	Key string
}

// Pace are the times of an engine; a test hurries them.
type Pace struct {
	barrier.Pace
	// Look is the time between two looks at the barrier.
	Look time.Duration
}

// RealPace fits a controller that looks every three seconds.
func RealPace() Pace {
	return Pace{Look: 500 * time.Millisecond, Pace: barrier.Pace{
		Settle: 400 * time.Millisecond, Blame: 8 * time.Second, Late: 40 * time.Second,
	}}
}

// Engine is the engine of one KongGateway. Its methods may be called from many goroutines.
type Engine struct{ *rooms }

var _ engine.Programmer = (*Engine)(nil)

// about is what the parts of an engine have in common.
type about struct {
	start    engine.Start
	settings Settings
	objects  objects.Settings
	cluster  cluster
}

// rooms are what an engine knows. Each has a lock of its own, and none calls another, but that held objects ask the
// barrier for epochs and claims look into what is held.
type rooms struct {
	about
	link     *link
	held     *held.Store
	barrier  *barrier.Barrier
	arbiter  *arbiter.Arbiter
	others   *holders.Others
	refusals *refusals.Ledger
	orphans  *prune.Ledger
	targets  *targets.Ledger
}

// Run starts an engine, which runs until ctx ends.
// ask asks the gateway's data planes; nil asks none.
func Run(
	ctx context.Context, kube client.WithWatch, settings Settings, pace Pace, ask AskNodes, s engine.Start,
) *Engine {
	a := about{start: s, settings: settings, cluster: cluster{kube}, objects: objects.Settings{
		Scope: s.Scope, Class: settings.Class, Namespace: settings.Namespace, Key: []byte(settings.Key),
	}}
	r := &rooms{
		about: a, link: newLink(ctx.Done()), held: held.New(), orphans: prune.NewLedger(), targets: targets.New(),
		refusals: refusals.New(settings.DriftInterval, s.Now),
	}
	r.barrier = barrier.New(&barrierObject{about: a, held: r.held, ask: ask, unswept: true}, pace.Pace, s.Now)
	r.others = holders.NewOthers(func(ctx context.Context) (map[desired.UniqueKey]holders.Holder, error) {
		return r.cluster.holders(ctx, r.objects)
	}, s.Now)
	r.arbiter = arbiter.New(func(owner desired.Owner) { r.wake(owner, engine.EventFreed) }, settings.DriftInterval)
	r.link.set(engine.State{Reason: v1alpha1.ReasonProgressing, Message: "looking for the objects of this gateway"})
	go (&monitor{rooms: r, pace: pace}).run(ctx)
	return &Engine{r}
}

func (r *rooms) wake(owner desired.Owner, reason string) {
	r.start.Notify(engine.Event{Gateway: r.start.Scope.Gateway, Owner: &owner, Reason: reason})
}

// drop forgets an object that was deleted, and wakes those that wait for its keys.
func (r *rooms) drop(o held.Object) {
	r.held.Drop(o, r.barrier.Wrote())
	r.arbiter.Free(o.Unique)
}
