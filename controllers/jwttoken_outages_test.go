package controllers_test

import (
	"context"
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
	"github.com/kongjwt/kong-jwt-operator/internal/token"
)

var _ = Describe("A JwtToken in an outage", func() {
	tokenOf := func(w *world, name, credential string, change ...func(*v1alpha1.JwtTokenSpec)) *v1alpha1.JwtToken {
		t := &v1alpha1.JwtToken{ObjectMeta: w.meta(name), Spec: v1alpha1.JwtTokenSpec{
			ConsumerRef: v1alpha1.CredentialReference{Name: name, Credential: credential}, SecretName: name + "-token",
		}}
		for _, f := range change {
			f(&t.Spec)
		}
		return t
	}
	dropSecret := func(ctx context.Context, w *world, t *v1alpha1.JwtToken) {
		GinkgoHelper()
		Expect(kube.Delete(ctx, w.secret(t.Spec.SecretName, nil))).To(Succeed())
	}
	// signedBy says which secret the published token is signed with.
	signedBy := func(ctx context.Context, w *world, t *v1alpha1.JwtToken, secrets ...string) func() string {
		return func() string {
			text := w.published(ctx, t.Spec.SecretName, "token")
			for _, secret := range secrets {
				if token.SignedWith(text, credential.Material{Algorithm: "HS256", Secret: credential.Conceal(secret)}) {
					return secret
				}
			}
			return ""
		}
	}

	DescribeTable("is signed with what clients have, not with what is on its way", func(ctx SpecContext, overlap v1alpha1.Duration) {
		w, plane := worldWithDataPlane(ctx)
		c := w.rotated("c", &v1alpha1.Rotation{Interval: "1h", Overlap: "30m"})
		t := tokenOf(w, "c", "made")
		create(ctx, c, t, w.secret("theirs", map[string]string{"secret": otherSecret}))
		ready(ctx, c, t)
		made := w.published(ctx, "c-made", "secret")
		plane.down.Store(true)
		change(ctx, c, func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials[0] = given("made", "theirs", func(c *v1alpha1.Credential) {
				c.SecretRef.Overlap = overlap
				if overlap != "" {
					c.SecretRef.DataKeys = &v1alpha1.CredentialDataKeys{Secret: "secret", Key: "id"}
				}
			})
		})
		if overlap != "" {
			change(ctx, w.secret("theirs", nil), func(s *corev1.Secret) { s.Data["id"] = []byte(w.name + "-given") })
		}
		reconciling(ctx, c, v1alpha1.ReasonAwaitingDataPlane, ContainSubstring("503"))
		Expect(w.values(ctx, "jwts", "secret")).To(ConsistOf(made, otherSecret))
		dropSecret(ctx, w, t)
		Eventually(signedBy(ctx, w, t, made, otherSecret)).WithTimeout(soon).WithPolling(poll).Should(Equal(made))
		Consistently(signedBy(ctx, w, t, made, otherSecret)).WithTimeout(quiet).WithPolling(poll).Should(Equal(made))
		plane.down.Store(false)
		Eventually(signedBy(ctx, w, t, made, otherSecret)).WithTimeout(soon).WithPolling(poll).Should(Equal(otherSecret))
	},
		Entry("of a Secret that overlaps", v1alpha1.Duration("30m")),
		Entry("of a Secret that does not", v1alpha1.Duration("")),
	)

	It("is signed where its credential differs in its tags alone", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		c, t := w.rotated("c", nil), tokenOf(w, "c", "made")
		create(ctx, c, t)
		ready(ctx, c, t)
		made := w.published(ctx, "c-made", "secret")
		w.kong.Faults.Set(1, kongsim.Fault{Methods: []string{http.MethodPut, http.MethodPatch}, Status: http.StatusBadRequest})
		change(ctx, c, func(c *v1alpha1.JwtConsumer) { c.Spec.Tags = []v1alpha1.Tag{"new"} })
		stalled(ctx, c, v1alpha1.ReasonKongRejected, Not(BeEmpty()))
		dropSecret(ctx, w, t)
		Eventually(signedBy(ctx, w, t, made)).WithTimeout(soon).WithPolling(poll).Should(Equal(made))
		ready(ctx, t)
	})

	It("is not Ready without a Secret after a restart while Kong is away", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		c, t := w.rotated("c", nil), tokenOf(w, "c", "made")
		create(ctx, c, t)
		ready(ctx, c, t)
		made := w.published(ctx, "c-made", "secret")
		w.operator.Stop()
		w.kong.Faults.SetDatabaseDown(true)
		dropSecret(ctx, w, t)
		w.operator = startOperator(w.name)
		reconciling(ctx, t, v1alpha1.ReasonConsumerNotReady, ContainSubstring("live in Kong"))
		secret := w.secret(t.Spec.SecretName, nil)
		Expect(apierrors.IsNotFound(kube.Get(ctx, client.ObjectKeyFromObject(secret), secret))).To(BeTrue(), "it may not be live")
		w.kong.Faults.SetDatabaseDown(false)
		ready(ctx, t)
		Eventually(signedBy(ctx, w, t, made)).WithTimeout(soon).WithPolling(poll).Should(Equal(made))
	})

	It("is renewed after a restart while Kong is away: what it was signed with was live", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		c, t := w.rotated("c", nil), tokenOf(w, "c", "made", func(s *v1alpha1.JwtTokenSpec) { s.TTL, s.RenewBefore = "12s", "9s" })
		create(ctx, c, t)
		ready(ctx, c, t)
		w.operator.Stop()
		w.kong.Faults.SetDatabaseDown(true)
		first, expires := w.published(ctx, t.Spec.SecretName, "token"), t.Status.ExpirationTime.Time
		w.operator = startOperator(w.name)
		Eventually(func() string { return w.published(ctx, t.Spec.SecretName, "token") }).
			WithTimeout(time.Until(expires)).WithPolling(poll).Should(And(Not(BeEmpty()), Not(Equal(first))))
	})
})
