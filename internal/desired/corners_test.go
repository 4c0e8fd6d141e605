package desired

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/address"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

func TestWhatAStatusSaysOfAKongIsReadBack(t *testing.T) {
	gateway := &v1alpha1.KongGateway{}
	gateway.Status.KongVersion = "3.4.2"
	if got := CapabilitiesOf(gateway, ""); got.Version != "3.4.2" || !got.FlatRedis {
		t.Errorf("by the version of the status: %+v", got)
	}
	gateway.Status.Capabilities = &v1alpha1.KongCapabilities{Algorithms: []string{"HS256"}, NoLua: true}
	if got := CapabilitiesOf(gateway, ""); !slices.Equal(got.Algorithms, []string{"HS256"}) || !got.NoLua {
		t.Errorf("by what the status says: %+v", got)
	}
	if got := CapabilitiesOf(gateway, "3.9.3"); got.Version != "3.9.3" || got.NoLua || len(got.Algorithms) < 5 {
		t.Errorf("by a version that is given: %+v", got)
	}
}

func TestClaimsNeedAPluginAndLua(t *testing.T) {
	for what, c := range map[string]struct {
		on   kong.Capabilities
		runs bool
	}{
		"both":      {kong.Capabilities{}, true},
		"no plugin": {kong.Capabilities{Plugins: []string{"jwt"}}, false},
		"no Lua":    {kong.Capabilities{NoLua: true}, false},
	} {
		if RunsClaims(c.on) != c.runs {
			t.Errorf("%s: want %v", what, c.runs)
		}
	}
}

func TestOnlyWhatTheSpecHasIsUnsupported(t *testing.T) {
	in := ConsumerInput{Consumer: testConsumer(), Kong: capable("3.9.3", "jwt", "cors")}
	if err := in.Unsupported("edge"); err != nil {
		t.Errorf("a consumer without groups needs no acl: %v", err)
	}
	in.Consumer.Spec.Plugins = []v1alpha1.PluginSpec{{Name: "a", Plugin: "cors"}, {Name: "b", Plugin: "http-log"}}
	if got := messages(t, in.Unsupported("edge")); len(got) != 1 || !strings.HasPrefix(got[0], "spec.plugins[1].plugin: Kong has no http-log plugin") {
		t.Errorf("%q", got)
	}
}

// A Kong is sent what its schemas have.
func TestConfigurationsFitTheKong(t *testing.T) {
	on := kong.Capabilities{JWTOptions: []string{"key_claim_name", "claims_to_verify"}}
	if got := jwtFields(v1alpha1.JWTPlugin{KeyClaimName: "kid", RunOnPreflight: new(true)}, on); len(got) != 1 || got["key_claim_name"] != "kid" {
		t.Errorf("jwt: %v", got)
	}
	server := &v1alpha1.RedisServer{Host: "redis.example.com"}
	limit := v1alpha1.RateLimit{Minute: new(int32(1)), Policy: v1alpha1.RateLimitByRedis}
	flat := rateLimitFields(limit, server, "", kong.Capabilities{FlatRedis: true})
	if flat["redis_port"] != 6379 || flat["redis_timeout"] != 2000 || flat["redis"] != nil {
		t.Errorf("flat: %v", flat)
	}
	record, _ := rateLimitFields(limit, server, "", kong.Capabilities{})["redis"].(map[string]any)
	if record["port"] != 6379 || record["timeout"] != 2000 {
		t.Errorf("a record: %v", record)
	}
	if got := rateLimitFields(limit, nil, "", kong.Capabilities{FlatRedis: true}); got["redis_port"] != nil {
		t.Errorf("without a server: %v", got)
	}
}

func TestConfigurationsThatAreNone(t *testing.T) {
	build := func(raw string) (kong.Fields, error) {
		b := builder{scope: testScope, policy: testPolicy(), owner: ConsumerOwner("team-a", "john")}
		return b.pluginFields("spec.plugins[0]", v1alpha1.PluginSpec{Plugin: "cors", Config: &apiextensionsv1.JSON{Raw: []byte(raw)}}, nil)
	}
	for _, raw := range []string{"null", "[1]", "1", "{"} {
		if _, err := build(raw); err == nil {
			t.Errorf("%s is taken", raw)
		} else {
			wantStalled(t, err, v1alpha1.ReasonInvalidSpec, "spec.plugins[0].config: it is no object")
		}
	}
	for _, raw := range []string{"", "{}"} { // Kong's own defaults then
		if fields, err := build(raw); err != nil || fields["config"] != nil {
			t.Errorf("%q: %v, %v", raw, fields["config"], err)
		}
	}
	const fourth = MaxConfigBytes / 4
	rest := MaxConfigBytes - 3*fourth - len(`{"a":"","b":["",""],"c":""}`)
	for more, taken := range map[int]bool{0: true, 1: false} { // as JSON, with the aliases of YAML resolved
		text := "a: &a " + strings.Repeat("x", fourth) + "\nb: [*a, *a]\nc: " + strings.Repeat("y", rest+more) + "\n"
		if got := parseConfig([]byte(text)) != nil; got != taken {
			t.Errorf("%d bytes too many: taken: %v, of %d bytes", more, got, len(text))
		}
	}
}

