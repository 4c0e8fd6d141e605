package gateway

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

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
