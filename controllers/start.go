package controllers

import (
	"context"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/catchup"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
)

// startSource gives a queue to the controller that is built with it, and holds the controller back until the cache has
// caught up.
type startSource struct {
	*controllerQueue
	caughtUp *catchup.CatchUp
	// before is called before the cache has caught up, after when it has; nil: nothing is.
	before, after func(ctx context.Context)
}

// Start implements source.Source.
func (s startSource) Start(ctx context.Context, queue requestQueue) error {
	s.caughtUp.Begin(ctx)
	s.start(queue)
	return nil
}

// WaitForSync implements source.SyncingSource: no worker of the controller runs before it returns.
func (s startSource) WaitForSync(ctx context.Context) error {
	if s.before != nil {
		s.before(ctx)
	}
	if err := s.caughtUp.Await(ctx); err != nil {
		return err
	}
	if s.after != nil {
		s.after(ctx)
	}
	return nil
}

// lookPatience is how long the users of gateways are held back at a start, at most, by a Kong that does not answer.
const lookPatience = 5 * time.Second

// firstLooks holds the users of gateways back at a start until it is known what the Kongs hold, and they are in the
// queues in their order: a look before would find out nothing, and all of them would be looked at once more.
type firstLooks struct {
	caughtUp *catchup.CatchUp
	engines  *engine.Registry
	router   *eventRouter
	over     chan struct{}
}

// begin connects the gateways as soon as the cache has caught up with their kind, and returns: await goes on.
func (f *firstLooks) begin(ctx context.Context, connectAll func(context.Context)) {
	if f.caughtUp.Await(ctx, v1alpha1.KindKongGateway) == nil {
		connectAll(ctx)
	}
	go f.await(ctx)
}

// await ends when all engines that are connected now have asked their Kongs, or lookPatience is over. ctx may end
// before: that of a source does when its controller has started.
func (f *firstLooks) await(ctx context.Context) {
	defer close(f.over)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookPatience)
	defer cancel()
	for _, gateway := range f.engines.AwaitLooks(ctx) {
		select {
		case <-f.router.turn(gateway):
		case <-ctx.Done():
		}
	}
}

// hold returns when await has ended.
func (f *firstLooks) hold(ctx context.Context) {
	select {
	case <-f.over:
	case <-ctx.Done():
	}
}
