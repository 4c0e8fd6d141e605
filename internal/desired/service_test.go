package desired

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/pluginconfig"
)

func testService(change ...func(*v1alpha1.JwtProtectedServiceSpec)) *v1alpha1.JwtProtectedService {
	service := &v1alpha1.JwtProtectedService{
		ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "orders"},
		Spec: v1alpha1.JwtProtectedServiceSpec{
			Upstream: &v1alpha1.Upstream{URL: "https://orders.example.com/base%20path"},
			Routes:   []v1alpha1.Route{{Name: "api", Paths: []string{"/orders"}}},
		},
	}
	for _, f := range change {
		f(&service.Spec)
	}
	return service
}

func buildService(t *testing.T, in ServiceInput) Set {
	t.Helper()
	set, err := BuildService(testScope, testPolicy(), in)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestServiceRouteAndPluginHangTogether(t *testing.T) {
	set := buildService(t, ServiceInput{Service: testService(func(s *v1alpha1.JwtProtectedServiceSpec) {
		s.Access = &v1alpha1.Access{From: v1alpha1.AccessFromAnyNamespace}
	})})
	service, route, plugin := only(t, set, kong.KindService), only(t, set, kong.KindRoute), only(t, set, kong.KindPlugin)
	if route.Fields.Ref("service") != service.ID || plugin.Fields.Ref("service") != service.ID {
		t.Error("route or plugin hang on something else")
	}
	for field, want := range map[string]any{"name": "team-a.orders", "protocol": "https", "host": "orders.example.com", "port": 443, "path": "/base%20path"} {
		if got := service.Fields[field]; got != want {
			t.Errorf("%s is %v, want %v", field, got, want)
		}
	}
	if plugin.Fields.Text("name") != "jwt" || plugin.Fields["enabled"] != true {
		t.Errorf("the plugin is %v", plugin.Fields["name"])
	}
	id, routes, plugins := ServiceEntities(testScope, testPolicy(), testService())
	if id != service.ID || routes[0].KongID != route.ID || plugins[0].KongID != plugin.ID {
		t.Error("the status would name other ids")
	}
}

// A route plugin of the same name would run instead of the service's: no field of the spec may put the guards on a
// route.
func TestGuardsAreOnTheServiceAlways(t *testing.T) {
	set := buildService(t, ServiceInput{Service: testService(func(s *v1alpha1.JwtProtectedServiceSpec) {
		s.Access = &v1alpha1.Access{Groups: []string{"b", "a"}, Consumers: []v1alpha1.ConsumerReference{{Name: "john"}}}
		s.RateLimit = &v1alpha1.RateLimit{Minute: new(int32(5))}
		s.Plugins = []v1alpha1.ServicePlugin{{PluginSpec: v1alpha1.PluginSpec{Name: "cors", Plugin: "cors"}, Route: "api"}}
	})})
	service, route := only(t, set, kong.KindService), only(t, set, kong.KindRoute)
	on := map[string]string{"jwt": service.ID, "acl": service.ID, "rate-limiting": service.ID}
	for _, plugin := range ofKind(set, kong.KindPlugin) {
		name := plugin.Fields.Text("name")
		if name == "cors" {
			if plugin.Fields.Ref("route") != route.ID || plugin.Fields.Ref("service") != "" {
				t.Error("cors is not on the route that the spec names")
			}
			continue
		}
		if plugin.Fields.Ref("service") != on[name] || plugin.Fields.Ref("route") != "" {
			t.Errorf("%s is not on the service", name)
		}
		delete(on, name)
		if allow := plugin.Fields.Object("config")["allow"]; name == "acl" && !reflect.DeepEqual(allow, []string{"a", "b", "kongjwt:team-a.john"}) {
			t.Errorf("acl allows %v", allow)
		}
	}
	if len(on) > 0 {
		t.Errorf("missing: %v", on)
	}
}

// What the spec leaves out is left to Kong's own defaults, so that a Kong with others keeps them.
func TestJWTOptionsAreSentAsWritten(t *testing.T) {
	if got := pluginconfig.EncodeJWT(v1alpha1.JWTPlugin{}); len(got) > 0 {
		t.Errorf("with no option set, %v is sent", got)
	}
	got := pluginconfig.EncodeJWT(v1alpha1.JWTPlugin{
		URIParamNames: new([]string{}), CookieNames: new([]string{"c"}), HeaderNames: new([]string{"h"}), ClaimsToVerify: []v1alpha1.TimeClaim{"exp"}, KeyClaimName: "kid",
		SecretIsBase64: new(true), RunOnPreflight: new(false), MaximumExpiration: "1m", Anonymous: "nobody", Realm: "r",
	})
	want := map[string]any{
		"uri_param_names": []string{}, "cookie_names": []string{"c"}, "header_names": []string{"h"}, "claims_to_verify": []string{"exp"}, "key_claim_name": "kid",
		"secret_is_base64": true, "run_on_preflight": false, "maximum_expiration": int64(60), "anonymous": "nobody", "realm": "r",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

func TestUpstreamByServiceRef(t *testing.T) {
	ref := func(s *v1alpha1.JwtProtectedServiceSpec) {
		s.Upstream = &v1alpha1.Upstream{ServiceRef: &v1alpha1.UpstreamServiceReference{Name: "backend", Port: 8080, Scheme: "http"}, ReadTimeout: "1m30s"}
	}
	target := &corev1.Service{Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 8080}}}}
	service := only(t, buildService(t, ServiceInput{Service: testService(ref), Upstream: target}), kong.KindService)
	if service.Fields.Text("host") != "backend.team-a.svc.cluster.local" || service.Fields["port"] != int32(8080) || service.Fields["read_timeout"] != int64(90000) {
		t.Errorf("host %v, port %v, read_timeout %v ms", service.Fields["host"], service.Fields["port"], service.Fields["read_timeout"])
	}
}

