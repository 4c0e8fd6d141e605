package controllers_test

import (
	"context"
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

var _ = Describe("The state of a consumer's credentials", func() {
	// rotatedOnce is a consumer in the overlap of its second revision.
	rotatedOnce := func(ctx SpecContext, overlap v1alpha1.Duration) (w *world, consumer *v1alpha1.JwtConsumer, first, second string) {
		GinkgoHelper()
		w = newWorld(ctx, kongsim.Options{})
		consumer = w.rotated("r", &v1alpha1.Rotation{Interval: "1h", Overlap: overlap})
		create(ctx, consumer)
		ready(ctx, consumer)
		first, second = w.name+".r.made.1", w.name+".r.made.2"
		annotate(ctx, consumer, v1alpha1.AnnotationRotate, "1")
		Eventually(phases(ctx, consumer)).WithTimeout(soon).WithPolling(poll).Should(Equal([]string{"Active " + second, "Retiring " + first}))
		return w, consumer, first, second
	}
	keys := func(ctx context.Context, w *world) func() []any {
		return func() []any { return w.values(ctx, "jwts", "key") }
	}
	state := func(ctx context.Context, w *world) *corev1.Secret {
		GinkgoHelper()
		secret := w.secret("r-kongjwt-state", nil)
		Expect(kube.Get(ctx, client.ObjectKeyFromObject(secret), secret)).To(Succeed())
		return secret
	}

	It("that is lost within an overlap refuses nothing: what Kong holds stays for the overlap", func(ctx SpecContext) {
		w, consumer, first, second := rotatedOnce(ctx, "30m")
		material := w.published(ctx, "r-made", "secret")
		Expect(kube.Delete(ctx, state(ctx, w))).To(Succeed())
		Eventually(notes(ctx, consumer, v1alpha1.EventStateRecovered)).WithTimeout(soon).WithPolling(poll).ShouldNot(BeEmpty())
		Consistently(keys(ctx, w)).WithTimeout(quiet).WithPolling(poll).Should(ConsistOf(first, second))
		Expect(phases(ctx, consumer)(Default)).To(Equal([]string{"Active " + second, "Retiring " + first}))
		Expect(w.published(ctx, "r-made", "secret")).To(Equal(material))
	})

	It("that a tenant edits counts for nothing", func(ctx SpecContext) {
		w, consumer, first, second := rotatedOnce(ctx, "30m")
		change(ctx, state(ctx, w), func(s *corev1.Secret) {
			s.Data["state.json"] = []byte(`{"version":3,"requests":[],"credentials":{"made":{"lastRevision":9,"revisions":[{"revision":9,"slot":{"credential":"made","number":9},` +
				`"state":"Active","recipe":{"algorithm":"HS256"},"key":"victim.john.primary","secret":"attacker","issueTime":"2026-11-23T12:00:00Z"}]}}}`)
		})
		Eventually(notes(ctx, consumer, v1alpha1.EventStateRecovered)).WithTimeout(soon).WithPolling(poll).ShouldNot(BeEmpty())
		Consistently(keys(ctx, w)).WithTimeout(quiet).WithPolling(poll).Should(ConsistOf(first, second))
		Expect(string(state(ctx, w).Data["state.json"])).NotTo(ContainSubstring("attacker"))
	})

	It("that is older than what Kong holds takes nothing from clients, and gives no number twice", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		consumer := w.rotated("r", &v1alpha1.Rotation{Interval: "1h", Overlap: "1s"})
		create(ctx, consumer)
		ready(ctx, consumer)
		old := state(ctx, w)
		first := w.published(ctx, "r-made", "secret")
		for n := range 2 {
			annotate(ctx, consumer, v1alpha1.AnnotationRotate, fmt.Sprint(n))
			Eventually(phases(ctx, consumer)).WithTimeout(soon).WithPolling(poll).Should(Equal([]string{fmt.Sprintf("Active %s.r.made.%d", w.name, n+2)}))
		}
		third := w.published(ctx, "r-made", "secret")
		change(ctx, state(ctx, w), func(s *corev1.Secret) { s.Data = old.Data })
		Eventually(notes(ctx, consumer, v1alpha1.EventStateRecovered)).WithTimeout(soon).WithPolling(poll).ShouldNot(BeEmpty())
		Expect(w.published(ctx, "r-made", "secret")).To(Equal(third))
		Expect(w.values(ctx, "jwts", "secret")).To(And(ConsistOf(third), Not(ContainElement(first))))
		annotate(ctx, consumer, v1alpha1.AnnotationRotate, "again")
		Eventually(phases(ctx, consumer)).WithTimeout(soon).WithPolling(poll).Should(ContainElement(w.sayActive(4)))
	})

	It("is the consumer's again after a restore without owners, and goes with it", func(ctx SpecContext) {
		w, consumer, _, _ := rotatedOnce(ctx, "30m")
		change(ctx, state(ctx, w), func(s *corev1.Secret) { s.OwnerReferences = nil })
		Eventually(func() []metav1.OwnerReference { return state(ctx, w).OwnerReferences }).WithTimeout(soon).WithPolling(poll).Should(HaveLen(1))
		Expect(state(ctx, w).OwnerReferences[0].UID).To(Equal(consumer.UID))
	})

	It("refers to no owner while the consumer's deletion policy is Retain", func(ctx SpecContext) {
		w, consumer, _, _ := rotatedOnce(ctx, "30m")
		change(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Spec.DeletionPolicy = v1alpha1.DeletionPolicyRetain })
		for _, name := range []string{"r-kongjwt-state", "r-made"} {
			Eventually(func(g Gomega) []metav1.OwnerReference {
				secret := w.secret(name, nil)
				g.Expect(kube.Get(ctx, client.ObjectKeyFromObject(secret), secret)).To(Succeed())
				return secret.OwnerReferences
			}).WithTimeout(soon).WithPolling(poll).Should(BeEmpty(), name)
		}
	})

	It("goes on under another name of the credential, with nothing written over", func(ctx SpecContext) {
		w, consumer, first, second := rotatedOnce(ctx, "30m")
		change(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Spec.Credentials[0].Name = "main" })
		third := w.name + ".r.main.3"
		Eventually(phases(ctx, consumer)).WithTimeout(soon).WithPolling(poll).Should(Equal([]string{"Active " + third, "Retiring " + second, "Retiring " + first}))
		Expect(w.values(ctx, "jwts", "key")).To(ConsistOf(first, second, third))
	})
})

