package desired

import (
	"encoding/json"
	"errors"
	"slices"
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
		Plugins:    []string{"cors", "http-log"}, ConsumerPlugins: []string{"cors", "http-log"},
		Redis: []v1alpha1.RedisServer{{Name: "shared", Host: "redis.kong.svc"}, {Name: "theirs", Host: "r", Namespaces: []string{"team-b"}}},
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

func TestKidsThatAnIssuerMayPublish(t *testing.T) {
	known := func(p Policy) Policy {
		p.IsNamespace = func(name string) bool { return name == "team-a" || name == "team-b" }
		return p
	}
	namespaced := known(testPolicy())
	for kid, may := range map[string]bool{
		"team-b.john.default": false, "team-b.": false, "team-a.john.default": true, "team-b": true, "team-bc.john": true, "2026.11": true, ".team-b": true,
	} {
		if MayPublish(namespaced, "team-a", kid) != may {
			t.Errorf("%s: may be published is %v", kid, !may)
		}
	}
	for what, change := range map[string]func(*v1alpha1.GatewayPolicy){
		"identities: Any": func(p *v1alpha1.GatewayPolicy) { p.Identities = v1alpha1.IdentitiesAny },
		"an issuer that policy names": func(p *v1alpha1.GatewayPolicy) {
			p.JWKS = &v1alpha1.JWKSPolicy{Issuers: []v1alpha1.AllowedIssuer{{URL: "https://login.example.com/"}}}
		},
	} {
		if !MayPublish(known(testPolicy(change)), "team-a", "team-b.john.default") {
			t.Errorf("%s: a kid is refused", what)
		}
	}
}

func TestGroupsThatAreKeptForSomeNamespaces(t *testing.T) {
	for _, identities := range []v1alpha1.IdentityPolicy{v1alpha1.IdentitiesAny, v1alpha1.IdentitiesNamespaced} {
		policy := testPolicy(func(p *v1alpha1.GatewayPolicy) {
			p.Identities = identities
			p.Groups = []v1alpha1.GroupPolicy{
				{Groups: []string{"team-a.admins", "team-b.bank-*"}, Namespaces: []string{"team-a"}},
				{Groups: []string{"team-b.bank-tellers"}, Namespaces: []string{"team-b"}},
				{Groups: []string{"team-b.nobody"}},
			}
		})
		for namespace, group := range map[string]string{"team-a": "team-a.admins", "team-b": "team-b.bank-tellers", "team-c": "team-c.any"} {
			if err := policy.checkGroup("spec.groups[0]", namespace, group); err != nil {
				t.Errorf("%s, %s: %v", identities, group, err)
			}
		}
		for _, group := range []string{"team-b.bank-owners", "team-b.nobody", "team-b.bank-"} {
			wantStalled(t, policy.checkGroup("spec.groups[0]", "team-b", group), v1alpha1.ReasonPolicyViolation, "spec.groups[0]", group)
		}
	}
	open := testPolicy(func(p *v1alpha1.GatewayPolicy) {
		p.Identities = v1alpha1.IdentitiesAny
		p.Groups = []v1alpha1.GroupPolicy{{Groups: []string{"admins"}, Namespaces: []string{"platform"}}}
	})
	consumer := &v1alpha1.JwtConsumer{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "mallory"}}
	consumer.Spec.Groups = []string{"clerks", "admins"}
	_, err := BuildConsumer(testScope, open, ConsumerInput{Consumer: consumer})
	wantStalled(t, err, v1alpha1.ReasonPolicyViolation, "spec.groups[1]", `"admins"`, "team-a")
}