func TestServiceIsRefused(t *testing.T) {
	url := func(u string) func(*v1alpha1.JwtProtectedServiceSpec) {
		return func(s *v1alpha1.JwtProtectedServiceSpec) { s.Upstream.URL = u }
	}
	ref := func(s *v1alpha1.JwtProtectedServiceSpec) {
		s.Upstream = &v1alpha1.Upstream{ServiceRef: &v1alpha1.UpstreamServiceReference{Name: "backend", Port: 8080, Scheme: "http"}}
	}
	redis := func(name string) func(*v1alpha1.JwtProtectedServiceSpec) {
		return func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.RateLimit = &v1alpha1.RateLimit{Minute: new(int32(1)), Policy: "redis", Redis: name}
		}
	}
	for what, c := range map[string]struct {
		change  func(*v1alpha1.JwtProtectedServiceSpec)
		in      ServiceInput
		reason  string
		message []string
	}{
		"a loopback upstream":      {change: url("http://127.0.0.1:8001"), reason: v1alpha1.ReasonPolicyViolation, message: []string{"spec.upstream.url", "not a public address", "serviceRef"}},
		"the Admin API":            {change: url("https://kong-admin.kong.svc:8444"), reason: v1alpha1.ReasonPolicyViolation, message: []string{"spec.upstream.url", "Admin API"}},
		"a user in the URL":        {change: url("http://a:b@a.example.com"), reason: v1alpha1.ReasonPolicyViolation, message: []string{"spec.upstream.url", "user"}},
		"a port that is none":      {change: url("http://a.example.com:70000"), reason: v1alpha1.ReasonInvalidSpec, message: []string{"70000", "65535"}},
		"a Service that is absent": {change: ref, reason: v1alpha1.ReasonInvalidSpec, message: []string{"team-a/backend", "does not exist"}},
		"a port that a Service has not": {
			change: ref, in: ServiceInput{Upstream: &corev1.Service{Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}, {Port: 81}}}}},
			reason: v1alpha1.ReasonInvalidSpec, message: []string{"spec.upstream.serviceRef.port", "8080", "80, 81"},
		},
		"an ExternalName Service": {
			change: ref, in: ServiceInput{Upstream: &corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "a.example.com"}}},
			reason: v1alpha1.ReasonPolicyViolation, message: []string{"ExternalName"},
		},
		"a service name of another namespace": {
			change: func(s *v1alpha1.JwtProtectedServiceSpec) { s.ServiceName = "team-b.orders" },
			reason: v1alpha1.ReasonPolicyViolation, message: []string{"spec.serviceName", `"team-a."`},
		},
		"an anonymous consumer of another namespace": {
			change: func(s *v1alpha1.JwtProtectedServiceSpec) { s.JWT.Anonymous = "admin" },
			reason: v1alpha1.ReasonPolicyViolation, message: []string{"spec.jwt.anonymous"},
		},
		"plugins on a service of another namespace": {
			change: func(s *v1alpha1.JwtProtectedServiceSpec) {
				s.Upstream, s.Routes, s.AttachTo = nil, nil, &v1alpha1.AttachTo{ServiceName: "team-b.orders"}
			},
			reason: v1alpha1.ReasonPolicyViolation, message: []string{"spec.attachTo.serviceName", `"team-a."`},
		},
		"plugins on a route of another namespace": {
			change: func(s *v1alpha1.JwtProtectedServiceSpec) {
				s.Upstream, s.Routes, s.AttachTo = nil, nil, &v1alpha1.AttachTo{RouteName: "team-b.orders.api"}
			},
			reason: v1alpha1.ReasonPolicyViolation, message: []string{"spec.attachTo.routeName", `"team-a."`},
		},
		"a vault reference in a route's header": {
			change: func(s *v1alpha1.JwtProtectedServiceSpec) {
				s.Routes[0].Headers = map[string]v1alpha1.HeaderValues{"x-a": {"{vault://env/x}"}}
			},
			reason: v1alpha1.ReasonPolicyViolation, message: []string{"spec.routes[0].headers"},
		},
		"a Redis that the policy does not list": {
			change: redis("mine"),
			reason: v1alpha1.ReasonPolicyViolation, message: []string{"spec.rateLimit.redis", `"mine"`, "Use one of shared, or"},
		},
		"a Redis of another namespace": {
			change: redis("theirs"),
			reason: v1alpha1.ReasonPolicyViolation, message: []string{"spec.rateLimit.redis", `"theirs"`, "Use one of shared, or"},
		},
		"tlsVerify without TLS": {
			change: func(s *v1alpha1.JwtProtectedServiceSpec) {
				s.Upstream.URL = "http://a.example.com"
				s.Upstream.TLSVerify = new(true)
			},
			reason: v1alpha1.ReasonInvalidSpec, message: []string{"spec.upstream.tlsVerify", "https"},
		},
	} {
		t.Run(what, func(t *testing.T) {
			c.in.Service = testService(c.change)
			set, err := BuildService(testScope, testPolicy(), c.in)
			wantStalled(t, err, c.reason, c.message...)
			if len(set.Entities) > 0 {
				t.Error("something is built all the same")
			}
		})
	}
}

