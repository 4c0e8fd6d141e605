package e2e

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// field is one field of a spec: where the Admin API shows it, and what it shows. A path is dotted; part is the
// kongjwt-part tag of the entity.
type field struct {
	name, collection, part, path string
	want                         any
}

// expectFields asserts every field, each by its name.
func expectFields(ctx context.Context, owner *v1alpha1.JwtProtectedService, fields []field) {
	GinkgoHelper()
	for _, f := range fields {
		shown, err := part(ctx, f.collection, owner, f.part)
		Expect(err).NotTo(HaveOccurred())
		Expect(shown).NotTo(BeNil(), "%s: %s of part %s is there", f.name, f.collection, f.part)
		Expect(shown.at(f.path)).To(holds(f.want), "%s is %s in %s of part %s", f.name, f.path, f.collection, f.part)
	}
}

// holds matches JSON: a list in any order, for Kong keeps sets.
func holds(want any) types.GomegaMatcher {
	switch want := want.(type) {
	case nil:
		return BeNil()
	case types.GomegaMatcher:
		return want
	case int:
		return BeNumerically("==", want)
	case []string:
		items := make([]any, len(want))
		for i := range want {
			items[i] = want[i]
		}
		return ConsistOf(items...)
	}
	return Equal(want)
}

// fullService sets every field of a JwtProtectedService that goes with an upstream by URL.
func fullService(namespace string) *v1alpha1.JwtProtectedService {
	return newService(namespace, "full", func(s *v1alpha1.JwtProtectedServiceSpec) {
		s.ServiceName, s.Tags = named("full"), []v1alpha1.Tag{"team-a", "tier-1"}
		s.Upstream = &v1alpha1.Upstream{
			URL: "https://full.e2e.example.com:8443", Path: "/base", Retries: pointer[int32](2),
			ConnectTimeout: "1s", ReadTimeout: "2s", WriteTimeout: "3s", TLSVerify: pointer(true), TLSVerifyDepth: pointer[int32](3),
		}
		s.Routes = []v1alpha1.Route{{
			Name: "web", Paths: []string{pathOf("full"), pathOf("full-too")}, Hosts: []string{hostOf("full")}, Methods: []string{"GET", "POST"},
			Headers: map[string]v1alpha1.HeaderValues{"x-version": {"1", "2"}}, Protocols: []v1alpha1.Protocol{"http", "https"},
			StripPath: pointer(false), PreserveHost: pointer(true), RegexPriority: pointer[int32](7), PathHandling: "v1",
			HTTPSRedirectStatusCode: pointer[int32](308), RequestBuffering: pointer(false), ResponseBuffering: pointer(false),
		}, {
			Name: "tls", Hosts: []string{hostOf("tls")}, SNIs: []string{hostOf("tls")}, Protocols: []v1alpha1.Protocol{"https"},
		}, {
			Name: "rpc", Paths: []string{pathOf("rpc")}, Protocols: []v1alpha1.Protocol{"grpc", "grpcs"},
		}}
		s.JWT = v1alpha1.JWTPlugin{
			URIParamNames: &[]string{"token"}, CookieNames: &[]string{"session"}, HeaderNames: &[]string{"x-token"}, ClaimsToVerify: []v1alpha1.TimeClaim{"exp", "nbf"},
			KeyClaimName: "kid", SecretIsBase64: pointer(true), RunOnPreflight: pointer(false), MaximumExpiration: "10m",
			Anonymous: named("guest"), Realm: realm("full"),
		}
		s.Access = &v1alpha1.Access{Groups: []string{named("readers"), named("writers")}}
		s.RateLimit = &v1alpha1.RateLimit{
			Second: pointer[int32](1), Minute: pointer[int32](2), Hour: pointer[int32](3), Day: pointer[int32](4), Month: pointer[int32](5),
			Year: pointer[int32](6), LimitBy: "ip", Policy: "local", FaultTolerant: pointer(false), HideClientHeaders: pointer(true),
		}
		s.Plugins = []v1alpha1.ServicePlugin{{
			PluginSpec: v1alpha1.PluginSpec{Name: "origins", Plugin: "cors", Enabled: pointer(false), Config: raw(map[string]any{"max_age": 60})},
			Protocols:  []v1alpha1.Protocol{"https"},
		}, {
			PluginSpec: v1alpha1.PluginSpec{
				Name: "log", Plugin: "http-log", Config: raw(map[string]any{"http_endpoint": "http://log.e2e.example.com", "timeout": 1000}),
				ConfigFrom: []v1alpha1.ConfigSource{{SecretRef: v1alpha1.LocalSecretKeyReference{Name: "log", Key: "config"}}},
			},
			Route: "web",
		}}
	})
}

