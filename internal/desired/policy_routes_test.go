package desired

import (
	"strings"
	"testing"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

func TestRoutesThatANamespaceMayClaim(t *testing.T) {
	rules := []v1alpha1.RouteClaimPolicy{
		{Namespaces: []string{"team-a"}, Hosts: []string{"a.example.com", "*.a.example.com"}, PathPrefixes: []string{"/orders", "/v2/"}},
		{Namespaces: []string{"team-a", "team-b"}, PathPrefixes: []string{"/shared"}},
		{Namespaces: []string{"platform"}},
	}
	hosts := func(h ...string) []string { return h }
	for what, c := range map[string]struct {
		namespace string
		route     v1alpha1.Route
		refused   string
	}{
		"host and path":                   {"team-a", v1alpha1.Route{Hosts: hosts("a.example.com"), Paths: []string{"/orders"}}, ""},
		"in another case, with a port":    {"team-a", v1alpha1.Route{Hosts: hosts("A.Example.com:8443"), Paths: []string{"/orders/x"}}, ""},
		"a host below a wildcard":         {"team-a", v1alpha1.Route{Hosts: hosts("x.y.a.example.com"), Paths: []string{"/v2/x"}}, ""},
		"the wildcard itself":             {"team-a", v1alpha1.Route{Hosts: hosts("*.a.example.com"), Paths: []string{"/orders"}}, ""},
		"by the second rule, on any host": {"team-a", v1alpha1.Route{Paths: []string{"/shared/x"}}, ""},
		"where everything is allowed":     {"platform", v1alpha1.Route{Methods: []string{"GET"}}, ""},
		"another host":                    {"team-a", v1alpha1.Route{Hosts: hosts("b.example.com"), Paths: []string{"/orders"}}, "a.example.com"},
		"one host of two":                 {"team-a", v1alpha1.Route{Hosts: hosts("a.example.com", "b.example.com"), Paths: []string{"/orders"}}, "a.example.com"},
		"a wider wildcard":                {"team-a", v1alpha1.Route{Hosts: hosts("*.example.com"), Paths: []string{"/orders"}}, "a.example.com"},
		"a host that ends alike":          {"team-a", v1alpha1.Route{Hosts: hosts("evila.example.com"), Paths: []string{"/orders"}}, "a.example.com"},
		"any host":                        {"team-a", v1alpha1.Route{Paths: []string{"/orders"}}, "a.example.com"},
		"a path that begins alike":        {"team-a", v1alpha1.Route{Hosts: hosts("a.example.com"), Paths: []string{"/ordersadmin"}}, "/orders"},
		"a path above":                    {"team-a", v1alpha1.Route{Hosts: hosts("a.example.com"), Paths: []string{"/"}}, "/orders"},
		"a path that goes up":             {"team-a", v1alpha1.Route{Hosts: hosts("a.example.com"), Paths: []string{"/orders/../admin"}}, "/orders"},
		"a regular expression":            {"team-a", v1alpha1.Route{Hosts: hosts("a.example.com"), Paths: []string{"~/orders|/admin"}}, "/orders"},
		"halves of two rules":             {"team-a", v1alpha1.Route{Hosts: hosts("b.example.com"), Paths: []string{"/shared", "/orders"}}, "/shared"},
		"any path":                        {"team-b", v1alpha1.Route{Hosts: hosts("b.example.com")}, "/shared"},
		"a namespace that no rule is for": {"team-c", v1alpha1.Route{Paths: []string{"/shared"}}, "claim nothing"},
	} {
		t.Run(what, func(t *testing.T) {
			err := testPolicy(func(p *v1alpha1.GatewayPolicy) { p.Routes = rules }).checkRoute("spec.routes[0]", c.namespace, c.route)
			if c.refused == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			wantStalled(t, err, v1alpha1.ReasonPolicyViolation, "spec.routes[0]", c.refused, "policy of KongGateway edge")
		})
	}
}

func TestWithoutRulesAnybodyClaimsAnything(t *testing.T) {
	if err := testPolicy().checkRoute("spec.routes[0]", "team-a", v1alpha1.Route{Paths: []string{"~/.*"}}); err != nil {
		t.Error(err)
	}
}

func TestAServiceIsRefusedByTheRulesForItsRoutes(t *testing.T) {
	policy := testPolicy(func(p *v1alpha1.GatewayPolicy) {
		p.Routes = []v1alpha1.RouteClaimPolicy{{Namespaces: []string{"team-a"}, PathPrefixes: []string{"/a"}}}
	})
	_, err := BuildService(testScope, policy, ServiceInput{Service: testService()})
	wantStalled(t, err, v1alpha1.ReasonPolicyViolation, "spec.routes[0]", "/a")
}

func TestShortSecretsAreRefusedWhereThePolicySaysSo(t *testing.T) {
	policy := testPolicy(func(p *v1alpha1.GatewayPolicy) { p.MinSecretBytes = 32 })
	build := func(secret string) error {
		_, err := BuildConsumer(testScope, policy, ConsumerInput{Consumer: testConsumer(), Credentials: []Credential{
			{Field: "spec.credentials[1]", Part: "credential:a", Material: hmacMaterial("team-a.x", secret)},
		}})
		return err
	}
	if err := build(strings.Repeat("s", 32)); err != nil {
		t.Error(err)
	}
	err := build(strings.Repeat("s", 31))
	wantStalled(t, err, v1alpha1.ReasonPolicyViolation, "spec.credentials[1]", "31 bytes", "asks for 32")
	if strings.Contains(err.Error(), "sss") {
		t.Error("the message has the secret")
	}
}
