package explain

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/inventory"
)

// cluster is what the caller may read of the operator's resources.
type cluster struct {
	inventory.Inventory
	kube client.Reader
	// complete says that no namespace is missing.
	complete bool
	// namespaces of which the consumers are known, where not all are.
	namespaces []string
}

// readCluster reads all namespaces or, where that is not allowed, those that are named.
func readCluster(ctx context.Context, kube client.Reader, namespaces ...string) (*cluster, error) {
	all, err := inventory.Read(ctx, kube, "")
	if err == nil && len(all.Unreadable) == 0 {
		return &cluster{Inventory: all, kube: kube, complete: true}, nil
	}
	c := &cluster{kube: kube}
	slices.Sort(namespaces)
	for _, namespace := range slices.Compact(namespaces) {
		one, err := inventory.Read(ctx, kube, namespace)
		if err != nil {
			return nil, err
		}
		c.Gateways = one.Gateways // they are in no namespace
		c.Consumers = append(c.Consumers, one.Consumers...)
		c.Services = append(c.Services, one.Services...)
		c.Unreadable = append(c.Unreadable, one.Unreadable...)
		c.namespaces = append(c.namespaces, namespace)
	}
	return c, nil
}

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

// health is how a resource is.
func (c *cluster) health(kind, namespace, name string) *inventory.Resource {
	for _, r := range c.Resources() {
		if r.Kind == kind && r.Namespace == namespace && r.Name == name {
			return &r
		}
	}
	return nil
}

// secret reads a Secret; the error says in words why that is not possible.
func (c *cluster) secret(ctx context.Context, namespace, name string) (map[string][]byte, error) {
	var secret corev1.Secret
	err := c.kube.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &secret)
	switch {
	case err == nil:
		return secret.Data, nil
	case apierrors.IsForbidden(err):
		return nil, fmt.Errorf("you may not read Secret %s/%s", namespace, name)
	case apierrors.IsNotFound(err):
		return nil, fmt.Errorf("there is no Secret %s/%s", namespace, name)
	default:
		return nil, fmt.Errorf("read Secret %s/%s: %w", namespace, name, err)
	}
}
