package resolve

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/index"
)

// Following lists the consumers of a service's gateway that follow an issuer, where the service takes tokens whatever
// they were issued for. They are the cache's own, and must not be changed.
func (in Inputs) Following(
	ctx context.Context, service *v1alpha1.JwtProtectedService,
) (following []*v1alpha1.JwtConsumer, err error) {
	if !desired.TakesAnyAudience(service) {
		return nil, nil
	}
	err = index.ForEach(ctx, in.Reader, v1alpha1.KindJwtConsumer, index.KeySet, "", service.GatewayName(),
		func(resource v1alpha1.Resource) {
			if consumer, ok := resource.(*v1alpha1.JwtConsumer); ok {
				following = append(following, consumer)
			}
		})
	if err != nil {
		return nil, fmt.Errorf("list the JwtConsumers that follow an issuer: %w", err)
	}
	return following, nil
}

// ServicesForAnyAudience lists the services of a consumer's gateway that take tokens whatever they were issued for,
// where the consumer follows an issuer.
func (in Inputs) ServicesForAnyAudience(ctx context.Context, object client.Object) ([]client.ObjectKey, error) {
	consumer, ok := object.(*v1alpha1.JwtConsumer)
	if !ok || !desired.FollowsIssuer(consumer) {
		return nil, nil
	}
	var found []client.ObjectKey
	err := index.ForEach(ctx, in.Reader, v1alpha1.KindJwtProtectedService, index.Gateway, "", consumer.GatewayName(),
		func(resource v1alpha1.Resource) {
			if service, ok := resource.(*v1alpha1.JwtProtectedService); ok && desired.TakesAnyAudience(service) {
				found = append(found, client.ObjectKeyFromObject(service))
			}
		})
	if err != nil {
		return nil, fmt.Errorf("list the services of KongGateway %s: %w", consumer.GatewayName(), err)
	}
	return found, nil
}
