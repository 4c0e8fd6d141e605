package controllers_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// warned waits until there is a Warning about an object.
func warned(ctx context.Context, object client.Object, reason, note string) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		var list eventsv1.EventList
		g.Expect(kube.List(ctx, &list, client.InNamespace(object.GetNamespace()))).To(Succeed())
		g.Expect(list.Items).To(ContainElement(And(HaveField("Regarding.Name", object.GetName()),
			HaveField("Regarding.UID", object.GetUID()), HaveField("Type", corev1.EventTypeWarning),
			HaveField("Reason", reason), HaveField("Note", ContainSubstring(note)))))
	}).WithTimeout(soon).WithPolling(poll).Should(Succeed())
}

var _ = Describe("what is taken away on a Kong of an ingress controller", func() {
	admitting := func(groups ...string) func(*v1alpha1.JwtProtectedService) {
		return func(o *v1alpha1.JwtProtectedService) { o.Spec.Access = &v1alpha1.Access{Groups: groups} }
	}
	both := []string{v1alpha1.ConditionAwaitingController, v1alpha1.ConditionRevocationPending}

	It("is pending, as a group that a service no longer admits, also after a restart", func(ctx SpecContext) {
		c := newControlled(ctx)
		service := c.protected("api")
		admitting("staff", "guests")(service)
		create(ctx, service)
		taken(ctx, c.gateway, service)
		c.stopController()
		change(ctx, service, admitting("guests"))
		reconciling(ctx, service, v1alpha1.ReasonRevocationPending, ContainSubstring("not taken for"))
		Expect(c.flags(ctx, service)).To(Equal(both))
		warned(ctx, service, v1alpha1.ReasonRevocationPending, "not taken for")
		c.operator.Stop()
		c.operator = startOperator(c.name)
		Consistently(func() []string { return c.flags(ctx, service) }).WithTimeout(8 * time.Second).Should(Equal(both))
		c.startController()
		taken(ctx, service)
		Expect(c.flags(ctx, service)).To(BeEmpty())

		By("adding one, which takes nothing away")
		c.stopController()
		change(ctx, service, admitting("staff", "guests"))
		reconciling(ctx, service, v1alpha1.ReasonAwaitingController, ContainSubstring("not taken for"))
		Expect(c.flags(ctx, service)).To(Equal(both[:1]))
		c.startController()
		taken(ctx, service)
	})

	It("is pending, as a plugin that keeps somebody out and comes later", func(ctx SpecContext) {
		c := newControlled(ctx)
		service := c.protected("api")
		create(ctx, service)
		taken(ctx, c.gateway, service)
		node := c.lagging() // it takes the plugin, and the Service that names it stays on its way
		change(ctx, c.gateway, func(g *v1alpha1.KongGateway) {
			g.Spec.DataPlanes = &v1alpha1.DataPlanes{URLs: []string{c.kong.ProxyURL(), c.second.ProxyURL()}}
		})
		taken(ctx, c.gateway, service)
		node.lag()
		change(ctx, service, admitting("staff", "guests"))
		reconciling(ctx, service, v1alpha1.ReasonRevocationPending, ContainSubstring(c.second.ProxyURL()+" does not hold it"))
		node.catchUp(ctx)
		taken(ctx, service)
		gone(ctx, service)
		gone(ctx, c.gateway)
	})

	It("is pending while the consumer is deleted", func(ctx SpecContext) {
		c := newControlled(ctx)
		consumer := c.generated("app")
		create(ctx, consumer)
		taken(ctx, c.gateway, consumer)
		c.stopController()
		Expect(kube.Delete(ctx, consumer)).To(Succeed())
		reconciling(ctx, consumer, v1alpha1.ReasonRevocationPending, And(ContainSubstring("not taken for"),
			ContainSubstring("It is deleted once Kong has let go of it")))
		warned(ctx, consumer, v1alpha1.ReasonRevocationPending, "not taken for")
		c.startController()
		gone(ctx, consumer)
	})

	It("is pending beside what stalls the resource", func(ctx SpecContext) {
		c := newControlled(ctx)
		other := kongObject("KongConsumer", "other", map[string]any{"username": "taken"})
		other.SetNamespace(c.namespace)
		other.SetAnnotations(map[string]string{"kubernetes.io/ingress.class": c.name})
		create(ctx, other)
		consumer := c.generated("app")
		consumer.Spec.Groups = []string{"staff"}
		create(ctx, consumer)
		taken(ctx, c.gateway, consumer)
		c.stopController()
		change(ctx, consumer, func(o *v1alpha1.JwtConsumer) { o.Spec.Groups, o.Spec.Username = nil, "taken" })
		stalled(ctx, consumer, v1alpha1.ReasonConflict, ContainSubstring("username taken is held by"))
		Eventually(func() []string { return c.flags(ctx, consumer) }).WithTimeout(pushed).Should(Equal(both))
		stalled(ctx, consumer, v1alpha1.ReasonConflict, ContainSubstring("username taken is held by"))
		warned(ctx, consumer, v1alpha1.ReasonRevocationPending, "not taken for")
		c.startController()
		Eventually(func() []string { return c.flags(ctx, consumer) }).WithTimeout(pushed).Should(BeEmpty())
	})
})

