package controllers_test

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
	"github.com/kongjwt/kong-jwt-operator/test/issuer"
)

var _ = Describe("What was taken away is not said to be gone while a data plane may hold it", func() {
	left := func(key string) OmegaMatcher {
		return And(ContainSubstring("key "+key), ContainSubstring("no data plane holds it any more"), ContainSubstring("503"))
	}
	// twoGiven is a consumer whose two credentials are out of Secrets, and known to the data plane.
	twoGiven := func(ctx context.Context, w *world) *v1alpha1.JwtConsumer {
		GinkgoHelper()
		c := w.consumer("c", func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials = []v1alpha1.Credential{given("a", "one"), given("b", "two")}
		})
		create(ctx, w.secret("one", map[string]string{"secret": longSecret}), w.secret("two", map[string]string{"secret": otherSecret}), c)
		ready(ctx, c)
		verified(ctx, c, metav1.ConditionTrue, Not(BeEmpty()))
		return c
	}

	It("a credential out of a Secret, also across a restart", func(ctx SpecContext) {
		w, plane := worldWithDataPlane(ctx)
		c := twoGiven(ctx, w)
		a, b := w.name+".c.a", w.name+".c.b"
		plane.down.Store(true)
		change(ctx, c, func(c *v1alpha1.JwtConsumer) { c.Spec.Credentials = c.Spec.Credentials[:1] })
		reconciling(ctx, c, v1alpha1.ReasonAwaitingDataPlane, left(b))
		Expect(w.values(ctx, "jwts", "key")).To(ConsistOf(a))
		Expect(phases(ctx, c)(Default)).To(Equal([]string{"Active " + a, "Retiring " + b}))
		w.operator.Stop()
		w.operator = startOperator(w.name)
		Consistently(phases(ctx, c)).WithTimeout(quiet).WithPolling(poll).Should(Equal([]string{"Active " + a, "Retiring " + b}))
		reconciling(ctx, c, v1alpha1.ReasonAwaitingDataPlane, left(b))
		plane.down.Store(false)
		ready(ctx, c)
		Expect(phases(ctx, c)(Default)).To(Equal([]string{"Active " + a}))
	})

	It("a former key", func(ctx SpecContext) {
		w, plane := worldWithDataPlane(ctx)
		c := twoGiven(ctx, w)
		plane.down.Store(true)
		change(ctx, c, func(c *v1alpha1.JwtConsumer) { c.Spec.Credentials[0].Key = "k" })
		reconciling(ctx, c, v1alpha1.ReasonAwaitingDataPlane, left(w.name+".c.a"))
		plane.down.Store(false)
		ready(ctx, c)
		Expect(phases(ctx, c)(Default)).To(Equal([]string{"Active k", "Active " + w.name + ".c.b"}))
	})

	It("what is revoked: though its Secret is gone, it is an issuer's, or it was rotated since", func(ctx SpecContext) {
		w, plane := worldWithDataPlane(ctx, func(g *v1alpha1.KongGateway) {
			g.Spec.Policy.JWKS = &v1alpha1.JWKSPolicy{AllowPrivateAddresses: true}
		})
		provider := issuer.Start()
		DeferCleanup(provider.Close)
		Expect(provider.Add("theirs", "ES256")).To(Succeed())
		c := w.rotated("c", nil)
		c.Spec.Credentials = append(c.Spec.Credentials, given("b", "two"), v1alpha1.Credential{Name: "idp", JWKS: &v1alpha1.JWKS{
			URL: provider.URL(), CASecretRef: &v1alpha1.LocalSecretKeyReference{Name: "idp-ca", Key: "ca.crt"},
		}})
		secret := w.secret("two", map[string]string{"secret": otherSecret})
		create(ctx, secret, w.secret("idp-ca", map[string]string{"ca.crt": provider.CA()}), c)
		ready(ctx, c)
		plane.down.Store(true)
		change(ctx, c, func(c *v1alpha1.JwtConsumer) { c.Spec.Revoked = true })
		annotate(ctx, c, v1alpha1.AnnotationRotate, "leaked")
		Expect(kube.Delete(ctx, secret)).To(Succeed())
		Eventually(phases(ctx, c)).WithTimeout(soon).WithPolling(poll).Should(ConsistOf(
			"Pending "+w.name+".c.made.2", "Retiring "+w.name+".c.made", "Retiring "+w.name+".c.b", "Retiring theirs"))
		create(ctx, w.secret("two", map[string]string{"secret": otherSecret}))
		reconciling(ctx, c, v1alpha1.ReasonAwaitingDataPlane, And(left(w.name+".c.b"), left("theirs"), ContainSubstring("credential made, revision 1, left Kong")))
		plane.down.Store(false)
		ready(ctx, c)
		Expect(apimeta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionReady).Reason).To(Equal(v1alpha1.ReasonRevoked))
		Expect(phases(ctx, c)(Default)).To(HaveEach(HavePrefix("Pending ")))
	})

	It("unless another consumer has its key now", func(ctx SpecContext) {
		w, _ := worldWithDataPlane(ctx)
		c := twoGiven(ctx, w)
		b := w.name + ".c.b"
		heir := w.consumer("heir", func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials = []v1alpha1.Credential{given("b", "two", withKey(b))}
		})
		create(ctx, heir)
		stalled(ctx, heir, v1alpha1.ReasonConflict, ContainSubstring(w.namespace+"/c"))
		change(ctx, c, func(c *v1alpha1.JwtConsumer) { c.Spec.Credentials = c.Spec.Credentials[:1] })
		ready(ctx, c, heir)
		Expect(phases(ctx, c)(Default)).To(Equal([]string{"Active " + w.name + ".c.a"}))
	})

	It("where they are not asked, before the propagation delay has passed", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{DBUpdateFrequency: 2 * soon, WorkerStateUpdateFrequency: 2 * soon})
		c := w.consumer("c", func(c *v1alpha1.JwtConsumer) { c.Spec.Credentials = []v1alpha1.Credential{given("a", "one")} })
		create(ctx, w.secret("one", map[string]string{"secret": longSecret}), c)
		ready(ctx, c)
		change(ctx, c, func(c *v1alpha1.JwtConsumer) { c.Spec.Credentials = nil })
		reconciling(ctx, c, v1alpha1.ReasonAwaitingDataPlane, And(ContainSubstring("credential a"), ContainSubstring("propagation delay")))
		Expect(w.list(ctx, "jwts")).To(BeEmpty())
	})
})
