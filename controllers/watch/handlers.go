package watch

import (
	"context"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/index"
	"github.com/kongjwt/kong-jwt-operator/internal/secrets"
)

// Key gives where in an index to look for the resources that an object concerns; namespace is empty for everywhere.
type Key func(object client.Object) (namespace, value string)

// ByName is for resources that name an object of their own namespace.
func ByName(object client.Object) (namespace, value string) {
	return object.GetNamespace(), object.GetName()
}

// ByNamespacedName is for resources of any namespace that name an object of any namespace.
func ByNamespacedName(object client.Object) (namespace, value string) {
	return "", object.GetNamespace() + "/" + object.GetName()
}

// ByClusterName is for resources of any namespace that name an object without one.
func ByClusterName(object client.Object) (namespace, value string) { return "", object.GetName() }

// ByServiceOfSlice is for resources of any namespace that name the Service that an EndpointSlice is of.
func ByServiceOfSlice(slice client.Object) (namespace, value string) {
	return "", slice.GetNamespace() + "/" + slice.GetLabels()[discoveryv1.LabelServiceName]
}

// Naming enqueues the resources of a kind that name the changed object, as an index has it. The reader has to be a
// cache with the indexes of internal/index. A lookup that fails is logged, and wakes nobody.
func Naming(reader client.Reader, kind, indexName string, key Key) handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, object client.Object) []reconcile.Request {
		namespace, value := key(object)
		return index.Find(ctx, reader, kind, indexName, namespace, value)
	})
}

// NamingSecret enqueues the resources of a kind that name the changed Secret, but not the one that wrote it, in this
// process, as it is now. A reconcile that publishes a Secret would else be woken by its own write, and each rotation
// would cost a reconcile more for every Secret. What an earlier process of the operator wrote counts as somebody
// else's.
func NamingSecret(reader client.Reader, store *secrets.Store, kind string) handler.EventHandler {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	enqueue := func(ctx context.Context, secret client.Object, gone bool, q queue) {
		for _, request := range index.Find(ctx, reader, kind, index.Secret, secret.GetNamespace(), secret.GetName()) {
			// It may call the function later: while a write of this process is under way, it is not known
			// yet whose report this is.
			store.Reported(kind, request.Name, secret, gone, func() { q.Add(request) })
		}
	}
	return handler.Funcs{
		CreateFunc:  func(ctx context.Context, e event.CreateEvent, q queue) { enqueue(ctx, e.Object, false, q) },
		UpdateFunc:  func(ctx context.Context, e event.UpdateEvent, q queue) { enqueue(ctx, e.ObjectNew, false, q) },
		DeleteFunc:  func(ctx context.Context, e event.DeleteEvent, q queue) { enqueue(ctx, e.Object, true, q) },
		GenericFunc: func(ctx context.Context, e event.GenericEvent, q queue) { enqueue(ctx, e.Object, false, q) },
	}
}

// AllIn enqueues all resources of a kind in the namespace that changed. Labels of a namespace decide which gateways
// take its resources (spec.allowedNamespaces). UnsafeDisableDeepCopy gives the cache's own objects: only their names
// are read.
func AllIn(reader client.Reader, kind string) handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, namespace client.Object) []reconcile.Request {
		of, known := v1alpha1.KindNamed(kind)
		if !known {
			return nil
		}
		list := of.NewList()
		if err := reader.List(ctx, list, client.InNamespace(namespace.GetName()), client.UnsafeDisableDeepCopy); err != nil {
			log.FromContext(ctx).Error(err, "Cannot list the resources of a namespace", "namespace", namespace.GetName())
			return nil
		}
		return index.Requests(list)
	})
}
