package e2e

import (
	"bytes"
	"context"
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/test/issuer"
)

// Attacks as those of redteam_test.go, on keys and names.
var _ = Describe("A tenant, by keys and names,", Label("redteam"), Ordered, func() {
	r := newRedTeam("redteam-keys")

	It("5. does not take keys that another's issuer has yet to make, by following it too", func(ctx SpecContext) {
		provider := issuer.Start()
		DeferCleanup(provider.Close)
		first, second := named("redteam-first"), named("redteam-second")
		Expect(provider.Add(first, "ES256")).To(Succeed())
		follower := func(namespace, url string) *v1alpha1.JwtConsumer {
			create(ctx, newSecret(namespace, "idp-ca", map[string]string{"ca.crt": provider.CA()}))
			return r.consumer(namespace, "follows", func(s *v1alpha1.JwtConsumerSpec) {
				s.Credentials = []v1alpha1.Credential{{Name: "idp", JWKS: &v1alpha1.JWKS{
					URL: url, CASecretRef: &v1alpha1.LocalSecretKeyReference{Name: "idp-ca", Key: "ca.crt"},
				}}}
			})
		}
		rightful, thief := follower(r.victim, provider.URL()), follower(r.attacker, provider.URL()+"?")
		create(ctx, rightful)
		awaitReady(ctx, rightful)
		create(ctx, thief)
		awaitReason(ctx, thief, v1alpha1.ReasonConflict, "spec.credentials[0].jwks.url", r.victim+"/follows")
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
		edits := r.consumer(r.attacker, "edits", func(s *v1alpha1.JwtConsumerSpec) {
			s.Credentials = []v1alpha1.Credential{generated("made", "HS256", "edits-made")}
		})
		create(ctx, edits)
		awaitReady(ctx, edits)
		own, others := r.attacker+".edits.made", r.victim+".payer.primary"
		state := newSecret(r.attacker, "edits-kongjwt-state", nil)
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

	It("12. does not block a name that policy forbids to it", func(ctx SpecContext) {
		squat := func(s *v1alpha1.JwtConsumerSpec) { s.Username = r.victim + ".owner" }
		squatting, rightful := r.consumer(r.attacker, "squatting", squat), r.consumer(r.victim, "owner")
		create(ctx, squatting)
		awaitReason(ctx, squatting, v1alpha1.ReasonPolicyViolation, "spec.username")
		create(ctx, rightful)
		awaitReady(ctx, rightful)
		r.expectNothingOf(ctx, squatting)
	})

	It("15. does not call a service that does not say who may", func(ctx SpecContext) {
		stranger, neighbor, s := r.consumer(r.attacker, "stranger"), r.consumer(r.victim, "neighbor"), r.service(r.victim, "silent")
		create(ctx, stranger, neighbor, s)
		awaitReady(ctx, stranger, neighbor, s)
		path := at(pathOfService(r.victim, "silent"))
		expectPassed(ctx, path.with(r.as(neighbor)))
		expectRefused(ctx, path.with(r.as(stranger)), http.StatusForbidden, "You cannot consume this service")
	})

	It("16. does not read a value of a Secret in a condition", func(ctx SpecContext) {
		const password = "Tr0ub4dor-and-three"
		create(ctx, newSecret(r.attacker, "database", map[string]string{"password": password, "secret": redTeamSecret}))
		c := r.consumer(r.attacker, "reads", func(s *v1alpha1.JwtConsumerSpec) {
			s.Credentials[0].SecretRef = &v1alpha1.CredentialSecretReference{
				Name: "database", DataKeys: &v1alpha1.CredentialDataKeys{Key: "password"},
			}
		})
		create(ctx, c)
		awaitReason(ctx, c, v1alpha1.ReasonPolicyViolation, "has to begin with")
		said := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionReady)
		Expect(said.Message).NotTo(ContainSubstring(password))
		r.expectNothingOf(ctx, c)
	})
})
