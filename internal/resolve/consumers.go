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
	selected, err := in.SelectedConsumers(ctx, service)
	return append(named, selected...), err
}

// SelectedConsumers lists the consumers that the selector of a service matches, on its gateway.
func (in Inputs) SelectedConsumers(ctx context.Context, service *v1alpha1.JwtProtectedService) ([]v1alpha1.JwtConsumer, error) {
	if service.Spec.Access == nil || service.Spec.Access.ConsumerSelector == nil {
		return nil, nil
	}
	selector, err := desired.AccessSelector(service.Spec.Access)
	if err != nil {
		return nil, err
	}
	var selected []v1alpha1.JwtConsumer
	for _, namespace := range desired.AccessNamespaces(service) {
		var list v1alpha1.JwtConsumerList
		if err := in.Reader.List(ctx, &list, client.InNamespace(namespace), client.MatchingLabelsSelector{Selector: selector}); err != nil {
			return nil, fmt.Errorf("list JwtConsumers of namespace %s: %w", namespace, err)
		}
		selected = append(selected, slices.DeleteFunc(list.Items, func(c v1alpha1.JwtConsumer) bool {
			return c.GatewayName() != service.GatewayName()
		})...)
	}
	return selected, nil
}

// ServicesSelecting lists the services whose selector looks into a consumer's namespace.
func (in Inputs) ServicesSelecting(ctx context.Context, consumer client.Object) ([]v1alpha1.JwtProtectedService, error) {
	var selecting v1alpha1.JwtProtectedServiceList
	if err := in.Reader.List(ctx, &selecting, client.MatchingFields{index.Selector: index.SelectsConsumers}); err != nil {
		return nil, fmt.Errorf("list the services that select consumers: %w", err)
	}
	return slices.DeleteFunc(selecting.Items, func(s v1alpha1.JwtProtectedService) bool {
		return !slices.Contains(desired.AccessNamespaces(&s), consumer.GetNamespace())
	}), nil
}
