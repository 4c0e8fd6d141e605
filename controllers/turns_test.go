package controllers_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

var _ = Describe("A life with turns", func() {
	It("follows the deletionPolicy as it is when the resource is deleted, and is put off while suspended", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		kept := w.consumer("kept", func(c *v1alpha1.JwtConsumer) { c.Spec.Credentials = nil })
		dropped := w.consumer("dropped", func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials, c.Spec.DeletionPolicy = nil, v1alpha1.DeletionPolicyRetain
		})
		create(ctx, kept, dropped)
		ready(ctx, kept, dropped)
		change(ctx, kept, func(c *v1alpha1.JwtConsumer) { c.Spec.DeletionPolicy = v1alpha1.DeletionPolicyRetain })
		Expect(kube.Delete(ctx, kept)).To(Succeed())
		change(ctx, dropped, func(c *v1alpha1.JwtConsumer) {
			c.Spec.DeletionPolicy, c.Spec.Suspend = v1alpha1.DeletionPolicyDelete, true
		})
		Expect(kube.Delete(ctx, dropped)).To(Succeed())
		Eventually(func(g Gomega) {
			said := apimeta.FindStatusCondition(conditionsOf(ctx, g, dropped), v1alpha1.ConditionSuspended)
			g.Expect(said).To(And(HaveField("Reason", v1alpha1.ReasonSuspended), HaveField("Message", ContainSubstring("the resource is not deleted"))))
		}).WithTimeout(soon).WithPolling(poll).Should(Succeed())
		gone(ctx, kept)
		Expect(w.values(ctx, "consumers", "username")).To(ConsistOf(w.namespace+".kept", w.namespace+".dropped"))
		change(ctx, dropped, func(c *v1alpha1.JwtConsumer) { c.Spec.Suspend = false })
		gone(ctx, dropped)
		Expect(w.values(ctx, "consumers", "username")).To(ConsistOf(w.namespace + ".kept"))
	})

	It("is the same again for a resource whose finalizer was taken off by hand and that is made again at once", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		create(ctx, w.secret("c-jwt", map[string]string{"secret": longSecret}))
		consumer, service := w.consumer("c"), w.service("s")
		create(ctx, consumer, service)
		ready(ctx, consumer, service)
		before := idsOf(w.content(ctx))
		for _, object := range []client.Object{consumer, service} {
			change(ctx, object, func(o client.Object) { o.SetFinalizers(nil) })
			Expect(client.IgnoreNotFound(kube.Delete(ctx, object))).To(Succeed())
		}
		for _, object := range []client.Object{consumer, service} {
			gone(ctx, object)
		}
		consumer, service = w.consumer("c"), w.service("s")
		create(ctx, consumer, service)
		ready(ctx, consumer, service)
		after := idsOf(w.content(ctx))
		for collection, ids := range before {
			Expect(after[collection]).To(ConsistOf(ids...), collection)
		}
	})

	It("is that of a new resource for one that is deleted and made again at once", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		consumer := w.rotated("c", nil)
		create(ctx, consumer)
		ready(ctx, consumer)
		leaked := w.published(ctx, "c-made", "secret")
		Expect(leaked).NotTo(BeEmpty())
		Expect(kube.Delete(ctx, consumer)).To(Succeed())
		Eventually(func() error { return kube.Create(ctx, w.rotated("c", nil)) }).WithTimeout(soon).WithPolling(poll).Should(Succeed())
		again := w.rotated("c", nil)
		ready(ctx, again)
		Expect(w.values(ctx, "jwts", "secret")).To(And(ConsistOf(w.published(ctx, "c-made", "secret")), Not(ContainElement(leaked))),
			"what may have leaked does not live again")
	})

	It("goes on where it was when its gateway is deleted by force and made again", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		consumer, service := w.rotated("c", nil), w.service("s")
		create(ctx, consumer, service)
		ready(ctx, consumer, service)
		before := idsOf(w.content(ctx))
		spec := w.gateway.Spec
		Expect(kube.Delete(ctx, w.gateway)).To(Succeed())
		change(ctx, w.gateway, func(g *v1alpha1.KongGateway) { g.Finalizers = nil })
		gone(ctx, w.gateway)
		stalled(ctx, consumer, v1alpha1.ReasonGatewayNotFound, ContainSubstring(w.name))
		stalled(ctx, service, v1alpha1.ReasonGatewayNotFound, ContainSubstring(w.name))
		w.kong.ResetRequests()
		w.gateway = &v1alpha1.KongGateway{ObjectMeta: metav1.ObjectMeta{Name: w.name}, Spec: spec}
		create(ctx, w.gateway)
		ready(ctx, w.gateway, consumer, service)
		Expect(w.writes()).To(BeZero(), "all of it is in Kong already")
		Expect(idsOf(w.content(ctx))).To(Equal(before))
	})

	It("follows the labels of its namespace", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{}, func(g *v1alpha1.KongGateway) {
			g.Spec.AllowedNamespaces = v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesSelector, Selector: selector("admitted", "yes")}
		})
		consumer := w.consumer("c", func(c *v1alpha1.JwtConsumer) { c.Spec.Credentials = nil })
		create(ctx, consumer)
		stalled(ctx, consumer, v1alpha1.ReasonNamespaceNotAllowed, ContainSubstring(w.namespace))
		label := func(value string) {
			GinkgoHelper()
			change(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace}}, func(n *corev1.Namespace) { n.Labels["admitted"] = value })
		}
		label("yes")
		ready(ctx, consumer)
		label("no")
		stalled(ctx, consumer, v1alpha1.ReasonNamespaceNotAllowed, ContainSubstring(w.namespace))
		Expect(w.list(ctx, "consumers")).To(HaveLen(1), "what is in Kong stays")
		gone(ctx, consumer)
		Expect(w.list(ctx, "consumers")).To(BeEmpty(), "what is not admitted any more can still go")
	})

	It("goes on with what it had where the policy becomes stricter, says so, and can go", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		create(ctx, w.secret("c-jwt", map[string]string{"secret": longSecret}))
		consumer := w.consumer("c", func(c *v1alpha1.JwtConsumer) { c.Spec.Username = "anybody" })
		service := w.service("s", func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Plugins = []v1alpha1.ServicePlugin{{PluginSpec: v1alpha1.PluginSpec{Name: "cors", Plugin: "cors"}}}
		})
		create(ctx, consumer, service)
		ready(ctx, consumer, service)
		change(ctx, w.gateway, func(g *v1alpha1.KongGateway) {
			g.Spec.Policy.Identities, g.Spec.Policy.Plugins = v1alpha1.IdentitiesNamespaced, []string{"http-log"}
		})
		stalled(ctx, consumer, v1alpha1.ReasonPolicyViolation, And(ContainSubstring("spec.username"), ContainSubstring(w.namespace+".")))
		stalled(ctx, service, v1alpha1.ReasonPolicyViolation, And(ContainSubstring("spec.plugins[0].plugin"), ContainSubstring("http-log")))
		Expect(w.values(ctx, "consumers", "username")).To(ConsistOf("anybody"))
		Expect(w.values(ctx, "plugins", "name")).To(ConsistOf("jwt", "cors"))
		change(ctx, service, func(s *v1alpha1.JwtProtectedService) { s.Spec.Plugins = nil })
		ready(ctx, service)
		gone(ctx, consumer)
		Expect(w.list(ctx, "consumers")).To(BeEmpty())
	})
})
