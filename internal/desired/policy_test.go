package desired

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

func testPolicy(change ...func(*v1alpha1.GatewayPolicy)) Policy {
	policy := v1alpha1.GatewayPolicy{
		Identities: v1alpha1.IdentitiesNamespaced,
		Plugins:    []string{"cors", "http-log"},
		Upstreams: v1alpha1.UpstreamPolicy{Deny: []string{
			v1alpha1.DenyLoopback, v1alpha1.DenyLinkLocal, v1alpha1.DenyAdminAPI, v1alpha1.DenyExternalName, "10.0.0.0/8", "*.internal.example",
		}},
	}
	for _, f := range change {
		f(&policy)
	}
	return NewPolicy(&v1alpha1.KongGateway{
		ObjectMeta: metav1.ObjectMeta{Name: "edge"},
		Spec: v1alpha1.KongGatewaySpec{
			AdminAPI: v1alpha1.AdminAPI{ServiceRef: &v1alpha1.GatewayServiceReference{Namespace: "kong", Name: "kong-admin", Port: 8444}},
			Policy:   policy,
		},
	}, "cluster.local")
}

// wantStalled checks the reason and that the message has all the parts that a user needs.
func wantStalled(t *testing.T, err error, reason string, parts ...string) {
	t.Helper()
	var stalled *status.StalledError
	if !errors.As(err, &stalled) {
		t.Fatalf("got error %v, want a StalledError", err)
	}
	if stalled.Reason != reason {
		t.Errorf("got reason %s, want %s (%s)", stalled.Reason, reason, stalled.Message)
	}
	for _, part := range parts {
		if !strings.Contains(stalled.Message, part) {
			t.Errorf("message %q does not say %q", stalled.Message, part)
		}
	}
}

func TestUpstreamHosts(t *testing.T) {
	for host, deniedBy := range map[string]string{
		"my-api.example.com":                 "",
		"192.168.1.1":                        "",
		"2001:db8::1":                        "",
		"localhost":                          "Loopback",
		"LOCALHOST.":                         "Loopback",
		"x.localhost":                        "Loopback",
		"127.0.0.1":                          "Loopback",
		"127.8.8.8":                          "Loopback",
		"0.0.0.0":                            "Loopback",
		"::1":                                "Loopback",
		"[::1]":                              "Loopback",
		"::ffff:127.0.0.1":                   "Loopback",
		"169.254.169.254":                    "LinkLocal",
		"fe80::1":                            "LinkLocal",
		"fe80::1%eth0":                       "LinkLocal",
		"::ffff:169.254.169.254":             "LinkLocal",
		"kong-admin.kong":                    "AdminAPI",
		"kong-admin.kong.svc":                "AdminAPI",
		"Kong-Admin.kong.svc.cluster.local.": "AdminAPI",
		"10.1.2.3":                           "10.0.0.0/8",
		"db.internal.example":                "*.internal.example",
		"internal.example":                   "",
		"127.1":                              "usual form",
		"2130706433":                         "usual form",
		"0x7f.0.0.0x1":                       "usual form",
		"0177.0.0.1":                         "usual form",
	} {
		t.Run(host, func(t *testing.T) {
			err := testPolicy().checkHost("spec.upstream.url", host, 80)
			if deniedBy == "" {
				if err != nil {
					t.Fatalf("got %v, want the host to be allowed", err)
				}
				return
			}
			wantStalled(t, err, v1alpha1.ReasonPolicyViolation, "spec.upstream.url", deniedBy, "KongGateway edge")
		})
	}
}

func TestAdminAPIByURLIsDeniedOnItsPort(t *testing.T) {
	policy := Policy{AdminHosts: []string{"kong.example.com:8001"}}
	policy.Upstreams.Deny = []string{v1alpha1.DenyAdminAPI}
	wantStalled(t, policy.checkHost("f", "kong.example.com", 8001), v1alpha1.ReasonPolicyViolation, "AdminAPI")
	if err := policy.checkHost("f", "kong.example.com", 8000); err != nil {
		t.Errorf("the proxy's port is another thing: %v", err)
	}
}

func TestIdentities(t *testing.T) {
	namespaced := testPolicy()
	anyone := testPolicy(func(p *v1alpha1.GatewayPolicy) { p.Identities = v1alpha1.IdentitiesAny })
	wantStalled(t, namespaced.checkIdentity("spec.username", "team-a", "john"), v1alpha1.ReasonPolicyViolation, "spec.username", `"team-a.john"`)
	wantStalled(t, namespaced.checkIdentity("spec.username", "team-a", "team-ab.john"), v1alpha1.ReasonPolicyViolation)
	for _, value := range []string{"", "team-a.john"} {
		if err := namespaced.checkIdentity("spec.username", "team-a", value); err != nil {
			t.Errorf("%q: %v", value, err)
		}
	}
	if err := anyone.checkIdentity("spec.username", "team-a", "john"); err != nil {
		t.Errorf("policy Any: %v", err)
	}
}

