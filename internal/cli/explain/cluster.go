package explain

import (
	"context"
	"fmt"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/inventory"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/material"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
)

// cluster is what the caller may read of the operator's resources.
type cluster struct {
	inventory.Inventory
	kube client.Reader
}

// readCluster reads all namespaces or, where that is not allowed, those that are named.
func readCluster(ctx context.Context, kube client.Reader, namespaces ...string) (*cluster, error) {
	found, err := inventory.ReadThese(ctx, kube, namespaces...)
	if err != nil {
		return nil, err
	}
	return &cluster{Inventory: found, kube: kube}, nil
}

// complete says that no namespace is missing.
func (c *cluster) complete() bool { return c.Namespaces == nil }

// gateway finds a KongGateway, nil where it is not known.
func (c *cluster) gateway(name string) *v1alpha1.KongGateway {
	for i := range c.Gateways {
		if c.Gateways[i].Name == name {
			return &c.Gateways[i]
		}
	}
	return nil
}

// consumersOf are the consumers of a gateway.
func (c *cluster) consumersOf(gateway string) []*v1alpha1.JwtConsumer {
	var all []*v1alpha1.JwtConsumer
	for i := range c.Consumers {
		if c.Consumers[i].Spec.GatewayRef.Name == gateway {
			all = append(all, &c.Consumers[i])
		}
	}
	return all
}

// servicesOf are the services of a gateway.
func (c *cluster) servicesOf(gateway string) []*v1alpha1.JwtProtectedService {
	var all []*v1alpha1.JwtProtectedService
	for i := range c.Services {
		if c.Services[i].Spec.GatewayRef.Name == gateway {
			all = append(all, &c.Services[i])
		}
	}
	return all
}

// keys are those of all credentials, by spec and by status.
func (c *cluster) keys() []string {
	var keys []string
	for i := range c.Consumers {
		consumer := &c.Consumers[i]
		for _, spec := range consumer.Spec.Credentials {
			if spec.JWKS == nil {
				keys = append(keys, material.Key(consumer, spec))
			}
		}
		for _, status := range consumer.Status.Credentials {
			keys = append(keys, status.Key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// doubt says why Kong may hold something else than a resource says; empty where it is Ready for its generation.
func (c *cluster) doubt(kind string, object client.Object) string {
	r := c.health(kind, object.GetNamespace(), object.GetName())
	if r == nil {
		return ""
	}
	switch r.Health {
	case inventory.Ready, inventory.Warning:
		return ""
	case inventory.Suspended:
		return kind + " " + r.Path() + " is suspended"
	case inventory.NotSeen:
		return "the operator has not acted on " + kind + " " + r.Path() + " as it is now"
	default:
		return fmt.Sprintf("%s %s is not Ready (%s)", kind, r.Path(), r.Reason)
	}
}

// inKong says whether Kong has, or had, what a service says: one that never got there takes no request.
func (c *cluster) inKong(s *v1alpha1.JwtProtectedService) bool {
	return s.Status.ServiceID != "" || len(s.Status.Routes) > 0 || c.doubt(v1alpha1.KindJwtProtectedService, s) == ""
}

// health is how a resource is.
func (c *cluster) health(kind, namespace, name string) *inventory.Resource {
	for _, r := range c.Resources() {
		if r.Kind == kind && r.Namespace == namespace && r.Name == name {
			return &r
		}
	}
	return nil
}

// access says who may call a service, and which consumers it admits by name or label. Of a gateway that is not known,
// no policy is.
func (c *cluster) access(t target) (*v1alpha1.Access, []v1alpha1.ConsumerReference) {
	policy := desired.Policy{GatewayPolicy: v1alpha1.GatewayPolicy{Identities: v1alpha1.IdentitiesAny}}
	if gateway := c.gateway(t.gateway); gateway != nil {
		policy = desired.NewPolicy(gateway, "")
	}
	var admitted []v1alpha1.ConsumerReference
	for _, consumer := range c.consumersOf(t.gateway) {
		if named, err := desired.NamesConsumer(t.service, consumer); err == nil && named {
			admitted = append(admitted, v1alpha1.ConsumerReference{Namespace: consumer.Namespace, Name: consumer.Name})
		}
	}
	return policy.Access(t.service), admitted
}
