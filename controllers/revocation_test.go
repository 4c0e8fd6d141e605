package controllers_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

var _ = Describe("Revocation", func() {
	slow := kongsim.Options{DBUpdateFrequency: time.Second, WorkerStateUpdateFrequency: time.Second}
	revoke := func(ctx SpecContext, consumer *v1alpha1.JwtConsumer, revoked bool) {
		GinkgoHelper()
		change(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Spec.Revoked = revoked })
	}

	It("takes every credential out of Kong, says when the data planes agree, and gives them back", func(ctx SpecContext) {
		w := newWorld(ctx, slow)
		consumer := w.rotated("r", nil)
		consumer.Spec.Credentials = append(consumer.Spec.Credentials, v1alpha1.Credential{
			Name: "given", Algorithm: "HS256", SecretRef: &v1alpha1.CredentialSecretReference{Name: "r-jwt"},
		})
		create(ctx, w.secret("r-jwt", map[string]string{"secret": longSecret}), consumer)
		ready(ctx, consumer)
		before := w.values(ctx, "jwts", "secret")
		Expect(before).To(HaveLen(2))

		revoke(ctx, consumer, true)
		reconciling(ctx, consumer, v1alpha1.ReasonAwaitingDataPlane, ContainSubstring("every data plane"))
		Expect(w.list(ctx, "jwts")).To(BeEmpty(), "it waits for the data planes, not for Kong's Admin API")
		Expect(w.values(ctx, "consumers", "username")).To(ConsistOf(w.name + ".r"))
		ready(ctx, consumer)
		Expect(apimeta.FindStatusCondition(consumer.Status.Conditions, v1alpha1.ConditionReady).Reason).To(Equal(v1alpha1.ReasonRevoked))

		revoke(ctx, consumer, false)
		ready(ctx, consumer)
		Expect(apimeta.FindStatusCondition(consumer.Status.Conditions, v1alpha1.ConditionReady).Reason).To(Equal(v1alpha1.ReasonSucceeded))
		Expect(w.values(ctx, "jwts", "secret")).To(ConsistOf(before...))
	})

	It("is held up neither by a state that somebody else controls nor by a Secret that is gone", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		consumer := w.rotated("r", nil)
		create(ctx, consumer)
		ready(ctx, consumer)
		change(ctx, w.secret("r-kongjwt-state", nil), func(s *corev1.Secret) { s.Labels[v1alpha1.LabelOwnerName] = "another" })
		stalled(ctx, consumer, v1alpha1.ReasonSecretConflict, ContainSubstring("state"))
		Expect(w.list(ctx, "jwts")).To(HaveLen(1), "a state that cannot be read is no reason to give up what works")
		revoke(ctx, consumer, true)
		Eventually(func() []map[string]any { return w.list(ctx, "jwts") }).WithTimeout(soon).WithPolling(poll).Should(BeEmpty())
	})

	It("never lets the former material live again where a rotation was asked for meanwhile", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		consumer := w.rotated("r", nil)
		create(ctx, consumer)
		ready(ctx, consumer)
		leaked := w.published(ctx, "r-made", "secret")
		revoke(ctx, consumer, true)
		annotate(ctx, consumer, v1alpha1.AnnotationRotate, "leaked")
		ready(ctx, consumer)
		Expect(w.published(ctx, "r-made", "secret")).To(Equal(leaked), "what Kong does not hold is not published")
		w.kong.ResetRequests()
		revoke(ctx, consumer, false)
		ready(ctx, consumer)
		Expect(w.values(ctx, "jwts", "secret")).To(ConsistOf(w.published(ctx, "r-made", "secret")))
		Expect(w.published(ctx, "r-made", "secret")).NotTo(Equal(leaked))
		Expect(w.writes()).To(Equal(1), "the new credential, and nothing else")
	})
})

