package index

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// Find lists the resources of a kind that have a value in an index; namespace is empty where they may be anywhere. An
// error is logged: a watch has nobody to give it to.
func Find(ctx context.Context, reader client.Reader, kind, name, namespace, value string) []reconcile.Request {
	var found []reconcile.Request
	err := ForEach(ctx, reader, kind, name, namespace, value, func(resource v1alpha1.Resource) {
		found = append(found, requestFor(resource))
	})
	if err != nil {
		log.FromContext(ctx).Error(err, "Cannot look up which resources a change concerns", "kind", kind, "index", name)
		return nil
	}
	return found
}

// ForEach gives the resources of a kind that have a value in an index. They are the cache's own, and must not be
// changed.
func ForEach(
	ctx context.Context, reader client.Reader, kind, name, namespace, value string, give func(v1alpha1.Resource),
) error {
	of, known := v1alpha1.KindNamed(kind)
	if !known {
		return nil
	}
	list, in := of.NewList(), named(kind, name)
	if err := reader.List(ctx, list,
		client.InNamespace(namespace), client.MatchingFields{name: in.storedAs(value)}, client.UnsafeDisableDeepCopy); err != nil {
		return err
	}
	for resource := range list.Resources() {
		if !in.bucketed || in.has(resource, value) {
			give(resource)
		}
	}
	return nil
}

// Any says whether a resource of a kind has a value in an index whose values do not share sets.
func Any(ctx context.Context, reader client.Reader, kind, name, value string) (bool, error) {
	of, known := v1alpha1.KindNamed(kind)
	if !known {
		return false, nil
	}
	list, in := of.NewList(), named(kind, name)
	err := reader.List(ctx, list, client.MatchingFields{name: in.storedAs(value)}, client.Limit(1), client.UnsafeDisableDeepCopy)
	for range list.Resources() {
		return true, err
	}
	return false, err
}

// Requests has every resource of a list reconciled.
func Requests(list v1alpha1.ResourceList) []reconcile.Request {
	var found []reconcile.Request
	for resource := range list.Resources() {
		found = append(found, requestFor(resource))
	}
	return found
}

func requestFor(resource v1alpha1.Resource) reconcile.Request {
	return reconcile.Request{NamespacedName: client.ObjectKeyFromObject(resource)}
}
