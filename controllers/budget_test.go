package controllers_test

import (
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

var _ = Describe("The budget of a namespace", func() {
	It("admits what fits, also after a restart, and the rest once others take less", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{}, func(g *v1alpha1.KongGateway) { g.Spec.Policy.Budget.Matches = 3 })
		withPaths := func(name string, count int) *v1alpha1.JwtProtectedService {
			return w.service(name, func(s *v1alpha1.JwtProtectedService) {
				s.Spec.Routes[0].Paths = nil
				for i := range count {
					s.Spec.Routes[0].Paths = append(s.Spec.Routes[0].Paths, fmt.Sprintf("/%s/%d", name, i))
				}
			})
		}
		first, second := withPaths("first", 2), withPaths("second", 2)
		create(ctx, first)
		ready(ctx, first)
		Expect(first.Status.Use).To(Equal(&v1alpha1.BudgetUse{Routes: 1, Matches: 2}))
		create(ctx, second)
		stalled(ctx, second, v1alpha1.ReasonPolicyViolation, ContainSubstring("policy.budget.matches is 3"))
		Expect(w.list(ctx, "routes")).To(HaveLen(1))

		By("restarting: a newcomer does not go before what is there")
		w.operator.Stop()
		third := withPaths("third", 2)
		create(ctx, third)
		w.operator = startOperator(w.name)
		stalled(ctx, third, v1alpha1.ReasonPolicyViolation, ContainSubstring("policy.budget.matches is 3"))
		ready(ctx, first)

		By("taking less")
		change(ctx, third, func(s *v1alpha1.JwtProtectedService) { s.Spec.Routes[0].Paths = s.Spec.Routes[0].Paths[:1] })
		ready(ctx, third)
		change(ctx, first, func(s *v1alpha1.JwtProtectedService) { s.Spec.Routes[0].Paths = s.Spec.Routes[0].Paths[:1] })
		stalled(ctx, second, v1alpha1.ReasonPolicyViolation, ContainSubstring("would have 4 paths"))

		By("deleting one")
		gone(ctx, third)
		ready(ctx, second, first)
	})
})
