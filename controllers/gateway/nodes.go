package gateway

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
)

// +kubebuilder:rbac:groups=discovery.k8s.io,resources=endpointslices,verbs=get;list;watch

// setNodes tells an engine its Kong pods, where Kong has no database and the Admin API is named by its Service: each
// pod has to be given the configuration. With a database one node is enough, since all read the same. Without one
// Kong's Service would spread two requests over two pods, each of which knows only what it was given itself
// (kong/api/routes/config.lua, POST /config).
func (r *Reconciler) setNodes(ctx context.Context, object *v1alpha1.KongGateway, engine engine.Programmer) error {
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

// nodesOf reads the pods behind a port of a Service, each once: a pod of two IP families is in two slices, and is
// asked by its address of the Service's first family. One that is not ready yet is among them: Kong is not, before it
// has a configuration.
func nodesOf(service corev1.Service, port int32, endpoints []discoveryv1.EndpointSlice) []engine.Node {
	i := slices.IndexFunc(service.Spec.Ports, func(p corev1.ServicePort) bool { return p.Port == port })
	if i < 0 {
		return nil
	}
	secondary := func(slice discoveryv1.EndpointSlice) int {
		if families := service.Spec.IPFamilies; len(families) == 0 || string(families[0]) == string(slice.AddressType) {
			return 0
		}
		return 1
	}
	endpoints = slices.Clone(endpoints)
	slices.SortStableFunc(endpoints, func(a, b discoveryv1.EndpointSlice) int {
		return cmp.Or(secondary(a)-secondary(b), strings.Compare(string(a.AddressType), string(b.AddressType)))
	})
	var nodes []engine.Node
	seen := map[types.UID]discoveryv1.AddressType{}
	for _, slice := range endpoints {
		for _, p := range slice.Ports {
			if p.Port == nil || p.Name == nil && service.Spec.Ports[i].Name != "" || p.Name != nil && *p.Name != service.Spec.Ports[i].Name {
				continue
			}
			for _, endpoint := range slice.Endpoints {
				if pod := endpoint.TargetRef; pod != nil && pod.UID != "" {
					if family, known := seen[pod.UID]; known && family != slice.AddressType {
						continue
					}
					seen[pod.UID] = slice.AddressType
				}
				if node, runs := nodeAt(endpoint, int(*p.Port)); runs {
					nodes = append(nodes, node)
				}
			}
		}
	}
	slices.SortFunc(nodes, func(a, b engine.Node) int { return strings.Compare(a.Address, b.Address) })
	return slices.CompactFunc(nodes, func(a, b engine.Node) bool { return a.Address == b.Address })
}

// nodeAt reads one endpoint, by the first of its addresses: all are the same pod's.
func nodeAt(endpoint discoveryv1.Endpoint, port int) (node engine.Node, runs bool) {
	if endpoint.Conditions.Terminating != nil && *endpoint.Conditions.Terminating || len(endpoint.Addresses) == 0 {
		return engine.Node{}, false
	}
	ready := endpoint.Conditions.Ready == nil || *endpoint.Conditions.Ready
	return engine.Node{Address: net.JoinHostPort(endpoint.Addresses[0], strconv.Itoa(port)), Ready: ready}, true
}