func TestPluginsThatRunCodeAreNeverAllowed(t *testing.T) {
	generous := testPolicy(func(p *v1alpha1.GatewayPolicy) { p.Plugins = append(p.Plugins, codePlugins...) })
	for _, plugin := range codePlugins {
		wantStalled(t, generous.checkPlugin("spec.plugins[0].plugin", plugin), v1alpha1.ReasonPolicyViolation, plugin, "never")
	}
	wantStalled(t, generous.checkPlugin("spec.plugins[0].plugin", "proxy-cache"), v1alpha1.ReasonPolicyViolation, "policy.plugins", "cors")
	if err := generous.checkPlugin("spec.plugins[0].plugin", "cors"); err != nil {
		t.Error(err)
	}
}

// What a tenant may have written into the configuration of a plugin that is allowed.
func TestPluginConfigs(t *testing.T) {
	for what, c := range map[string]struct {
		plugin, config string
		field, says    string // empty: it is allowed
	}{
		"a log":                         {"http-log", `{"http_endpoint": "https://user:pass@log.example.com:8443/a?b=c"}`, "", ""},
		"a log's headers":               {"http-log", `{"http_endpoint": "https://log.example.com", "headers": {"x-key": "k"}}`, "", ""},
		"no Lua":                        {"http-log", `{"http_endpoint": "https://log.example.com", "custom_fields_by_lua": null}`, "", ""},
		"a redis":                       {"response-ratelimiting", `{"redis": {"host": "redis.example.com", "port": 6379}}`, "", ""},
		"origins of browsers":           {"cors", `{"origins": ["http://localhost:3000", "~^http://127"]}`, "", ""},
		"addresses of clients":          {"ip-restriction", `{"allow": ["127.0.0.1", "10.0.0.0/8"]}`, "", ""},
		"user agents":                   {"bot-detection", `{"deny": ["+http://www.example.com/bot", "a://b c"]}`, "spec.plugins[0].config.deny[1]", "for certain"},
		"Lua":                           {"http-log", `{"custom_fields_by_lua": {"x": "return 1"}}`, "spec.plugins[0].config.custom_fields_by_lua", "Lua"},
		"Lua of another plugin":         {"file-log", `{"a": [{"b": {"Fields_By_Lua": {}}}]}`, "spec.plugins[0].config.a[0].b.Fields_By_Lua", "Lua"},
		"Lua in cors":                   {"cors", `{"x_by_lua": "return 1"}`, "x_by_lua", "Lua"},
		"a log on loopback":             {"http-log", `{"http_endpoint": "http://127.0.0.1:8001/plugins"}`, "spec.plugins[0].config.http_endpoint", "Loopback"},
		"a log in capitals":             {"http-log", `{"http_endpoint": "HTTP://LocalHost/"}`, "http_endpoint", "Loopback"},
		"a log behind a user":           {"http-log", `{"http_endpoint": "http://log.example.com@[::1]:8001/"}`, "http_endpoint", "Loopback"},
		"the Admin API":                 {"http-log", `{"http_endpoint": "https://kong-admin.kong.svc:8444"}`, "http_endpoint", "AdminAPI"},
		"cloud metadata":                {"http-log", `{"http_endpoint": "http://169.254.169.254/latest"}`, "http_endpoint", "LinkLocal"},
		"a query that is a user":        {"http-log", `{"http_endpoint": "http://a.example.com?@127.0.0.1:8001/"}`, "http_endpoint", "for certain"},
		"a fragment that is a user":     {"http-log", `{"http_endpoint": "http://a.example.com#@127.0.0.1:8001/"}`, "http_endpoint", "for certain"},
		"two users":                     {"http-log", `{"http_endpoint": "http://a@127.0.0.1@a.example.com/"}`, "http_endpoint", "for certain"},
		"a backslash":                   {"http-log", `{"http_endpoint": "http://127.0.0.1:8001\\@a.example.com/"}`, "http_endpoint", "for certain"},
		"no scheme":                     {"http-log", `{"http_endpoint": "//127.0.0.1:8001/"}`, "http_endpoint", "Loopback"},
		"a space before":                {"http-log", `{"http_endpoint": " http://127.0.0.1:8001/"}`, "http_endpoint", "for certain"},
		"a redis on the Admin API":      {"rate-limiting", `{"redis": {"host": "kong-admin.kong", "port": 8001}}`, "spec.plugins[0].config.redis.host", "AdminAPI"},
		"a redis as it was written":     {"rate-limiting", `{"redis_host": "127.1", "redis_port": 6379}`, "redis_host", "usual form"},
		"a node of a cluster of redis":  {"rate-limiting", `{"redis": {"cluster_nodes": [{"ip": "10.1.2.3", "port": 6379}]}}`, "cluster_nodes[0].ip", "10.0.0.0/8"},
		"a log that is given elsewhere": {"opentelemetry", `{"traces_endpoint": "http://db.internal.example:4318/v1"}`, "traces_endpoint", "*.internal.example"},
	} {
		t.Run(what, func(t *testing.T) {
			policy := testPolicy(func(p *v1alpha1.GatewayPolicy) { p.Plugins = append(p.Plugins, c.plugin) })
			spec := v1alpha1.PluginSpec{Plugin: c.plugin, Config: &apiextensionsv1.JSON{Raw: []byte(c.config)}}
			_, err := pluginFields(policy, "spec.plugins[0]", spec, nil)
			// The same out of a Secret.
			spec.Config = nil
			_, fromSecret := pluginFields(policy, "spec.plugins[0]", spec, [][]byte{[]byte(c.config)})
			for _, got := range []error{err, fromSecret} {
				if c.says == "" && got != nil {
					t.Fatalf("got %v, want it to be allowed", got)
				}
				if c.says != "" {
					wantStalled(t, got, v1alpha1.ReasonPolicyViolation, c.field, c.says, "KongGateway edge")
				}
			}
		})
	}
}

