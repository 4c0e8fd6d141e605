package gateway

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
)

// +kubebuilder:rbac:groups=discovery.k8s.io,resources=endpointslices,verbs=get;list;watch

// setNodes tells an engine its Kong pods, where Kong has no database and the Admin API is named by its Service: each
// pod has to be given the configuration.
func (r *Reconciler) setNodes(ctx context.Context, object *v1alpha1.KongGateway, engine *engine.Engine) error {
	ref := object.Spec.AdminAPI.ServiceRef
	if ref == nil || engine.State().Database != "off" {
		return nil
	}
	var service corev1.Service
	if err := r.Client.Get(ctx, client.ObjectKey{Namespace: ref.Namespace, Name: ref.Name}, &service); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("get Service %s/%s: %w", ref.Namespace, ref.Name, err)
	}
	var found discoveryv1.EndpointSliceList
	if err := r.Client.List(ctx, &found, client.InNamespace(ref.Namespace), client.MatchingLabels{discoveryv1.LabelServiceName: ref.Name}); err != nil {
		return fmt.Errorf("list the EndpointSlices of Service %s/%s: %w", ref.Namespace, ref.Name, err)
	}
	return engine.SetNodes(nodesOf(service, ref.Port, found.Items))
}

// nodesOf reads the pods behind a port of a Service. One that is not ready yet is among them: Kong is not, before it
// has a configuration.
func nodesOf(service corev1.Service, port int32, endpoints []discoveryv1.EndpointSlice) []engine.Node {
	i := slices.IndexFunc(service.Spec.Ports, func(p corev1.ServicePort) bool { return p.Port == port })
	if i < 0 {
		return nil
	}
	var nodes []engine.Node
	for _, slice := range endpoints {
		for _, p := range slice.Ports {
			if p.Port == nil || p.Name == nil && service.Spec.Ports[i].Name != "" || p.Name != nil && *p.Name != service.Spec.Ports[i].Name {
				continue
			}
			for _, endpoint := range slice.Endpoints {
				nodes = append(nodes, nodesAt(endpoint, int(*p.Port))...)
			}
		}
	}
	slices.SortFunc(nodes, func(a, b engine.Node) int { return strings.Compare(a.Address, b.Address) })
	return slices.CompactFunc(nodes, func(a, b engine.Node) bool { return a.Address == b.Address })
}

func nodesAt(endpoint discoveryv1.Endpoint, port int) []engine.Node {
	if endpoint.Conditions.Terminating != nil && *endpoint.Conditions.Terminating {
		return nil
	}
	ready := endpoint.Conditions.Ready == nil || *endpoint.Conditions.Ready
	nodes := make([]engine.Node, 0, len(endpoint.Addresses))
	for _, address := range endpoint.Addresses {
		nodes = append(nodes, engine.Node{Address: net.JoinHostPort(address, strconv.Itoa(port)), Ready: ready})
	}
	return nodes
}