// A token without an end is refused where data planes are asked with tokens, unless policy says otherwise.
func TestExpiryIsAskedFor(t *testing.T) {
	for what, c := range map[string]struct {
		asks    bool
		require *bool
		jwt     v1alpha1.JWTPlugin
		refused bool
	}{
		"data planes are asked":                {true, nil, v1alpha1.JWTPlugin{KeyClaimName: "kid"}, true},
		"they are, and exp is verified":        {true, nil, v1alpha1.JWTPlugin{KeyClaimName: "kid", ClaimsToVerify: []v1alpha1.TimeClaim{"exp"}}, false},
		"they are, and the key comes from iss": {true, nil, v1alpha1.JWTPlugin{KeyClaimName: "iss"}, false},
		"they are, and the policy allows it":   {true, new(false), v1alpha1.JWTPlugin{KeyClaimName: "kid"}, false},
		"nobody is asked":                      {false, nil, v1alpha1.JWTPlugin{KeyClaimName: "kid"}, false},
		"nobody is, and the policy refuses it": {false, new(true), v1alpha1.JWTPlugin{KeyClaimName: "kid"}, true},
	} {
		policy := testPolicy(func(p *v1alpha1.GatewayPolicy) { p.Claims.RequireExpiry = c.require })
		policy.asksDataPlanes = c.asks
		err := CheckService(policy, &v1alpha1.JwtProtectedService{Spec: v1alpha1.JwtProtectedServiceSpec{JWT: c.jwt}})
		if c.refused {
			wantStalled(t, err, v1alpha1.ReasonPolicyViolation, "spec.jwt.claimsToVerify", "[exp]")
		} else if err != nil {
			t.Errorf("%s: %v", what, err)
		}
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
		"a log":                         {"http-log", `{"http_endpoint": "https://log.example.com:8443/a?b=c"}`, "", ""},
		"a log's headers":               {"http-log", `{"http_endpoint": "https://log.example.com", "headers": {"x-key": "k"}}`, "", ""},
		"no Lua":                        {"http-log", `{"http_endpoint": "https://log.example.com", "custom_fields_by_lua": null}`, "", ""},
		"a redis":                       {"response-ratelimiting", `{"redis": {"host": "redis.example.com", "port": 6379}}`, "spec.plugins[0].config.redis.host", "names a Redis"},
		"a redis of old":                {"rate-limiting", `{"redis_host": "r.example.com"}`, "spec.plugins[0].config.redis_host", "policy.redis"},
		"a redis of sessions":           {"openid-connect", `{"session_redis_host": "r.example.com"}`, "spec.plugins[0].config.session_redis_host", "names a Redis"},
		"a socket of redis":             {"openid-connect", `{"redis": {"socket": "unix:/r"}}`, "spec.plugins[0].config.redis.socket", "names a Redis"},
		"a redis in a list":             {"acme", `{"stores": [{"redis": {"host": "r.example.com"}}]}`, "spec.plugins[0].config.stores[0].redis.host", "names a Redis"},
		"an anonymous consumer":         {"key-auth", `{"anonymous": "team-a.guest"}`, "", ""},
		"no anonymous consumer":         {"key-auth", `{"anonymous": null}`, "", ""},
		"another's as anonymous":        {"key-auth", `{"anonymous": "team-b.admin"}`, "spec.plugins[0].config", "does not begin with \"team-a.\""},
		"no redis, as Kong shows it":    {"rate-limiting", `{"redis": {"host": null, "port": 6379, "timeout": 2000}, "redis_host": null, "minute": 1}`, "", ""},
		"origins of browsers":           {"cors", `{"origins": ["http://localhost:3000", "~^http://127"]}`, "", ""},
		"addresses of clients":          {"ip-restriction", `{"allow": ["127.0.0.1", "10.0.0.0/8"]}`, "", ""},
		"user agents":                   {"bot-detection", `{"deny": ["+http://www.example.com/bot", "a://b c"]}`, "spec.plugins[0].config.deny[1]", "different hosts"},
		"Lua":                           {"http-log", `{"custom_fields_by_lua": {"x": "return 1"}}`, "spec.plugins[0].config.custom_fields_by_lua", "Lua"},
		"Lua of another plugin":         {"file-log", `{"a": [{"b": {"Fields_By_Lua": {}}}]}`, "spec.plugins[0].config.a[0].b.Fields_By_Lua", "Lua"},
		"Lua in cors":                   {"cors", `{"x_by_lua": "return 1"}`, "x_by_lua", "Lua"},
		"a log on loopback":             {"http-log", `{"http_endpoint": "http://127.0.0.1:8001/plugins"}`, "spec.plugins[0].config.http_endpoint", "not a public address"},
		"a log in capitals":             {"http-log", `{"http_endpoint": "HTTP://LocalHost/"}`, "http_endpoint", "in the cluster or in a private zone"},
		"a log behind a user":           {"http-log", `{"http_endpoint": "http://log.example.com@[::1]:8001/"}`, "http_endpoint", "with a user"},
		"the Admin API":                 {"http-log", `{"http_endpoint": "https://kong-admin.kong.svc:8444"}`, "http_endpoint", "Admin API"},
		"cloud metadata":                {"http-log", `{"http_endpoint": "http://169.254.169.254/latest"}`, "http_endpoint", "not a public address"},
		"a query that is a user":        {"http-log", `{"http_endpoint": "http://a.example.com?@127.0.0.1:8001/"}`, "http_endpoint", "different hosts"},
		"a fragment that is a user":     {"http-log", `{"http_endpoint": "http://a.example.com#@127.0.0.1:8001/"}`, "http_endpoint", "different hosts"},
		"two users":                     {"http-log", `{"http_endpoint": "http://a@127.0.0.1@a.example.com/"}`, "http_endpoint", "different hosts"},
		"a backslash":                   {"http-log", `{"http_endpoint": "http://127.0.0.1:8001\\@a.example.com/"}`, "http_endpoint", "different hosts"},
		"no scheme":                     {"http-log", `{"http_endpoint": "//127.0.0.1:8001/"}`, "http_endpoint", "not a public address"},
		"a space before":                {"http-log", `{"http_endpoint": " http://127.0.0.1:8001/"}`, "http_endpoint", "different hosts"},
		"a redis on the Admin API":      {"rate-limiting", `{"redis": {"host": "kong-admin.kong", "port": 8001}}`, "spec.plugins[0].config.redis.host", "names a Redis"},
		"a redis as it was written":     {"rate-limiting", `{"redis_host": "127.1", "redis_port": 6379}`, "redis_host", "names a Redis"},
		"a node of a cluster of redis":  {"rate-limiting", `{"redis": {"cluster_nodes": [{"ip": "10.1.2.3", "port": 6379}]}}`, "redis.cluster_nodes", "names a Redis"},
		"a log that is given elsewhere": {"opentelemetry", `{"traces_endpoint": "http://db.internal.example:4318/v1"}`, "traces_endpoint", "private zone"},
	} {
		t.Run(what, func(t *testing.T) {
			policy := testPolicy(func(p *v1alpha1.GatewayPolicy) { p.Plugins = append(p.Plugins, c.plugin) })
			spec := v1alpha1.PluginSpec{Plugin: c.plugin, Config: &apiextensionsv1.JSON{Raw: []byte(c.config)}}
			b := builder{policy: policy, owner: ServiceOwner("team-a", "orders")}
			_, err := b.pluginFields("spec.plugins[0]", spec, nil)
			// The same out of a Secret.
			spec.Config = nil
			_, fromSecret := b.pluginFields("spec.plugins[0]", spec, [][]byte{[]byte(c.config)})
			if c.says == "" {
				if err != nil || fromSecret != nil {
					t.Fatalf("got %v, and out of a Secret %v: want it to be allowed", err, fromSecret)
				}
				return
			}
			wantStalled(t, err, v1alpha1.ReasonPolicyViolation, c.field, c.says, "policy of KongGateway edge")
			wantStalled(t, fromSecret, v1alpha1.ReasonPolicyViolation, "spec.plugins[0].configFrom", c.says, "policy of KongGateway edge")
			var config map[string]any
			if err := json.Unmarshal([]byte(c.config), &config); err != nil {
				t.Fatal(err)
			}
			for _, text := range textsOf(config) {
				// The field of the policy has that name.
				if text != "redis" && strings.Contains(fromSecret.Error(), text) {
					t.Errorf("the message repeats %q, which is in a Secret: %v", text, fromSecret)
				}
			}
		})
	}
}

