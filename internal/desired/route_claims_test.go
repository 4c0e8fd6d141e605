package desired

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/router"
)

// claims are the unique keys of a service with one route in a namespace.
func claims(policy Policy, namespace string, route v1alpha1.Route) []UniqueKey {
	route.Name = "r"
	service := testService(func(s *v1alpha1.JwtProtectedServiceSpec) { s.Routes = []v1alpha1.Route{route} })
	service.Namespace = namespace
	return ServiceUniqueKeys(policy, service)
}

// B holds a route; what A may have beside it. Each that may not be had took B's callers, with their tokens, on a real
// Kong.
func TestRoutesOfTwoNamespaces(t *testing.T) {
	route := func(host string, paths ...string) v1alpha1.Route {
		r := v1alpha1.Route{Paths: paths}
		if host != "" {
			r.Hosts = strings.Split(host, ",")
		}
		return r
	}
	header := func(r v1alpha1.Route) v1alpha1.Route {
		r.Headers = map[string]v1alpha1.HeaderValues{"authorization": {"~*.*"}}
		return r
	}
	sni := func(r v1alpha1.Route) v1alpha1.Route { r.SNIs = []string{"api.bank.example"}; return r }
	method := func(r v1alpha1.Route) v1alpha1.Route { r.Methods = []string{"GET"}; return r }
	for what, c := range map[string]struct {
		b, a v1alpha1.Route
		// alone: without policy.routes. shared: with it, where it allows both.
		alone, shared bool
	}{
		"one more header":                      {route("api.bank.com", "/pay"), header(route("api.bank.com", "/pay")), false, false},
		"one more SNI":                         {route("api.bank.com", "/pay"), sni(route("api.bank.com", "/pay")), false, false},
		"one more method":                      {route("api.bank.com", "/pay"), method(route("api.bank.com", "/pay")), false, false},
		"a port":                               {route("api.bank.com", "/pay"), route("api.bank.com:8443", "/pay"), false, false},
		"capitals":                             {route("api.bank.com", "/pay"), route("API.Bank.com", "/pay"), false, false},
		"a deeper path":                        {route("api.bank.com", "/pay"), route("api.bank.com", "/pay/in"), false, false},
		"a higher path":                        {route("api.bank.com", "/pay/in"), header(route("api.bank.com", "/pay")), false, false},
		"a regular expression":                 {route("api.bank.com", "/pay"), route("api.bank.com", "~/p[a]y"), false, false},
		"a regular expression below":           {route("api.bank.com", "/pay"), route("api.bank.com", "~/pay/[0-9]+"), false, false},
		"no path":                              {route("api.bank.com", "/pay"), header(route("api.bank.com")), false, false},
		"another path":                         {route("api.bank.com", "/pay"), route("api.bank.com", "/lend"), false, true},
		"a path that begins alike":             {route("api.bank.com", "/payments"), route("api.bank.com", "/pay"), false, true},
		"a host below a wildcard":              {route("*.bank.com", "/pay"), route("api.bank.com", "/pay"), false, false},
		"a wildcard above":                     {route("api.bank.com", "/pay"), route("*.bank.com", "/pay"), false, false},
		"one host of two":                      {route("a.bank.com,b.bank.com", "/pay"), route("b.bank.com,c.bank.com", "/pay"), false, false},
		"another host":                         {route("api.bank.com", "/pay"), route("web.bank.com", "/pay"), true, true},
		"another domain":                       {route("api.bank.com", "/pay"), route("api.shop.com", "/pay"), true, true},
		"any host, the same path":              {route("", "/pay"), header(route("", "/pay")), false, false},
		"any host, a deeper path":              {route("", "/pay"), route("", "/pay/in"), false, false},
		"any host, another path":               {route("", "/pay"), route("", "/lend"), true, true},
		"any host, a path that begins alike":   {route("", "/pay"), route("", "/payments"), true, true},
		"any host, another path of a segment":  {route("", "/v1/pay"), route("", "/v1/lend"), true, true},
		"any host, the root":                   {route("", "/"), route("", "/"), false, false},
		"any host, a host":                     {route("", "/pay"), route("api.bank.com", "/pay"), false, true},
		"any host, a host and a deeper path":   {route("", "/pay"), route("api.bank.com", "/pay/in"), false, true},
		"any host, a host and half a segment":  {route("", "/payments"), route("api.bank.com", "/pay"), false, true},
		"any host, a host alone":               {route("", "/pay"), route("api.bank.com"), false, true},
		"any host, a wildcard":                 {route("", "/pay"), route("*.bank.com", "/"), false, true},
		"any host, a host and another path":    {route("", "/pay"), route("api.bank.com", "/lend"), true, true},
		"any host at the root, a host":         {route("", "/"), route("api.bank.com", "/pay"), true, true},
		"a host alone, any host":               {route("api.bank.com"), route("", "/pay"), false, true},
		"a domain of a suffix with two labels": {route("a.bank.co.uk", "/pay"), route("a.shop.co.uk", "/pay"), true, true},
	} {
		t.Run(what, func(t *testing.T) {
			sharing := testPolicy(func(p *v1alpha1.GatewayPolicy) {
				p.Routes = []v1alpha1.RouteClaimPolicy{{Namespaces: []string{"a", "b"}}}
			})
			for policy, may := range map[*Policy]bool{new(testPolicy()): c.alone, &sharing: c.shared} {
				got := anyOverlap(claims(*policy, "b", c.b), claims(*policy, "a", c.a))
				if got == may {
					t.Errorf("with %d rules, A may have it: %v, want %v", len(policy.Routes), !got, may)
				}
			}
		})
	}
}