// sayActive is how phases tells of an Active revision of the credential that rotated makes.
func (w *world) sayActive(revision int) string {
	return fmt.Sprintf("Active %s.r.made.%d", w.name, revision)
}

var _ = Describe("A request", func() {
	It("is not repeated when its annotation is taken off, or comes back", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		consumer := w.rotated("r", &v1alpha1.Rotation{Interval: "1h", Overlap: "30m"})
		create(ctx, consumer)
		ready(ctx, consumer)
		recorded := w.operator.secretWrites.Load()
		annotate(ctx, consumer, v1alpha1.AnnotationRevokePrevious, "incident-42")
		Eventually(w.operator.secretWrites.Load).WithTimeout(soon).WithPolling(poll).
			Should(BeNumerically(">", recorded), "seen before the other: the two at once would mean the material in use")
		annotate(ctx, consumer, v1alpha1.AnnotationRotate, "1")
		overlapping := []string{w.sayActive(2), "Retiring " + w.name + ".r.made.1"}
		Eventually(phases(ctx, consumer)).WithTimeout(soon).WithPolling(poll).Should(Equal(overlapping))
		for _, value := range []string{"", "incident-42"} {
			annotate(ctx, consumer, v1alpha1.AnnotationRevokePrevious, value)
			annotate(ctx, consumer, v1alpha1.AnnotationRotate, "")
			Consistently(phases(ctx, consumer)).WithTimeout(quiet).WithPolling(poll).Should(Equal(overlapping))
		}
	})

	It("that names no credential is refused, and does not widen to all", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		consumer := w.rotated("r", nil)
		create(ctx, consumer)
		ready(ctx, consumer)
		annotate(ctx, consumer, v1alpha1.AnnotationRotate, "maed=1")
		stalled(ctx, consumer, v1alpha1.ReasonInvalidSpec, And(ContainSubstring(v1alpha1.AnnotationRotate), ContainSubstring("made")))
		Expect(phases(ctx, consumer)(Default)).To(Equal([]string{"Active " + w.name + ".r.made"}))
		annotate(ctx, consumer, v1alpha1.AnnotationRotate, "made=1")
		Eventually(phases(ctx, consumer)).WithTimeout(soon).WithPolling(poll).Should(ContainElement(w.sayActive(2)))
		ready(ctx, consumer)
	})

	It("to end the overlaps is carried out though the consumer cannot be programmed", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		consumer := w.rotated("r", &v1alpha1.Rotation{Interval: "1h", Overlap: "30m"})
		create(ctx, consumer)
		ready(ctx, consumer)
		annotate(ctx, consumer, v1alpha1.AnnotationRotate, "1")
		Eventually(phases(ctx, consumer)).WithTimeout(soon).WithPolling(poll).Should(ContainElements(w.sayActive(2)))
		change(ctx, consumer, func(c *v1alpha1.JwtConsumer) {
			c.Spec.Plugins = []v1alpha1.PluginSpec{{Name: "size", Plugin: "request-size-limiting", ConfigFrom: []v1alpha1.ConfigSource{
				{SecretRef: v1alpha1.LocalSecretKeyReference{Name: "missing", Key: "config"}}}}}
		})
		stalled(ctx, consumer, v1alpha1.ReasonSecretNotFound, ContainSubstring("missing"))
		annotate(ctx, consumer, v1alpha1.AnnotationRevokePrevious, "leaked")
		Eventually(func() []any { return w.values(ctx, "jwts", "key") }).WithTimeout(soon).WithPolling(poll).Should(ConsistOf(w.name + ".r.made.2"))
	})
})

