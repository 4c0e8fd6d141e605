package desired

import (
	"fmt"
	"slices"
	"testing"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// A consumer's spec has the unique keys of its entities, but for keys that Secrets and key sets have, and has them all
// or none where policy forbids one.
func TestUniqueKeysOfAConsumer(t *testing.T) {
	open := testPolicy(func(p *v1alpha1.GatewayPolicy) { p.Identities = v1alpha1.IdentitiesAny })
	consumer := testConsumer(func(s *v1alpha1.JwtConsumerSpec) {
		s.CustomID = "4711"
		s.Credentials = []v1alpha1.Credential{{Name: "given", Key: "team-a.given"}, {Name: "default"}}
	})
	set, err := BuildConsumer(testScope, open, ConsumerInput{Consumer: consumer, Credentials: []Credential{
		{Part: CredentialPart(credential.Slot{Credential: "given"}), TenantKey: true, Material: hmacMaterial("team-a.given", "secret")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	var held []UniqueKey
	for _, e := range set.Entities {
		held = append(held, UniqueKeys(e)...)
	}
	want := []UniqueKey{{Kind: UniqueUsername, Value: "team-a.john"}, {Kind: UniqueCustomID, Value: "4711"}, {Kind: UniqueCredentialKey, Value: "team-a.given"}}
	if !slices.Equal(held, want) || !slices.Equal(ConsumerUniqueKeys(consumer), want) || !slices.Equal(ConsumerClaims(open, consumer), want) {
		t.Errorf("entities have %v\nthe spec has %v\nand claims %v\nwant %v", held, ConsumerUniqueKeys(consumer), ConsumerClaims(open, consumer), want)
	}
	if claimed := ConsumerClaims(testPolicy(), consumer); claimed != nil { // a custom ID is not for everybody
		t.Errorf("claims %v, though policy forbids it", claimed)
	}
	other := testConsumer(func(s *v1alpha1.JwtConsumerSpec) {
		s.Credentials = []v1alpha1.Credential{{Name: "a", Key: "team-b.key"}}
	})
	wantStalled(t, CheckConsumer(testPolicy(), other), v1alpha1.ReasonPolicyViolation, "spec.credentials[0].key")
	if claimed := ConsumerClaims(testPolicy(), other); claimed != nil {
		t.Errorf("claims %v, another's key", claimed)
	}
}

func TestUniqueKeysOfAServiceThatIsRefused(t *testing.T) {
	service := testService(func(s *v1alpha1.JwtProtectedServiceSpec) { s.ServiceName = "team-b.orders" })
	if claimed := ServiceClaims(testPolicy(), service); claimed != nil {
		t.Errorf("claims %v, another's name", claimed)
	}
	if claimed := ServiceClaims(testPolicy(), testService()); len(claimed) == 0 {
		t.Error("claims nothing")
	}
	service = testService(func(s *v1alpha1.JwtProtectedServiceSpec) {
		s.Access = &v1alpha1.Access{Groups: []string{"{vault://env/x}"}}
	})
	wantStalled(t, CheckService(testPolicy(), service), v1alpha1.ReasonPolicyViolation, "spec.access.groups[0]")
}

func TestNamesOfServicesAndRoutesAreUnique(t *testing.T) {
	set := buildService(t, ServiceInput{Service: testService()})
	for kind, want := range map[kong.Kind]UniqueKey{
		kong.KindService: {Kind: UniqueServiceName, Value: "team-a.orders"}, kong.KindRoute: {Kind: UniqueRouteName, Value: "team-a.orders.api"},
	} {
		if got := UniqueKeys(only(t, set, kind)); !slices.Contains(got, want) {
			t.Errorf("%v, without %v", got, want)
		}
	}
}

// Every unique key, as a message names it.
func TestUniqueKeysInWords(t *testing.T) {
	for _, c := range []struct {
		key  UniqueKey
		want string
	}{
		{UniqueKey{Kind: UniqueUsername, Value: "john"}, "username john"},
		{UniqueKey{Kind: UniqueUsername, Value: "john", Methods: "GET"}, "username john"},
		{UniqueKey{Kind: UniqueRoute, Value: "* /a"}, "route * /a"},
		{UniqueKey{Kind: UniqueRoute, Value: "* /a", Methods: "GET,POST"}, "route GET,POST * /a"},
		{UniqueKey{Kind: UniqueHost, Host: "a.example.com", Prefix: "/pay"}, "host a.example.com"},
		{UniqueKey{Kind: UniqueHost, Host: "a.example.com", Prefix: "/pay", Shared: true}, "host a.example.com /pay/"},
		{UniqueKey{Kind: UniqueHost, Prefix: "/pay"}, "host of any name /pay/"},
		{UniqueKey{Kind: UniqueHost, Value: anyHost, Prefix: "/pay"}, "path /pay on any host"},
		{UniqueKey{Kind: UniqueHost, Value: anyHost, Host: "a.example.com"}, "path / on a.example.com"},
	} {
		if got := c.key.String(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// Methods, headers and SNIs of a route are sets: their order says nothing. Each of them tells requests apart.
func TestRoutesAreTheSameInAnyOrder(t *testing.T) {
	headers := func(values ...string) map[string]any { return map[string]any{"X-B": values, "x-a": []string{"1"}} }
	one := kong.Fields{
		"name": "a", "paths": []string{"/x"}, "hosts": []string{"a.example.com"}, "methods": []string{"GET", "POST"}, "snis": []string{"a", "b"},
		"headers": headers("1", "2"),
	}
	of := func(changes kong.Fields) UniqueKey {
		fields := kong.Fields{}
		for name, value := range one {
			fields[name] = value
		}
		for name, value := range changes {
			fields[name] = value
		}
		return routeUniqueKeys(fields)[0]
	}
	want := UniqueKey{Kind: UniqueRoute, Value: "a.example.com /x (sni=a|b, x-a=1, x-b=1|2)", Methods: "GET,POST"}
	for range 20 { // maps have an order of their own each time
		if got := of(kong.Fields{"methods": []string{"POST", "GET"}, "snis": []string{"b", "a"}, "headers": headers("2", "1")}); got != want {
			t.Fatalf("%+v, want %+v", got, want)
		}
	}
	for what, changes := range map[string]kong.Fields{"SNIs": {"snis": []string{}}, "headers": {"headers": headers("1")}} {
		if got := of(changes); got.Overlaps(want) {
			t.Errorf("with other %s it is the same: %v", what, got)
		}
	}
	if plain := of(kong.Fields{"snis": nil, "headers": nil}); plain.Value != "a.example.com /x" {
		t.Errorf("without conditions it is %q", plain.Value)
	}
}

// The route that data planes are asked by is the gateway's: it takes no host from any namespace.
func TestHostsAreClaimedByTenantsAlone(t *testing.T) {
	for _, e := range ofKind(BuildProbe(testScope, NewProbeRoute(testScope, []byte("seed")), false), kong.KindRoute) {
		if slices.ContainsFunc(UniqueKeys(e), func(key UniqueKey) bool { return key.Kind == UniqueHost }) {
			t.Errorf("%v", UniqueKeys(e))
		}
	}
	var hosts []UniqueKey
	for _, key := range claims(testPolicy(), "team-a", v1alpha1.Route{Hosts: []string{"API.bank.com", "api.bank.com:8443"}, Paths: []string{"/pay/", "/pay"}}) {
		if key.Kind == UniqueHost && key.Value != anyHost {
			hosts = append(hosts, key)
		}
	}
	want := []UniqueKey{{Kind: UniqueHost, Value: "bank.com", Namespace: "team-a", Host: "api.bank.com", Prefix: "/pay"}}
	if !slices.Equal(hosts, want) {
		t.Errorf("one host and one prefix, however they are written: %+v", hosts)
	}
	shared := want[0]
	shared.Namespace, shared.Prefix, shared.Shared = "team-b", "/lend", true
	if !want[0].Overlaps(shared) || !shared.Overlaps(want[0]) {
		t.Error("a host that one of two shares is the other's alone")
	}
}

func TestHostsThatMeet(t *testing.T) {
	for _, c := range []struct {
		a, b string
		meet bool
	}{
		{"a.example.com", "a.example.com", true},
		{"a.example.com", "b.example.com", false},
		{"*.example.com", "a.example.com", true},
		{"*.example.com", "a.example.org", false},
		{"a.*", "a.example.com", true},
		{"a.*", "b.example.com", false},
	} {
		if hostsMeet(c.a, c.b) != c.meet || hostsMeet(c.b, c.a) != c.meet {
			t.Errorf("%s and %s: want %v", c.a, c.b, c.meet)
		}
	}
}

// By whole segments, and of a regular expression what is before its first operator.
func TestLiteralPrefixes(t *testing.T) {
	for path, want := range map[string]string{
		"/pay": "/pay", "/pay/": "/pay", "/": "",
		"~/pay": "", "~/pay$": "/pay", "~/pay/$": "/pay", "~/pay/in": "/pay", "~/pay/[0-9]+": "/pay", "~/pa.y/x": "", "~/a/b$c": "/a",
		`~/pay/v1\.0$`: "/pay/v1.0", `~/pay/v1\.0/x`: "/pay/v1.0", `~/pay/\d+`: "/pay", `~/pay/\\in/x`: `/pay/\in`, `~/pay/\`: "/pay",
	} {
		if got := literalPrefix(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func TestNamesOfTargets(t *testing.T) {
	for want, target := range map[string]Target{
		"service orders":     {Kind: kong.KindService, Name: "orders"},
		"route orders":       {Kind: kong.KindRoute, Name: "orders"},
		"Ingress orders":     {Kind: kong.KindRoute, Name: "orders", Object: "Ingress"},
		"HTTPRoute checkout": {Kind: kong.KindRoute, Name: "checkout", Object: "HTTPRoute"},
	} {
		if got := fmt.Sprint(target); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestEntitiesThatNobodyManages(t *testing.T) {
	for tag, unclaimed := range map[string]bool{
		"team-a": true, "managed-by-ingress-controller": false, "k8s-uid:1": false, "kongjwt": false, "kongjwt-part:x": false,
	} {
		if Unclaimed([]string{"first", tag}) != unclaimed {
			t.Errorf("%s: want %v", tag, unclaimed)
		}
	}
}