// Of two routes of two namespaces that both are let through, neither gets a request that is the other's: it is on its
// host, or at or below its path by whole segments. What is / on any host claims nothing.
func TestNoRouteTakesAnothersRequests(t *testing.T) {
	policy := testPolicy(func(p *v1alpha1.GatewayPolicy) { p.RegularExpressions = true })
	some := func(values ...string) *rapid.Generator[[]string] {
		return rapid.Custom(func(t *rapid.T) []string {
			if rapid.Bool().Draw(t, "none") {
				return nil
			}
			return rapid.SliceOfNDistinct(rapid.SampledFrom(values), 1, 2, rapid.ID).Draw(t, "values")
		})
	}
	hosts := some("api.bank.com", "*.bank.com", "*.api.bank.com", "web.bank.com", "API.bank.com:8443", "shop.com")
	paths := some("/", "/pay", "/pay/", "/payments", "/pay/in", "/p", "/lend", "/v1/pay", "/v1/lend",
		"~/pay$", "~/pa[a-z]*", "~/pay/[a-z]+", "~/pay/?[a-z]*", "~/v1/(pay|lend)", "~/lend/x|/pay", "~/v1/p[a-z]+")
	route := rapid.Custom(func(t *rapid.T) v1alpha1.Route {
		r := v1alpha1.Route{
			Name: "r", Hosts: hosts.Draw(t, "hosts"), Paths: paths.Draw(t, "paths"),
			Methods: some("GET", "POST").Draw(t, "methods"), SNIs: some("api.bank.com", "*.bank.com").Draw(t, "snis"),
			RegexPriority: new(rapid.Int32Range(0, 2).Draw(t, "priority")),
		}
		for _, name := range some("accept", "x-version").Draw(t, "headers") {
			if r.Headers == nil {
				r.Headers = map[string]v1alpha1.HeaderValues{}
			}
			r.Headers[name] = v1alpha1.HeaderValues{"*/*"}
		}
		return r
	})
	let := 0
	check := func(t *rapid.T) {
		a, b := route.Draw(t, "a"), route.Draw(t, "b")
		if policy.checkRoute("", "a", a) != nil || policy.checkRoute("", "b", b) != nil ||
			anyOverlap(claims(policy, "a", a), claims(policy, "b", b)) {
			return
		}
		let++
		own, other := routed(policy, "a", a), routed(policy, "b", b)
		alone, both := findIn(own), findIn(own, other)
		for _, host := range []string{"api.bank.com", "web.bank.com", "x.api.bank.com", "shop.com", "192.0.2.1"} {
			for _, path := range []string{
				"/", "/pay", "/pay/in", "/pay/x", "/payments", "/payments/1", "/p", "/p/1", "/lend", "/v1/pay", "/v1/lend/x",
			} {
				for _, method := range []string{"GET", "POST"} {
					request := router.Request{
						Method: method, Host: host, Port: 8443, HTTPS: true, SNI: host, Path: path,
						Headers: map[string][]string{"Accept": {"*/*"}, "X-Version": {"*/*"}},
					}
					if alone(request) == "a" && owns(a, path) && both(request) != "a" {
						t.Fatalf("%s %s%s of %+v is taken by %+v", method, host, path, a, b)
					}
				}
			}
		}
	}
	for range 10 { // most pairs are not let through
		rapid.Check(t, check)
	}
	if let < 10 {
		t.Errorf("only %d pairs are let through: nothing is shown", let)
	}
}

