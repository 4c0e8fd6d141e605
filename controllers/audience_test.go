package controllers_test

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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

	It("is not stopped by consumers of namespaces that the gateway does not admit, nor by groups that policy forbids", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{}, func(g *v1alpha1.KongGateway) {
			g.Spec.Policy.Identities = v1alpha1.IdentitiesNamespaced
			g.Spec.AllowedNamespaces = v1alpha1.AllowedNamespaces{
				From: v1alpha1.NamespacesSelector, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": g.Name}},
			}
		})
		stranger, neighbor := w.namespace+"-stranger", w.namespace+"-neighbor"
		group := w.namespace + ".users"
		evil := func(namespace string, groups ...string) *v1alpha1.JwtConsumer {
			c := w.consumer("evil", following)
			c.Namespace, c.Spec.Groups = namespace, groups
			return c
		}
		create(ctx,
			&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: stranger}},
			&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: neighbor, Labels: map[string]string{"team": w.gateway.Name}}})
		evils := []client.Object{evil(stranger, group), evil(neighbor, group)}
		create(ctx, evils...)
		service := w.service("orders", func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Access = &v1alpha1.Access{Groups: []string{group}}
		})
		anybody := w.service("anybody", func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Access = &v1alpha1.Access{From: v1alpha1.AccessFromAnyNamespace}
		})
		create(ctx, service, anybody)
		ready(ctx, service, anybody)
		Expect(anyAudience(ctx, service)()).To(BeEmpty())
		Eventually(anyAudience(ctx, anybody)).WithTimeout(soon).WithPolling(poll).Should(
			And(ContainSubstring(neighbor+"/evil"), Not(ContainSubstring(stranger))))
		for _, evil := range evils {
			Expect(kube.Delete(ctx, evil)).To(Succeed())
		}
	})
})
