package controllers_test

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

var _ = Describe("A JwtProtectedService that takes tokens for any audience", func() {
	following := func(c *v1alpha1.JwtConsumer) {
		// Nobody is there: what it would sign is a question of the spec.
		c.Spec.Credentials = []v1alpha1.Credential{{Name: "idp", Algorithm: "RS256", JWKS: &v1alpha1.JWKS{
			URL: "https://login.example.invalid/keys",
		}}}
	}
	anyAudience := func(ctx context.Context, service *v1alpha1.JwtProtectedService) func() string {
		return func() string {
			Expect(kube.Get(ctx, client.ObjectKeyFromObject(service), service)).To(Succeed())
			condition := apimeta.FindStatusCondition(service.Status.Conditions, v1alpha1.ConditionAnyAudience)
			if condition == nil {
				return ""
			}
			return condition.Reason + ": " + condition.Message
		}
	}

	It("says so while it lets in a consumer that follows an issuer", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		service, consumer := w.service("orders"), w.consumer("users", following)
		create(ctx, service)
		ready(ctx, service)
		Expect(anyAudience(ctx, service)()).To(BeEmpty())
		create(ctx, consumer)
		Eventually(anyAudience(ctx, service)).WithTimeout(soon).WithPolling(poll).
			Should(And(HavePrefix(v1alpha1.ReasonNoAudience), ContainSubstring("JwtConsumer "+consumer.Namespace+"/users")))
		ready(ctx, service)
		change(ctx, service, func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Claims = &v1alpha1.ClaimChecks{Audiences: []string{"orders"}}
		})
		Eventually(anyAudience(ctx, service)).WithTimeout(soon).WithPolling(poll).Should(BeEmpty())
		ready(ctx, service)
		change(ctx, service, func(s *v1alpha1.JwtProtectedService) { s.Spec.Claims = nil })
		Eventually(anyAudience(ctx, service)).WithTimeout(soon).WithPolling(poll).ShouldNot(BeEmpty())
		Expect(kube.Delete(ctx, consumer)).To(Succeed())
		Eventually(anyAudience(ctx, service)).WithTimeout(soon).WithPolling(poll).Should(BeEmpty())
	})

	It("is not opened where policy asks for an audience", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{}, func(g *v1alpha1.KongGateway) {
			g.Spec.Policy.Identities = v1alpha1.IdentitiesNamespaced
		})
		service := w.service("orders")
		create(ctx, w.consumer("users", following), service)
		Eventually(func(g Gomega) {
			g.Expect(kube.Get(ctx, client.ObjectKeyFromObject(service), service)).To(Succeed())
			stalled := apimeta.FindStatusCondition(service.Status.Conditions, v1alpha1.ConditionStalled)
			g.Expect(stalled).NotTo(BeNil())
			g.Expect(stalled.Reason).To(Equal(v1alpha1.ReasonPolicyViolation))
			g.Expect(stalled.Message).To(HavePrefix("spec.claims.audiences: "))
		}).WithTimeout(soon).WithPolling(poll).Should(Succeed())
		Expect(w.list(ctx, "routes")).To(BeEmpty())
		change(ctx, service, func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Claims = &v1alpha1.ClaimChecks{Audiences: []string{"orders"}}
		})
		ready(ctx, service)
		Expect(w.list(ctx, "routes")).To(HaveLen(1))
	})
})
