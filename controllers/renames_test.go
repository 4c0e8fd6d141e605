package controllers_test

import (
	"context"
	"net/http"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
	"github.com/kongjwt/kong-jwt-operator/test/issuer"
)

// followingIssuer makes a world whose gateway lets consumers follow an issuer, and that issuer with one key.
func followingIssuer(ctx context.Context, kid string) (*world, *issuer.Issuer, func(name string) v1alpha1.Credential) {
	GinkgoHelper()
	w := newWorld(ctx, kongsim.Options{}, func(g *v1alpha1.KongGateway) {
		g.Spec.Policy.JWKS = &v1alpha1.JWKSPolicy{AllowPrivateAddresses: true}
	})
	provider := issuer.Start()
	DeferCleanup(provider.Close)
	Expect(provider.Add(kid, "ES256")).To(Succeed())
	create(ctx, w.secret("idp-ca", map[string]string{"ca.crt": provider.CA()}))
	return w, provider, func(name string) v1alpha1.Credential {
		return v1alpha1.Credential{Name: name, JWKS: &v1alpha1.JWKS{
			URL: provider.URL(), CASecretRef: &v1alpha1.LocalSecretKeyReference{Name: "idp-ca", Key: "ca.crt"},
		}}
	}
}

// deletions lists what the operator deleted in Kong.
func (w *world) deletions() (paths []string) {
	for _, request := range w.kong.Requests() {
		if request.Method == http.MethodDelete {
			paths = append(paths, request.Path)
		}
	}
	return paths
}

var _ = Describe("A credential that gets another name", func() {
	keys := func(ctx context.Context, w *world) []any { return w.values(ctx, "jwts", "key") }

	It("keeps its entity where it is replaced in place, also while its Secret is gone", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		secret := w.secret("one", map[string]string{"secret": longSecret})
		c := w.consumer("c", func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials = []v1alpha1.Credential{given("a", "one", withKey("k"))}
		})
		create(ctx, secret, c)
		ready(ctx, c)
		id := c.Status.Credentials[0].KongID
		w.kong.ResetRequests()
		change(ctx, c, func(c *v1alpha1.JwtConsumer) { c.Spec.Credentials[0].Name = "b" })
		ready(ctx, c)
		Expect(c.Status.Credentials).To(HaveExactElements(And(
			HaveField("Name", "b"), HaveField("KongID", id), HaveField("State", v1alpha1.CredentialActive))))
		Expect(kube.Delete(ctx, secret)).To(Succeed())
		stalled(ctx, c, v1alpha1.ReasonSecretNotFound, ContainSubstring("one"))
		change(ctx, c, func(c *v1alpha1.JwtConsumer) { c.Spec.Credentials[0].Name = "c" })
		stalled(ctx, c, v1alpha1.ReasonSecretNotFound, ContainSubstring("one"))
		Expect(w.secretsByKey(ctx)).To(Equal(map[any]any{"k": longSecret}))
		Expect(w.deletions()).To(BeEmpty(), "its callers are refused at no time")
		create(ctx, w.secret("one", map[string]string{"secret": otherSecret}))
		ready(ctx, c)
		Expect(w.secretsByKey(ctx)).To(Equal(map[any]any{"k": otherSecret}))
	})

	It("keeps what retires, within an overlap", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		secret := w.secret("one", map[string]string{"id": w.name + "-one", "secret": longSecret})
		c := w.consumer("c", func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials = []v1alpha1.Credential{given("a", "one", func(c *v1alpha1.Credential) {
				c.SecretRef.DataKeys, c.SecretRef.Overlap = &v1alpha1.CredentialDataKeys{Key: "id"}, "30m"
			})}
		})
		create(ctx, secret, c)
		ready(ctx, c)
		secret.Data = map[string][]byte{"id": []byte(w.name + "-two"), "secret": []byte(otherSecret)}
		secret.StringData = nil
		Expect(kube.Update(ctx, secret)).To(Succeed())
		overlapping := []string{"Active " + w.name + "-two", "Retiring " + w.name + "-one"}
		Eventually(phases(ctx, c)).WithTimeout(soon).WithPolling(poll).Should(Equal(overlapping))
		ready(ctx, c)
		w.kong.ResetRequests()
		change(ctx, c, func(c *v1alpha1.JwtConsumer) { c.Spec.Credentials[0].Name = "b" })
		ready(ctx, c)
		Expect(phases(ctx, c)(Default)).To(Equal(overlapping))
		Expect(c.Status.Credentials).To(HaveEach(HaveField("Name", "b")))
		Expect(w.writes()).To(BeZero(), "%v", w.kong.Requests())
	})

	It("keeps its issuer's keys while the issuer is away", func(ctx SpecContext) {
		w, provider, following := followingIssuer(ctx, "one")
		c := w.consumer("c", func(c *v1alpha1.JwtConsumer) { c.Spec.Credentials = []v1alpha1.Credential{following("a")} })
		create(ctx, c)
		ready(ctx, c)
		provider.Answer(http.StatusServiceUnavailable)
		w.operator.Stop()
		w.kong.ResetRequests()
		change(ctx, c, func(c *v1alpha1.JwtConsumer) { c.Spec.Credentials[0].Name = "b" })
		w.operator = startOperator(w.name)
		Eventually(func(g Gomega) {
			g.Expect(conditionsOf(ctx, g, c)).NotTo(BeEmpty())
			g.Expect(c.Status.Credentials).To(HaveExactElements(And(HaveField("Name", "b"), HaveField("Key", "one"))))
		}).WithTimeout(soon).WithPolling(poll).Should(Succeed())
		Consistently(func() []any { return keys(ctx, w) }).WithTimeout(quiet).WithPolling(poll).Should(ConsistOf("one"))
		Expect(w.writes()).To(BeZero(), "%v", w.kong.Requests())
	})
})