// fullFields is what Kong shows of fullService.
func fullFields() []field {
	return append(append(upstreamFields(), routeFields()...), pluginFields()...)
}

func upstreamFields() []field {
	const collection, part = "services", "service"
	return []field{
		{"serviceName", collection, part, "name", named("full")},
		{"upstream.url", collection, part, "protocol", "https"},
		{"upstream.url", collection, part, "host", "full.e2e.example.com"},
		{"upstream.url", collection, part, "port", 8443},
		{"upstream.path", collection, part, "path", "/base"},
		{"upstream.retries", collection, part, "retries", 2},
		{"upstream.connectTimeout", collection, part, "connect_timeout", 1000},
		{"upstream.readTimeout", collection, part, "read_timeout", 2000},
		{"upstream.writeTimeout", collection, part, "write_timeout", 3000},
		{"upstream.tlsVerify", collection, part, "tls_verify", true},
		{"upstream.tlsVerifyDepth", collection, part, "tls_verify_depth", 3},
	}
}

func routeFields() []field {
	const collection, web, tls, rpc = "routes", "route:web", "route:tls", "route:rpc"
	return []field{
		{"routes.name", collection, web, "name", named("full") + ".web"},
		{"routes.paths", collection, web, "paths", []string{pathOf("full"), pathOf("full-too")}},
		{"routes.hosts", collection, web, "hosts", []string{hostOf("full")}},
		{"routes.methods", collection, web, "methods", []string{"GET", "POST"}},
		{"routes.headers", collection, web, "headers.x-version", []string{"1", "2"}},
		{"routes.protocols", collection, web, "protocols", []string{"http", "https"}},
		{"routes.stripPath", collection, web, "strip_path", false},
		{"routes.preserveHost", collection, web, "preserve_host", true},
		{"routes.regexPriority", collection, web, "regex_priority", 7},
		{"routes.pathHandling", collection, web, "path_handling", "v1"},
		{"routes.httpsRedirectStatusCode", collection, web, "https_redirect_status_code", 308},
		{"routes.requestBuffering", collection, web, "request_buffering", false},
		{"routes.responseBuffering", collection, web, "response_buffering", false},
		{"routes.snis", collection, tls, "snis", []string{hostOf("tls")}},
		{"routes.protocols of a TLS route", collection, tls, "protocols", []string{"https"}},
		{"routes.protocols of a gRPC route", collection, rpc, "protocols", []string{"grpc", "grpcs"}},
	}
}

