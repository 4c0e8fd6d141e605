package resolve

import (
	"context"
	"fmt"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/index"
)

// spec.access of a service says which consumers may call; the consumers write it: all ACL rows of a consumer are one set of
// one owner.

// NamedConsumers lists the consumers that a service's access names and that exist.
func (in Inputs) NamedConsumers(ctx context.Context, service *v1alpha1.JwtProtectedService) ([]v1alpha1.JwtConsumer, error) {
	access := service.Spec.Access
	var named []v1alpha1.JwtConsumer
	for _, ref := range access.Consumers {
		namespace := ref.Namespace
		if namespace == "" {
			namespace = service.Namespace
		}
		var consumer v1alpha1.JwtConsumer
		err := in.Reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: ref.Name}, &consumer)
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
		if err := in.Reader.List(ctx, &list, client.InNamespace(namespace), client.MatchingLabelsSelector{Selector: selector}); err != nil {
			return nil, fmt.Errorf("list JwtConsumers of namespace %s: %w", namespace, err)
		}
		named = append(named, list.Items...)
	}
	return named, nil
}

// ServicesNaming lists the services that may name a consumer: those that do by name, and those that select by labels.
func (in Inputs) ServicesNaming(ctx context.Context, consumer client.Object) ([]v1alpha1.JwtProtectedService, error) {
	var byName, bySelector v1alpha1.JwtProtectedServiceList
	key := consumer.GetNamespace() + "/" + consumer.GetName()
	if err := in.Reader.List(ctx, &byName, client.MatchingFields{index.Consumer: key}); err != nil {
		return nil, fmt.Errorf("list the services that name JwtConsumer %s: %w", key, err)
	}
	if err := in.Reader.List(ctx, &bySelector, client.MatchingFields{index.Selector: index.SelectsConsumers}); err != nil {
		return nil, fmt.Errorf("list the services that select consumers: %w", err)
	}
	return append(byName.Items, bySelector.Items...), nil
}

// AccessGroups lists the reserved groups that a consumer needs: one for each service of its gateway that names it.
func (in Inputs) AccessGroups(ctx context.Context, consumer *v1alpha1.JwtConsumer) ([]string, error) {
	services, err := in.ServicesNaming(ctx, consumer)
	if err != nil {
		return nil, err
	}
	return AccessGroups(consumer, services), nil
}

// AccessGroups lists the reserved groups that services of a consumer's gateway give it.
func AccessGroups(consumer *v1alpha1.JwtConsumer, services []v1alpha1.JwtProtectedService) []string {
	var groups []string
	for i := range services {
		service := &services[i]
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
	return slices.Compact(groups)
}

// GroupsStillRequired lists those of a consumer's groups in Kong that no service gives it any more, but that a service's acl
// plugin there still asks for: the plugin changes first. inUse says whether a plugin asks for a group.
func (in Inputs) GroupsStillRequired(ctx context.Context, groups []string, inUse func(group string) bool) ([]string, error) {
	var required []string
	for _, group := range groups {
		namespace, name, ok := desired.ParseAccessGroup(group)
		if !ok || !inUse(group) {
			continue
		}
		var service v1alpha1.JwtProtectedService
		err := in.Reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &service)
		if client.IgnoreNotFound(err) != nil {
			return nil, fmt.Errorf("get JwtProtectedService %s/%s: %w", namespace, name, err)
		}
		if err == nil && !desired.NamesConsumers(service.Spec.Access) {
			required = append(required, group)
		}
	}
	return required, nil
}
