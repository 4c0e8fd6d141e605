package desired

import (
	"testing"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/address"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// adminAt is a policy whose Admin API is at some URLs.
func adminAt(urls ...string) Policy {
	policy := testPolicy()
	policy.admin = nil
	for _, text := range urls {
		policy.admin = append(policy.admin, adminPlaces(v1alpha1.AdminAPI{URL: text}, "cluster.local")...)
	}
	return policy
}

const (
	notPublic = "is not a public address"
	inCluster = "is a name in the cluster or in a private zone"
	isAdmin   = "is Kong's Admin API"
)

// Each place is closed in all its spellings; internal/address has more of them.
func TestPlacesThatAreOpenToNobodyByDefault(t *testing.T) {
	for host, closed := range map[string]string{
		"my-api.example.com":                  "",
		"8.8.8.8":                             "",
		"kong-admin.kong":                     isAdmin,
		"kong-admin.kong.svc":                 isAdmin,
		"Kong-Admin.kong.svc.cluster.local.":  isAdmin,
		"kong-admin":                          isAdmin,
		"pod.kong-admin.kong.svc":             isAdmin,
		"backend.team-b":                      inCluster,
		"backend.team-b.svc.cluster.local":    inCluster,
		"kubernetes.default.svc":              inCluster,
		"metadata.google.internal":            inCluster,
		"127-0-0-1.default.pod.cluster.local": inCluster,
		"localhost":                           inCluster,
		"ip6-localhost":                       inCluster,
		"db.internal.example":                 inCluster,
		"10.1.2.3":                            notPublic,
		"127.0.0.1":                           notPublic,
		"169.254.169.254":                     notPublic,
		"[::ffff:169.254.169.254]":            notPublic,
		"64:ff9b::7f00:1":                     notPublic,
		"fd00::1":                             notPublic,
		"127.1":                               "usual form",
		"2130706433":                          "usual form",
		"0x7f.0.0.0x1":                        "usual form",
	} {
		t.Run(host, func(t *testing.T) {
			err := testPolicy().checkHost("spec.upstream.url", "team-a", host, 80)
			if closed == "" {
				if err != nil {
					t.Fatalf("got %v, want the host to be open", err)
				}
				return
			}
			wantStalled(t, err, v1alpha1.ReasonPolicyViolation, "spec.upstream.url: "+host, closed, "(policy of KongGateway edge). ")
		})
	}
}

// A cluster whose names end in a top-level domain of the Internet, and a namespace that is called like one.
func TestNamesOfTheClusterThatLookPublic(t *testing.T) {
	policy := testPolicy()
	policy.ClusterDomain = "k8s.example.com"
	policy.IsNamespace = func(name string) bool { return name == "dev" }
	for host, open := range map[string]bool{
		"backend.team-b.svc.k8s.example.com": false, "admin.dev": false, "pod.admin.dev": false, "admin.app": true, "api.example.com": true,
	} {
		if wrong, _ := policy.closed("team-a", address.Parse(host), 80); (wrong == "") != open {
			t.Errorf("%s: %q, open should be %v", host, wrong, open)
		}
	}
}

func TestExceptionsAndDenials(t *testing.T) {
	policy := testPolicy(func(p *v1alpha1.GatewayPolicy) {
		p.Upstreams = v1alpha1.UpstreamPolicy{
			Allow: []v1alpha1.AllowedUpstream{
				{Namespaces: []string{"team-a"}, CIDRs: []string{"10.20.0.0/16", "fd00::/8"}, Ports: []int32{443, 8443}},
				{Hosts: []string{"*.corp.internal", "otel.monitoring.svc", "partner.example.com"}},
				{Hosts: []string{"*.kong.svc"}},
			},
			Deny: []string{"*.example.com", "9.9.9.0/24", "2606:4700::1111", "old.team-b.svc"},
		}
	})
	for _, c := range []struct {
		namespace, host string
		port            int
		open            bool
	}{
		{"team-a", "10.20.1.1", 443, true},
		{"team-a", "::ffff:10.20.1.1", 8443, true},
		{"team-a", "fd00::1", 443, true},
		{"team-a", "10.20.1.1", 80, false},
		{"team-a", "10.20.1.1", 0, false},
		{"team-b", "10.20.1.1", 443, false},
		{"team-a", "10.21.1.1", 443, false},
		{"team-b", "a.b.corp.internal", 1234, true},
		{"team-b", "corp.internal", 1234, false},
		{"team-b", "evilcorp.internal", 1234, false},
		{"team-b", "otel.monitoring.svc.cluster.local", 4318, true},
		{"team-b", "OTEL.monitoring.svc.", 4318, true},
		{"team-b", "otel.monitoring", 4318, false},
		{"team-b", "partner.example.com", 443, true},
		{"team-b", "x.example.com", 443, false},
		{"team-b", "9.9.9.9", 443, false},
		{"team-b", "2606:4700:0::1111", 443, false},
		{"team-b", "2606:4700::1112", 443, true},
		// The Admin API is not opened by an exception for all of its namespace.
		{"team-b", "kong-admin.kong.svc", 8444, false},
		{"team-b", "kong-proxy.kong.svc", 8444, true},
	} {
		if err := policy.checkHost("f", c.namespace, c.host, c.port); (err == nil) != c.open {
			t.Errorf("%s to %s:%d: %v, open should be %v", c.namespace, c.host, c.port, err, c.open)
		}
	}
}

func TestDenyingEverything(t *testing.T) {
	policy := testPolicy(func(p *v1alpha1.GatewayPolicy) {
		p.Upstreams = v1alpha1.UpstreamPolicy{Deny: []string{"*"}, Allow: []v1alpha1.AllowedUpstream{{Hosts: []string{"api.partner.com"}}}}
	})
	for host, open := range map[string]bool{"api.partner.com": true, "example.com": false, "8.8.8.8": false} {
		if err := policy.checkHost("f", "team-a", host, 443); (err == nil) != open {
			t.Errorf("%s: %v, open should be %v", host, err, open)
		}
	}
}

func TestAdminAPIByURLIsClosedOnItsPort(t *testing.T) {
	policy := adminAt("http://kong.example.com:8001", "http://localhost:8001")
	policy.Upstreams.Allow = []v1alpha1.AllowedUpstream{{CIDRs: []string{"127.0.0.0/8", "::1/128"}, Hosts: []string{"*"}}}
	for _, c := range []struct {
		host string
		port int
		open bool
	}{
		{"kong.example.com", 8001, false}, {"KONG.example.com.", 8001, false}, {"kong.example.com", 8000, true},
		{"127.0.0.1", 8001, false}, {"127.9.9.9", 8001, false}, {"::1", 8001, false}, {"0.0.0.0", 8001, false}, {"127.0.0.1", 9000, true},
		{"kong", 8001, false}, {"127.0.0.1", 0, false},
	} {
		if err := policy.checkHost("f", "team-a", c.host, c.port); (err == nil) != c.open {
			t.Errorf("%s:%d: %v, open should be %v", c.host, c.port, err, c.open)
		}
	}
}

// Kong takes an IPv6 address without brackets for a name, and fails with every request then.
func TestAnIPv6UpstreamIsWrittenInBrackets(t *testing.T) {
	for url, want := range map[string]string{
		"http://[2606:4700::1111]:8080/x": "[2606:4700::1111]", "https://[2606:4700::1111]": "[2606:4700::1111]",
		"http://9.9.9.9": "9.9.9.9", "http://api.example.com": "api.example.com",
	} {
		fields := kong.Fields{}
		if err := urlFields(testPolicy(), fields, "team-a", url); err != nil || fields.Text("host") != want {
			t.Errorf("%s: host %s, %v", url, fields.Text("host"), err)
		}
	}
}
