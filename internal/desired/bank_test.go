package desired

import (
	"os"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// TestThePolicyOfABank holds the sample of docs/how-to/harden.md to what the page says of it: what a team is for, it
// may do, and nothing of what the page closes.
func TestThePolicyOfABank(t *testing.T) {
	content, err := os.ReadFile("../../config/samples/bank/gateway.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var gateway v1alpha1.KongGateway
	if err := yaml.UnmarshalStrict(content, &gateway); err != nil {
		t.Fatal(err)
	}
	policy := NewPolicy(&gateway, "cluster.local")
	minute := int32(60)
	plugin := func(name, config string) func(*v1alpha1.JwtProtectedServiceSpec) {
		return func(s *v1alpha1.JwtProtectedServiceSpec) {
			spec := v1alpha1.PluginSpec{Name: "p", Plugin: name, Config: &apiextensionsv1.JSON{Raw: []byte(config)}}
			s.Plugins = []v1alpha1.ServicePlugin{{PluginSpec: spec}}
		}
	}
	url := func(url string) func(*v1alpha1.JwtProtectedServiceSpec) {
		return func(s *v1alpha1.JwtProtectedServiceSpec) { s.Upstream.URL = url }
	}
	route := func(route v1alpha1.Route) func(*v1alpha1.JwtProtectedServiceSpec) {
		return func(s *v1alpha1.JwtProtectedServiceSpec) { s.Routes = []v1alpha1.Route{route} }
	}
	bank := []string{"api.bank.example"}
	for what, c := range map[string]struct {
		change func(*v1alpha1.JwtProtectedServiceSpec)
		says   string // the field of a refusal; empty: it is allowed
	}{
		"its own path":               {route(v1alpha1.Route{Name: "r", Hosts: bank, Paths: []string{"/pay/v2"}}), ""},
		"another's path":             {route(v1alpha1.Route{Name: "r", Hosts: bank, Paths: []string{"/lend"}}), "spec.routes[0]"},
		"a path that begins alike":   {route(v1alpha1.Route{Name: "r", Hosts: bank, Paths: []string{"/payments"}}), "spec.routes[0]"},
		"another host":               {route(v1alpha1.Route{Name: "r", Hosts: []string{"www.bank.example"}, Paths: []string{"/pay"}}), "spec.routes[0]"},
		"any host":                   {route(v1alpha1.Route{Name: "r", Paths: []string{"/pay"}}), "spec.routes[0]"},
		"a regular expression":       {route(v1alpha1.Route{Name: "r", Hosts: bank, Paths: []string{"~/pay/.*"}}), "spec.routes[0].paths[0]"},
		"the scheme":                 {url("https://scheme.example.com"), ""},
		"the scheme without TLS":     {url("http://scheme.example.com"), "spec.upstream.url"},
		"the data center":            {url("https://10.20.1.2:8443"), ""},
		"another port there":         {url("https://10.20.1.2:22"), "spec.upstream.url"},
		"the Internet":               {url("https://www.example.com"), "spec.upstream.url"},
		"the Admin API":              {url("https://kong-admin.kong:8444"), "spec.upstream.url"},
		"the cluster":                {url("http://backend.lending.svc"), "spec.upstream.url"},
		"cloud metadata":             {url("http://169.254.169.254"), "spec.upstream.url"},
		"the log server":             {plugin("http-log", `{"http_endpoint": "https://siem.bank.example:8443/in"}`), ""},
		"a log server of its own":    {plugin("http-log", `{"http_endpoint": "https://log.example.com/in"}`), "spec.plugins[0].config.http_endpoint"},
		"Lua in the log":             {plugin("http-log", `{"custom_fields_by_lua": {"x": "return 1"}}`), "spec.plugins[0].config.custom_fields_by_lua"},
		"Kong's environment":         {plugin("http-log", `{"headers": {"x": "{vault://env/pg-password}"}}`), "spec.plugins[0].config.headers.x"},
		"code":                       {plugin("pre-function", `{}`), "spec.plugins[0].plugin"},
		"a plugin that is not named": {plugin("proxy-cache", `{}`), "spec.plugins[0].plugin"},
		"the Redis": {func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.RateLimit = &v1alpha1.RateLimit{Minute: &minute, Policy: v1alpha1.RateLimitByRedis, Redis: "limits"}
		}, ""},
		"another Redis": {func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.RateLimit = &v1alpha1.RateLimit{Minute: &minute, Policy: v1alpha1.RateLimitByRedis, Redis: "mine"}
		}, "spec.rateLimit.redis"},
		"another's name":      {func(s *v1alpha1.JwtProtectedServiceSpec) { s.ServiceName = "lending.loans" }, "spec.serviceName"},
		"another's consumer":  {func(s *v1alpha1.JwtProtectedServiceSpec) { s.JWT.Anonymous = "lending.admin" }, "spec.jwt.anonymous"},
		"what stays for ever": {func(s *v1alpha1.JwtProtectedServiceSpec) { s.DeletionPolicy = v1alpha1.DeletionPolicyRetain }, "spec.deletionPolicy"},
		"another's attachment": {func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.Upstream, s.Routes, s.AttachTo = nil, nil, &v1alpha1.AttachTo{ServiceName: "lending.loans"}
		}, "spec.attachTo.serviceName"},
	} {
		t.Run(what, func(t *testing.T) {
			service := testService(func(s *v1alpha1.JwtProtectedServiceSpec) {
				s.Upstream = &v1alpha1.Upstream{URL: "https://scheme.example.com"}
				s.Routes = []v1alpha1.Route{{Name: "r", Hosts: bank, Paths: []string{"/pay"}}}
			}, c.change)
			service.Namespace = "payments"
			_, err := BuildService(testScope, policy, ServiceInput{Service: service})
			if c.says == "" && err != nil {
				t.Fatal(err)
			}
			if c.says != "" {
				wantStalled(t, err, v1alpha1.ReasonPolicyViolation, c.says+": ", "(policy of KongGateway shared)")
			}
		})
	}
	if urls, all := policy.IssuerURLs("lending"); all || len(urls) > 0 {
		t.Errorf("lending may follow %v, all: %v", urls, all)
	}
	if err := policy.CheckBudget("payments", v1alpha1.BudgetUse{}, v1alpha1.BudgetUse{Matches: 501}, nil); err == nil {
		t.Error("501 matches are allowed")
	}
}
