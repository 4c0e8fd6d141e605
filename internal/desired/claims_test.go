package desired

import (
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

func checking(checks v1alpha1.ClaimChecks) func(*v1alpha1.JwtProtectedServiceSpec) {
	return func(s *v1alpha1.JwtProtectedServiceSpec) { s.Claims = &checks }
}

func equalTo(raw string) *apiextensionsv1.JSON { return &apiextensionsv1.JSON{Raw: []byte(raw)} }

// The program is on the service, so that no route is without it, or on what is attached to; it runs in the access phase
// alone.
func TestClaimsAreOnTheService(t *testing.T) {
	checks := checking(v1alpha1.ClaimChecks{Audiences: []string{"orders"}})
	for name, change := range map[string]func(*v1alpha1.JwtProtectedServiceSpec){
		"of its own": checks,
		"attached": func(s *v1alpha1.JwtProtectedServiceSpec) {
			checks(s)
			s.Upstream, s.Routes, s.AttachTo = nil, nil, &v1alpha1.AttachTo{ServiceName: "team-a.theirs"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			service := testService(change)
			set := buildService(t, ServiceInput{Service: service})
			found := 0
			for _, plugin := range ofKind(set, kong.KindPlugin) {
				if plugin.Fields.Text("name") != PluginClaims {
					continue
				}
				found++
				config := kong.Fields(plugin.Fields.Object("config"))
				if plugin.Fields.Ref("service") == "" || plugin.Fields.Ref("route") != "" || plugin.Fields["enabled"] != true {
					t.Error("it is not on the service, or switched off")
				}
				if len(config) != 6 || len(config.Strings("access")) != 1 || len(config.Strings("rewrite")) != 0 {
					t.Errorf("not every phase is said: %v", config)
				}
			}
			_, _, plugins := ServiceEntities(testScope, testPolicy(), service)
			if found != 1 || plugins[1].Name != PluginClaims {
				t.Errorf("%d plugins check claims, status %v", found, plugins)
			}
		})
	}
}

func TestClaimsThatCannotBe(t *testing.T) {
	required := func(r v1alpha1.RequiredClaim) v1alpha1.ClaimChecks {
		return v1alpha1.ClaimChecks{Required: []v1alpha1.RequiredClaim{r}}
	}
	header := func(name string) v1alpha1.ClaimChecks {
		return v1alpha1.ClaimChecks{Headers: []v1alpha1.ClaimHeader{{Claim: "sub", Header: name}}}
	}
	const invalid, forbidden = v1alpha1.ReasonInvalidSpec, v1alpha1.ReasonPolicyViolation
	for _, c := range []struct {
		checks       v1alpha1.ClaimChecks
		reason, says string
	}{
		{required(v1alpha1.RequiredClaim{Claim: "a..b", Contains: "x"}), invalid, "spec.claims.required[0].claim: "},
		{required(v1alpha1.RequiredClaim{Claim: `["a`, Contains: "x"}), invalid, "no path to a claim"},
		{required(v1alpha1.RequiredClaim{Claim: "a" + strings.Repeat(".a", 8), Contains: "x"}), invalid, "names deep"},
		{required(v1alpha1.RequiredClaim{Claim: "a"}), invalid, "spec.claims.required[0]: it does not say"},
		{required(v1alpha1.RequiredClaim{Claim: "a", Contains: "x", In: []string{"y"}}), invalid, "exactly one of"},
		{required(v1alpha1.RequiredClaim{Claim: "a", Equals: equalTo("null")}), invalid, "spec.claims.required[0].equals: "},
		{required(v1alpha1.RequiredClaim{Claim: "a", Equals: equalTo("1.5")}), invalid, "no whole number"},
		{required(v1alpha1.RequiredClaim{Claim: "a", Equals: equalTo("1e300")}), invalid, "no whole number"},
		{required(v1alpha1.RequiredClaim{Claim: "a", Equals: equalTo(`["a"]`)}), invalid, "no string"},
		{required(v1alpha1.RequiredClaim{Claim: "a", Equals: equalTo(`{"a":1}`)}), invalid, "no string"},
		{required(v1alpha1.RequiredClaim{Claim: "a", Equals: equalTo(`"` + strings.Repeat("a", 1025) + `"`)}), invalid, "longer than 1024"},
		{header("Host"), forbidden, "Kong's own"},
		{header("AUTHORIZATION"), forbidden, "Kong's own"},
		{header("x-consumer-username"), forbidden, "Kong's own"},
		{header("X-Credential-Identifier"), forbidden, "Kong's own"},
		{header("X-Forwarded-For"), forbidden, "Kong's own"},
		{header("X-Real-IP"), forbidden, "Kong's own"},
		{header("Transfer-Encoding"), forbidden, "Kong's own"},
		{header("Content-Length"), forbidden, "Kong's own"},
		{header("X-User"), forbidden, "begins with none of policy.claims.headers (policy of KongGateway edge). Begin it with X-Token-."},
	} {
		_, err := BuildService(testScope, testPolicy(), ServiceInput{Service: testService(checking(c.checks))})
		wantStalled(t, err, c.reason, c.says)
	}
	for _, name := range []string{"X-Token-Subject", "x-token-subject"} {
		buildService(t, ServiceInput{Service: testService(checking(header(name)))})
	}
	all := testPolicy(func(p *v1alpha1.GatewayPolicy) { p.Claims.Headers = []string{"X-"} })
	for name, wrong := range map[string]bool{"X-User": false, "X-Consumer-ID": true, "X-Forwarded-User": true} {
		if err := all.checkClaimHeader("f", name); (err != nil) != wrong {
			t.Errorf("%s where X- is open: %v", name, err)
		}
	}
	none := testPolicy(func(p *v1alpha1.GatewayPolicy) { p.Claims.Headers = []string{} })
	wantStalled(t, none.checkClaimHeader("f", "X-Token-A"), forbidden, "no header may be made")
}

// What answers a request by itself would answer for a token that the claims refuse.
func TestNothingAnswersBeforeClaimsAreChecked(t *testing.T) {
	policy := testPolicy(func(p *v1alpha1.GatewayPolicy) { p.Plugins = append(p.Plugins, answerThemselves...) })
	for _, plugin := range answerThemselves {
		service := testService(checking(v1alpha1.ClaimChecks{Issuers: []string{"i"}}), func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.Plugins = []v1alpha1.ServicePlugin{{PluginSpec: v1alpha1.PluginSpec{Name: "p", Plugin: plugin}, Route: "api"}}
		})
		_, err := BuildService(testScope, policy, ServiceInput{Service: service})
		wantStalled(t, err, v1alpha1.ReasonInvalidSpec, "spec.plugins[0].plugin", plugin)
		service.Spec.Claims = nil
		if _, err := BuildService(testScope, policy, ServiceInput{Service: service}); err != nil {
			t.Errorf("%s without claims: %v", plugin, err)
		}
	}
}
