package controllers_test

import (
	"context"
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apimeta "k8s.io/apimachinery/pkg/api/meta"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

// mistaken waits until a service names nobody, with a message that has the text; empty: until it does not.
func mistaken(ctx context.Context, service *v1alpha1.JwtProtectedService, text string) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		condition := apimeta.FindStatusCondition(conditionsOf(ctx, g, service), v1alpha1.ConditionAccessIncomplete)
		if text == "" {
			g.Expect(condition).To(BeNil())
			return
		}
		g.Expect(condition).NotTo(BeNil())
		g.Expect(condition.Message).To(ContainSubstring(text))
	}).WithTimeout(soon).WithPolling(poll).Should(Succeed())
	ready(ctx, service)
}

var _ = Describe("A JwtProtectedService that names nobody", func() {
	It("says so as long as it is true, and stays Ready", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		byName := w.service("by-name", func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Access = &v1alpha1.Access{Consumers: []v1alpha1.ConsumerReference{{Name: "worker"}}}
		})
		byGroup := w.service("by-group", func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Access = &v1alpha1.Access{Groups: []string{"clients"}}
		})
		anonymous := w.service("anonymous", func(s *v1alpha1.JwtProtectedService) { s.Spec.JWT.Anonymous = w.namespace + ".worker" })
		create(ctx, byName, byGroup, anonymous)
		mistaken(ctx, byName, "spec.access.consumers[0]")
		mistaken(ctx, byGroup, "spec.access.groups[0]")
		mistaken(ctx, anonymous, "spec.jwt.anonymous")

		worker := w.consumer("worker", func(c *v1alpha1.JwtConsumer) { c.Spec.Groups = []string{"clients"} })
		create(ctx, w.secret("worker-jwt", map[string]string{"secret": longSecret}), worker)
		for _, service := range []*v1alpha1.JwtProtectedService{byName, byGroup, anonymous} {
			mistaken(ctx, service, "")
		}
		change(ctx, worker, func(c *v1alpha1.JwtConsumer) { c.Spec.Groups = nil })
		mistaken(ctx, byGroup, "clients")
		gone(ctx, worker)
		mistaken(ctx, byName, "worker")
		mistaken(ctx, anonymous, "worker")
	})

	It("is not mistaken where the anonymous consumer is somebody else's", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		Expect(w.send(ctx, http.MethodPost, "/consumers", map[string]any{"username": "guest"})).To(Equal(http.StatusCreated))
		service := w.service("guests", func(s *v1alpha1.JwtProtectedService) { s.Spec.JWT.Anonymous = "guest" })
		create(ctx, service)
		ready(ctx, service)
		mistaken(ctx, service, "")
	})
})