func pluginFields() []field {
	const collection, jwt, acl, limit, origins, log = "plugins", "jwt", "acl", "rate-limiting", "plugin:origins", "plugin:log"
	return []field{
		{"jwt", collection, jwt, "name", "jwt"},
		{"jwt.uriParamNames", collection, jwt, "config.uri_param_names", []string{"token"}},
		{"jwt.cookieNames", collection, jwt, "config.cookie_names", []string{"session"}},
		{"jwt.headerNames", collection, jwt, "config.header_names", []string{"x-token"}},
		{"jwt.claimsToVerify", collection, jwt, "config.claims_to_verify", []string{"exp", "nbf"}},
		{"jwt.keyClaimName", collection, jwt, "config.key_claim_name", "kid"},
		{"jwt.secretIsBase64", collection, jwt, "config.secret_is_base64", true},
		{"jwt.runOnPreflight", collection, jwt, "config.run_on_preflight", false},
		{"jwt.maximumExpiration", collection, jwt, "config.maximum_expiration", 600},
		{"jwt.anonymous", collection, jwt, "config.anonymous", named("guest")},
		{"jwt.realm", collection, jwt, "config.realm", wantedRealm("full")},
		{"access.groups", collection, acl, "config.allow", []string{named("readers"), named("writers")}},
		{"rateLimit.second", collection, limit, "config.second", 1},
		{"rateLimit.minute", collection, limit, "config.minute", 2},
		{"rateLimit.hour", collection, limit, "config.hour", 3},
		{"rateLimit.day", collection, limit, "config.day", 4},
		{"rateLimit.month", collection, limit, "config.month", 5},
		{"rateLimit.year", collection, limit, "config.year", 6},
		{"rateLimit.limitBy", collection, limit, "config.limit_by", "ip"},
		{"rateLimit.policy", collection, limit, "config.policy", "local"},
		{"rateLimit.faultTolerant", collection, limit, "config.fault_tolerant", false},
		{"rateLimit.hideClientHeaders", collection, limit, "config.hide_client_headers", true},
		{"plugins.plugin", collection, origins, "name", "cors"},
		{"plugins.enabled", collection, origins, "enabled", false},
		{"plugins.protocols", collection, origins, "protocols", []string{"https"}},
		{"plugins.config", collection, origins, "config.max_age", 60},
		{"plugins.config under configFrom", collection, log, "config.http_endpoint", HavePrefix("http://log.e2e.example.com#")},
		{"plugins.configFrom", collection, log, "config.headers.x-key", "canary"},
		{"plugins.configFrom over config", collection, log, "config.timeout", 2000},
	}
}

// changeFull updates fullService in every field that can be seen to change, and takes away what it had in lists.
func changeFull(s *v1alpha1.JwtProtectedService) {
	spec := &s.Spec
	spec.ServiceName, spec.Tags = named("changed"), []v1alpha1.Tag{"team-b"}
	spec.Upstream = &v1alpha1.Upstream{ServiceRef: &v1alpha1.UpstreamServiceReference{Name: "backend", Port: 9090, Scheme: "http"}}
	spec.Routes = []v1alpha1.Route{{Name: "web", Paths: []string{pathOf("changed")}, Protocols: []v1alpha1.Protocol{"http", "https"}}}
	spec.JWT = v1alpha1.JWTPlugin{URIParamNames: &[]string{}}
	spec.Access.Groups = []string{named("writers")}
	spec.RateLimit = &v1alpha1.RateLimit{Minute: pointer[int32](10), Policy: "redis", Redis: "limits"}
	spec.Plugins = spec.Plugins[1:]
}

