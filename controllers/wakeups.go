package controllers

import (
	"context"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
)

// wakeup is a resource that should look again.
type wakeup struct {
	key client.ObjectKey
	// resync says that it is one of many for which nothing was changed in Kubernetes: those that were changed go first.
	resync bool
}

type wakeupEvent = event.TypedGenericEvent[wakeup]

// wakeupSource leads what the engines notice in Kong to the controllers' queues.
type wakeupSource struct {
	options  Options
	gateways chan wakeupEvent
	// owners by kind
	owners map[string]chan wakeupEvent
}

func newWakeupSource(o Options) *wakeupSource {
	return &wakeupSource{
		options:  o,
		gateways: make(chan wakeupEvent),
		owners: map[string]chan wakeupEvent{
			v1alpha1.KindJwtConsumer:         make(chan wakeupEvent),
			v1alpha1.KindJwtProtectedService: make(chan wakeupEvent),
		},
	}
}

// Start passes events on until the manager stops.
func (w *wakeupSource) Start(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-w.options.Gateways.Events():
			w.pass(ctx, e)
		}
	}
}

func (w *wakeupSource) pass(ctx context.Context, e engine.Event) {
	if e.Owner != nil {
		key := client.ObjectKey{Namespace: e.Owner.Namespace, Name: e.Owner.Name}
		resync := e.Reason == engine.EventRecovered || e.Reason == engine.EventDrift
		if e.Owner.Kind == v1alpha1.KindKongGateway {
			send(ctx, w.gateways, wakeup{key: client.ObjectKey{Name: e.Owner.Name}})
		} else if channel, known := w.owners[e.Owner.Kind]; known {
			send(ctx, channel, wakeup{key, resync})
		}
		return
	}
	send(ctx, w.gateways, wakeup{key: client.ObjectKey{Name: e.Gateway}})
	if e.Reason == engine.EventConnected {
		w.wakeUsers(ctx, e.Gateway)
	}
}

// wakeUsers enqueues everything on a gateway whose engine has just come up: nothing else tells those that waited for it.
func (w *wakeupSource) wakeUsers(ctx context.Context, name string) {
	for kind, list := range map[string]client.ObjectList{
		v1alpha1.KindJwtConsumer:         consumers(),
		v1alpha1.KindJwtProtectedService: services(),
	} {
		for _, request := range find(ctx, w.options.Client, list, indexGateway, "", name) {
			send(ctx, w.owners[kind], wakeup{request.NamespacedName, true})
		}
	}
}

func send(ctx context.Context, channel chan<- wakeupEvent, who wakeup) {
	select {
	case <-ctx.Done():
	case channel <- wakeupEvent{Object: who}:
	}
}

// enqueue puts what is woken into a queue; what is only looked at again comes after what was changed.
func enqueue(_ context.Context, e wakeupEvent, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	request := reconcile.Request{NamespacedName: e.Object.key}
	byPriority, ok := queue.(priorityqueue.PriorityQueue[reconcile.Request])
	if !ok || !e.Object.resync {
		queue.Add(request)
		return
	}
	low := handler.LowPriority
	byPriority.AddWithOpts(priorityqueue.AddOpts{Priority: &low}, request)
}

func wakeupsOf(channel chan wakeupEvent) source.Source {
	return source.TypedChannel(channel, handler.TypedFuncs[wakeup, reconcile.Request]{GenericFunc: enqueue})
}

func (w *wakeupSource) forGateways() source.Source { return wakeupsOf(w.gateways) }

func (w *wakeupSource) forOwners(kind string) source.Source { return wakeupsOf(w.owners[kind]) }
