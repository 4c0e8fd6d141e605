package controllers_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apimeta "k8s.io/apimachinery/pkg/api/meta"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

var _ = Describe("What is as it should be", func() {
	It("costs no request to Kong and no write to Kubernetes, also across a restart", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		consumer := w.consumer("john", func(c *v1alpha1.JwtConsumer) {
			c.Spec.Groups = []string{"readers"}
			c.Spec.Credentials = append(c.Spec.Credentials, v1alpha1.Credential{
				Name: "made", Algorithm: "ES256", Generate: &v1alpha1.Generate{SecretName: "john-made"},
			})
		})
		limit := int32(100)
		service := w.service("orders", func(s *v1alpha1.JwtProtectedService) {
			s.Spec.JWT.ClaimsToVerify = []v1alpha1.TimeClaim{"exp"}
			s.Spec.Access = &v1alpha1.Access{Groups: []string{"readers"}, Consumers: []v1alpha1.ConsumerReference{{Name: "john"}}}
			s.Spec.RateLimit = &v1alpha1.RateLimit{Minute: &limit}
			s.Spec.Plugins = []v1alpha1.ServicePlugin{{PluginSpec: v1alpha1.PluginSpec{Name: "browser", Plugin: "cors"}}}
		})
		token := &v1alpha1.JwtToken{ObjectMeta: w.meta("batch"), Spec: v1alpha1.JwtTokenSpec{
			ConsumerRef: v1alpha1.CredentialReference{Name: "john", Credential: "made"}, SecretName: "batch-token",
		}}
		create(ctx, w.secret("john-jwt", map[string]string{"secret": longSecret}), consumer, service, token)
		ready(ctx, w.gateway, consumer, service, token)
		Expect(apimeta.FindStatusCondition(service.Status.Conditions, v1alpha1.ConditionReady).Message).To(
			MatchRegexp(`, on every node from \d{4}-\d\d-\d\dT`), "one node was asked, and Ready says when the others follow")

		By("asking for a reconcile of everything")
		settled := func() {
			Eventually(func() int64 { return w.operator.writes.Swap(0) }).WithTimeout(soon).WithPolling(quiet).
				Should(BeZero(), "statuses come to rest")
		}
		settled()
		w.kong.ResetRequests()
		w.operator.writes.Store(0)
		for _, c := range []*v1alpha1.JwtConsumer{consumer} {
			change(ctx, c, func(c *v1alpha1.JwtConsumer) { c.Annotations = map[string]string{v1alpha1.AnnotationReconcile: "1"} })
		}
		change(ctx, service, func(s *v1alpha1.JwtProtectedService) {
			s.Annotations = map[string]string{v1alpha1.AnnotationReconcile: "1"}
		})
		change(ctx, token, func(t *v1alpha1.JwtToken) { t.Annotations = map[string]string{v1alpha1.AnnotationReconcile: "1"} })
		Consistently(func(g Gomega) {
			g.Expect(w.writes()).To(BeZero(), "writes to Kong: %v", w.kong.Requests())
			g.Expect(w.operator.writes.Load()).To(BeZero(), "writes to Kubernetes")
		}).WithTimeout(quiet).WithPolling(poll).Should(Succeed(), "a reconcile of what is right changes nothing")

		By("restarting the operator")
		w.operator.Stop()
		w.kong.ResetRequests()
		w.operator = startOperator(w.name)
		Eventually(func() int { return len(w.kong.Requests()) }).WithTimeout(soon).WithPolling(poll).
			Should(BeNumerically(">", 6), "it reads what Kong holds")
		Consistently(func(g Gomega) {
			g.Expect(w.writes()).To(BeZero(), "writes to Kong: %v", w.kong.Requests())
			g.Expect(w.operator.writes.Load()).To(BeZero(), "writes to Kubernetes")
		}).WithTimeout(2*quiet).WithPolling(poll).Should(Succeed(), "a restart changes nothing")
		ready(ctx, w.gateway, consumer, service, token)
	})
})