func changedFields(namespace string) []field {
	const services, routes, plugins, jwt, limit = "services", "routes", "plugins", "jwt", "rate-limiting"
	return []field{
		{"serviceName", services, "service", "name", named("changed")},
		{"upstream.serviceRef.name", services, "service", "host", "backend." + namespace + ".svc.cluster.local"},
		{"upstream.serviceRef.port", services, "service", "port", 9090},
		{"upstream.serviceRef.scheme", services, "service", "protocol", "http"},
		{"upstream.path left out", services, "service", "path", nil},
		{"upstream.retries left out", services, "service", "retries", 5},
		{"upstream.connectTimeout left out", services, "service", "connect_timeout", 60000},
		{"upstream.tlsVerify left out", services, "service", "tls_verify", nil},
		{"routes.name", routes, "route:web", "name", named("changed") + ".web"},
		{"routes.paths", routes, "route:web", "paths", []string{pathOf("changed")}},
		{"routes.hosts left out", routes, "route:web", "hosts", nil},
		{"routes.methods left out", routes, "route:web", "methods", nil},
		{"routes.stripPath left out", routes, "route:web", "strip_path", true},
		{"jwt.uriParamNames empty", plugins, jwt, "config.uri_param_names", []string{}},
		{"jwt.headerNames left out", plugins, jwt, "config.header_names", []string{"authorization"}},
		{"jwt.keyClaimName left out", plugins, jwt, "config.key_claim_name", "iss"},
		{"jwt.secretIsBase64 left out", plugins, jwt, "config.secret_is_base64", false},
		{"jwt.anonymous left out", plugins, jwt, "config.anonymous", nil},
		{"access.groups", plugins, "acl", "config.allow", []string{named("writers")}},
		{"rateLimit.second left out", plugins, limit, "config.second", nil},
		{"rateLimit.minute", plugins, limit, "config.minute", 10},
		{"rateLimit.policy", plugins, limit, "config.policy", "redis"},
		{"the gateway's policy.redis.host", plugins, limit, redisOption("host"), "redis.e2e.example.com"},
		{"the gateway's policy.redis.port", plugins, limit, redisOption("port"), 6380},
		{"the gateway's policy.redis.database", plugins, limit, redisOption("database"), 3},
		{"the gateway's policy.redis.username", plugins, limit, redisOption("username"), "limiter"},
		{"the gateway's policy.redis.passwordSecretRef", plugins, limit, redisOption("password"), decoy("redis")},
		{"the gateway's policy.redis.ssl", plugins, limit, redisOption("ssl"), true},
		{"the gateway's policy.redis.sslVerify", plugins, limit, redisOption("ssl_verify"), true},
		{"the gateway's policy.redis.serverName", plugins, limit, redisOption("server_name"), "limits.example.com"},
		{"the gateway's policy.redis.timeout", plugins, limit, redisOption("timeout"), 500},
	}
}