var _ = Describe("A key", func() {
	It("that somebody else took beforehand does not stop a rotation", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{}, func(g *v1alpha1.KongGateway) { g.Spec.Policy.Identities = v1alpha1.IdentitiesAny })
		consumer := w.rotated("r", &v1alpha1.Rotation{Interval: "1h", Overlap: "1s"})
		create(ctx, w.secret("theirs", map[string]string{"secret": longSecret}))
		squatter := w.consumer("squatter", func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials = []v1alpha1.Credential{given("a", "theirs", withKey(w.name+".r.made.2"))}
		})
		create(ctx, consumer, squatter)
		ready(ctx, consumer, squatter)
		annotate(ctx, consumer, v1alpha1.AnnotationRotate, "1")
		Eventually(func() string { return w.published(ctx, "r-made", "key") }).WithTimeout(soon).WithPolling(poll).
			Should(HavePrefix(w.name + ".r.made.3-"))
		ready(ctx, consumer)
	})

	It("that one credential is given by mistake stays with the one that uses it", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		create(ctx, w.secret("one", map[string]string{"secret": longSecret}), w.secret("two", map[string]string{"secret": otherSecret}))
		consumer := w.consumer("c", func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials = []v1alpha1.Credential{given("a", "one", withKey(w.name+".k1")), given("b", "two")}
		})
		create(ctx, consumer)
		ready(ctx, consumer)
		change(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Spec.Credentials[0].Key = w.name + ".c.b" })
		stalled(ctx, consumer, v1alpha1.ReasonConflict, ContainSubstring("spec.credentials[0]"))
		Expect(w.secretsByKey(ctx)).To(HaveKeyWithValue(w.name+".c.b", otherSecret))
	})

	It("does not hold up the credentials whose Secret can be written", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		consumer := w.consumer("r", func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials = nil
			for _, name := range []string{"made", "other"} {
				c.Spec.Credentials = append(c.Spec.Credentials, v1alpha1.Credential{
					Name: name, Algorithm: "HS256", Generate: &v1alpha1.Generate{SecretName: "r-" + name, Rotation: &v1alpha1.Rotation{Interval: "1h"}},
				})
			}
		})
		create(ctx, consumer)
		ready(ctx, consumer)
		change(ctx, w.secret("r-made", nil), func(s *corev1.Secret) { s.Immutable = new(true) })
		annotate(ctx, consumer, v1alpha1.AnnotationRotate, "1")
		Eventually(func() string { return w.published(ctx, "r-other", "key") }).WithTimeout(soon).WithPolling(poll).Should(Equal(w.name + ".r.other.2"))
		Expect(kube.Delete(ctx, w.secret("r-made", nil))).To(Succeed())
		ready(ctx, consumer)
	})
})
