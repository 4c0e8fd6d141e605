package desired

import (
	"errors"
	"strings"
	"testing"

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
