package e2e

import (
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// edgeRoutes are routes that Kong takes, and keeps in a form of its own or as they are.
func edgeRoutes() []v1alpha1.Route {
	return []v1alpha1.Route{
		{Name: "regex", Paths: []string{"~" + pathOf("edges") + `/v\d+/(?<id>[a-z]+)$`}, RegexPriority: pointer[int32](2147483647)},
		{Name: "characters", Paths: []string{pathOf("a;b=c,d!e$f&g'h(i)j*k+l:m@n~o/")}},
		{Name: "hosts", Hosts: []string{"UPPER." + hostOf("edges"), "*." + hostOf("edges"), hostOf("edges") + ".*", hostOf("port") + ":8080", "a_b." + hostOf("edges")}},
		{Name: "methods", Paths: []string{pathOf("methods")}, Methods: []string{"GET", "PURGE", "TRACE"}},
		{Name: "headers", Headers: map[string]v1alpha1.HeaderValues{"X-E2e-" + run: {"~*^v[12]$"}, "x_under": {"a b", "ü"}}},
		// With a host: by SNIs alone it would take every request without TLS, which has none, of the specs
		// that run meanwhile.
		{Name: "snis", Hosts: []string{hostOf("sni")}, SNIs: []string{wildcardSNI(hostOf("sni")), "UPPER." + hostOf("sni")}, Protocols: []v1alpha1.Protocol{"grpcs"}},
		{Name: "redirect", Hosts: []string{hostOf("redirect")}, Protocols: []v1alpha1.Protocol{"https"}, HTTPSRedirectStatusCode: pointer[int32](301)},
	}
}

var _ = Describe("Values at their edges", func() {
	It("are taken by Kong, and seen as unchanged when what it holds is looked at again", func(ctx SpecContext) {
		namespace := newNamespace(ctx, "edges")
		service := newService(namespace, "edges", func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.Tags = []v1alpha1.Tag{"a b", "ü", "x:y=z%"}
			s.Upstream = &v1alpha1.Upstream{
				URL: "https://EXAMPLE.com:8443/a%20b/c", Retries: pointer[int32](0), ConnectTimeout: "1ms", ReadTimeout: "24h", WriteTimeout: "1.5s",
			}
			s.Routes = edgeRoutes()
			s.JWT = v1alpha1.JWTPlugin{
				KeyClaimName: "https://example.com/claim", Anonymous: "nobody ü", Realm: realm("a b"), CookieNames: &[]string{"a|b"}, HeaderNames: &[]string{},
			}
			s.Access = &v1alpha1.Access{Groups: []string{"a b/c ü", "%2F"}}
			s.RateLimit = &v1alpha1.RateLimit{Minute: pointer[int32](1), LimitBy: "credential", Policy: "cluster"}
			for plugin, config := range map[string]map[string]any{
				"cors": {"origins": []string{"https://a.example.com"}}, "ip-restriction": {"allow": []string{"10.0.0.0/8", "::1"}},
				"response-ratelimiting": {"limits": map[string]any{"video": map[string]any{"minute": 5}}}, "request-size-limiting": {"allowed_payload_size": 1},
				"correlation-id": {}, "prometheus": {}, "bot-detection": {"deny": []string{"curl"}}, "http-log": {"http_endpoint": "http://log.example.com/x"},
			} {
				s.Plugins = append(s.Plugins, v1alpha1.ServicePlugin{PluginSpec: v1alpha1.PluginSpec{Name: plugin, Plugin: plugin, Config: raw(config)}})
			}
		})
		consumer := newConsumer(namespace, "edges", func(s *v1alpha1.JwtConsumerSpec) {
			s.Username, s.CustomID, s.Groups = named("a b/ü%20?#&"), named("x/y ü"), []string{"a b/c ü", "%2F", "g;h"}
			s.Credentials = []v1alpha1.Credential{generated("one", "HS256", "one")}
			s.Credentials[0].Key = named("https://issuer.example.com/a b?c=ü")
		})
		create(ctx, service, consumer)
		awaitReady(ctx, service, consumer)
		before := writtenAt(ctx, service, consumer)
		Expect(before).To(HaveLen(1 + 7 + 3 + 8 + 1 + 1 + 3 + 2))
		Consistently(func() map[string]any { return writtenAt(ctx, service, consumer) }).WithContext(ctx).
			WithTimeout(2*driftInterval).WithPolling(driftInterval/5).Should(Equal(before), "two comparisons with what Kong holds find nothing to write")
	})

	It("that a plugin does not go with are refused in words that help", func(ctx SpecContext) {
		namespace := newNamespace(ctx, "edges-refused")
		consumer := newConsumer(namespace, "cors", func(s *v1alpha1.JwtConsumerSpec) {
			s.Plugins = []v1alpha1.PluginSpec{{Name: "cors", Plugin: "cors"}}
		})
		service := newService(namespace, "regex", func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.Routes[0].Headers = map[string]v1alpha1.HeaderValues{"x-version": {"~*["}}
		})
		create(ctx, consumer, service)
		awaitReason(ctx, consumer, v1alpha1.ReasonKongRejected, "cannot be on a consumer")
		if takes.ChecksHeaders() {
			awaitReason(ctx, service, v1alpha1.ReasonKongRejected, "route api", "regex parse error")
		} else {
			awaitReason(ctx, service, v1alpha1.ReasonInvalidSpec, "spec.routes[0].headers.x-version", "no regular expression")
		}
		expectRefused(ctx, at(pathOfService(namespace, "regex")), http.StatusNotFound, "no Route matched")
	})
})

// writtenAt gives when Kong last wrote each entity of some owners: a PUT moves it though nothing changes. Credentials
// and groups have only when they were created.
func writtenAt(ctx SpecContext, owners ...client.Object) map[string]any {
	GinkgoHelper()
	times := map[string]any{}
	for _, owner := range owners {
		found, err := tagged(ctx, ownerTag(owner))
		Expect(err).NotTo(HaveOccurred())
		for id, e := range found {
			times[id] = e["created_at"]
			if updated := e["updated_at"]; updated != nil {
				times[id] = updated
			}
		}
	}
	return times
}