var _ = Describe("A Secret that somebody else rewrites", func() {
	const overlap = 3 * time.Second
	var (
		w        *world
		consumer *v1alpha1.JwtConsumer
		secret   *corev1.Secret
	)
	BeforeEach(func(ctx SpecContext) {
		w = newWorld(ctx, kongsim.Options{})
		consumer = w.consumer("r", func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials[0].SecretRef.DataKeys = &v1alpha1.CredentialDataKeys{Key: "id"}
			c.Spec.Credentials[0].SecretRef.Overlap = v1alpha1.Duration(overlap.String())
		})
		secret = w.secret("r-jwt", map[string]string{"id": w.name + "-one", "secret": longSecret})
		create(ctx, secret, consumer)
		ready(ctx, consumer)
	})
	rewrite := func(ctx SpecContext, id, material string) {
		GinkgoHelper()
		change(ctx, secret, func(s *corev1.Secret) {
			s.Data = map[string][]byte{"id": []byte(w.name + id), "secret": []byte(material)}
		})
	}
	const other = "another-secret-of-thirty-two-byte"

	It("with another key: the former stays beside it for the overlap, also while the Secret is gone", func(ctx SpecContext) {
		rewrite(ctx, "-two", other)
		Eventually(phases(ctx, consumer)).WithTimeout(soon).WithPolling(poll).
			Should(Equal([]string{"Active " + w.name + "-two", "Retiring " + w.name + "-one"}))
		retirement := consumer.Status.Credentials[1].RetirementTime.Time
		Expect(kube.Delete(ctx, secret)).To(Succeed())
		stalled(ctx, consumer, v1alpha1.ReasonSecretNotFound, ContainSubstring("r-jwt"))
		Expect(w.values(ctx, "jwts", "key")).To(ContainElement(w.name + "-two"))
		Eventually(func() []any { return w.values(ctx, "jwts", "key") }).WithTimeout(soon).WithPolling(poll).Should(ConsistOf(w.name + "-two"))
		Expect(time.Now()).To(BeTemporally(">=", retirement))

		By("making it again, empty at first")
		secret = w.secret("r-jwt", map[string]string{"id": w.name + "-two"})
		create(ctx, secret)
		stalled(ctx, consumer, v1alpha1.ReasonSecretInvalid, ContainSubstring("secret"))
		Expect(w.values(ctx, "jwts", "secret")).To(ConsistOf(other))
		writes := w.writes()
		rewrite(ctx, "-two", other)
		ready(ctx, consumer)
		Expect(w.writes()).To(Equal(writes), "the same content again changes nothing")
	})

	It("with the same key: it is replaced in place", func(ctx SpecContext) {
		rewrite(ctx, "-one", other)
		Eventually(func() []any { return w.values(ctx, "jwts", "secret") }).WithTimeout(soon).WithPolling(poll).Should(ConsistOf(other))
		Eventually(phases(ctx, consumer)).WithTimeout(soon).WithPolling(poll).Should(Equal([]string{"Active " + w.name + "-one"}))
	})

	It("is what a generated credential can become, with nothing refused meanwhile", func(ctx SpecContext) {
		made := w.rotated("m", &v1alpha1.Rotation{Interval: "1h", Overlap: "1s"})
		create(ctx, made)
		ready(ctx, made)
		change(ctx, made, func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials[0].Generate = nil
			c.Spec.Credentials[0].SecretRef = &v1alpha1.CredentialSecretReference{
				Name: "m-jwt", Overlap: "1s", DataKeys: &v1alpha1.CredentialDataKeys{Key: "id"},
			}
		})
		stalled(ctx, made, v1alpha1.ReasonSecretNotFound, ContainSubstring("m-jwt"))
		Expect(w.values(ctx, "jwts", "key")).To(ContainElement(w.name + ".m.made.1"))
		Expect(w.published(ctx, "m-made", "key")).To(Equal(w.name+".m.made.1"), "clients still need it")
		create(ctx, w.secret("m-jwt", map[string]string{"id": w.name + "-given", "secret": other}))
		Eventually(phases(ctx, made)).WithTimeout(soon).WithPolling(poll).Should(Equal([]string{"Active " + w.name + "-given"}))
		Eventually(func() string { return w.published(ctx, "m-made", "key") }).WithTimeout(soon).WithPolling(poll).Should(BeEmpty())
	})
})
