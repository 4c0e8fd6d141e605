package controllers_test

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// jwtPlugin is the name of the KongClusterPlugin of jwt that the operator made for the only service of the gateway.
func (c *controlled) jwtPlugin(ctx context.Context) (name string) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		plugins := kongObjects("KongClusterPlugin")
		g.Expect(kube.List(ctx, plugins)).To(Succeed())
		for _, o := range plugins.Items {
			if o.GetAnnotations()["kubernetes.io/ingress.class"] == c.name && o.Object["plugin"] == "jwt" {
				name = o.GetName()
			}
		}
		g.Expect(name).NotTo(BeEmpty())
	}).WithTimeout(soon).WithPolling(poll).Should(Succeed())
	return name
}

// hiding is a KongPlugin of the tenant's that is taken instead of a KongClusterPlugin of its name: it lets everybody
// in.
func (c *controlled) hiding(name string) *unstructured.Unstructured {
	o := kongObject("KongPlugin", name, map[string]any{"plugin": "correlation-id"})
	o.SetNamespace(c.namespace)
	return o
}

var _ = Describe("a KongPlugin that is taken instead of one of the operator's", func() {
	It("shuts the routes of the resource at once, and until it is gone", func(ctx SpecContext) {
		c := newControlled(ctx)
		service := c.protected("api")
		create(ctx, service)
		taken(ctx, c.gateway, service)
		hiding := c.hiding(c.jwtPlugin(ctx))
		create(ctx, hiding)
		stalled(ctx, service, v1alpha1.ReasonUnprotected, SatisfyAll(
			ContainSubstring("KongPlugin "+c.namespace+"/"+hiding.GetName()),
			ContainSubstring("the routes of this resource are out of Kong until it is gone")))
		c.answering(ctx, "", 404)
		Expect(kube.Get(ctx, client.ObjectKeyFromObject(service), service)).To(Succeed())
		Expect(service.Status.Routes).To(BeEmpty())
		warned(ctx, service, v1alpha1.ReasonUnprotected, "takes it instead")

		By("also where something else is wrong with the resource, and after a restart")
		opened := c.watchOpen(ctx)
		c.operator.Stop()
		c.operator = startOperator(c.name)
		change(ctx, service, func(o *v1alpha1.JwtProtectedService) { o.Spec.Routes[0].Paths = []string{"/api", "/more"} })
		stalled(ctx, service, v1alpha1.ReasonUnprotected, ContainSubstring("are out of Kong until it is gone"))
		Expect(c.routesNow(ctx)).To(BeEmpty())

		By("opening them when it is gone")
		Expect(kube.Delete(ctx, hiding)).To(Succeed())
		taken(ctx, service)
		Expect(c.answers(ctx, "")).To(Equal([]int{401, 401}))
		Expect(opened()).To(BeEmpty())
	})

	It("lets no route open that is made while it is there", func(ctx SpecContext) {
		c := newControlled(ctx)
		service := c.protected("api")
		create(ctx, service)
		taken(ctx, c.gateway, service)
		hiding := c.hiding(c.jwtPlugin(ctx)) // the same resource has the same names
		gone(ctx, service)
		create(ctx, hiding)
		opened := c.watchOpen(ctx)
		again := c.protected("api")
		create(ctx, again)
		stalled(ctx, again, v1alpha1.ReasonUnprotected, ContainSubstring("are out of Kong until it is gone"))
		Expect(c.routesNow(ctx)).To(BeEmpty())
		Expect(c.answers(ctx, "")).To(Equal([]int{404, 404}))
		Expect(kube.Delete(ctx, hiding)).To(Succeed())
		taken(ctx, again)
		Expect(opened()).To(BeEmpty())
	})

	It("closes somebody else's object to everybody", func(ctx SpecContext) {
		c := newControlled(ctx)
		c.theirs(ctx, c.backend(nil))
		c.theirs(ctx, c.routed(nil))
		guard, consumer, token := c.attached(v1alpha1.AttachTo{Service: "orders"}), c.generated("app"), c.token("app")
		create(ctx, guard, consumer, token)
		taken(ctx, guard, consumer, token)
		hiding := c.hiding(c.jwtPlugin(ctx))
		create(ctx, hiding)
		stalled(ctx, guard, v1alpha1.ReasonUnprotected, ContainSubstring("every request is answered with 503 until it is gone"))
		c.answering(ctx, "", 503)
		c.answering(ctx, c.authorization(ctx, token), 503)
		Expect(kube.Delete(ctx, hiding)).To(Succeed())
		taken(ctx, guard)
		c.answering(ctx, "", 401)
		c.answering(ctx, c.authorization(ctx, token), 200)
	})
})