func TestAdminAPIOnItsPortIsDeniedToPlugins(t *testing.T) {
	policy := Policy{AdminHosts: []string{"kong.example.com:443", "kong.example.com:6379"}}
	policy.Upstreams.Deny = []string{v1alpha1.DenyAdminAPI}
	for config, denied := range map[string]bool{
		`{"http_endpoint": "https://kong.example.com/x"}`:        true,
		`{"http_endpoint": "http://kong.example.com/x"}`:         false,
		`{"http_endpoint": "http://kong.example.com:443/x"}`:     true,
		`{"redis": {"host": "kong.example.com", "port": 6379}}`:  true,
		`{"redis_host": "kong.example.com", "redis_port": 6379}`: true,
		`{"redis": {"host": "kong.example.com", "port": 6380}}`:  false,
	} {
		var object map[string]any
		if err := json.Unmarshal([]byte(config), &object); err != nil {
			t.Fatal(err)
		}
		if err := policy.checkPluginConfig("f", "http-log", object); (err != nil) != denied {
			t.Errorf("%s: got %v, want denied %v", config, err, denied)
		}
	}
}

func TestVaultReferencesAreFoundAnywhere(t *testing.T) {
	policy := testPolicy()
	for name, value := range map[string]any{
		"text":     "{vault://env/pg-password}",
		"inside":   "Bearer {vault://env/x}",
		"list":     []any{"a", map[string]any{"b": "{vault://env/x}"}},
		"strings":  []string{"a", "{vault://env/x}"},
		"property": map[string]any{"{vault://env/x}": 1},
	} {
		t.Run(name, func(t *testing.T) {
			wantStalled(t, policy.checkVaultReferences("spec.plugins[0].config", map[string]any{"f": value}), v1alpha1.ReasonPolicyViolation, "spec.plugins[0].config", "vault")
		})
	}
	if err := policy.checkVaultReferences("f", map[string]any{"url": "https://vault.example.com/{id}", "n": 1.5, "b": true, "x": nil}); err != nil {
		t.Error(err)
	}
}

func TestAdmits(t *testing.T) {
	selector := v1alpha1.AllowedNamespaces{From: "Selector", Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"kong": "yes"}}}
	broken := v1alpha1.AllowedNamespaces{From: "Selector", Selector: &metav1.LabelSelector{
		MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Near"}},
	}}
	for name, c := range map[string]struct {
		allowed v1alpha1.AllowedNamespaces
		labels  map[string]string
		want    bool
		fails   bool
	}{
		"nothing set admits nobody": {},
		"none":                      {allowed: v1alpha1.AllowedNamespaces{From: "None"}},
		"all":                       {allowed: v1alpha1.AllowedNamespaces{From: "All"}, want: true},
		"selector matches":          {allowed: selector, labels: map[string]string{"kong": "yes"}, want: true},
		"selector does not match":   {allowed: selector, labels: map[string]string{"kong": "no"}},
		"selector is broken":        {allowed: broken, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Admits(c.allowed, c.labels)
			if got != c.want || (err != nil) != c.fails {
				t.Errorf("got %v, %v; want %v, error %v", got, err, c.want, c.fails)
			}
		})
	}
}
