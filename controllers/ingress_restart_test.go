package controllers_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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

	It("finds what it wrote though the seed of its seals is lost", func(ctx SpecContext) {
		c := newControlled(ctx)
		service, consumer, stays := c.protected("api"), c.generated("app"), c.generated("stays")
		token, other := c.token("app"), c.token("stays")
		create(ctx, service, consumer, stays, token, other)
		taken(ctx, c.gateway, service, consumer, stays, token, other)
		authorization := c.authorization(ctx, token)
		c.operator.Stop()
		Expect(kube.Delete(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
			Namespace: operatorNamespace, Name: "kong-jwt-operator-probe",
		}})).To(Succeed())
		refused := c.underRequests(ctx, other, func() {
			c.operator = startOperator(c.name)
			taken(ctx, c.gateway, service, stays)
		})
		Expect(refused()).To(BeZero())
		gone(ctx, token)
		gone(ctx, consumer)
		Expect(c.answers(ctx, authorization)).To(Equal([]int{401, 401}))
		Expect(c.kongConsumers(ctx, Default)).To(HaveLen(1))
		gone(ctx, service)
		gone(ctx, other)
		gone(ctx, stays)
		Expect(c.kongConsumers(ctx, Default)).To(BeEmpty())
		gone(ctx, c.gateway)
		Eventually(func(g Gomega) int { return c.ours(ctx, g) }).WithTimeout(pushed).Should(BeZero())
	})
})
