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
// they were issued for. Those of namespaces that the gateway does not admit are not in Kong, and count for nothing.
// They are the cache's own, and must not be changed.
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
	return in.admitted(ctx, service.GatewayName(), following)
}

// admitted gives the consumers of namespaces that a gateway admits.
func (in Inputs) admitted(
	ctx context.Context, gateway string, consumers []*v1alpha1.JwtConsumer,
) (admitted []*v1alpha1.JwtConsumer, err error) {
	if len(consumers) == 0 {
		return nil, nil
	}
	var object v1alpha1.KongGateway
	if err := in.Reader.Get(ctx, client.ObjectKey{Name: gateway}, &object, client.DisableReadYourWritesConsistency); err != nil {
		return nil, fmt.Errorf("get KongGateway %s: %w", gateway, err)
	}
	known := map[string]bool{}
	for _, consumer := range consumers {
		is, asked := known[consumer.Namespace]
		if !asked {
			is, err = Admits(ctx, in.Reader, &object, consumer.Namespace)
			if client.IgnoreNotFound(err) != nil {
				return nil, err
			}
			known[consumer.Namespace] = is // a namespace that is gone is not admitted
		}
		if is {
			admitted = append(admitted, consumer)
		}
	}
	return admitted, nil
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
