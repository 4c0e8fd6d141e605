package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/test/issuer"
)

// Each spec is an attack by a tenant who may write the resources and Secrets of one namespace, on a gateway with the
// policy that it has by default. docs/security.md says what holds each.
var _ = Describe("A tenant", Label("redteam"), Ordered, func() {
	var strict *v1alpha1.KongGateway
	var attacker, victim string
	const matches = 100
	const secret = "a secret of the red team, longer than thirty-two bytes"

	consumer := func(namespace, name string, change ...func(*v1alpha1.JwtConsumerSpec)) *v1alpha1.JwtConsumer {
		c := newConsumer(namespace, name, func(s *v1alpha1.JwtConsumerSpec) {
			s.GatewayRef.Name = strict.Name
			s.Credentials = []v1alpha1.Credential{referenced("primary", "HS256", "", "material")}
		})
		for _, f := range change {
			f(&c.Spec)
		}
		return c
	}
	service := func(
		namespace, name string, change ...func(*v1alpha1.JwtProtectedServiceSpec),
	) *v1alpha1.JwtProtectedService {
		s := newService(namespace, name, func(s *v1alpha1.JwtProtectedServiceSpec) { s.GatewayRef.Name = strict.Name })
		for _, f := range change {
			f(&s.Spec)
		}
		return s
	}
	as := func(c *v1alpha1.JwtConsumer) string {
		return sign("HS256", []byte(secret), c.Namespace+"."+c.Name+".primary")
	}
	// expectNothingOf asserts that Kong has nothing of a resource.
	expectNothingOf := func(ctx context.Context, o client.Object) {
		GinkgoHelper()
		Expect(tagged(ctx, ownerTag(o))).To(BeEmpty(), "nothing of %s is in Kong", o.GetName())
	}

	BeforeAll(func(ctx SpecContext) {
		strict = newGateway(named("redteam"))
		// The upstream is on this machine, and so is the Admin API.
		strict.Spec.Policy = v1alpha1.GatewayPolicy{
			Upstreams: strict.Spec.Policy.Upstreams, Budget: v1alpha1.Budget{Matches: matches},
			JWKS: &v1alpha1.JWKSPolicy{AllowPrivateAddresses: true},
		}
		create(ctx, strict)
		DeferCleanup(func() {
			ctx, cancel := background()
			defer cancel()
			remove(ctx, strict)
		})
		attacker, victim = newNamespace(ctx, "redteam-attacker"), newNamespace(ctx, "redteam-victim")
		for _, namespace := range []string{attacker, victim} {
			create(ctx, newSecret(namespace, "material", map[string]string{"secret": secret}))
		}
	})

	reaches := func(ctx SpecContext, name string, url func() string) {
		s := service(attacker, "reaches-"+name, func(s *v1alpha1.JwtProtectedServiceSpec) { s.Upstream.URL = url() })
		create(ctx, s)
		awaitReason(ctx, s, v1alpha1.ReasonPolicyViolation, "spec.upstream.url")
		expectNothingOf(ctx, s)
	}
	DescribeTable("1. does not reach the Admin API, nor the cluster", reaches,
		Entry("by its address, though that network is open", "admin", func() string { return env.AdminURL }),
		Entry("by a Service's full name", "full", func() string { return "http://kong-admin.kong.svc.cluster.local:8001" }),
		Entry("by a Service's short name", "short", func() string { return "http://kong-admin.kong:8001" }),
		Entry("by a single label", "label", func() string { return "http://kong-admin:8001" }),
		Entry("by a private address", "private", func() string { return "http://10.0.0.1" }),
		Entry("by the metadata of a cloud", "metadata", func() string { return "http://metadata.google.internal" }),
	)

	It("1. does not turn its Service into one that leads to any host", func(ctx SpecContext) {
		backend := &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: attacker, Name: "turns"},
			Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
		}
		s := service(attacker, "turns", func(s *v1alpha1.JwtProtectedServiceSpec) {
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
		caller, kept := consumer(attacker, "caller"), consumer(victim, "kept")
		s := service(victim, "lets-out", func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.Access = &v1alpha1.Access{Consumers: []v1alpha1.ConsumerReference{
				{Namespace: attacker, Name: "caller"}, {Name: "kept"},
			}}
		})
		create(ctx, caller, kept, s)
		awaitReady(ctx, caller, kept, s)
		path := at(pathOfService(victim, "lets-out"))
		expectPassed(ctx, path.with(as(caller)))
		update(ctx, caller, func(c *v1alpha1.JwtConsumer) { c.Spec.Suspend = true })
		update(ctx, s, func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Access.Consumers = []v1alpha1.ConsumerReference{{Name: "kept"}}
		})
		expectRefused(ctx, path.with(as(caller)), http.StatusForbidden, "You cannot consume this service")
		expectPassed(ctx, path.with(as(kept)))
		By("resuming it: what is suspended stays when its namespace is deleted")
		update(ctx, caller, func(c *v1alpha1.JwtConsumer) { c.Spec.Suspend = false })
	})

	It("2. does not stop another's service by a group that is not its own, nor keep access to one that is stopped", func(ctx SpecContext) {
		group := victim + ".users"
		s := service(victim, "audience", func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.Access = &v1alpha1.Access{Groups: []string{group}, Consumers: []v1alpha1.ConsumerReference{{Name: "leaver"}}}
		})
		leaver := consumer(victim, "leaver")
		evil := consumer(attacker, "issuer-of-a-group", func(c *v1alpha1.JwtConsumerSpec) {
			c.Groups = []string{group}
			c.Credentials = []v1alpha1.Credential{{
				Name: "idp", Algorithm: "RS256", JWKS: &v1alpha1.JWKS{URL: "https://login.example.invalid/keys"},
			}}
		})
		create(ctx, leaver, evil)
		awaitReason(ctx, evil, v1alpha1.ReasonPolicyViolation, "spec.groups")
		create(ctx, s)
		awaitReady(ctx, leaver, s)
		asked := at(pathOfService(victim, "audience")).with(as(leaver))
		expectPassed(ctx, asked)
		update(ctx, s, func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Access.Consumers = nil
			s.Spec.Plugins = []v1alpha1.ServicePlugin{{PluginSpec: v1alpha1.PluginSpec{Name: "lua", Plugin: "pre-function"}}}
		})
		awaitReason(ctx, s, v1alpha1.ReasonPolicyViolation, "pre-function")
		expectRefused(ctx, asked, http.StatusForbidden, "You cannot consume this service")
		remove(ctx, evil) // the attacker's own services would be stopped by it
	})

	It("3. does not override the plugins of another's service by plugins of its consumer", func(ctx SpecContext) {
		c := consumer(attacker, "overrides", func(s *v1alpha1.JwtConsumerSpec) {
			s.Plugins = []v1alpha1.PluginSpec{{
				Name: "limit", Plugin: "rate-limiting", Config: raw(map[string]any{"minute": 1000000, "policy": "local"}),
			}}
		})
		create(ctx, c)
		awaitReason(ctx, c, v1alpha1.ReasonPolicyViolation, "spec.plugins", "rate-limiting")
		expectNothingOf(ctx, c)
	})

	It("4. does not take another's route by a match on more", func(ctx SpecContext) {
		host := hostOf("redteam")
		route := func(route v1alpha1.Route) func(*v1alpha1.JwtProtectedServiceSpec) {
			return func(s *v1alpha1.JwtProtectedServiceSpec) {
				route.Name, route.Hosts, route.Protocols = "api", []string{host}, []v1alpha1.Protocol{"http", "https"}
				s.Routes = []v1alpha1.Route{route}
			}
		}
		holder := service(victim, "holder", route(v1alpha1.Route{Paths: []string{"/pay"}}))
		caller := consumer(victim, "payer")
		create(ctx, holder, caller)
		awaitReady(ctx, holder, caller)
		thieves := []*v1alpha1.JwtProtectedService{
			service(attacker, "thief-header", route(v1alpha1.Route{
				Paths: []string{"/pay"}, Headers: map[string]v1alpha1.HeaderValues{"x-version": {"1"}},
			})),
			service(attacker, "thief-method", route(v1alpha1.Route{Paths: []string{"/pay"}, Methods: []string{"GET"}})),
			service(attacker, "thief-deeper", route(v1alpha1.Route{Paths: []string{"/pay/v2"}})),
		}
		for _, thief := range thieves {
			create(ctx, thief)
		}
		for _, thief := range thieves {
			awaitReason(ctx, thief, v1alpha1.ReasonConflict, host)
			Expect(list(ctx, "routes", ownerTag(thief))).To(BeEmpty())
		}
		asked := call{method: http.MethodGet, path: "/pay/v2", host: host}.with(as(caller))
		asked.header.Set("X-Version", "1")
		expectPassed(ctx, asked, HaveKeyWithValue("X-Consumer-Username", victim+".payer"))
	})

	It("4. does not take another's requests by a route on any host, nor by a host", func(ctx SpecContext) {
		host, own, wild := hostOf("redteam-own"), pathOf("redteam-any"), pathOf("redteam-wild")
		route := func(route v1alpha1.Route) func(*v1alpha1.JwtProtectedServiceSpec) {
			return func(s *v1alpha1.JwtProtectedServiceSpec) {
				route.Name, route.Protocols = "api", []v1alpha1.Protocol{"http", "https"}
				s.Routes = []v1alpha1.Route{route}
			}
		}
		anywhere := service(victim, "anywhere", route(v1alpha1.Route{Paths: []string{own}}))
		hosted := service(victim, "hosted", route(v1alpha1.Route{Hosts: []string{"*." + host}, Paths: []string{wild}}))
		caller := consumer(victim, "caller-anywhere")
		create(ctx, anywhere, hosted, caller)
		awaitReady(ctx, anywhere, hosted, caller)
		thieves := map[string]*v1alpha1.JwtProtectedService{}
		for name, r := range map[string]v1alpha1.Route{
			"method": {Paths: []string{own[:len(own)-2]}, Methods: []string{"GET"}},
			"header": {Paths: []string{own}, Headers: map[string]v1alpha1.HeaderValues{"accept": {"*/*"}}},
			"path":   {Paths: []string{wild + "/in"}},
			"host":   {Hosts: []string{host}, Paths: []string{own}},
			"half":   {Hosts: []string{host}, Paths: []string{own[:len(own)-2]}},
		} {
			thieves[name] = service(attacker, "any-"+name, route(r))
			create(ctx, thieves[name])
		}
		for _, name := range []string{"method", "header"} {
			awaitReason(ctx, thieves[name], v1alpha1.ReasonPolicyViolation, "Set hosts")
			expectNothingOf(ctx, thieves[name])
		}
		for _, name := range []string{"path", "host", "half"} {
			awaitReason(ctx, thieves[name], v1alpha1.ReasonConflict, "JwtProtectedService "+victim, "policy.routes")
			Expect(list(ctx, "routes", ownerTag(thieves[name]))).To(BeEmpty())
		}
		for _, asked := range []call{
			{method: http.MethodGet, path: own, host: host}, {method: http.MethodGet, path: wild + "/in", host: "a." + host},
		} {
			expectPassed(ctx, asked.with(as(caller)), HaveKeyWithValue("X-Consumer-Username", victim+".caller-anywhere"))
		}
	})

	DescribeTable("6. does not choose what Kong shares connections to", func(ctx SpecContext, name, field string, change func(*v1alpha1.JwtProtectedServiceSpec)) {
		s := service(attacker, "counts-"+name, change)
		create(ctx, s)
		awaitReason(ctx, s, v1alpha1.ReasonPolicyViolation, field)
		expectNothingOf(ctx, s)
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
			s := service(namespace, "logs", func(s *v1alpha1.JwtProtectedServiceSpec) {
				s.Plugins = []v1alpha1.ServicePlugin{{PluginSpec: v1alpha1.PluginSpec{
					Name: "log", Plugin: "http-log", Config: raw(entity{"http_endpoint": log.url, "headers": entity{"x-key": namespace}}),
				}}}
			})
			return s, consumer(namespace, "logged")
		}
		ours, caller := logs(victim)
		theirs, other := logs(attacker)
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
		victims, attackers := at(pathOfService(victim, "logs")).with(as(caller)), at(pathOfService(attacker, "logs")).with(as(other))
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
		create(ctx, newSecret(attacker, "long", map[string]string{"config": `{"headers":{"x":"` + strings.Repeat("y", 1_000_000) + `"}}`}))
		s := service(attacker, "fills", func(s *v1alpha1.JwtProtectedServiceSpec) {
			from := v1alpha1.ConfigSource{SecretRef: v1alpha1.LocalSecretKeyReference{Name: "long", Key: "config"}}
			s.Plugins = []v1alpha1.ServicePlugin{{PluginSpec: v1alpha1.PluginSpec{
				Name: "log", Plugin: "http-log", ConfigFrom: slices.Repeat([]v1alpha1.ConfigSource{from}, 8),
			}}}
		})
		create(ctx, s)
		awaitReason(ctx, s, v1alpha1.ReasonSecretInvalid, "spec.plugins[0].configFrom[0]", "bytes")
		expectNothingOf(ctx, s)
	})

	It("5. does not take keys that another's issuer has yet to make, by following it too", func(ctx SpecContext) {
		provider := issuer.Start()
		DeferCleanup(provider.Close)
		first, second := named("redteam-first"), named("redteam-second")
		Expect(provider.Add(first, "ES256")).To(Succeed())
		follower := func(namespace, url string) *v1alpha1.JwtConsumer {
			create(ctx, newSecret(namespace, "idp-ca", map[string]string{"ca.crt": provider.CA()}))
			return consumer(namespace, "follows", func(s *v1alpha1.JwtConsumerSpec) {
				s.Credentials = []v1alpha1.Credential{{Name: "idp", JWKS: &v1alpha1.JWKS{
					URL: url, CASecretRef: &v1alpha1.LocalSecretKeyReference{Name: "idp-ca", Key: "ca.crt"},
				}}}
			})
		}
		rightful, thief := follower(victim, provider.URL()), follower(attacker, provider.URL()+"?")
		create(ctx, rightful)
		awaitReady(ctx, rightful)
		create(ctx, thief)
		awaitReason(ctx, thief, v1alpha1.ReasonConflict, "spec.credentials[0].jwks.url", victim+"/follows")
		Expect(provider.Add(second, "ES256")).To(Succeed())
		for _, c := range []*v1alpha1.JwtConsumer{thief, rightful} {
			update(ctx, c, func(c *v1alpha1.JwtConsumer) {
				c.Annotations = map[string]string{v1alpha1.AnnotationReconcile: "now"}
			})
		}
		held := func(ctx context.Context) ([]entity, error) { return list(ctx, "jwts", ownerTag(rightful)) }
		Eventually(held).WithContext(ctx).Should(ConsistOf(HaveKeyWithValue("key", first), HaveKeyWithValue("key", second)))
		Expect(list(ctx, "jwts", ownerTag(thief))).To(BeEmpty())
		By("removing them: services of these namespaces would have to name an audience")
		remove(ctx, thief)
		remove(ctx, rightful)
	})

	It("5. does not program another's key by an edited state", func(ctx SpecContext) {
		edits := consumer(attacker, "edits", func(s *v1alpha1.JwtConsumerSpec) {
			s.Credentials = []v1alpha1.Credential{generated("made", "HS256", "edits-made")}
		})
		create(ctx, edits)
		awaitReady(ctx, edits)
		own, others := attacker+".edits.made", victim+".payer.primary"
		state := newSecret(attacker, "edits-kongjwt-state", nil)
		update(ctx, state, func(s *corev1.Secret) {
			before := s.Data[credential.StateDataKey]
			s.Data[credential.StateDataKey] = bytes.ReplaceAll(before, []byte(own), []byte(others))
			Expect(s.Data[credential.StateDataKey]).NotTo(Equal(before))
		})
		update(ctx, edits, func(c *v1alpha1.JwtConsumer) { c.Spec.Tags = []v1alpha1.Tag{"looked-again"} })
		held := func(ctx context.Context) ([]entity, error) { return list(ctx, "jwts", ownerTag(edits)) }
		Eventually(held).WithContext(ctx).Should(ContainElement(HaveKeyWithValue("tags", ContainElement("looked-again"))))
		Eventually(held).WithContext(ctx).Should(ConsistOf(HaveKeyWithValue("key", own)))
	})

	It("9. does not fill Kong's memory with regular expressions", func(ctx SpecContext) {
		s := service(attacker, "grows", func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.Routes[0].Paths = []string{`~` + s.Routes[0].Paths[0] + `/0-0\w{85}`}
		})
		create(ctx, s)
		awaitReason(ctx, s, v1alpha1.ReasonPolicyViolation, "spec.routes[0].paths[0]")
		expectNothingOf(ctx, s)
	})

	It("9. does not fill Kong's memory with more routes than its namespace may have", func(ctx SpecContext) {
		s := service(attacker, "many", func(s *v1alpha1.JwtProtectedServiceSpec) {
			many := s.Routes[0]
			s.Routes = nil
			for i := range 4 {
				many.Name, many.Paths = fmt.Sprint("r", i), nil
				for j := range 1 + matches/4 {
					many.Paths = append(many.Paths, fmt.Sprintf("%s/%d/%d", pathOfService(attacker, "many"), i, j))
				}
				s.Routes = append(s.Routes, many)
			}
		})
		create(ctx, s)
		awaitReason(ctx, s, v1alpha1.ReasonPolicyViolation, "policy.budget.matches")
		expectNothingOf(ctx, s)
	})

	It("11. does not take the request by which data planes are asked", func(ctx SpecContext) {
		for name, route := range map[string]v1alpha1.Route{
			"host": {Hosts: []string{"x.kongjwt-probe.invalid"}}, "header": {Headers: map[string]v1alpha1.HeaderValues{"x-kongjwt-probe": {"x"}}},
			"sni": {SNIs: []string{"x.kongjwt-probe.invalid"}, Protocols: []v1alpha1.Protocol{"https"}},
		} {
			s := service(attacker, "probe-"+name, func(s *v1alpha1.JwtProtectedServiceSpec) {
				route.Name = "api"
				s.Routes = []v1alpha1.Route{route}
			})
			create(ctx, s)
			awaitReason(ctx, s, v1alpha1.ReasonPolicyViolation, "spec.routes[0].")
			expectNothingOf(ctx, s)
		}
	})

	It("12. does not block a name that policy forbids to it", func(ctx SpecContext) {
		squat := func(s *v1alpha1.JwtConsumerSpec) { s.Username = victim + ".owner" }
		squatting, rightful := consumer(attacker, "squatting", squat), consumer(victim, "owner")
		create(ctx, squatting)
		awaitReason(ctx, squatting, v1alpha1.ReasonPolicyViolation, "spec.username")
		create(ctx, rightful)
		awaitReady(ctx, rightful)
		expectNothingOf(ctx, squatting)
	})

	It("15. does not call a service that does not say who may", func(ctx SpecContext) {
		stranger, neighbor, s := consumer(attacker, "stranger"), consumer(victim, "neighbor"), service(victim, "silent")
		create(ctx, stranger, neighbor, s)
		awaitReady(ctx, stranger, neighbor, s)
		path := at(pathOfService(victim, "silent"))
		expectPassed(ctx, path.with(as(neighbor)))
		expectRefused(ctx, path.with(as(stranger)), http.StatusForbidden, "You cannot consume this service")
	})

	It("16. does not read a value of a Secret in a condition", func(ctx SpecContext) {
		const password = "Tr0ub4dor-and-three"
		create(ctx, newSecret(attacker, "database", map[string]string{"password": password, "secret": secret}))
		c := consumer(attacker, "reads", func(s *v1alpha1.JwtConsumerSpec) {
			s.Credentials[0].SecretRef = &v1alpha1.CredentialSecretReference{
				Name: "database", DataKeys: &v1alpha1.CredentialDataKeys{Key: "password"},
			}
		})
		create(ctx, c)
		awaitReason(ctx, c, v1alpha1.ReasonPolicyViolation, "has to begin with")
		said := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionReady)
		Expect(said.Message).NotTo(ContainSubstring(password))
		expectNothingOf(ctx, c)
	})
})