// textsOf lists the names and texts of an object: none of them may be repeated where it came from a Secret.
func textsOf(value any) []string {
	var texts []string
	switch v := value.(type) {
	case map[string]any:
		for name, element := range v {
			texts = append(append(texts, name), textsOf(element)...)
		}
	case []any:
		for _, element := range v {
			texts = append(texts, textsOf(element)...)
		}
	case string:
		texts = append(texts, v)
	}
	return slices.DeleteFunc(texts, func(text string) bool { return len(text) < 5 })
}

func TestAdminAPIOnItsPortIsDeniedToPlugins(t *testing.T) {
	policy := adminAt("https://kong.example.com", "http://kong.example.com:6379")
	for config, denied := range map[string]bool{
		`{"http_endpoint": "https://kong.example.com/x"}`:    true,
		`{"http_endpoint": "http://kong.example.com/x"}`:     false,
		`{"http_endpoint": "http://kong.example.com:443/x"}`: true,
		`{"host": "kong.example.com", "port": 6379}`:         true,
		`{"log_host": "kong.example.com", "log_port": 6379}`: true,
		`{"host": "kong.example.com", "port": 6380}`:         false,
	} {
		var object map[string]any
		if err := json.Unmarshal([]byte(config), &object); err != nil {
			t.Fatal(err)
		}
		if err := policy.checkPluginConfig("f", "team-a", "http-log", object, object); (err != nil) != denied {
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

func TestShortSecretsAreRefusedWhereThePolicySaysSo(t *testing.T) {
	policy := testPolicy(func(p *v1alpha1.GatewayPolicy) { p.MinSecretBytes = 32 })
	build := func(secret string) error {
		_, err := BuildConsumer(testScope, policy, ConsumerInput{Consumer: testConsumer(), Credentials: []Credential{
			{Field: "spec.credentials[1]", Part: "credential:a", Material: hmacMaterial("team-a.x", secret)},
		}})
		return err
	}
	if err := build(strings.Repeat("s", 32)); err != nil {
		t.Error(err)
	}
	err := build(strings.Repeat("s", 31))
	wantStalled(t, err, v1alpha1.ReasonPolicyViolation, "spec.credentials[1]", "31 bytes", "asks for 32")
	if strings.Contains(err.Error(), "sss") {
		t.Error("the message has the secret")
	}
}

func TestRetainIsForGatewaysThatAllowIt(t *testing.T) {
	retained := testConsumer()
	retained.Spec.DeletionPolicy = v1alpha1.DeletionPolicyRetain
	_, err := BuildConsumer(testScope, testPolicy(), ConsumerInput{Consumer: retained})
	wantStalled(t, err, v1alpha1.ReasonPolicyViolation, "spec.deletionPolicy", "policy.retain")
	_, err = BuildService(testScope, testPolicy(), ServiceInput{Service: testService(func(s *v1alpha1.JwtProtectedServiceSpec) {
		s.DeletionPolicy = v1alpha1.DeletionPolicyRetain
	})})
	wantStalled(t, err, v1alpha1.ReasonPolicyViolation, "spec.deletionPolicy", "policy.retain")
	if _, err := BuildConsumer(testScope, testPolicy(func(p *v1alpha1.GatewayPolicy) { p.Retain = true }), ConsumerInput{Consumer: retained}); err != nil {
		t.Error(err)
	}
}

func TestConsumersCarryNoPluginsUnlessThePolicyListsThem(t *testing.T) {
	carrying := testConsumer()
	carrying.Spec.Plugins = []v1alpha1.PluginSpec{{Name: "mine", Plugin: "cors"}}
	build := func(listed ...string) error {
		_, err := BuildConsumer(testScope, testPolicy(func(p *v1alpha1.GatewayPolicy) { p.ConsumerPlugins = listed }), ConsumerInput{Consumer: carrying})
		return err
	}
	wantStalled(t, build(), v1alpha1.ReasonPolicyViolation, "spec.plugins[0].plugin", "policy.consumerPlugins", "Remove it")
	wantStalled(t, build("http-log"), v1alpha1.ReasonPolicyViolation, "policy.consumerPlugins", "http-log")
	if err := build("cors"); err != nil {
		t.Error(err)
	}
	// What services may not use, consumers may not either.
	carrying.Spec.Plugins[0].Plugin = "proxy-cache"
	wantStalled(t, build("proxy-cache"), v1alpha1.ReasonPolicyViolation, "policy.plugins")
}

func TestIssuersByNamespace(t *testing.T) {
	policy := testPolicy(func(p *v1alpha1.GatewayPolicy) {
		p.JWKS = &v1alpha1.JWKSPolicy{Issuers: []v1alpha1.AllowedIssuer{
			{URL: "https://corp.example.com/", Namespaces: []string{"team-a"}}, {URL: "https://open.example.com/"},
		}}
	})
	for namespace, want := range map[string]int{"team-a": 2, "team-b": 1} {
		if urls, all := policy.IssuerURLs(namespace); len(urls) != want || all {
			t.Errorf("%s may follow %v, all: %v", namespace, urls, all)
		}
	}
	if _, all := testPolicy().IssuerURLs("team-a"); !all {
		t.Error("without a list any issuer may be followed")
	}
	none := testPolicy(func(p *v1alpha1.GatewayPolicy) { p.JWKS = &v1alpha1.JWKSPolicy{Issuers: []v1alpha1.AllowedIssuer{}} })
	if urls, all := none.IssuerURLs("team-a"); len(urls) > 0 || all {
		t.Errorf("of an empty list, %v may be followed, all: %v", urls, all)
	}
}
