package controllers_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var _ = Describe("a restart on a Kong of an ingress controller", func() {
	It("does not end a deletion before Kong refuses the token", func(ctx SpecContext) {
		c := newControlled(ctx)
		service, consumer := c.protected("api"), c.generated("app")
		token := c.token("app")
		create(ctx, service, consumer, token)
		taken(ctx, c.gateway, service, consumer, token)
		authorization := c.authorization(ctx, token)
		c.stopController()
		gone(ctx, token)
		Expect(kube.Delete(ctx, consumer)).To(Succeed())
		Eventually(func(g Gomega) int { return len(c.kongConsumers(ctx, g)) }).WithTimeout(soon).Should(BeZero())
		c.operator.Stop()
		c.operator = startOperator(c.name)
		Consistently(func(g Gomega) {
			g.Expect(kube.Get(ctx, client.ObjectKeyFromObject(consumer), consumer)).To(Succeed())
		}).WithTimeout(3 * time.Second).Should(Succeed())
		Expect(c.answers(ctx, authorization)).To(Equal([]int{200, 200}))
		c.startController()
		gone(ctx, consumer)
		Expect(c.answers(ctx, authorization)).To(Equal([]int{401, 401}))
	})
})
