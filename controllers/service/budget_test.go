package service

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
)

// namespaceOf makes services of one namespace, each of 16 routes, and the policies of two gateways that take 16.
func namespaceOf(count int) (services []v1alpha1.JwtProtectedService, large, small desired.Policy) {
	services = make([]v1alpha1.JwtProtectedService, count)
	for i := range services {
		services[i].Namespace, services[i].UID = "team-a", types.UID(rune('a'+i))
	}
	budget := v1alpha1.GatewayPolicy{Budget: v1alpha1.Budget{Routes: 16}}
	return services, desired.Policy{Gateway: "large", GatewayPolicy: budget}, desired.Policy{Gateway: "small", GatewayPolicy: budget}
}

var sixteen = v1alpha1.BudgetUse{Routes: 16}

// enter does what a reconcile does with a service that its spec has on a gateway.
func (l *ledger) enter(policy desired.Policy, service *v1alpha1.JwtProtectedService, all []v1alpha1.JwtProtectedService) error {
	service.Spec.GatewayRef.Name = policy.Gateway
	if service.Status.Gateway != policy.Gateway {
		l.leave(service)
	}
	service.Status.Gateway = policy.Gateway
	err := l.admit(policy, service, sixteen, all)
	if err == nil {
		service.Status.Use = &sixteen
	}
	return err
}

func TestAMoveBringsNoBudgetAlong(t *testing.T) {
	all, large, small := namespaceOf(3)
	for _, restarts := range []bool{false, true} {
		l := &ledger{}
		if err := l.enter(small, &all[0], all); err != nil {
			t.Fatal(err)
		}
		for i := 1; i < len(all); i++ {
			if err := l.enter(large, &all[i], all); err != nil {
				t.Fatalf("service %d does not get what nobody has on the other gateway: %v", i, err)
			}
			if restarts {
				l = &ledger{}
			}
			for range 2 {
				if err := l.enter(small, &all[i], all); err == nil || !strings.Contains(err.Error(), "would have 32 routes") {
					t.Fatalf("service %d moves to a gateway where the namespace has all that it may have: %v", i, err)
				}
			}
		}
		if err := l.admit(small, &all[0], sixteen, all); err != nil {
			t.Errorf("the one that was there is refused: %v", err)
		}
	}
}

func TestAServiceThatComesBackHasToFit(t *testing.T) {
	all, large, small := namespaceOf(3)
	l := &ledger{}
	for _, err := range []error{l.enter(large, &all[0], all), l.enter(small, &all[1], all)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if l.enter(small, &all[0], all) == nil {
		t.Fatal("two have what is there for one")
	}
	if err := l.enter(large, &all[2], all); err != nil {
		t.Fatalf("what was left is not free: %v", err)
	}
	if l.enter(large, &all[0], all) == nil {
		t.Error("it comes back to what another one has now")
	}
}

func TestWhoMovesAwayTakesLess(t *testing.T) {
	all, _, _ := namespaceOf(2)
	before, after := &all[0], &all[1]
	before.Status.Use, after.Status.Use = &sixteen, &sixteen
	before.Status.Gateway, after.Status.Gateway = "large", "small"
	if !takesLess(before, after) {
		t.Error("nobody is told of what is free on the gateway that was left")
	}
	after.Status.Gateway = "large"
	if takesLess(before, after) {
		t.Error("all are looked at again for nothing")
	}
}
