package controllers

import (
	"context"
	"fmt"
	"slices"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
)

// Who may call what is said by services (spec.access) and written by consumers: all ACL rows of a consumer are one set of one owner.

// namedConsumers lists the consumers that a service's access names and that exist.
func (o Options) namedConsumers(ctx context.Context, service *v1alpha1.JwtProtectedService) ([]v1alpha1.JwtConsumer, error) {
	access := service.Spec.Access
	var named []v1alpha1.JwtConsumer
	for _, ref := range access.Consumers {
		namespace := ref.Namespace
		if namespace == "" {
			namespace = service.Namespace
		}
		var consumer v1alpha1.JwtConsumer
		err := o.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: ref.Name}, &consumer)
		if client.IgnoreNotFound(err) != nil {
			return nil, fmt.Errorf("get JwtConsumer %s/%s: %w", namespace, ref.Name, err)
		}
		if err == nil {
			named = append(named, consumer)
		}
	}
	if access.ConsumerSelector == nil {
		return named, nil
	}
	selector, err := desired.AccessSelector(access)
	if err != nil {
		return nil, err
	}
	for _, namespace := range desired.AccessNamespaces(service) {
		var list v1alpha1.JwtConsumerList
		if err := o.Client.List(ctx, &list, client.InNamespace(namespace), client.MatchingLabelsSelector{Selector: selector}); err != nil {
			return nil, fmt.Errorf("list JwtConsumers of namespace %s: %w", namespace, err)
		}
		named = append(named, list.Items...)
	}
	return named, nil
}

// accessGroups lists the reserved groups that a consumer needs: one for each service of its gateway that names it.
func (o Options) accessGroups(ctx context.Context, consumer *v1alpha1.JwtConsumer) ([]string, error) {
	var groups []string
	naming, err := o.servicesOf(ctx, consumer)
	if err != nil {
		return nil, err
	}
	for i := range naming {
		service := &naming[i]
		if service.Spec.GatewayRef.Name != consumer.Spec.GatewayRef.Name || !service.DeletionTimestamp.IsZero() {
			continue
		}
		names, err := desired.NamesConsumer(service, consumer)
		if err != nil {
			continue // the service says so itself
		}
		if names {
			groups = append(groups, desired.AccessGroup(service.Namespace, service.Name))
		}
	}
	slices.Sort(groups)
	return slices.Compact(groups), nil
}

// servicesOf lists the services that may name a consumer: those that do by name, and those that select by labels.
func (o Options) servicesOf(ctx context.Context, consumer client.Object) ([]v1alpha1.JwtProtectedService, error) {
	var byName, bySelector v1alpha1.JwtProtectedServiceList
	key := consumer.GetNamespace() + "/" + consumer.GetName()
	if err := o.Client.List(ctx, &byName, client.MatchingFields{indexConsumer: key}); err != nil {
		return nil, fmt.Errorf("list the services that name JwtConsumer %s: %w", key, err)
	}
	if err := o.Client.List(ctx, &bySelector, client.MatchingFields{indexSelector: selectsConsumers}); err != nil {
		return nil, fmt.Errorf("list the services that select consumers: %w", err)
	}
	return append(byName.Items, bySelector.Items...), nil
}

// expectsRow says whether a consumer's row will come by itself. One that is stalled, suspended or going is not waited for.
func expectsRow(consumer *v1alpha1.JwtConsumer, gateway string) bool {
	return consumer.Spec.GatewayRef.Name == gateway && consumer.DeletionTimestamp.IsZero() && !consumer.Spec.Suspend &&
		!apimeta.IsStatusConditionTrue(consumer.Status.Conditions, v1alpha1.ConditionStalled)
}

// accessChanged says whether a consumer's change may matter to the services that name it.
func accessChanged(before, after *v1alpha1.JwtConsumer) bool {
	return before.Spec.GatewayRef != after.Spec.GatewayRef || before.Spec.Suspend != after.Spec.Suspend ||
		before.DeletionTimestamp.IsZero() != after.DeletionTimestamp.IsZero() ||
		!labels.Equals(before.Labels, after.Labels) ||
		apimeta.IsStatusConditionTrue(before.Status.Conditions, v1alpha1.ConditionStalled) !=
			apimeta.IsStatusConditionTrue(after.Status.Conditions, v1alpha1.ConditionStalled)
}

// servicesNaming enqueues the services that may name a changed consumer.
func (r *JwtProtectedServiceReconciler) servicesNaming() handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, consumer client.Object) []reconcile.Request {
		naming, err := r.servicesOf(ctx, consumer)
		if err != nil {
			return nil
		}
		return requests(&v1alpha1.JwtProtectedServiceList{Items: naming})
	})
}

// serviceAccess is what of a service a consumer depends on.
func serviceAccessChanged(before, after *v1alpha1.JwtProtectedService) bool {
	return before.Generation != after.Generation || before.DeletionTimestamp.IsZero() != after.DeletionTimestamp.IsZero()
}