// owns says whether a request at a path that a route takes is its own.
func owns(route v1alpha1.Route, path string) bool {
	return len(route.Hosts) > 0 || slices.ContainsFunc(route.Paths, func(claimed string) bool {
		return literalPrefix(claimed) != "" && holdsPrefix(literalPrefix(claimed), path)
	})
}

// routed is a route as Kong's router has it.
func routed(policy Policy, namespace string, route v1alpha1.Route) *router.Route {
	fields := policy.routeFields(route)
	r := &router.Route{
		ID: testScope.ID(kong.KindRoute, ServiceOwner(namespace, "x"), "r"), Name: namespace,
		Protocols: []string{"http", "https"}, Methods: fields.Strings("methods"), Hosts: fields.Strings("hosts"),
		Paths: fields.Strings("paths"), SNIs: fields.Strings("snis"),
		Headers: map[string][]string{}, RegexPriority: uint32(*route.RegexPriority),
	}
	for name, values := range route.Headers {
		r.Headers[name] = values
	}
	return r
}

// findIn gives the namespace whose route a request is.
func findIn(routes ...*router.Route) func(router.Request) string {
	in := router.New(routes, nil)
	return func(request router.Request) string {
		if match := in.Find(request); match != nil {
			return match.Route.Name
		}
		return ""
	}
}

// Inside a namespace only the same requests clash.
func TestRoutesOfOneNamespace(t *testing.T) {
	host := []string{"api.bank.com"}
	a := claims(testPolicy(), "b", v1alpha1.Route{Hosts: host, Paths: []string{"/pay"}})
	b := claims(testPolicy(), "b", v1alpha1.Route{Hosts: host, Paths: []string{"/pay/in", "/lend"}})
	for i := range a {
		for j := range b {
			if a[i].Kind != UniqueServiceName && a[i].Kind != UniqueRouteName && a[i].Overlaps(b[j]) {
				t.Errorf("%s and %s overlap", a[i], b[j])
			}
		}
	}
}

func TestSharedHostsAreToldInSegments(t *testing.T) {
	policy := testPolicy(func(p *v1alpha1.GatewayPolicy) {
		p.Routes, p.RegularExpressions = []v1alpha1.RouteClaimPolicy{{Namespaces: []string{"team-a"}}}, true
	})
	service := testService(func(s *v1alpha1.JwtProtectedServiceSpec) {
		s.Routes[0].Paths = []string{"/pay", "/v1.0/", "/", "~/x/[0-9]"}
	})
	set, err := BuildService(testScope, policy, ServiceInput{Service: service})
	if err != nil {
		t.Fatal(err)
	}
	route := only(t, set, kong.KindRoute)
	if got, want := fmt.Sprint(route.Fields.Strings("paths")), "[/pay/ ~/pay$ /v1.0/ / ~/x/[0-9]]"; got != want {
		t.Errorf("Kong is told %s, want %s", got, want)
	}
	for _, key := range ServiceUniqueKeys(policy, service) {
		if key.Kind == UniqueHost && !slices.Contains(UniqueKeys(route), key) {
			t.Errorf("the entity does not have %+v", key)
		}
	}
}

// What a path is told as begins with the same literal prefix, whatever characters are in it.
func TestToldPathsKeepTheirPrefix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		path := rapid.StringMatching(`(/[a-z.+$()*-]{1,6}){1,4}`).Draw(t, "path")
		for _, told := range segmentPaths([]string{path}) {
			if got := literalPrefix(told); got != path {
				t.Fatalf("%s is told as %s, of which %s is literal", path, told, got)
			}
		}
	})
}