func TestVaultReferencesInLists(t *testing.T) {
	at, found := findVaultReference("f", []any{"plain", map[string]any{"x": []any{"{vault://env/x}"}}})
	if !found || at != "f[1].x[0]" {
		t.Errorf("%q, %v", at, found)
	}
	if at, found := findVaultReference("f", []any{"plain", 1}); found {
		t.Errorf("found at %q", at)
	}
}

func TestRedisOfAService(t *testing.T) {
	policy := testPolicy()
	if server := policy.RedisOf(testService()); server != nil {
		t.Errorf("a service without a limit counts in %s", server.Name)
	}
	limited := testService(func(s *v1alpha1.JwtProtectedServiceSpec) {
		s.RateLimit = &v1alpha1.RateLimit{Minute: new(int32(1)), Policy: v1alpha1.RateLimitByRedis, Redis: "none"}
	})
	wantStalled(t, policy.checkRedis(limited), v1alpha1.ReasonPolicyViolation, "spec.rateLimit.redis", "Use one of shared, or ask")
	policy.Redis = nil
	wantStalled(t, policy.checkRedis(limited), v1alpha1.ReasonPolicyViolation, "spec.rateLimit.redis", "Use policy: local, or ask")
}

// With a username that is another's, what is named after it is kept as it is; an issuer's keys are not named after it.
func TestCredentialsOfARefusedUsername(t *testing.T) {
	consumer := testConsumer(func(s *v1alpha1.JwtConsumerSpec) { s.Username = "team-b.john" })
	slot := CredentialPart(credential.Slot{Credential: "own"})
	held := Credential{Part: CredentialPart(credential.Slot{Credential: "held"}), Held: true, Material: hmacMaterial("team-a.held", "secret")}
	given := Credential{Part: CredentialPart(credential.Slot{Credential: "given"}), TenantKey: true, Material: hmacMaterial("team-a.given", "secret")}
	set, err := BuildConsumer(testScope, testPolicy(), ConsumerInput{Consumer: consumer, Credentials: []Credential{
		{Part: slot, Material: hmacMaterial("team-b.john.own", "secret")}, held, given,
		KeySetCredential("spec.credentials[3]", "idp", hmacMaterial("kid", "secret")),
	}})
	wantStalled(t, err, v1alpha1.ReasonPolicyViolation, "spec.username")
	var keys []string
	for _, e := range ofKind(set, kong.KindJWT) {
		keys = append(keys, e.Fields.Text("key"))
	}
	if want := []string{"team-a.held", "team-a.given", "kid"}; !slices.Equal(keys, want) {
		t.Errorf("given %v, want %v", keys, want)
	}
	if !slices.Contains(set.Keep, CredentialID(testScope, set.Owner, slot)) {
		t.Errorf("kept %v", set.Keep)
	}
	wantStalled(t, CheckConsumer(testPolicy(), consumer), v1alpha1.ReasonPolicyViolation, "spec.username")
	if slot, ok := CredentialSlot("credential:a.0"); ok {
		t.Errorf("a slot of number 0 is written without it, and %v is read", slot)
	}
}

func TestServicesThatLoseTheirUpstream(t *testing.T) {
	ref := testService(func(s *v1alpha1.JwtProtectedServiceSpec) {
		s.Upstream = &v1alpha1.Upstream{ServiceRef: &v1alpha1.UpstreamServiceReference{Name: "backend", Port: 80, Scheme: "http"}}
	})
	attached := testService(func(s *v1alpha1.JwtProtectedServiceSpec) { s.Upstream = nil })
	external := &corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName}}
	for what, c := range map[string]struct {
		service *v1alpha1.JwtProtectedService
		target  *corev1.Service
		loses   bool
	}{
		"a Service that is there":   {ref, &corev1.Service{}, false},
		"a Service that is not":     {ref, nil, true},
		"a Service to any host":     {ref, external, true},
		"a URL":                     {testService(), nil, false},
		"no upstream of its own":    {attached, nil, false},
		"a URL, beside any Service": {testService(), external, false},
	} {
		if LosesUpstream(c.service, c.target) != c.loses {
			t.Errorf("%s: want %v", what, c.loses)
		}
	}
	ports := ports(&corev1.Service{Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}, {Port: 81}}}})
	if ports != "80, 81" {
		t.Errorf("its ports are %q", ports)
	}
}

