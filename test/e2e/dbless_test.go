package e2e

import (
	"fmt"
	"net/http"
	"os"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

// declarativeKong is a Kong without a database: that of KONG_DBLESS_ADMIN_URL and KONG_DBLESS_PROXY_URL, or a
// simulated one.
func declarativeKong() (adminURL, proxyURL string) {
	GinkgoHelper()
	if adminURL, proxyURL = os.Getenv("KONG_DBLESS_ADMIN_URL"), os.Getenv("KONG_DBLESS_PROXY_URL"); adminURL != "" {
		return adminURL, proxyURL
	}
	simulated, err := kongsim.Start(kongsim.Options{Database: "off"})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(simulated.Close)
	return simulated.AdminURL(), simulated.ProxyURL()
}

// Its Kong is the operator's alone for the time: a configuration is replaced as a whole.
var _ = Describe("A Kong without a database", Ordered, Serial, func() {
	var (
		namespace string
		kong      *v1alpha1.KongGateway
		service   *v1alpha1.JwtProtectedService
		consumer  *v1alpha1.JwtConsumer
		secret    *corev1.Secret
	)
	const material = "a secret of a Kong without a database, long enough"
	call := func() call {
		return at(pathOfService(namespace, "api")).with(sign("HS256", []byte(material), namespace+".caller.primary"))
	}

	BeforeAll(func(ctx SpecContext) {
		formerAdmin, formerProxy := env.AdminURL, env.ProxyURL
		env.AdminURL, env.ProxyURL = declarativeKong()
		DeferCleanup(func() { env.AdminURL, env.ProxyURL = formerAdmin, formerProxy })
		kong = newGateway(named("dbless"))
		create(ctx, kong)
		DeferCleanup(func() {
			ctx, cancel := background()
			defer cancel()
			remove(ctx, kong)
		})
		namespace = newNamespace(ctx, "dbless")
		secret = newSecret(namespace, "material", map[string]string{"secret": material})
		service = newService(namespace, "api", func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.GatewayRef.Name = kong.Name
			s.Access = &v1alpha1.Access{Consumers: []v1alpha1.ConsumerReference{{Name: "caller"}}}
		})
		consumer = newConsumer(namespace, "caller", func(s *v1alpha1.JwtConsumerSpec) {
			s.GatewayRef.Name = kong.Name
			s.Credentials = []v1alpha1.Credential{referenced("primary", "HS256", "", "material"), generated("made", "RS256", "caller-made")}
		})
		create(ctx, secret, service, consumer)
		awaitReady(ctx, kong, service, consumer)
	})

	It("is programmed by whole configurations, and says that it has no database", func(ctx SpecContext) {
		Expect(kong.Status.Mode).To(Equal(v1alpha1.ModeDBLess))
		expectPassed(ctx, call(), HaveKeyWithValue("X-Consumer-Username", namespace+".caller"))
		made := readSecret(ctx, namespace, "caller-made")
		expectPassed(ctx, at(pathOfService(namespace, "api")).with(sign("RS256", signingKeyOf(made), string(made.Data["key"]))))
		expectRefused(ctx, at(pathOfService(namespace, "api")), http.StatusUnauthorized, "Unauthorized")
	})

	It("follows a change of a Secret", func(ctx SpecContext) {
		update(ctx, secret, func(s *corev1.Secret) { s.Data["secret"] = []byte("another secret of a Kong without a database") })
		expectRefused(ctx, call(), http.StatusUnauthorized, "Invalid signature")
		update(ctx, secret, func(s *corev1.Secret) { s.Data["secret"] = []byte(material) })
		expectPassed(ctx, call())
	})

	It("10. is not filled by one tenant: what would grow is refused, and a revocation goes through", Label("redteam"), func(ctx SpecContext) {
		const many, length = 24, 120 << 10 // more than half of what an Admin API takes by default, 10 MiB
		update(ctx, kong, func(g *v1alpha1.KongGateway) { g.Spec.Policy.Budget.ConfigBytes = 64 << 20 })
		attacker := newNamespace(ctx, "dbless-attacker")
		filler := strings.Repeat(decoy("filler"), length/len(decoy("filler")))
		create(ctx, newSecret(attacker, "long", map[string]string{"config": `{"headers": {"x-filler": "` + filler + `"}}`}))
		var fills []*v1alpha1.JwtProtectedService
		for i := range many {
			fills = append(fills, newService(attacker, fmt.Sprintf("fills-%d", i), func(s *v1alpha1.JwtProtectedServiceSpec) {
				s.GatewayRef.Name = kong.Name
				for _, route := range []string{"", s.Routes[0].Name} {
					s.Plugins = append(s.Plugins, v1alpha1.ServicePlugin{Route: route, PluginSpec: v1alpha1.PluginSpec{
						Name: "log" + route, Plugin: "http-log", Config: raw(map[string]any{"http_endpoint": "https://log.e2e.example.com"}),
						ConfigFrom: []v1alpha1.ConfigSource{{SecretRef: v1alpha1.LocalSecretKeyReference{Name: "long", Key: "config"}}},
					}})
				}
			}))
			create(ctx, fills[i])
		}
		Eventually(func(g Gomega) {
			refused := 0
			for _, s := range fills {
				g.Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(s), s)).To(Succeed())
				ready := meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionReady)
				if ready != nil && ready.Reason == v1alpha1.ReasonKongRejected && strings.Contains(ready.Message, "bytes of the configuration") {
					refused++
				}
			}
			g.Expect(refused).To(BeNumerically(">", 0))
		}).WithContext(ctx).Should(Succeed())
		update(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Spec.Revoked = true })
		expectRefused(ctx, call(), http.StatusUnauthorized, "No credentials found")
		update(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Spec.Revoked = false })
		awaitReady(ctx, consumer)
		expectPassed(ctx, call())
	})

	It("leaves out what Kong refuses, and names it; the rest goes on", func(ctx SpecContext) {
		broken := newService(namespace, "broken", func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.GatewayRef.Name = kong.Name
			s.Plugins = []v1alpha1.ServicePlugin{{PluginSpec: v1alpha1.PluginSpec{
				Name: "limit", Plugin: "request-size-limiting", Config: raw(map[string]any{"allowed_payload_size": "much"}),
			}}}
		})
		other := newConsumer(namespace, "other", func(s *v1alpha1.JwtConsumerSpec) { s.GatewayRef.Name = kong.Name })
		create(ctx, broken, other)
		awaitReason(ctx, broken, v1alpha1.ReasonKongRejected, "plugin limit", "allowed_payload_size")
		awaitReady(ctx, other)
		update(ctx, broken, func(s *v1alpha1.JwtProtectedService) { s.Spec.Plugins = nil })
		awaitReady(ctx, broken)
		expectRefused(ctx, at(pathOfService(namespace, "broken")), http.StatusUnauthorized, "Unauthorized")
		expectPassed(ctx, call())
	})

	It("has a token signed only with what it runs", func(ctx SpecContext) {
		token := newToken(namespace, "caller", "made")
		create(ctx, token)
		awaitReady(ctx, token)
		bearer := func() string { return string(readSecret(ctx, namespace, token.Spec.SecretName).Data["token"]) }
		before := bearer()
		expectPassed(ctx, at(pathOfService(namespace, "api")).with(before))
		update(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Annotations = map[string]string{v1alpha1.AnnotationRotate: "1"} })
		Eventually(bearer).WithContext(ctx).ShouldNot(Equal(before))
		for range agreeing {
			a, err := at(pathOfService(namespace, "api")).with(bearer()).send(ctx)
			Expect(err).NotTo(HaveOccurred())
			Expect(a.status).To(Equal(http.StatusOK), "published before Kong runs it: %s", a)
		}
		awaitReady(ctx, consumer, token)
	})

	It("is asked what it holds, where the gateway names its data planes", func(ctx SpecContext) {
		update(ctx, kong, func(g *v1alpha1.KongGateway) { g.Spec.DataPlanes = &v1alpha1.DataPlanes{URLs: []string{env.ProxyURL}} })
		awaitVerified(ctx, consumer, env.ProxyURL)
		former := string(readSecret(ctx, namespace, "caller-made").Data["key"])
		rotate(ctx, consumer, "2")
		Eventually(func() string { return string(readSecret(ctx, namespace, "caller-made").Data["key"]) }).WithContext(ctx).ShouldNot(Equal(former))
		awaitReady(ctx, consumer)
		awaitVerified(ctx, consumer, env.ProxyURL)
		update(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Spec.Revoked = true })
		awaitReady(ctx, consumer)
		Expect(list(ctx, "jwts", ownerTag(consumer))).To(BeEmpty())
		update(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Spec.Revoked = false })
		awaitReady(ctx, consumer)
		update(ctx, kong, func(g *v1alpha1.KongGateway) { g.Spec.DataPlanes = nil })
		Eventually(tagged).WithContext(ctx).WithArguments(ownerTag(kong)).Should(BeEmpty())
		expectPassed(ctx, call())
	}, SpecTimeout(4*patience))

	It("is put right when somebody else empties it", func(ctx SpecContext) {
		status, _, err := admin(ctx, http.MethodPost, "/config", map[string]any{"_format_version": "3.0"})
		Expect(err).NotTo(HaveOccurred())
		Expect(status).To(Equal(http.StatusCreated))
		expectPassed(ctx, call())
		awaitReady(ctx, consumer)
	})

	It("is not taken from somebody else", func(ctx SpecContext) {
		second := newGateway(named("dbless-second"))
		create(ctx, second)
		awaitReason(ctx, second, v1alpha1.ReasonConflict, "spec.adoption", "2 services")
		remove(ctx, second)
	})

	It("is left without what is deleted", func(ctx SpecContext) {
		remove(ctx, consumer)
		expectRefused(ctx, call(), http.StatusUnauthorized, "No credentials found")
		remove(ctx, service)
		expectRefused(ctx, call(), http.StatusNotFound, "no Route matched")
		Expect(meta.FindStatusCondition(kong.Status.Conditions, v1alpha1.ConditionStalled)).To(BeNil())
	})
})
