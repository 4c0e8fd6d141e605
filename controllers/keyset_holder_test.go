package controllers_test

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
	"github.com/kongjwt/kong-jwt-operator/test/issuer"
)

var _ = Describe("The follower of an issuer", func() {
	var (
		w        *world
		provider *issuer.Issuer
		looks    int
	)
	BeforeEach(func(ctx SpecContext) {
		w = newWorld(ctx, kongsim.Options{}, func(g *v1alpha1.KongGateway) {
			g.Spec.Policy.JWKS = &v1alpha1.JWKSPolicy{AllowPrivateAddresses: true}
		})
		provider = issuer.Start()
		DeferCleanup(provider.Close)
		create(ctx, w.secret("idp-ca", map[string]string{"ca.crt": provider.CA()}))
	})

	follower := func(name, url string) *v1alpha1.JwtConsumer {
		return w.consumer(name, func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials = []v1alpha1.Credential{{Name: "idp", Algorithm: "RS256", JWKS: &v1alpha1.JWKS{
				URL: url, CASecretRef: &v1alpha1.LocalSecretKeyReference{Name: "idp-ca", Key: "ca.crt"},
			}}}
		})
	}
	// copied serves one key at an address of the thief's.
	copied := func(kid string, others ...string) string {
		GinkgoHelper()
		Expect(provider.Add(kid, "ES256")).To(Succeed())
		for _, other := range others {
			provider.Withdraw(other)
		}
		set, err := provider.Set()
		Expect(err).NotTo(HaveOccurred())
		provider.Serve("/theirs", string(set))
		for _, other := range others {
			provider.Publish(other)
		}
		return provider.Base() + "/theirs"
	}
	look := func(ctx context.Context, consumer *v1alpha1.JwtConsumer) {
		GinkgoHelper()
		looks++
		annotate(ctx, consumer, v1alpha1.AnnotationReconcile, fmt.Sprint(looks))
	}
	// aSecondLater lets a second begin: what began within the same counts as begun at once.
	aSecondLater := func(consumer *v1alpha1.JwtConsumer) {
		GinkgoHelper()
		since := consumer.Status.Credentials[0].IssueTime.Time
		Eventually(time.Now).WithTimeout(soon).WithPolling(poll).Should(BeTemporally(">", since.Add(time.Second)))
	}

	It("has those that come once all that it had when somebody took one are replaced", func(ctx SpecContext) {
		Expect(provider.Add("one", "ES256")).To(Succeed())
		rightful := follower("rightful", provider.URL())
		create(ctx, rightful)
		ready(ctx, rightful)
		aSecondLater(rightful)
		thief := follower("a-thief", copied("two", "one"))
		create(ctx, thief)
		ready(ctx, thief)
		aSecondLater(thief)

		By("replacing the first, and ending its overlap")
		Expect(provider.Add("three", "ES256")).To(Succeed())
		look(ctx, rightful)
		Eventually(phases(ctx, rightful)).WithTimeout(soon).WithPolling(poll).Should(ContainElements("Active one", "Active three"))
		provider.Withdraw("one")
		look(ctx, rightful)
		Eventually(phases(ctx, rightful)).WithTimeout(soon).WithPolling(poll).Should(ContainElement("Retiring one"))
		annotate(ctx, rightful, v1alpha1.AnnotationRevokePrevious, "now")
		Eventually(func() []any { return w.values(ctx, "jwts", "key") }).WithTimeout(soon).WithPolling(poll).Should(ConsistOf("two", "three"))

		By("making another, also across a restart")
		Expect(provider.Add("four", "ES256")).To(Succeed())
		w.operator.Stop()
		w.operator = startOperator(w.name)
		look(ctx, rightful)
		Eventually(phases(ctx, rightful)).WithTimeout(soon).WithPolling(poll).Should(ContainElements("Active three", "Active four"))
		stalled(ctx, rightful, v1alpha1.ReasonConflict, And(ContainSubstring("two"), ContainSubstring("a-thief")))
	})

	It("has them all though somebody followed another issuer for longer, and turns to this one", func(ctx SpecContext) {
		thief := follower("a-thief", copied("own"))
		create(ctx, thief)
		ready(ctx, thief)
		aSecondLater(thief)
		provider.Withdraw("own")
		Expect(provider.Add("one", "ES256")).To(Succeed())
		rightful := follower("rightful", provider.URL())
		create(ctx, rightful)
		ready(ctx, rightful)
		change(ctx, thief, func(c *v1alpha1.JwtConsumer) { c.Spec.Credentials[0].JWKS.URL = provider.URL() })
		stalled(ctx, thief, v1alpha1.ReasonConflict, And(ContainSubstring("the keys of this issuer"), ContainSubstring(w.namespace+"/rightful")))

		By("having it look first at what comes next")
		Expect(provider.Add("two", "ES256")).To(Succeed())
		asked, _ := provider.Asked()
		look(ctx, thief)
		Eventually(func() int { all, _ := provider.Asked(); return all }).WithTimeout(soon).WithPolling(poll).Should(BeNumerically(">", asked))
		look(ctx, rightful)
		Eventually(phases(ctx, rightful)).WithTimeout(soon).WithPolling(poll).Should(ConsistOf("Active one", "Active two"))
		ready(ctx, rightful)
	})
})
