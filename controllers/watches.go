package controllers

import (
	"context"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/secrets"
)

// specOrAnnotations passes changes that a person made: to the spec, to annotations, to labels (selectors look at them), and deletion.
// Our own writes of status and finalizers are not among them, but for one: what was Ready and is not. A former leader may have written that, or this process
// long ago, by a request whose answer was lost; nobody would look again.
func specOrAnnotations() builder.Predicates {
	return builder.WithPredicates(predicate.Or[client.Object](
		predicate.GenerationChangedPredicate{},
		predicate.AnnotationChangedPredicate{},
		predicate.LabelChangedPredicate{},
		predicate.Funcs{
			UpdateFunc: func(e event.UpdateEvent) bool { return isReady(e.ObjectOld) && !isReady(e.ObjectNew) },
			CreateFunc: never[event.CreateEvent], DeleteFunc: never[event.DeleteEvent], GenericFunc: never[event.GenericEvent],
		},
	))
}

func never[E any](E) bool { return false }

func isReady(object client.Object) bool {
	switch typed := object.(type) {
	case *v1alpha1.KongGateway:
		return apimeta.IsStatusConditionTrue(typed.Status.Conditions, v1alpha1.ConditionReady)
	case *v1alpha1.JwtConsumer:
		return apimeta.IsStatusConditionTrue(typed.Status.Conditions, v1alpha1.ConditionReady)
	case *v1alpha1.JwtProtectedService:
		return apimeta.IsStatusConditionTrue(typed.Status.Conditions, v1alpha1.ConditionReady)
	case *v1alpha1.JwtToken:
		return apimeta.IsStatusConditionTrue(typed.Status.Conditions, v1alpha1.ConditionReady)
	}
	return false
}

// specChanged passes changes of a spec that others depend on, and deletion. An annotation is between a resource and its own controller: to ask a gateway
// for a drift check is not to ask all that use it.
func specChanged() builder.Predicates {
	return builder.WithPredicates(predicate.And[client.Object](afterStart(), predicate.GenerationChangedPredicate{}))
}

// contentChanged passes any change of an object's content; of a Secret or Service every write counts.
func contentChanged() builder.Predicates {
	return builder.WithPredicates(predicate.And[client.Object](afterStart(), predicate.ResourceVersionChangedPredicate{}))
}

// labelsChanged passes changes of labels, as a selector of namespaces sees them.
func labelsChanged() builder.Predicates {
	return builder.WithPredicates(predicate.And[client.Object](afterStart(), predicate.LabelChangedPredicate{}))
}

// afterStart leaves out what there is when the operator starts: all resources are looked at then, so what they name need not ask for that too.
func afterStart() predicate.Predicate {
	return predicate.Funcs{CreateFunc: func(e event.CreateEvent) bool { return !e.IsInInitialList }}
}

// onlyWhen passes updates that changed says matter, and all creations and deletions.
func onlyWhen[T client.Object](changed func(before, after T) bool) builder.Predicates {
	return builder.WithPredicates(predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.(T)
		after, fine := e.ObjectNew.(T)
		return ok && fine && changed(before, after)
	}})
}

// lookup enqueues the resources of a kind that an index finds by a key of the changed object.
func lookup(reader client.Reader, list func() client.ObjectList, index string, keyOf func(client.Object) (namespace, key string)) handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, object client.Object) []reconcile.Request {
		namespace, key := keyOf(object)
		return find(ctx, reader, list(), index, namespace, key)
	})
}

// bySecret enqueues the resources of a kind that name the changed Secret, but not the one that wrote it, in this process, as it is now.
func bySecret(reader client.Reader, store *secrets.Store, kind string, list func() client.ObjectList) handler.EventHandler {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	tell := func(ctx context.Context, secret client.Object, gone bool, q queue) {
		for _, request := range find(ctx, reader, list(), indexSecret, secret.GetNamespace(), secret.GetName()) {
			store.Reported(kind, request.Name, secret, gone, func() { q.Add(request) })
		}
	}
	return handler.Funcs{
		CreateFunc:  func(ctx context.Context, e event.CreateEvent, q queue) { tell(ctx, e.Object, false, q) },
		UpdateFunc:  func(ctx context.Context, e event.UpdateEvent, q queue) { tell(ctx, e.ObjectNew, false, q) },
		DeleteFunc:  func(ctx context.Context, e event.DeleteEvent, q queue) { tell(ctx, e.Object, true, q) },
		GenericFunc: func(ctx context.Context, e event.GenericEvent, q queue) { tell(ctx, e.Object, false, q) },
	}
}

// find lists what an index finds; namespace is empty where the resources may be anywhere. It looks at the cache's own objects, and copies none.
func find(ctx context.Context, reader client.Reader, into client.ObjectList, name, namespace, key string) []reconcile.Request {
	in := indexOf(into, name)
	if err := reader.List(ctx, into, client.InNamespace(namespace), client.MatchingFields{name: in.storedAs(key)}, client.UnsafeDisableDeepCopy); err != nil {
		log.FromContext(ctx).Error(err, "Cannot look up what a change concerns", "index", name)
		return nil
	}
	if !in.shared {
		return requests(into)
	}
	return requestsOf(into, func(object client.Object) bool { return in.has(object, key) })
}

func requests(list client.ObjectList) []reconcile.Request {
	return requestsOf(list, func(client.Object) bool { return true })
}

// requestsOf are those of a list's objects that keep picks.
func requestsOf(list client.ObjectList, keep func(client.Object) bool) []reconcile.Request {
	var found []reconcile.Request
	add := func(object client.Object) {
		if keep(object) {
			found = append(found, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(object)})
		}
	}
	switch typed := list.(type) {
	case *v1alpha1.KongGatewayList:
		for i := range typed.Items {
			add(&typed.Items[i])
		}
	case *v1alpha1.JwtConsumerList:
		for i := range typed.Items {
			add(&typed.Items[i])
		}
	case *v1alpha1.JwtProtectedServiceList:
		for i := range typed.Items {
			add(&typed.Items[i])
		}
	case *v1alpha1.JwtTokenList:
		for i := range typed.Items {
			add(&typed.Items[i])
		}
	}
	return found
}

func gateways() client.ObjectList  { return &v1alpha1.KongGatewayList{} }
func consumers() client.ObjectList { return &v1alpha1.JwtConsumerList{} }
func services() client.ObjectList  { return &v1alpha1.JwtProtectedServiceList{} }
func tokens() client.ObjectList    { return &v1alpha1.JwtTokenList{} }

// Keys for lookup.
func bySameNamespaceName(object client.Object) (namespace, key string) {
	return object.GetNamespace(), object.GetName()
}

func byNamespacedName(object client.Object) (namespace, key string) {
	return "", object.GetNamespace() + "/" + object.GetName()
}

func byClusterName(object client.Object) (namespace, key string) { return "", object.GetName() }

// everythingIn enqueues all resources of a kind in the namespace that changed.
func everythingIn(reader client.Reader, list func() client.ObjectList) handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, namespace client.Object) []reconcile.Request {
		into := list()
		if err := reader.List(ctx, into, client.InNamespace(namespace.GetName())); err != nil {
			log.FromContext(ctx).Error(err, "Cannot list what a namespace holds", "namespace", namespace.GetName())
			return nil
		}
		return requests(into)
	})
}
