package e2e

import (
	"fmt"
	"net/http"
	"net/url"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// Who gets in at a Kong of an ingress controller, and that nobody gets in unasked.
var _ = Describe("Access at a Kong of an ingress controller", Ordered, Serial, Label("ingress"), func() {
	const material = "a secret of the ingress specs, longer than thirty-two bytes"
	var kongs *controlled
	var namespace, key string
	var member, lost *v1alpha1.JwtConsumer
	var unclaimed *v1alpha1.KongGateway

	to := func(service string) call { return at(pathOfService(namespace, service)) }
	token := func(changes ...claims) string { return sign("HS256", []byte(material), key, changes...) }
	protect := func(name string, change func(*v1alpha1.JwtProtectedServiceSpec)) *v1alpha1.JwtProtectedService {
		return newService(namespace, name, func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.GatewayRef.Name = named("access")
			change(s)
		})
	}

	BeforeAll(func(ctx SpecContext) {
		kongs = newControlled(ctx)
		owned := kongs.gateway(ctx, "access")
		wrong := *kongs
		wrong.class = anotherClass()
		unclaimed = wrong.gateway(ctx, "unclaimed") // what it says takes a while: other specs run meanwhile
		namespace, key = newNamespace(ctx, "ingress-access"), named("ingress-key")
		member = newConsumer(namespace, "member", func(s *v1alpha1.JwtConsumerSpec) {
			s.GatewayRef.Name, s.Groups = owned.Name, []string{named("staff")}
			s.Credentials = []v1alpha1.Credential{referenced("primary", "HS256", key, "material")}
		})
		lost = newConsumer(namespace, "lost", func(s *v1alpha1.JwtConsumerSpec) {
			s.GatewayRef.Name, s.Credentials = unclaimed.Name, []v1alpha1.Credential{generated("primary", "HS256", "lost-made")}
		})
		services := []client.Object{
			protect("anywhere", func(s *v1alpha1.JwtProtectedServiceSpec) {
				s.JWT.HeaderNames, s.JWT.URIParamNames = &[]string{"authorization", "x-token"}, &[]string{"t"}
				s.JWT.CookieNames = &[]string{"c"}
			}),
			protect("groups", func(s *v1alpha1.JwtProtectedServiceSpec) {
				s.Access = &v1alpha1.Access{Groups: []string{named("staff")}}
			}),
			protect("claims", func(s *v1alpha1.JwtProtectedServiceSpec) {
				s.Claims = &v1alpha1.ClaimChecks{
					Issuers: []string{"https://login.example.com/"}, Audiences: []string{"orders"},
					Required:        []v1alpha1.RequiredClaim{{Claim: "scope", Contains: "orders:read"}},
					ExplainToClient: true,
				}
			}),
		}
		create(ctx, newSecret(namespace, "material", map[string]string{"secret": material}), member, lost)
		create(ctx, services...)
		awaitReady(ctx, append(services, owned, member)...)
	})

	DescribeTable("is for a token", func(ctx SpecContext, c func() call) { expectPassed(ctx, c()) },
		Entry("in the header", func() call { return to("anywhere").with(token()) }),
		Entry("in another header", func() call {
			c := to("anywhere")
			c.header = http.Header{"X-Token": {"Bearer " + token()}}
			return c
		}),
		Entry("in the query", func() call {
			c := to("anywhere")
			c.query = url.Values{"t": {token()}}
			return c
		}),
		Entry("in a cookie", func() call {
			c := to("anywhere")
			c.cookies = []*http.Cookie{{Name: "c", Value: token()}}
			return c
		}),
		Entry("with the claims that are asked for", func() call {
			return to("claims").with(token(claims{"iss": "https://login.example.com/", "aud": "orders", "scope": "orders:read"}))
		}),
	)

	DescribeTable("is not for", func(ctx SpecContext, status int, message string, c func() call) {
		expectRefused(ctx, c(), status, message)
	},
		Entry("nobody", 401, "Unauthorized", func() call { return to("anywhere") }),
		Entry("a token of another key", 401, "Invalid signature", func() call {
			return to("anywhere").with(sign("HS256", []byte("another secret, longer than thirty-two bytes"), key))
		}),
		Entry("a token of an unknown key", 401, "No credentials found", func() call {
			return to("anywhere").with(sign("HS256", []byte(material), named("unknown")))
		}),
		Entry("a token of another algorithm", 401, "Invalid algorithm", func() call {
			return to("anywhere").with(sign("HS384", []byte(material), key))
		}),
		Entry("a token that has expired", 401, "token expired", func() call { return to("anywhere").with(token(expired())) }),
		Entry("a token of another issuer", 401, "The claim iss", func() call {
			return to("claims").with(token(claims{"aud": "orders", "scope": "orders:read"}))
		}),
		Entry("a token without the scope", 403, "The claim scope", func() call {
			return to("claims").with(token(claims{"iss": "https://login.example.com/", "aud": "orders"}))
		}),
	)

	It("follows a consumer's groups", func(ctx SpecContext) {
		expectPassed(ctx, to("groups").with(token()))
		update(ctx, member, func(c *v1alpha1.JwtConsumer) { c.Spec.Groups = []string{named("guests")} })
		awaitReady(ctx, member)
		expectRefused(ctx, to("groups").with(token()), http.StatusForbidden, "You cannot consume this service")
		update(ctx, member, func(c *v1alpha1.JwtConsumer) { c.Spec.Groups = []string{named("guests"), named("staff")} })
		awaitReady(ctx, member)
		expectPassed(ctx, to("groups").with(token()))
	})

	It("is never without a token while services and routes come, change and go", func(ctx SpecContext) {
		const crowd = 2
		second := pathOf("ingress-second")
		var stops []func() []answer
		for _, c := range []call{to("coming-0"), to("coming-1"), at(second)} {
			stop := watch(c)
			DeferCleanup(func() { stop() })
			stops = append(stops, stop)
		}
		var services []client.Object
		for n := range crowd {
			services = append(services, protect(fmt.Sprintf("coming-%d", n), func(*v1alpha1.JwtProtectedServiceSpec) {}))
		}
		create(ctx, services...)
		awaitReady(ctx, services...)
		expectRefused(ctx, to("coming-0"), http.StatusUnauthorized, "Unauthorized")
		first, _ := services[0].(*v1alpha1.JwtProtectedService)
		update(ctx, first, func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Routes = append(s.Spec.Routes, v1alpha1.Route{Name: "second", Paths: []string{second},
				Protocols: []v1alpha1.Protocol{"http"}})
			s.Spec.JWT = v1alpha1.JWTPlugin{KeyClaimName: "iss"}
		})
		awaitReady(ctx, first)
		expectRefused(ctx, at(second), http.StatusUnauthorized, "Unauthorized")
		removeAll(ctx, services...)
		again := protect("coming-0", func(*v1alpha1.JwtProtectedServiceSpec) {})
		create(ctx, again)
		awaitReady(ctx, again)
		expectRefused(ctx, to("coming-0"), http.StatusUnauthorized, "Unauthorized")
		remove(ctx, again)
		expectRefused(ctx, to("coming-0"), http.StatusNotFound, "no Route matched")
		for _, stop := range stops {
			answers := stop()
			Expect(statuses(answers)).To(Equal([]int{401, 404}), "of %d answers", len(answers))
			for _, a := range answers {
				Expect(a.upstream).To(BeNil())
			}
		}
	})

	It("goes with its namespace, routes and tokens alike", func(ctx SpecContext) {
		goes := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: newNamespace(ctx, "ingress-goes")}}
		caller := newConsumer(goes.Name, "caller", func(s *v1alpha1.JwtConsumerSpec) {
			s.GatewayRef.Name, s.Credentials = named("access"), []v1alpha1.Credential{generated("made", "HS256", "caller-made")}
		})
		service := newService(goes.Name, "api", func(s *v1alpha1.JwtProtectedServiceSpec) { s.GatewayRef.Name = named("access") })
		create(ctx, caller, service)
		awaitReady(ctx, caller, service)
		made := readSecret(ctx, goes.Name, "caller-made").Data
		asked := at(pathOfService(goes.Name, "api")).with(sign("HS256", made["secret"], string(made["key"])))
		expectPassed(ctx, asked)
		Expect(env.Client.Delete(ctx, goes)).To(Succeed())
		awaitGoneWithin(ctx, patience+looksAtNamespace, goes)
		Expect(writtenFor(ctx, goes.Name, goes.Name)).To(BeEmpty())
		Eventually(kongs.entitiesWith).WithContext(ctx).WithArguments(goes.Name).Should(BeEmpty())
		expectRefused(ctx, asked, http.StatusNotFound, "no Route matched")
	})

	It("a class that nobody takes is said, and what is on it can be let go", func(ctx SpecContext) {
		nobody := `nobody takes objects of the class "` + unclaimed.Spec.IngressController.ClassName + `"`
		By("the gateway")
		awaitReason(ctx, unclaimed, v1alpha1.ReasonAwaitingController, nobody)
		By("the consumer")
		awaitReason(ctx, lost, v1alpha1.ReasonAwaitingController, nobody)
		By("the deleted consumer, with the command that lets it go")
		Expect(env.Client.Delete(ctx, lost)).To(Succeed())
		Eventually(func(g Gomega) {
			g.Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(lost), lost)).To(Succeed())
			ready := meta.FindStatusCondition(lost.Status.Conditions, v1alpha1.ConditionReady)
			g.Expect(ready.Message).To(ContainSubstring("kubectl patch jwtconsumer -n " + namespace + " lost"))
		}).WithContext(ctx).Should(Succeed())
		patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))
		Expect(env.Client.Patch(ctx, lost, patch)).To(Succeed())
		awaitGone(ctx, lost)
	})
})
