package e2e

import (
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

var _ = Describe("Access", Ordered, func() {
	const denied = "You cannot consume this service"
	secret := []byte("a secret of more than thirty-two bytes")
	var home, abroad string

	token := func(namespace, consumer string) string {
		return sign("HS256", secret, namespace+"."+consumer+".primary")
	}
	consumer := func(namespace, name string, labels map[string]string, groups ...string) *v1alpha1.JwtConsumer {
		c := newConsumer(namespace, name, func(s *v1alpha1.JwtConsumerSpec) {
			s.Groups = groups
			s.Credentials = []v1alpha1.Credential{referenced("primary", "HS256", "", "material")}
		})
		c.Labels = labels
		return c
	}
	service := func(name string, access v1alpha1.Access) *v1alpha1.JwtProtectedService {
		return newService(home, name, func(s *v1alpha1.JwtProtectedServiceSpec) { s.Access = &access })
	}
	passes := func(ctx SpecContext, name, namespace, consumer string) {
		GinkgoHelper()
		expectPassed(ctx, at(pathOfService(home, name)).with(token(namespace, consumer)))
	}
	isDenied := func(ctx SpecContext, name, namespace, consumer string) {
		GinkgoHelper()
		expectRefused(ctx, at(pathOfService(home, name)).with(token(namespace, consumer)), http.StatusForbidden, denied)
	}

	BeforeAll(func(ctx SpecContext) {
		home, abroad = newNamespace(ctx, "access"), newNamespace(ctx, "access-abroad")
		selector := &metav1.LabelSelector{MatchLabels: map[string]string{"tier": "gold"}}
		for _, namespace := range []string{home, abroad} {
			create(ctx, newSecret(namespace, "material", map[string]string{"secret": string(secret)}))
		}
		gold := map[string]string{"tier": "gold"}
		limited := newService(home, "limited", func(s *v1alpha1.JwtProtectedServiceSpec) { s.RateLimit = &v1alpha1.RateLimit{Hour: pointer[int32](3)} })
		objects := []*v1alpha1.JwtProtectedService{
			service("groups", v1alpha1.Access{Groups: []string{named("admins")}}),
			service("names", v1alpha1.Access{Consumers: []v1alpha1.ConsumerReference{{Name: "bob"}, {Namespace: abroad, Name: "dora"}}}),
			service("selected", v1alpha1.Access{ConsumerSelector: selector}),
			service("selected-abroad", v1alpha1.Access{ConsumerSelector: selector, ConsumerNamespaces: []string{abroad}}),
			limited,
		}
		consumers := []*v1alpha1.JwtConsumer{
			consumer(home, "alice", nil, named("admins")),
			consumer(home, "bob", nil),
			consumer(home, "carol", gold),
			consumer(abroad, "dora", gold),
		}
		for _, o := range objects {
			create(ctx, o)
		}
		for _, o := range consumers {
			create(ctx, o)
		}
		for _, o := range objects {
			awaitReady(ctx, o)
		}
		for _, o := range consumers {
			awaitReady(ctx, o)
		}
	})

	It("is by group", func(ctx SpecContext) {
		passes(ctx, "groups", home, "alice")
		isDenied(ctx, "groups", home, "bob")
		isDenied(ctx, "groups", abroad, "dora")
	})

	It("is by consumers' names, also of another namespace", func(ctx SpecContext) {
		passes(ctx, "names", home, "bob")
		passes(ctx, "names", abroad, "dora")
		isDenied(ctx, "names", home, "alice")
	})

	It("is by label, in the service's own namespace", func(ctx SpecContext) {
		passes(ctx, "selected", home, "carol")
		isDenied(ctx, "selected", home, "alice")
		isDenied(ctx, "selected", abroad, "dora")
	})

	It("is by label, in the namespaces that are named", func(ctx SpecContext) {
		passes(ctx, "selected-abroad", abroad, "dora")
		isDenied(ctx, "selected-abroad", home, "carol")
	})

	It("still asks for a token first", func(ctx SpecContext) {
		for _, name := range []string{"groups", "names", "selected", "selected-abroad"} {
			expectRefused(ctx, at(pathOfService(home, name)), http.StatusUnauthorized, "Unauthorized")
		}
	})

	It("follows a consumer's groups and labels", func(ctx SpecContext) {
		alice := consumer(home, "alice", nil)
		update(ctx, alice, func(c *v1alpha1.JwtConsumer) { c.Spec.Groups, c.Labels = nil, map[string]string{"tier": "gold"} })
		isDenied(ctx, "groups", home, "alice")
		passes(ctx, "selected", home, "alice")
	})

	It("follows the service", func(ctx SpecContext) {
		names := service("names", v1alpha1.Access{})
		update(ctx, names, func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Access.Consumers = []v1alpha1.ConsumerReference{{Name: "carol"}}
		})
		passes(ctx, "names", home, "carol")
		isDenied(ctx, "names", home, "bob")
		isDenied(ctx, "names", abroad, "dora")
	})

	It("is for everybody with a token where the service does not say", func(ctx SpecContext) {
		names := service("names", v1alpha1.Access{})
		update(ctx, names, func(s *v1alpha1.JwtProtectedService) { s.Spec.Access = nil })
		passes(ctx, "names", home, "bob")
		passes(ctx, "names", abroad, "dora")
	})

	It("ends at the rate limit, each consumer's own", func(ctx SpecContext) {
		c := at(pathOfService(home, "limited"))
		spent := func(consumer string) answer {
			var last answer
			Eventually(func(g Gomega) {
				a, err := c.with(token(home, consumer)).send(ctx)
				g.Expect(err).NotTo(HaveOccurred())
				last = a
				g.Expect(a.status).To(Equal(http.StatusTooManyRequests), a.String)
			}).WithContext(ctx).Should(Succeed())
			return last
		}
		refused := spent("bob")
		Expect(refused.message).To(ContainSubstring("API rate limit exceeded"))
		Expect(refused.header).To(HaveKey("Retry-After"))
		a, err := c.with(token(home, "carol")).send(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(a.status).To(Equal(http.StatusOK), "carol's requests are counted apart")
	})
})