func TestWhoIsAdmitted(t *testing.T) {
	john := v1alpha1.ConsumerReference{Name: "john"}
	for what, c := range map[string]struct {
		identities v1alpha1.IdentityPolicy
		access     *v1alpha1.Access
		selected   []v1alpha1.ConsumerReference
		want       []string // nil: everybody
	}{
		"nothing said, namespaced":     {identities: v1alpha1.IdentitiesNamespaced, want: []string{"kongjwt:team-a"}},
		"nothing said, any identity":   {identities: v1alpha1.IdentitiesAny},
		"everybody, said so":           {identities: v1alpha1.IdentitiesNamespaced, access: &v1alpha1.Access{From: v1alpha1.AccessFromAnyNamespace}},
		"the namespace, said so":       {identities: v1alpha1.IdentitiesAny, access: &v1alpha1.Access{From: v1alpha1.AccessFromOwnNamespace}, want: []string{"kongjwt:team-a"}},
		"the namespace and another":    {access: &v1alpha1.Access{From: v1alpha1.AccessFromOwnNamespace, Consumers: []v1alpha1.ConsumerReference{{Namespace: "b", Name: "x"}}}, want: []string{"kongjwt:b.x", "kongjwt:team-a"}},
		"one by name":                  {identities: v1alpha1.IdentitiesNamespaced, access: &v1alpha1.Access{Consumers: []v1alpha1.ConsumerReference{john}}, want: []string{"kongjwt:team-a.john"}},
		"those that a selector admits": {access: &v1alpha1.Access{Groups: []string{"g"}}, selected: []v1alpha1.ConsumerReference{{Namespace: "b", Name: "y"}}, want: []string{"g", "kongjwt:b.y"}},
		"a selector that matches none": {access: &v1alpha1.Access{}, want: []string{"kongjwt:."}},
	} {
		t.Run(what, func(t *testing.T) {
			policy := testPolicy(func(p *v1alpha1.GatewayPolicy) { p.Identities = c.identities })
			service := testService(func(s *v1alpha1.JwtProtectedServiceSpec) { s.Access = c.access })
			set, err := BuildService(testScope, policy, ServiceInput{Service: service, Selected: c.selected})
			if err != nil {
				t.Fatal(err)
			}
			var allow any
			for _, plugin := range ofKind(set, kong.KindPlugin) {
				if plugin.Fields.Text("name") == "acl" {
					allow = plugin.Fields.Object("config")["allow"]
				}
			}
			if c.want == nil && allow != nil || c.want != nil && fmt.Sprint(allow) != fmt.Sprint(c.want) {
				t.Errorf("the acl plugin allows %v, want %v", allow, c.want)
			}
			_, _, plugins := ServiceEntities(testScope, policy, service)
			if told := slices.ContainsFunc(plugins, func(e v1alpha1.EntityStatus) bool { return e.Name == "acl" }); told != (allow != nil) {
				t.Errorf("the status names the acl plugin: %v", told)
			}
		})
	}
}

