package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// Each spec is an attack by a tenant who may write the resources and Secrets of one namespace, on a gateway with the
// policy that it has by default. docs/security.md says what holds each.
var _ = Describe("A tenant", Label("redteam"), Ordered, func() {
	r := newRedTeam("redteam")

	reaches := func(ctx SpecContext, name string, url func() string) {
		s := r.service(r.attacker, "reaches-"+name, func(s *v1alpha1.JwtProtectedServiceSpec) { s.Upstream.URL = url() })
		create(ctx, s)
		awaitReason(ctx, s, v1alpha1.ReasonPolicyViolation, "spec.upstream.url")
		r.expectNothingOf(ctx, s)
	}
	DescribeTable("1. does not reach the Admin API, nor the cluster", reaches,
		Entry("by its address, though that network is open", "admin", func() string { return env.AdminURL }),
		Entry("by a Service's full name", "full", func() string { return "http://kong-admin.kong.svc.cluster.local:8001" }),
		Entry("by a Service's short name", "short", func() string { return "http://kong-admin.kong:8001" }),
		Entry("by a single label", "label", func() string { return "http://kong-admin:8001" }),
		Entry("by a private address", "private", func() string { return "http://10.0.0.1" }),
		Entry("by the metadata of a cloud", "metadata", func() string { return "http://metadata.google.internal" }),
		Entry("by the API server's name", "kubernetes", func() string { return "https://kubernetes.default.svc" }),
		Entry("by a Pod's name", "pod", func() string { return "http://127-0-0-1.default.pod.cluster.local:8001" }),
		Entry("by a name of this machine", "loopback", func() string { return "http://ip6-localhost:8001" }),
		Entry("by a private address inside a public one", "nat64", func() string { return "http://[64:ff9b::a00:1]" }),
	)

	It("1. does not turn its Service into one that leads to any host", func(ctx SpecContext) {
		backend := &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: r.attacker, Name: "turns"},
			Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
		}
		s := r.service(r.attacker, "turns", func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.Upstream = &v1alpha1.Upstream{ServiceRef: &v1alpha1.UpstreamServiceReference{Name: backend.Name, Port: 80, Scheme: "http"}}
		})
		create(ctx, backend, s)
		awaitReady(ctx, s)
		update(ctx, backend, func(b *corev1.Service) {
			b.Spec = corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "kong-admin.kong.svc.cluster.local"}
		})
		awaitReason(ctx, s, v1alpha1.ReasonPolicyViolation, "ExternalName")
		Expect(list(ctx, "routes", ownerTag(s))).To(BeEmpty())
	})

	It("2. does not keep access that a service took away by suspending its consumer", func(ctx SpecContext) {
		caller, kept := r.consumer(r.attacker, "caller"), r.consumer(r.victim, "kept")
		s := r.service(r.victim, "lets-out", func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.Access = &v1alpha1.Access{Consumers: []v1alpha1.ConsumerReference{
				{Namespace: r.attacker, Name: "caller"}, {Name: "kept"},
			}}
		})
		create(ctx, caller, kept, s)
		awaitReady(ctx, caller, kept, s)
		path := at(pathOfService(r.victim, "lets-out"))
		expectPassed(ctx, path.with(r.as(caller)))
		update(ctx, caller, func(c *v1alpha1.JwtConsumer) { c.Spec.Suspend = true })
		update(ctx, s, func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Access.Consumers = []v1alpha1.ConsumerReference{{Name: "kept"}}
		})
		expectRefused(ctx, path.with(r.as(caller)), http.StatusForbidden, "You cannot consume this service")
		expectPassed(ctx, path.with(r.as(kept)))
		By("resuming it: what is suspended stays when its namespace is deleted")
		update(ctx, caller, func(c *v1alpha1.JwtConsumer) { c.Spec.Suspend = false })
	})

	It("2. does not stop another's service by a group that is not its own, nor keep access to one that is stopped", func(ctx SpecContext) {
		group := r.victim + ".users"
		s := r.service(r.victim, "audience", func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.Access = &v1alpha1.Access{Groups: []string{group}, Consumers: []v1alpha1.ConsumerReference{{Name: "leaver"}}}
		})
		leaver := r.consumer(r.victim, "leaver")
		evil := r.consumer(r.attacker, "issuer-of-a-group", func(c *v1alpha1.JwtConsumerSpec) {
			c.Groups = []string{group}
			c.Credentials = []v1alpha1.Credential{{
				Name: "idp", Algorithm: "RS256", JWKS: &v1alpha1.JWKS{URL: "https://login.example.invalid/keys"},
			}}
		})
		create(ctx, leaver, evil)
		awaitReason(ctx, evil, v1alpha1.ReasonPolicyViolation, "spec.groups")
		create(ctx, s)
		awaitReady(ctx, leaver, s)
		asked := at(pathOfService(r.victim, "audience")).with(r.as(leaver))
		expectPassed(ctx, asked)
		update(ctx, s, func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Access.Consumers = nil
			s.Spec.Plugins = []v1alpha1.ServicePlugin{{PluginSpec: v1alpha1.PluginSpec{Name: "lua", Plugin: "pre-function"}}}
		})
		awaitReason(ctx, s, v1alpha1.ReasonPolicyViolation, "pre-function")
		expectRefused(ctx, asked, http.StatusForbidden, "You cannot consume this service")
		remove(ctx, evil) // the r.attacker's own services would be stopped by it
	})

	It("3. does not override the plugins of another's service by plugins of its consumer", func(ctx SpecContext) {
		c := r.consumer(r.attacker, "overrides", func(s *v1alpha1.JwtConsumerSpec) {
			s.Plugins = []v1alpha1.PluginSpec{{
				Name: "limit", Plugin: "rate-limiting", Config: raw(map[string]any{"minute": 1000000, "policy": "local"}),
			}}
		})
		create(ctx, c)
		awaitReason(ctx, c, v1alpha1.ReasonPolicyViolation, "spec.plugins", "rate-limiting")
		r.expectNothingOf(ctx, c)
	})

	It("4. does not take another's route by a match on more", func(ctx SpecContext) {
		host := hostOf("redteam")
		route := func(route v1alpha1.Route) func(*v1alpha1.JwtProtectedServiceSpec) {
			return func(s *v1alpha1.JwtProtectedServiceSpec) {
				route.Name, route.Hosts, route.Protocols = "api", []string{host}, []v1alpha1.Protocol{"http", "https"}
				s.Routes = []v1alpha1.Route{route}
			}
		}
		holder := r.service(r.victim, "holder", route(v1alpha1.Route{Paths: []string{"/pay"}}))
		caller := r.consumer(r.victim, "payer")
		create(ctx, holder, caller)
		awaitReady(ctx, holder, caller)
		thieves := []*v1alpha1.JwtProtectedService{
			r.service(r.attacker, "thief-header", route(v1alpha1.Route{
				Paths: []string{"/pay"}, Headers: map[string]v1alpha1.HeaderValues{"x-version": {"1"}},
			})),
			r.service(r.attacker, "thief-method", route(v1alpha1.Route{Paths: []string{"/pay"}, Methods: []string{"GET"}})),
			r.service(r.attacker, "thief-deeper", route(v1alpha1.Route{Paths: []string{"/pay/v2"}})),
		}
		for _, thief := range thieves {
			create(ctx, thief)
		}
		for _, thief := range thieves {
			awaitReason(ctx, thief, v1alpha1.ReasonConflict, host)
			Expect(list(ctx, "routes", ownerTag(thief))).To(BeEmpty())
		}
		asked := call{method: http.MethodGet, path: "/pay/v2", host: host}.with(r.as(caller))
		asked.header.Set("X-Version", "1")
		expectPassed(ctx, asked, HaveKeyWithValue("X-Consumer-Username", r.victim+".payer"))
	})

	It("4. does not take another's requests by a route on any host, nor by a host", func(ctx SpecContext) {
		host, own, wild := hostOf("redteam-own"), pathOf("redteam-any"), pathOf("redteam-wild")
		route := func(route v1alpha1.Route) func(*v1alpha1.JwtProtectedServiceSpec) {
			return func(s *v1alpha1.JwtProtectedServiceSpec) {
				route.Name, route.Protocols = "api", []v1alpha1.Protocol{"http", "https"}
				s.Routes = []v1alpha1.Route{route}
			}
		}
		anywhere := r.service(r.victim, "anywhere", route(v1alpha1.Route{Paths: []string{own}}))
		hosted := r.service(r.victim, "hosted", route(v1alpha1.Route{Hosts: []string{"*." + host}, Paths: []string{wild}}))
		caller := r.consumer(r.victim, "caller-anywhere")
		create(ctx, anywhere, hosted, caller)
		awaitReady(ctx, anywhere, hosted, caller)
		thieves := map[string]*v1alpha1.JwtProtectedService{}
		for name, matches := range map[string]v1alpha1.Route{
			"method": {Paths: []string{own[:len(own)-2]}, Methods: []string{"GET"}},
			"header": {Paths: []string{own}, Headers: map[string]v1alpha1.HeaderValues{"accept": {"*/*"}}},
			"path":   {Paths: []string{wild + "/in"}},
			"host":   {Hosts: []string{host}, Paths: []string{own}},
			"half":   {Hosts: []string{host}, Paths: []string{own[:len(own)-2]}},
		} {
			thieves[name] = r.service(r.attacker, "any-"+name, route(matches))
			create(ctx, thieves[name])
		}
		for _, name := range []string{"method", "header"} {
			awaitReason(ctx, thieves[name], v1alpha1.ReasonPolicyViolation, "Set hosts")
			r.expectNothingOf(ctx, thieves[name])
		}
		for _, name := range []string{"path", "host", "half"} {
			awaitReason(ctx, thieves[name], v1alpha1.ReasonConflict, "JwtProtectedService "+r.victim, "policy.routes")
			Expect(list(ctx, "routes", ownerTag(thieves[name]))).To(BeEmpty())
		}
		for _, asked := range []call{
			{method: http.MethodGet, path: own, host: host}, {method: http.MethodGet, path: wild + "/in", host: "a." + host},
		} {
			expectPassed(ctx, asked.with(r.as(caller)), HaveKeyWithValue("X-Consumer-Username", r.victim+".caller-anywhere"))
		}
	})

	DescribeTable("6. does not choose what Kong shares connections to", func(ctx SpecContext, name, field string, change func(*v1alpha1.JwtProtectedServiceSpec)) {
		s := r.service(r.attacker, "counts-"+name, change)
		create(ctx, s)
		awaitReason(ctx, s, v1alpha1.ReasonPolicyViolation, field)
		r.expectNothingOf(ctx, s)
	},
		Entry("by a Redis that the gateway does not list", "limit", "spec.rateLimit.redis", func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.RateLimit = &v1alpha1.RateLimit{Minute: pointer[int32](1), Policy: v1alpha1.RateLimitByRedis, Redis: "limits"}
		}),
		Entry("by a Redis in a plugin's configuration", "plugin", "spec.plugins[0]."+redisOption("host"), func(s *v1alpha1.JwtProtectedServiceSpec) {
			config := redisConfig("host", "redis.victim.example.com")
			config["limits"] = entity{"video": entity{"minute": 1}}
			s.Plugins = []v1alpha1.ServicePlugin{{PluginSpec: v1alpha1.PluginSpec{Name: "video", Plugin: "response-ratelimiting", Config: raw(config)}}}
		}),
	)

	It("7. does not send another's log entries under a key of its own", func(ctx SpecContext) {
		log := newLogServer()
		logs := func(namespace string) (*v1alpha1.JwtProtectedService, *v1alpha1.JwtConsumer) {
			s := r.service(namespace, "logs", func(s *v1alpha1.JwtProtectedServiceSpec) {
				s.Plugins = []v1alpha1.ServicePlugin{{PluginSpec: v1alpha1.PluginSpec{
					Name: "log", Plugin: "http-log", Config: raw(entity{"http_endpoint": log.url, "headers": entity{"x-key": namespace}}),
				}}}
			})
			return s, r.consumer(namespace, "logged")
		}
		ours, caller := logs(r.victim)
		theirs, other := logs(r.attacker)
		create(ctx, ours, caller, theirs, other)
		awaitReady(ctx, ours, caller, theirs, other)
		var queues []any
		for _, s := range []*v1alpha1.JwtProtectedService{ours, theirs} {
			plugin, err := pluginOf(ctx, s, "http-log")
			Expect(err).NotTo(HaveOccurred())
			queues = append(queues, plugin.at("config.http_endpoint"))
		}
		Expect(queues[0]).NotTo(Equal(queues[1]), "Kong has a queue for each endpoint")
		if !env.Real { // the simulation takes the plugin, and it does nothing
			return
		}
		victims, attackers := at(pathOfService(r.victim, "logs")).with(r.as(caller)), at(pathOfService(r.attacker, "logs")).with(r.as(other))
		const each = 3 // times as many requests as have to agree
		for range each {
			expectPassed(ctx, victims)
			expectPassed(ctx, attackers)
		}
		sent := func(g Gomega) int { return len(log.entries(g)) }
		Eventually(sent).WithContext(ctx).Should(BeNumerically(">=", 2*each*agreeing))
		log.mu.Lock()
		defer log.mu.Unlock()
		for i, body := range log.bodies {
			Expect(body).To(ContainSubstring(`"name":"`+log.headers[i].Get("X-Key")+`.logs"`), "each goes with its namespace's key")
		}
	})

	It("8. does not fill the operator's memory with configurations", func(ctx SpecContext) {
		create(ctx, newSecret(r.attacker, "long", map[string]string{"config": `{"headers":{"x":"` + strings.Repeat("y", 1_000_000) + `"}}`}))
		s := r.service(r.attacker, "fills", func(s *v1alpha1.JwtProtectedServiceSpec) {
			from := v1alpha1.ConfigSource{SecretRef: v1alpha1.LocalSecretKeyReference{Name: "long", Key: "config"}}
			s.Plugins = []v1alpha1.ServicePlugin{{PluginSpec: v1alpha1.PluginSpec{
				Name: "log", Plugin: "http-log", ConfigFrom: slices.Repeat([]v1alpha1.ConfigSource{from}, 8),
			}}}
		})
		create(ctx, s)
		awaitReason(ctx, s, v1alpha1.ReasonSecretInvalid, "spec.plugins[0].configFrom[0]", "bytes")
		r.expectNothingOf(ctx, s)
	})

	It("9. does not fill Kong's memory with regular expressions", func(ctx SpecContext) {
		s := r.service(r.attacker, "grows", func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.Routes[0].Paths = []string{`~` + s.Routes[0].Paths[0] + `/0-0\w{85}`}
		})
		create(ctx, s)
		awaitReason(ctx, s, v1alpha1.ReasonPolicyViolation, "spec.routes[0].paths[0]")
		r.expectNothingOf(ctx, s)
	})

	It("9. does not fill Kong's memory with more routes than its namespace may have", func(ctx SpecContext) {
		s := r.service(r.attacker, "many", func(s *v1alpha1.JwtProtectedServiceSpec) {
			many := s.Routes[0]
			s.Routes = nil
			for i := range 4 {
				many.Name, many.Paths = fmt.Sprint("r", i), nil
				for j := range 1 + matchesOfATeam/4 {
					many.Paths = append(many.Paths, fmt.Sprintf("%s/%d/%d", pathOfService(r.attacker, "many"), i, j))
				}
				s.Routes = append(s.Routes, many)
			}
		})
		create(ctx, s)
		awaitReason(ctx, s, v1alpha1.ReasonPolicyViolation, "policy.budget.matches")
		r.expectNothingOf(ctx, s)
	})

	It("11. does not take the request by which data planes are asked", func(ctx SpecContext) {
		for name, route := range map[string]v1alpha1.Route{
			"host": {Hosts: []string{"x.kongjwt-probe.invalid"}}, "header": {Headers: map[string]v1alpha1.HeaderValues{"x-kongjwt-probe": {"x"}}},
			"sni": {SNIs: []string{"x.kongjwt-probe.invalid"}, Protocols: []v1alpha1.Protocol{"https"}},
		} {
			s := r.service(r.attacker, "probe-"+name, func(s *v1alpha1.JwtProtectedServiceSpec) {
				route.Name = "api"
				s.Routes = []v1alpha1.Route{route}
			})
			create(ctx, s)
			awaitReason(ctx, s, v1alpha1.ReasonPolicyViolation, "spec.routes[0].")
			r.expectNothingOf(ctx, s)
		}
	})
})
