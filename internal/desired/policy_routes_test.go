package desired

import (
	"testing"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

func TestRoutesThatANamespaceMayClaim(t *testing.T) {
	rules := []v1alpha1.RouteClaimPolicy{
		{Namespaces: []string{"team-a"}, Hosts: []string{"a.example.com", "*.a.example.com"}, PathPrefixes: []string{"/orders", "/v2/"}},
		{Namespaces: []string{"team-a", "team-b"}, PathPrefixes: []string{"/shared"}},
		{Namespaces: []string{"platform"}},
		{Namespaces: []string{"team-d"}, Hosts: []string{}},
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
		"where everything is allowed":     {"platform", v1alpha1.Route{Paths: []string{"/a"}}, ""},
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
		"an empty list of hosts":          {"team-d", v1alpha1.Route{Hosts: hosts("d.example.com")}, "may claim hosts"},
		"a namespace that no rule is for": {"team-c", v1alpha1.Route{Paths: []string{"/shared"}}, "claim nothing"},
	} {
		t.Run(what, func(t *testing.T) {
			err := testPolicy(func(p *v1alpha1.GatewayPolicy) { p.Routes, p.RegularExpressions = rules, true }).checkRoute("spec.routes[0]", c.namespace, c.route)
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

func TestRegularExpressionsAreForThePolicyToAllow(t *testing.T) {
	allowed := testPolicy(func(p *v1alpha1.GatewayPolicy) { p.RegularExpressions = true })
	hosts := []string{"a.example.com"}
	for field, route := range map[string]v1alpha1.Route{
		"spec.routes[0].paths[1]": {Hosts: hosts, Paths: []string{"/a", `~/0-0\w{85}`}},
		"spec.routes[0].headers.authorization": {
			Hosts: hosts, Paths: []string{"/a"}, Headers: map[string]v1alpha1.HeaderValues{"authorization": {"~*.*"}},
		},
	} {
		wantStalled(t, testPolicy().checkRoute("spec.routes[0]", "team-a", route), v1alpha1.ReasonPolicyViolation, field+": ", "policy.regularExpressions")
		if err := allowed.checkRoute("spec.routes[0]", "team-a", route); err != nil {
			t.Errorf("%s: %v", field, err)
		}
	}
	plain := v1alpha1.Route{Hosts: hosts, Paths: []string{"/a~b"}, Headers: map[string]v1alpha1.HeaderValues{"x-version": {"1~*"}}}
	if err := testPolicy().checkRoute("spec.routes[0]", "team-a", plain); err != nil {
		t.Error(err)
	}
}

func TestWhatProbesAreMatchedByIsReserved(t *testing.T) {
	for what, c := range map[string]struct {
		route v1alpha1.Route
		field string
	}{
		"the header":               {v1alpha1.Route{Headers: map[string]v1alpha1.HeaderValues{"x-kongjwt-PROBE": {"a"}}}, "headers"},
		"a host":                   {v1alpha1.Route{Hosts: []string{"a.example.com", "b.kongjwt-probe.invalid"}}, "hosts[1]"},
		"a host in another form":   {v1alpha1.Route{Hosts: []string{"B.Kongjwt-Probe.invalid.:8443"}}, "hosts[0]"},
		"a wildcard":               {v1alpha1.Route{Hosts: []string{"*.kongjwt-probe.invalid"}}, "hosts[0]"},
		"a wider wildcard":         {v1alpha1.Route{Hosts: []string{"*.invalid"}}, "hosts[0]"},
		"an SNI":                   {v1alpha1.Route{SNIs: []string{"b.kongjwt-probe.invalid"}}, "snis[0]"},
		"another host and header":  {v1alpha1.Route{Hosts: []string{"kongjwt-probe.example.com", "*.example.com"}, Headers: map[string]v1alpha1.HeaderValues{"x": {"a"}}}, ""},
		"a host that ends like it": {v1alpha1.Route{Hosts: []string{"notkongjwt-probe.invalid"}}, ""},
	} {
		t.Run(what, func(t *testing.T) {
			err := testPolicy().checkRoute("spec.routes[0]", "team-a", c.route)
			if c.field == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantStalled(t, err, v1alpha1.ReasonPolicyViolation, "spec.routes[0]."+c.field+": ", "reserved")
		})
	}
}

func TestAServiceIsRefusedByTheRulesForItsRoutes(t *testing.T) {
	policy := testPolicy(func(p *v1alpha1.GatewayPolicy) {
		p.Routes = []v1alpha1.RouteClaimPolicy{{Namespaces: []string{"team-a"}, PathPrefixes: []string{"/a"}}}
	})
	_, err := BuildService(testScope, policy, ServiceInput{Service: testService()})
	wantStalled(t, err, v1alpha1.ReasonPolicyViolation, "spec.routes[0]", "/a")
}

func TestRoutesThatWouldGoBeforeOthers(t *testing.T) {
	header := map[string]v1alpha1.HeaderValues{"x-version": {"2"}}
	for what, c := range map[string]struct {
		route v1alpha1.Route
		says  string // empty: it is allowed
	}{
		"a path on any host":              {v1alpha1.Route{Paths: []string{"/"}}, ""},
		"a path and a header":             {v1alpha1.Route{Paths: []string{"/pay"}, Headers: header}, "Set hosts"},
		"a path and a method":             {v1alpha1.Route{Paths: []string{"/pay"}, Methods: []string{"GET"}}, "Set hosts"},
		"a path and an SNI":               {v1alpha1.Route{Paths: []string{"/pay"}, SNIs: []string{"a.example.com"}}, "Set hosts"},
		"a header alone":                  {v1alpha1.Route{Headers: header}, "Set hosts"},
		"an SNI alone":                    {v1alpha1.Route{SNIs: []string{"a.example.com"}}, "Set hosts"},
		"an expression with a segment":    {v1alpha1.Route{Paths: []string{"~/pay/[0-9]+"}}, ""},
		"an expression without":           {v1alpha1.Route{Paths: []string{"~/pa[a-z]+"}}, "begin it with a segment"},
		"an expression of two":            {v1alpha1.Route{Paths: []string{"~/pay/x|/lend"}}, "begin it with a segment"},
		"an expression with half of one":  {v1alpha1.Route{Paths: []string{"~/pay/?[a-z]*"}}, "begin it with a segment"},
		"all of them on a host":           {v1alpha1.Route{Hosts: []string{"a.example.com"}, SNIs: []string{"a.example.com"}, Headers: header, Methods: []string{"GET"}}, ""},
		"all below a domain":              {v1alpha1.Route{Hosts: []string{"*.example.com", "*.b.example.co.uk"}}, ""},
		"all of a top-level domain":       {v1alpha1.Route{Hosts: []string{"*.com"}}, "more than one domain"},
		"all of a public suffix":          {v1alpha1.Route{Hosts: []string{"a.example.com", "*.co.uk"}}, "more than one domain"},
		"a host below any domain":         {v1alpha1.Route{Hosts: []string{"api.*"}}, "more than one domain"},
		"a host of a private zone":        {v1alpha1.Route{Hosts: []string{"orders.corp", "localhost"}}, ""},
		"all of a private top-level zone": {v1alpha1.Route{Hosts: []string{"*.corp"}}, "more than one domain"},
	} {
		t.Run(what, func(t *testing.T) {
			regular := func(p *v1alpha1.GatewayPolicy) { p.RegularExpressions = true }
			err := testPolicy(regular).checkRoute("spec.routes[0]", "team-a", c.route)
			if c.says != "" {
				wantStalled(t, err, v1alpha1.ReasonPolicyViolation, "spec.routes[0]", c.says)
			} else if err != nil {
				t.Error(err)
			}
			trusting := testPolicy(regular, func(p *v1alpha1.GatewayPolicy) { p.Identities = v1alpha1.IdentitiesAny })
			if err := trusting.checkRoute("spec.routes[0]", "team-a", c.route); err != nil {
				t.Errorf("where tenants trust each other: %v", err)
			}
		})
	}
}