func TestASelectorAdmitsTheOldest(t *testing.T) {
	var matched []v1alpha1.JwtConsumer
	for i := range maxSelected + 2 {
		matched = append(matched, v1alpha1.JwtConsumer{ObjectMeta: metav1.ObjectMeta{
			Namespace: "team-b", Name: fmt.Sprint("c", i), CreationTimestamp: metav1.Unix(int64(10000-i), 0),
		}})
	}
	refs, err := Select(matched)
	wantStalled(t, err, v1alpha1.ReasonInvalidSpec, "spec.access.consumerSelector: ", "258 consumers", "spec.access.groups")
	if len(refs) != maxSelected || refs[0].Name != fmt.Sprint("c", maxSelected+1) {
		t.Errorf("%d are admitted, the first is %v", len(refs), refs[0])
	}
	if _, err := Select(matched[:maxSelected]); err != nil {
		t.Error(err)
	}
}

func TestAServiceThatVerifiesNoTimeIsWarnedOf(t *testing.T) {
	for what, c := range map[string]struct {
		jwt    v1alpha1.JWTPlugin
		warned bool
	}{
		"kid, and no time":            {v1alpha1.JWTPlugin{KeyClaimName: "kid"}, true},
		"kid, and the expiry":         {v1alpha1.JWTPlugin{KeyClaimName: "kid", ClaimsToVerify: []v1alpha1.TimeClaim{"exp"}}, false},
		"kid, and the beginning":      {v1alpha1.JWTPlugin{KeyClaimName: "kid", ClaimsToVerify: []v1alpha1.TimeClaim{"nbf"}}, true},
		"kid, and a longest time":     {v1alpha1.JWTPlugin{KeyClaimName: "kid", MaximumExpiration: "1h"}, true},
		"iss: no question comes here": {v1alpha1.JWTPlugin{}, false},
	} {
		service := &v1alpha1.JwtProtectedService{Spec: v1alpha1.JwtProtectedServiceSpec{JWT: c.jwt}}
		if got := NoExpiry(service); (got != "") != c.warned {
			t.Errorf("%s: %q", what, got)
		}
	}
}