func TestUpstreamsThatCannotBe(t *testing.T) {
	for _, scheme := range []v1alpha1.Protocol{"grpc", "grpcs"} {
		service := testService(func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.Upstream = &v1alpha1.Upstream{Path: "/v2", ServiceRef: &v1alpha1.UpstreamServiceReference{Name: "backend", Port: 80, Scheme: scheme}}
		})
		target := &corev1.Service{Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}}
		_, err := BuildService(testScope, testPolicy(), ServiceInput{Service: service, Upstream: target})
		wantStalled(t, err, v1alpha1.ReasonInvalidSpec, "spec.upstream.path: Kong takes none with "+string(scheme))
	}
	verified := testService(func(s *v1alpha1.JwtProtectedServiceSpec) {
		ref := &v1alpha1.UpstreamServiceReference{Name: "backend", Port: 443, Scheme: "https"}
		s.Upstream = &v1alpha1.Upstream{ServiceRef: ref, Path: "/v2", TLSVerify: new(true), TLSVerifyDepth: new(int32(2))}
	})
	target := &corev1.Service{Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 443}}}}
	fields := only(t, buildService(t, ServiceInput{Service: verified, Upstream: target}), kong.KindService).Fields
	if fields["tls_verify"] != true || fields["path"] != "/v2" || fields.Text("protocol") != "https" {
		t.Errorf("a Service by https: %v %v %v", fields["protocol"], fields["path"], fields["tls_verify"])
	}
	verified.Spec.Upstream.ServiceRef.Scheme = "http"
	_, err := BuildService(testScope, testPolicy(), ServiceInput{Service: verified, Upstream: target})
	wantStalled(t, err, v1alpha1.ReasonInvalidSpec, "spec.upstream.tlsVerify: Kong takes it with https only, and the upstream is http.")
	for _, url := range []string{"http://", "http://[::1"} {
		service := testService(func(s *v1alpha1.JwtProtectedServiceSpec) { s.Upstream.URL = url })
		wantStalled(t, CheckService(testPolicy(), service), v1alpha1.ReasonInvalidSpec, "spec.upstream.url: it cannot be read as a URL")
	}
}

func TestAdminAPIsWithoutAHostAreNowhere(t *testing.T) {
	for _, url := range []string{"", "http://", "http://[::1"} {
		if places := adminPlaces(v1alpha1.AdminAPI{URL: url}, "cluster.local"); places != nil {
			t.Errorf("%q: %v", url, places)
		}
	}
}

// What policy.upstreams.deny names, in the spellings of it.
func TestDeniedNames(t *testing.T) {
	policy := testPolicy()
	for _, c := range []struct {
		rule, host string
		denied     bool
	}{
		{"BAD.example.com", "bad.example.com", true},
		{"*.BAD.example.com", "very.bad.example.com", true},
		{"bad.example.com", "good.example.com", false},
		{"*.svc", "backend.team-b.svc", true},
		{"backend.team-b", "backend.team-b.svc.cluster.local", true},
		{"www.example.com", "www.example.com.svc.cluster.local", false},
	} {
		if policy.names(c.rule, address.Parse(c.host)) != c.denied {
			t.Errorf("%s by %s: want %v", c.host, c.rule, c.denied)
		}
	}
	for host, full := range map[string]string{
		"www.example.com": "www.example.com", "backend.team-b": "backend.team-b.svc.cluster.local", "192.0.2.1": "192.0.2.1",
	} {
		if got := policy.fullName(address.Parse(host)); got != full {
			t.Errorf("%s in full: %s", host, got)
		}
	}
}

func TestHostsOfRoutesAtTheirBorders(t *testing.T) {
	if hostCovers("*.example.com", ".example.com") {
		t.Error("a wildcard covers nothing before the dot")
	}
	for host, is := range map[string]bool{"*.COM:8443": true, "*.example.com:8443": false, "api.*:8443": true, "api.example.com:8443": false} {
		if wide(host) != is {
			t.Errorf("%s holds more than one domain: want %v", host, is)
		}
	}
}

func TestConsumersAreNamedInOrder(t *testing.T) {
	consumers := []*v1alpha1.JwtConsumer{follower("team-a", "second"), follower("team-a", "first")}
	warning, err := testPolicy().AnyAudience(testService(), consumers)
	if !strings.Contains(warning, "team-a/first, team-a/second") {
		t.Errorf("%q", warning)
	}
	wantStalled(t, err, v1alpha1.ReasonPolicyViolation, "JwtConsumer team-a/first follows")
}

// The field that a person changes when Kong refuses a plugin.
func TestFieldsOfPlugins(t *testing.T) {
	service := testService(func(s *v1alpha1.JwtProtectedServiceSpec) {
		s.Access, s.RateLimit = &v1alpha1.Access{Groups: []string{"g"}}, &v1alpha1.RateLimit{Minute: new(int32(1))}
		s.Claims = &v1alpha1.ClaimChecks{Audiences: []string{"a"}}
		s.Plugins = []v1alpha1.ServicePlugin{{PluginSpec: v1alpha1.PluginSpec{Name: "browser", Plugin: "cors"}}}
	})
	want := map[string]string{
		"jwt": "spec.jwt", "acl": "spec.access", "post-function": "spec.claims", "rate-limiting": "spec.rateLimit", "cors": "spec.plugins[browser]",
	}
	for _, e := range ofKind(buildService(t, ServiceInput{Service: service}), kong.KindPlugin) {
		owned, _ := ParseTags(e.Fields.Tags())
		if name := e.Fields.Text("name"); PluginField(owned.Part) != want[name] {
			t.Errorf("%s: %q, want %q", name, PluginField(owned.Part), want[name])
		}
	}
}
