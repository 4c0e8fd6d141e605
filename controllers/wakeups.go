package controllers

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/source"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/gateway"
)

// wakeupSource leads what the engines notice in Kong to the controllers' queues.
type wakeupSource struct {
	options  Options
	gateways chan event.GenericEvent
	// owners by kind
	owners map[string]chan event.GenericEvent
}

func newWakeupSource(o Options) *wakeupSource {
	return &wakeupSource{
		options:  o,
		gateways: make(chan event.GenericEvent),
		owners: map[string]chan event.GenericEvent{
			v1alpha1.KindJwtConsumer:         make(chan event.GenericEvent),
			v1alpha1.KindJwtProtectedService: make(chan event.GenericEvent),
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
			if err := w.pass(ctx, e); err != nil {
				return err
			}
		}
	}
}

func (w *wakeupSource) pass(ctx context.Context, e gateway.Event) error {
	if e.Owner != nil {
		if channel, known := w.owners[e.Owner.Kind]; known {
			send(ctx, channel, named(e.Owner.Kind, e.Owner.Namespace, e.Owner.Name))
		}
		return nil
	}
	send(ctx, w.gateways, named(v1alpha1.KindKongGateway, "", e.Gateway))
	if e.Reason != gateway.EventConnected {
		return nil
	}
	return w.wakeUsers(ctx, e.Gateway)
}

// wakeUsers enqueues everything on a gateway whose engine has just come up: nothing else tells those that waited for it.
func (w *wakeupSource) wakeUsers(ctx context.Context, name string) error {
	for kind, list := range map[string]client.ObjectList{
		v1alpha1.KindJwtConsumer:         consumers(),
		v1alpha1.KindJwtProtectedService: services(),
	} {
		for _, request := range find(ctx, w.options.Client, list, indexGateway, "", name) {
			send(ctx, w.owners[kind], named(kind, request.Namespace, request.Name))
		}
	}
	return nil
}

func send(ctx context.Context, channel chan<- event.GenericEvent, object client.Object) {
	select {
	case <-ctx.Done():
	case channel <- event.GenericEvent{Object: object}:
	}
}

func named(kind, namespace, name string) client.Object {
	meta := metav1.ObjectMeta{Namespace: namespace, Name: name}
	switch kind {
	case v1alpha1.KindJwtConsumer:
		return &v1alpha1.JwtConsumer{ObjectMeta: meta}
	case v1alpha1.KindJwtProtectedService:
		return &v1alpha1.JwtProtectedService{ObjectMeta: meta}
	default:
		return &v1alpha1.KongGateway{ObjectMeta: meta}
	}
}

func (w *wakeupSource) forGateways() source.Source {
	return source.Channel(w.gateways, &handler.EnqueueRequestForObject{})
}

func (w *wakeupSource) forOwners(kind string) source.Source {
	return source.Channel(w.owners[kind], &handler.EnqueueRequestForObject{})
}
