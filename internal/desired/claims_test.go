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

// The program is on the service, so that no route is without it, or on what is attached to; it runs in the access
// phase alone.
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
	for _, name := range []string{
		"X-Authenticated-Groups", "x-authenticated-userid", "X-Authenticated-Scope", "X-Host-Override",
		"X-Anonymous-Consumer", "X-Kong-Request-Id",
	} {
		wantStalled(t, all.checkClaimHeader("f", name), forbidden, name+" is Kong's own")
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

// Bundled with Kong 3.4 to 3.9, each calls a service, or has an answer of another's, in a phase before post-function.
func TestPluginsThatAnswerBeforeClaimsAreChecked(t *testing.T) {
	for plugin, answers := range map[string]bool{
		"ai-proxy": true, "ai-request-transformer": true, "ai-response-transformer": true, "ai-semantic-cache": true,
		"aws-lambda": true, "azure-functions": true, "proxy-cache": true, "proxy-cache-advanced": true,
		"kafka-consume": true, "cors": false, "rate-limiting": false, "request-transformer": false, "http-log": false,
	} {
		if AnswersBeforeClaims(plugin) != answers {
			t.Errorf("%s: want %v", plugin, answers)
		}
	}
}

// A consumer's plugin runs on each service that lets it in.
func TestConsumersAnswerNothingBeforeClaimsAreChecked(t *testing.T) {
	policy := testPolicy(func(p *v1alpha1.GatewayPolicy) {
		p.Plugins = append(p.Plugins, answerThemselves...)
		p.ConsumerPlugins = p.Plugins
	})
	for _, plugin := range []string{"proxy-cache", "ai-response-transformer", "aws-lambda"} {
		consumer := testConsumer(func(s *v1alpha1.JwtConsumerSpec) {
			s.Plugins = []v1alpha1.PluginSpec{{Name: "p", Plugin: plugin}, {Name: "log", Plugin: "http-log"}}
		})
		set, err := BuildConsumer(testScope, policy, ConsumerInput{Consumer: consumer})
		wantStalled(t, err, v1alpha1.ReasonPolicyViolation, "spec.plugins[0].plugin", plugin, "no spec.claims")
		if plugins := ofKind(set, kong.KindPlugin); len(plugins) != 1 || plugins[0].Fields.Text("name") != "http-log" {
			t.Errorf("plugins %v", plugins)
		}
	}
}

// Rate limits run before the header is the claim's: whoever sends another value each time is never limited.
func TestNothingIsCountedByAHeaderOfAClaim(t *testing.T) {
	limiting := func(config string, secrets ...string) error {
		service := testService(checking(v1alpha1.ClaimChecks{
			Headers: []v1alpha1.ClaimHeader{{Claim: "azp", Header: "X-Token-Client"}, {Claim: "sub", Header: "X-Token-Subject"}},
		}), func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.Plugins = []v1alpha1.ServicePlugin{{PluginSpec: v1alpha1.PluginSpec{
				Name: "limit", Plugin: "rate-limiting", Config: equalTo(config),
			}}}
		})
		input := ServiceInput{Service: service, Configs: Configs{}}
		for _, secret := range secrets {
			input.Configs["limit"] = append(input.Configs["limit"], []byte(secret))
		}
		policy := testPolicy(func(p *v1alpha1.GatewayPolicy) { p.Plugins = append(p.Plugins, "rate-limiting") })
		_, err := BuildService(testScope, policy, input)
		return err
	}
	for _, name := range []string{"X-Token-Subject", "x-token-subject", "X_Token_Subject"} {
		wantStalled(t, limiting(`{"minute":1,"limit_by":"header","header_name":"`+name+`"}`), v1alpha1.ReasonInvalidSpec,
			"spec.plugins[0].config.header_name: ", "spec.claims.headers[1].header", "X-Token-Subject")
	}
	wantStalled(t, limiting(`{"minute":1}`, `{"limit_by":"header","header_name":"X-Token-Client"}`),
		v1alpha1.ReasonInvalidSpec, "spec.plugins[0].config.header_name: ", "spec.claims.headers[0].header")
	for _, config := range []string{
		`{"minute":1,"limit_by":"header","header_name":"X-Other"}`,
		`{"minute":1,"limit_by":"consumer","header_name":"X-Token-Subject"}`,
	} {
		if err := limiting(config); err != nil {
			t.Errorf("%s: %v", config, err)
		}
	}
}

// A program is counted, and bounded as another plugin's configuration is, however few characters the spec has.
func TestProgramsAreBounded(t *testing.T) {
	checks := func(rules, each, characters int) *v1alpha1.JwtProtectedService {
		var all v1alpha1.ClaimChecks
		for i := range rules {
			one := v1alpha1.RequiredClaim{Claim: "scope"}
			for j := range each {
				one.In = append(one.In, path("%02d%02d", i, j)+strings.Repeat("😀", characters))
			}
			all.Required = append(all.Required, one)
		}
		return testService(checking(all))
	}
	small := checks(1, 1, 10)
	rules, err := claimRules(small)
	if err != nil {
		t.Fatal(err)
	}
	use := ServiceUse(small, nil, nil).ConfigBytes
	if use < 40 || int(use) > len(rules.Program()) {
		t.Errorf("%d bytes are counted of a program of %d", use, len(rules.Program()))
	}
	large := checks(16, 32, 508)
	_, err = BuildService(testScope, testPolicy(), ServiceInput{Service: large})
	wantStalled(t, err, v1alpha1.ReasonInvalidSpec, "spec.claims: ", "a plugin may have 262144")
	wantStalled(t, CheckService(testPolicy(), large), v1alpha1.ReasonInvalidSpec, "spec.claims: ")
	tight := testPolicy(func(p *v1alpha1.GatewayPolicy) { p.Budget.ConfigBytes = 1000 })
	wantStalled(t, tight.CheckBudget("team-a", v1alpha1.BudgetUse{}, ServiceUse(checks(2, 20, 10), nil, nil), nil),
		v1alpha1.ReasonPolicyViolation, "with spec.claims", "budget.configBytes is 1000")
}
