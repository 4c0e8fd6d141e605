package gateway

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kongjwt/kong-jwt-operator/internal/engine"
)

func TestNodesAreThePodsBehindThePort(t *testing.T) {
	service := corev1.Service{Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "proxy", Port: 80}, {Name: "admin", Port: 8001}}}}
	pod := func(address string, ready, terminating *bool) discoveryv1.Endpoint {
		return discoveryv1.Endpoint{Addresses: []string{address}, Conditions: discoveryv1.EndpointConditions{Ready: ready, Terminating: terminating}}
	}
	ports := []discoveryv1.EndpointPort{{Name: new("proxy"), Port: new(int32(8000))}, {Name: new("admin"), Port: new(int32(8444))}}
	slicesOfService := []discoveryv1.EndpointSlice{
		{Ports: ports, Endpoints: []discoveryv1.Endpoint{pod("10.0.0.2", new(true), nil), pod("10.0.0.1", nil, nil), pod("10.0.0.3", new(false), nil)}},
		{Ports: ports, Endpoints: []discoveryv1.Endpoint{pod("10.0.0.2", new(true), nil), pod("10.0.0.4", new(false), new(true)), pod("fd00::1", new(true), nil)}},
	}
	got := nodesOf(service, 8001, slicesOfService)
	want := []engine.Node{{Address: "10.0.0.1:8444", Ready: true}, {Address: "10.0.0.2:8444", Ready: true}, {Address: "10.0.0.3:8444"}, {Address: "[fd00::1]:8444", Ready: true}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := nodesOf(service, 9999, slicesOfService); got != nil {
		t.Errorf("got %v of a port that the Service has not", got)
	}
}

// A pod of two IP families is in a slice of each: it is one node, or its two addresses would be taken for two nodes
// that never agree.
func TestAPodOfTwoFamiliesIsOneNode(t *testing.T) {
	service := corev1.Service{Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 8001}}}}
	ports := []discoveryv1.EndpointPort{{Port: new(int32(8001))}}
	of := func(family discoveryv1.AddressType, addresses ...string) discoveryv1.EndpointSlice {
		slice := discoveryv1.EndpointSlice{AddressType: family, Ports: ports}
		for i, address := range addresses {
			slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
				Addresses: []string{address}, TargetRef: &corev1.ObjectReference{UID: types.UID(rune('a' + i))},
			})
		}
		return slice
	}
	both := []discoveryv1.EndpointSlice{
		of(discoveryv1.AddressTypeIPv6, "fd00::1", "fd00::2"), of(discoveryv1.AddressTypeIPv4, "10.0.0.1", "10.0.0.2"),
	}
	for family, want := range map[corev1.IPFamily][]engine.Node{
		"":                  {{Address: "10.0.0.1:8001", Ready: true}, {Address: "10.0.0.2:8001", Ready: true}},
		corev1.IPv4Protocol: {{Address: "10.0.0.1:8001", Ready: true}, {Address: "10.0.0.2:8001", Ready: true}},
		corev1.IPv6Protocol: {{Address: "[fd00::1]:8001", Ready: true}, {Address: "[fd00::2]:8001", Ready: true}},
	} {
		service.Spec.IPFamilies = nil
		if family != "" {
			service.Spec.IPFamilies = []corev1.IPFamily{family}
		}
		if got := nodesOf(service, 8001, both); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", family, got, want)
		}
	}
	if got := nodesOf(service, 8001, []discoveryv1.EndpointSlice{of(discoveryv1.AddressTypeIPv4, "10.0.0.1"), of(discoveryv1.AddressTypeIPv4, "10.0.0.9")}); len(got) != 2 {
		t.Errorf("a pod that is in two slices of a family, as its address changes: got %v", got)
	}
}