var _ = Describe("a data plane of an ingress controller's Kongs that never answers", func() {
	It("holds up what comes, and nothing that is taken away", func(ctx SpecContext) {
		c := newControlled(ctx)
		planes := func(more ...string) {
			GinkgoHelper()
			change(ctx, c.gateway, func(g *v1alpha1.KongGateway) {
				g.Spec.DataPlanes = &v1alpha1.DataPlanes{URLs: append([]string{c.kong.ProxyURL(), c.second.ProxyURL()}, more...)}
			})
		}
		planes()
		service, consumer, token := c.protected("api"), c.generated("app"), c.token("app")
		consumer.Spec.Groups, service.Spec.Access = []string{"staff"}, &v1alpha1.Access{Groups: []string{"staff"}}
		create(ctx, service, consumer, token)
		taken(ctx, c.gateway, service, consumer, token)
		authorization := c.authorization(ctx, token)
		const dead = "http://127.0.0.1:9"
		planes(dead)
		silent := ContainSubstring(dead)

		By("a route that comes stays shut")
		late := c.protected("late")
		late.Spec.Routes[0].Paths = []string{"/late"}
		create(ctx, late)
		reconciling(ctx, late, v1alpha1.ReasonAwaitingDataPlane, silent)
		Expect(c.guardedRoutes(ctx)).To(ContainElement(HavePrefix("late-")))

		By("groups that a service no longer admits")
		admits := func(group string) {
			GinkgoHelper()
			change(ctx, service, func(o *v1alpha1.JwtProtectedService) {
				o.Spec.Access = &v1alpha1.Access{Groups: []string{group}}
			})
		}
		admits("others")
		c.answering(ctx, authorization, 403)
		admits("staff")
		c.answering(ctx, authorization, 200)

		By("a plugin that keeps somebody out, and whose configuration is in a Secret")
		change(ctx, service, func(o *v1alpha1.JwtProtectedService) {
			o.Spec.Plugins = []v1alpha1.ServicePlugin{{PluginSpec: v1alpha1.PluginSpec{
				Name: "from", Plugin: "ip-restriction", Config: rawJSON(`{"deny":["127.0.0.0/8"],"status":451}`),
			}}}
		})
		c.answering(ctx, authorization, 451)
		reconciling(ctx, service, v1alpha1.ReasonRevocationPending, silent)
		change(ctx, service, func(o *v1alpha1.JwtProtectedService) {
			o.Spec.Plugins[0].Config = rawJSON(`{"deny":["127.0.0.1/32"],"status":403}`)
		})
		c.answering(ctx, authorization, 403)
		change(ctx, service, func(o *v1alpha1.JwtProtectedService) { o.Spec.Plugins = nil })
		c.answering(ctx, authorization, 200)

		By("a revocation")
		change(ctx, consumer, func(o *v1alpha1.JwtConsumer) { o.Spec.Revoked = true })
		c.answering(ctx, authorization, 401)
		reconciling(ctx, consumer, v1alpha1.ReasonRevocationPending, silent)

		By("a deletion, which is done once it answers")
		Expect(kube.Delete(ctx, service)).To(Succeed())
		c.answering(ctx, authorization, 404)
		reconciling(ctx, service, v1alpha1.ReasonRevocationPending, silent)

		By("taking it off the gateway")
		planes()
		taken(ctx, late)
		gone(ctx, service)
		Eventually(func() []string { return c.flags(ctx, consumer) }).WithTimeout(pushed).Should(BeEmpty())
	})
})

// guardedRoutes are the names of the operator's Ingresses that nobody gets to yet.
func (c *controlled) guardedRoutes(ctx context.Context) (names []string) {
	GinkgoHelper()
	var list networkingv1.IngressList
	Expect(kube.List(ctx, &list, client.InNamespace(c.namespace), client.HasLabels{"kongjwt.dev/scope"})).To(Succeed())
	for _, o := range list.Items {
		if o.Annotations["kongjwt.dev/guarded"] != "" {
			names = append(names, o.Name)
		}
	}
	return names
}