var _ = Describe("A credential that is to follow an issuer", func() {
	It("stays what it was where another consumer has the issuer's kid", func(ctx SpecContext) {
		w, _, following := followingIssuer(ctx, "taken")
		holder := w.consumer("holder", func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials = []v1alpha1.Credential{given("a", "one", withKey("taken"))}
		})
		c := w.rotated("c", &v1alpha1.Rotation{Interval: "1h", Overlap: "1s"})
		create(ctx, w.secret("one", map[string]string{"secret": longSecret}), holder, c)
		ready(ctx, holder, c)
		made := w.published(ctx, "c-made", "key")
		change(ctx, c, func(c *v1alpha1.JwtConsumer) { c.Spec.Credentials = []v1alpha1.Credential{following("made")} })
		stalled(ctx, c, v1alpha1.ReasonConflict, ContainSubstring("holder"))
		Consistently(func() []any { return w.values(ctx, "jwts", "key") }).WithTimeout(2 * quiet).WithPolling(poll).Should(ConsistOf("taken", made))
		Expect(w.published(ctx, "c-made", "key")).To(Equal(made))
	})
})

var _ = Describe("What is wrong with one part of a consumer", func() {
	It("stops no other credential: a Secret for clients in which the operator keeps its state", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		c := w.rotated("c", &v1alpha1.Rotation{Interval: "1h", Overlap: "30m"})
		create(ctx, w.secret("one", map[string]string{"secret": longSecret}), c)
		ready(ctx, c)
		material := w.published(ctx, "c-made", "secret")
		change(ctx, c, func(c *v1alpha1.JwtConsumer) {
			second := *c.Spec.Credentials[0].DeepCopy()
			second.Name, second.Generate.SecretName = "again", "c-kongjwt-state"
			c.Spec.Credentials = append([]v1alpha1.Credential{second}, append(c.Spec.Credentials, given("late", "one"))...)
		})
		stalled(ctx, c, v1alpha1.ReasonInvalidSpec, ContainSubstring("spec.credentials[0].generate.secretName"))
		Expect(w.secretsByKey(ctx)).To(Equal(map[any]any{w.name + ".c.made.1": material, w.name + ".c.late": longSecret}))
		annotate(ctx, c, v1alpha1.AnnotationRotate, "made=1")
		Eventually(func() string { return w.published(ctx, "c-made", "key") }).WithTimeout(soon).WithPolling(poll).Should(Equal(w.name + ".c.made.2"))
	})

	It("stops no other credential: a username, a custom id and a group that policy forbids", func(ctx SpecContext) {
		w, provider, following := followingIssuer(ctx, "one")
		c := w.consumer("c", func(c *v1alpha1.JwtConsumer) {
			c.Spec.Username, c.Spec.CustomID = "anybody-"+w.name, "id-"+w.name
			c.Spec.Groups = []string{"everybody", w.name + ".readers"}
			c.Spec.Credentials = []v1alpha1.Credential{following("idp"), given("a", "one")}
		})
		secret := w.secret("one", map[string]string{"secret": longSecret})
		create(ctx, secret, c)
		ready(ctx, c)
		change(ctx, w.gateway, func(g *v1alpha1.KongGateway) { g.Spec.Policy.Identities = v1alpha1.IdentitiesNamespaced })
		stalled(ctx, c, v1alpha1.ReasonPolicyViolation, ContainSubstring("spec.username"))

		By("arrivals, of the issuer and of Secrets")
		Expect(provider.Add("two", "ES256")).To(Succeed())
		change(ctx, secret, func(s *corev1.Secret) { s.Data["secret"] = []byte(otherSecret) })
		change(ctx, c, func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials = append(c.Spec.Credentials, given("b", "one", withKey(w.name+".b")), given("c", "one"))
			c.Spec.Groups = append(c.Spec.Groups, w.name+".writers")
		})
		annotate(ctx, c, v1alpha1.AnnotationReconcile, "1")
		Eventually(func(g Gomega) {
			g.Expect(w.values(ctx, "jwts", "key")).To(ConsistOf("one", "two", "anybody-"+w.name+".a", w.name+".b"),
				"a key that would be made of the forbidden username does not come")
			g.Expect(w.secretsByKey(ctx)).To(HaveKeyWithValue("anybody-"+w.name+".a", otherSecret))
			g.Expect(w.groups(ctx)).To(ConsistOf("everybody", w.name+".readers", w.name+".writers"))
		}).WithTimeout(soon).WithPolling(poll).Should(Succeed())

		By("removals")
		change(ctx, c, func(c *v1alpha1.JwtConsumer) { c.Spec.Credentials, c.Spec.Groups = c.Spec.Credentials[:1], nil })
		Eventually(func(g Gomega) {
			g.Expect(w.values(ctx, "jwts", "key")).To(ConsistOf("one", "two"))
			g.Expect(w.groups(ctx)).To(BeEmpty())
		}).WithTimeout(soon).WithPolling(poll).Should(Succeed())
		Expect(w.list(ctx, "consumers")).To(ConsistOf(And(
			HaveKeyWithValue("username", "anybody-"+w.name), HaveKeyWithValue("custom_id", "id-"+w.name))), "what works goes on")
		Expect(strings.Join(w.deletions(), " ")).NotTo(ContainSubstring("/consumers/" + c.Status.ConsumerID + " "))
	})

	It("lets no consumer in whose username policy forbids", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{}, func(g *v1alpha1.KongGateway) { g.Spec.Policy.Identities = v1alpha1.IdentitiesNamespaced })
		c := w.consumer("c", func(c *v1alpha1.JwtConsumer) {
			c.Spec.Username = "victim"
			c.Spec.Credentials = []v1alpha1.Credential{given("a", "one"), given("b", "one", withKey(w.name+".b"))}
		})
		create(ctx, w.secret("one", map[string]string{"secret": longSecret}), c)
		stalled(ctx, c, v1alpha1.ReasonPolicyViolation, ContainSubstring("spec.username"))
		Expect(w.list(ctx, "consumers")).To(BeEmpty())
		Expect(w.list(ctx, "jwts")).To(BeEmpty())
	})
})