var _ = Describe("Every field of a JwtProtectedService", Ordered, func() {
	var service *v1alpha1.JwtProtectedService
	var namespace string

	BeforeAll(func(ctx SpecContext) {
		namespace = newNamespace(ctx, "service-fields")
		service = fullService(namespace)
		create(ctx,
			newSecret(namespace, "log", map[string]string{"config": `{"timeout": 2000, "headers": {"x-key": "canary"}}`}),
			&corev1.Service{
				ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "backend"},
				Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 9090}}},
			},
			service)
		awaitReady(ctx, service)
	})

	It("is in Kong", func(ctx SpecContext) { expectFields(ctx, service, fullFields()) })

	It("tags everything with its owner and with the user's tags", func(ctx SpecContext) {
		found, err := tagged(ctx, ownerTag(service))
		Expect(err).NotTo(HaveOccurred())
		Expect(found).To(HaveLen(1+3+5), "a service, three routes, five plugins")
		for id, e := range found {
			for _, tag := range []string{"kongjwt", gatewayTag(gateway.Name), "team-a", "tier-1"} {
				Expect(e.hasTag(tag)).To(BeTrue(), "%s carries %s", id, tag)
			}
		}
	})

	It("hangs the guards on the service, and a route's plugin on its route", func(ctx SpecContext) {
		for _, name := range []string{"jwt", "acl", "rate-limiting"} {
			plugin, err := pluginOf(ctx, service, name)
			Expect(err).NotTo(HaveOccurred())
			Expect(plugin.at("service.id")).To(Equal(service.Status.ServiceID), name)
			Expect(plugin.at("route")).To(BeNil(), name)
		}
		route, err := part(ctx, "routes", service, "route:web")
		Expect(err).NotTo(HaveOccurred())
		log, err := pluginOf(ctx, service, "http-log")
		Expect(err).NotTo(HaveOccurred())
		Expect(log.at("route.id")).To(Equal(route["id"]))
	})

	It("is named in the status with its id", func() {
		Expect(service.Status.ServiceName).To(Equal(named("full")))
		Expect(service.Status.Gateway).To(Equal(gateway.Name))
		Expect(service.Status.Routes).To(HaveLen(3))
		Expect(service.Status.Plugins).To(HaveLen(5))
	})

	It("changes in Kong when it changes", func(ctx SpecContext) {
		id := service.Status.ServiceID
		update(ctx, service, changeFull)
		awaitReady(ctx, service)
		expectFields(ctx, service, changedFields(namespace))
		Expect(service.Status.ServiceID).To(Equal(id), "it is still the same service")
		found, err := tagged(ctx, ownerTag(service))
		Expect(err).NotTo(HaveOccurred())
		Expect(found).To(HaveLen(1+1+4), "what is not in the spec any more is gone")
		for name, e := range found {
			Expect(e.hasTag("team-b")).To(BeTrue(), name)
			Expect(e.hasTag("team-a")).To(BeFalse(), name)
		}
	})

	It("follows the Secret of a plugin's configuration", func(ctx SpecContext) {
		secret := readSecret(ctx, namespace, "log")
		update(ctx, secret, func(s *corev1.Secret) { s.Data["config"] = []byte("timeout: 3000\n") })
		Eventually(func(g Gomega) {
			log, err := pluginOf(ctx, service, "http-log")
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(log.at("config.timeout")).To(holds(3000))
			g.Expect(log.at("config.headers")).To(BeNil())
		}).WithContext(ctx).Should(Succeed())
	})

	It("stays as it is in Kong while suspended, and follows when it goes on", func(ctx SpecContext) {
		update(ctx, service, func(s *v1alpha1.JwtProtectedService) { s.Spec.Suspend, s.Spec.Tags = true, []v1alpha1.Tag{"team-c"} })
		awaitSuspended(ctx, service)
		Consistently(tagged).WithContext(ctx).WithArguments("team-c").Should(Not(ContainElement(HaveKeyWithValue("name", named("changed")))))
		update(ctx, service, func(s *v1alpha1.JwtProtectedService) { s.Spec.Suspend = false })
		awaitReady(ctx, service)
		shown, err := part(ctx, "services", service, "service")
		Expect(err).NotTo(HaveOccurred())
		Expect(shown.hasTag("team-c")).To(BeTrue())
	})

	It("is gone from Kong with the resource", func(ctx SpecContext) {
		remove(ctx, service)
		Expect(tagged(ctx, ownerTag(service))).To(BeEmpty())
	})

	It("is left in Kong, working and without the operator's tags, where it is retained", func(ctx SpecContext) {
		retained := newService(namespace, "retained", func(s *v1alpha1.JwtProtectedServiceSpec) { s.DeletionPolicy = v1alpha1.DeletionPolicyRetain })
		create(ctx, retained)
		awaitReady(ctx, retained)
		path := pathOfService(namespace, "retained")
		expectRefused(ctx, at(path), 401, "Unauthorized")
		left, err := tagged(ctx, ownerTag(retained))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(eraseService, "/services/"+retained.Status.ServiceID)
		remove(ctx, retained)
		Expect(tagged(ctx, ownerTag(retained))).To(BeEmpty())
		for id := range left {
			e, err := get(ctx, "/"+id)
			Expect(err).NotTo(HaveOccurred())
			Expect(e).NotTo(BeNil(), "%s is still there", id)
			Expect(e["tags"]).To(Or(BeNil(), BeEmpty()), "%s has no tag of the operator's", id)
		}
		expectRefused(ctx, at(path), 401, "Unauthorized")
	})
})

// eraseService deletes a service with its routes: Kong deletes none that has some.
func eraseService(ctx context.Context, path string) {
	GinkgoHelper()
	answer, err := get(ctx, path+"/routes")
	Expect(err).NotTo(HaveOccurred())
	items, _ := answer["data"].([]any)
	for _, item := range items {
		if route, ok := item.(map[string]any); ok {
			id, _ := route["id"].(string)
			erase(ctx, "/routes/"+id)
		}
	}
	erase(ctx, path)
}
