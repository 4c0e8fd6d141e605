package controllers_test

import (
	"context"
	"net/url"
	"strconv"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

const annotationPlugins = "konghq.com/plugins"

// theirs applies an object as somebody else does, by server-side apply.
func (c *controlled) theirs(ctx context.Context, o *unstructured.Unstructured) {
	GinkgoHelper()
	c.appliedBy(ctx, "gitops", o)
}

// appliedBy applies an object under a field manager.
func (c *controlled) appliedBy(ctx context.Context, manager string, o *unstructured.Unstructured) {
	GinkgoHelper()
	o.SetNamespace(c.namespace)
	applied := o.DeepCopy()
	Expect(kube.Apply(ctx, client.ApplyConfigurationFromUnstructured(applied), client.FieldOwner(manager),
		client.ForceOwnership)).To(Succeed())
}

// backend is a Service of somebody else's, of the echo upstream.
func (c *controlled) backend(annotations map[string]string) *unstructured.Unstructured {
	o := kongObject("Service", "orders", map[string]any{"spec": map[string]any{
		"type": "ExternalName", "externalName": "localhost",
		"ports": []any{map[string]any{"name": "http", "port": c.port(), "protocol": "TCP"}},
	}})
	o.SetAPIVersion("v1")
	o.SetAnnotations(annotations)
	return o
}

func (c *controlled) port() int64 {
	GinkgoHelper()
	upstream, err := url.Parse(c.upstream.URL())
	Expect(err).NotTo(HaveOccurred())
	port, err := strconv.ParseInt(upstream.Port(), 10, 64)
	Expect(err).NotTo(HaveOccurred())
	return port
}

// routed is an Ingress of somebody else's that leads to the backend.
func (c *controlled) routed(annotations map[string]string) *unstructured.Unstructured {
	o := kongObject("Ingress", "orders", map[string]any{"spec": map[string]any{
		"ingressClassName": c.name,
		"rules": []any{map[string]any{"host": c.name + ".example", "http": map[string]any{"paths": []any{map[string]any{
			"path": "/api", "pathType": "Prefix", "backend": map[string]any{"service": map[string]any{
				"name": "orders", "port": map[string]any{"number": c.port()},
			}},
		}}}}},
	}})
	o.SetAPIVersion("networking.k8s.io/v1")
	o.SetAnnotations(annotations)
	return o
}

// attached is a JwtProtectedService on what somebody else has.
func (c *controlled) attached(to v1alpha1.AttachTo) *v1alpha1.JwtProtectedService {
	return c.service("orders", func(s *v1alpha1.JwtProtectedService) { s.Spec.Upstream, s.Spec.Routes, s.Spec.AttachTo = nil, nil, &to })
}

func (c *controlled) answering(ctx context.Context, authorization string, status int) {
	GinkgoHelper()
	Eventually(func() []int { return c.answers(ctx, authorization) }).WithTimeout(pushed).WithPolling(poll).
		Should(Equal([]int{status, status}))
}

// plugins is the annotation of an object of somebody else's.
func (c *controlled) plugins(ctx context.Context, o client.Object) string {
	GinkgoHelper()
	Expect(kube.Get(ctx, client.ObjectKey{Namespace: c.namespace, Name: "orders"}, o)).To(Succeed())
	return o.GetAnnotations()[annotationPlugins]
}

var _ = Describe("attachTo on a Kong of an ingress controller", func() {
	It("protects a Service of somebody else's, and leaves it as it was", func(ctx SpecContext) {
		c := newControlled(ctx)
		c.theirs(ctx, c.backend(nil))
		c.theirs(ctx, c.routed(nil))
		c.answering(ctx, "", 200)
		guard, consumer, token := c.attached(v1alpha1.AttachTo{Service: "orders"}), c.generated("app"), c.token("app")
		create(ctx, guard, consumer, token)
		taken(ctx, guard, consumer, token)
		Expect(guard.Status.Plugins).NotTo(BeEmpty())
		Expect(c.answers(ctx, "")).To(Equal([]int{401, 401}))
		Expect(c.answers(ctx, c.authorization(ctx, token))).To(Equal([]int{200, 200}))

		By("letting the owner apply again")
		c.theirs(ctx, c.backend(nil))
		Expect(c.plugins(ctx, &corev1.Service{})).NotTo(BeEmpty())

		By("putting back what somebody took off, and saying that requests pass until Kong has it")
		c.stopController()
		change(ctx, &corev1.Service{ObjectMeta: c.meta("orders")}, func(o *corev1.Service) {
			delete(o.Annotations, annotationPlugins)
		})
		Eventually(func() string { return c.plugins(ctx, &corev1.Service{}) }).WithTimeout(pushed).ShouldNot(BeEmpty())
		reconciling(ctx, guard, v1alpha1.ReasonUnprotected, ContainSubstring("spec.attachTo.service: Service "+c.namespace+"/orders"))
		c.startController()
		taken(ctx, guard)

		By("going on after a restart")
		c.operator.Stop()
		c.operator = startOperator(c.name)
		taken(ctx, guard)

		By("deleting the resource")
		gone(ctx, guard)
		var after corev1.Service
		Expect(c.plugins(ctx, &after)).To(BeEmpty())
		for _, entry := range after.ManagedFields {
			Expect(entry.Manager).NotTo(HavePrefix("kongjwt"))
		}
		c.answering(ctx, "", 200)
		gone(ctx, token)
		gone(ctx, consumer)
		Eventually(func(g Gomega) int { return len(c.clusterPlugins(ctx, g)) }).WithTimeout(pushed).Should(BeZero())
	})

	It("says whose annotation it is, and takes it when it is free", func(ctx SpecContext) {
		c := newControlled(ctx)
		c.theirs(ctx, c.backend(nil))
		guard := c.attached(v1alpha1.AttachTo{Ingress: "orders"})
		create(ctx, guard)
		stalled(ctx, guard, v1alpha1.ReasonTargetNotFound, ContainSubstring("spec.attachTo.ingress: Ingress "+c.namespace+"/orders"))
		c.theirs(ctx, c.routed(map[string]string{annotationPlugins: "theirs"}))
		stalled(ctx, guard, v1alpha1.ReasonConflict, ContainSubstring(`field manager "gitops"`))
		Expect(c.plugins(ctx, &networkingv1.Ingress{})).To(Equal("theirs"))
		Expect(guard.Status.Plugins).To(BeEmpty())
		c.theirs(ctx, c.routed(nil))
		taken(ctx, guard)
		c.answering(ctx, "", 401)

		By("losing it to somebody who forces")
		c.theirs(ctx, c.routed(map[string]string{annotationPlugins: "theirs"}))
		stalled(ctx, guard, v1alpha1.ReasonUnprotected, ContainSubstring(`field manager "gitops"`))
		c.theirs(ctx, c.routed(nil))
		taken(ctx, guard)

		By("losing it while the operator is away")
		// The second time there are no plugins in the status.
		for _, thief := range []string{"first", "second"} {
			c.operator.Stop()
			c.appliedBy(ctx, thief, c.routed(map[string]string{annotationPlugins: thief}))
			c.operator = startOperator(c.name)
			stalled(ctx, guard, v1alpha1.ReasonUnprotected, ContainSubstring(`field manager "`+thief+`"`))
		}
		c.appliedBy(ctx, "second", c.routed(nil))
		taken(ctx, guard)

		By("protecting what was made anew")
		gone(ctx, &networkingv1.Ingress{ObjectMeta: c.meta("orders")})
		c.theirs(ctx, c.routed(nil))
		Eventually(func() string { return c.plugins(ctx, &networkingv1.Ingress{}) }).WithTimeout(pushed).ShouldNot(BeEmpty())
		c.answering(ctx, "", 401)
	})

	It("lets one of two resources have an object", func(ctx SpecContext) {
		c := newControlled(ctx)
		c.theirs(ctx, c.backend(nil))
		first, second := c.attached(v1alpha1.AttachTo{Service: "orders"}), c.attached(v1alpha1.AttachTo{Service: "orders"})
		second.Name = "second"
		create(ctx, first)
		taken(ctx, first)
		create(ctx, second)
		stalled(ctx, second, v1alpha1.ReasonConflict, ContainSubstring(`"kongjwt.orders-`))
		gone(ctx, first)
		taken(ctx, second)
	})

	It("moves from a Service to an HTTPRoute, and says which Gateways serve it", func(ctx SpecContext) {
		c := newControlled(ctx)
		c.theirs(ctx, c.backend(nil))
		gateway := kongObject("Gateway", "edge", map[string]any{"spec": map[string]any{
			"gatewayClassName": c.name,
			"listeners":        []any{map[string]any{"name": "http", "port": int64(80), "protocol": "HTTP"}},
		}})
		gateway.SetAPIVersion("gateway.networking.k8s.io/v1")
		c.theirs(ctx, gateway)
		route := kongObject("HTTPRoute", "orders", map[string]any{"spec": map[string]any{
			"parentRefs": []any{map[string]any{"name": "edge"}}, "hostnames": []any{c.name + ".example"},
			"rules": []any{map[string]any{
				"matches":     []any{map[string]any{"path": map[string]any{"type": "PathPrefix", "value": "/api"}}},
				"backendRefs": []any{map[string]any{"name": "orders", "port": c.port()}},
			}},
		}})
		route.SetAPIVersion("gateway.networking.k8s.io/v1")
		c.theirs(ctx, route)
		guard := c.attached(v1alpha1.AttachTo{Service: "orders"})
		create(ctx, guard)
		taken(ctx, guard)
		c.answering(ctx, "", 401)
		opened := c.watchOpen(ctx)
		c.stopController()
		change(ctx, guard, func(o *v1alpha1.JwtProtectedService) { o.Spec.AttachTo = &v1alpha1.AttachTo{HTTPRoute: "orders"} })
		Eventually(func() string { return c.plugins(ctx, theRoute()) }).WithTimeout(pushed).ShouldNot(BeEmpty())
		reconciling(ctx, guard, v1alpha1.ReasonProgressing, ContainSubstring("waiting until the ingress controller"))
		Expect(c.plugins(ctx, &corev1.Service{})).NotTo(BeEmpty(), "it is protected until Kong has the other")
		c.startController()
		Eventually(func() string { return c.plugins(ctx, &corev1.Service{}) }).WithTimeout(pushed).Should(BeEmpty())
		taken(ctx, guard)
		Expect(c.answers(ctx, "")).To(Equal([]int{401, 401}))
		Expect(opened()).To(BeEmpty())
		Eventually(func(g Gomega) []string {
			g.Expect(kube.Get(ctx, client.ObjectKeyFromObject(guard), guard)).To(Succeed())
			return guard.Status.ServedBy
		}).WithTimeout(pushed).Should(ConsistOf(c.namespace + "/edge"))
	})

	It("takes off what Kong refuses alone: all of it, and nothing that keeps somebody out without closing the rest",
		func(ctx SpecContext) {
			c := newControlledOn(ctx, "3.6.1") // its jwt plugin has no realm
			c.theirs(ctx, c.backend(nil))
			c.theirs(ctx, c.routed(nil))
			guard, consumer, token := c.attached(v1alpha1.AttachTo{Service: "orders"}), c.generated("app"), c.token("app")
			create(ctx, guard, consumer, token)
			taken(ctx, c.gateway, guard, consumer, token)
			c.answering(ctx, "", 401)
			opened := c.watchOpen(ctx)
			bad := func(name, plugin, config string) v1alpha1.ServicePlugin {
				return v1alpha1.ServicePlugin{PluginSpec: v1alpha1.PluginSpec{Name: name, Plugin: plugin, Config: rawJSON(config)}}
			}
			change(ctx, guard, func(o *v1alpha1.JwtProtectedService) {
				o.Spec.Plugins = []v1alpha1.ServicePlugin{
					bad("size", "request-size-limiting", `{"allowed_payload_size":"many"}`),
					bad("mark", "correlation-id", `{"generator":"dice"}`),
				}
			})
			stalled(ctx, guard, v1alpha1.ReasonKongRejected, SatisfyAll(
				HavePrefix("spec.plugins[mark], spec.plugins[size]: Kong refuses KongClusterPlugin orders-"),
				ContainSubstring("invalid config.allowed_payload_size"), ContainSubstring("invalid config.generator"), ContainSubstring("that alone is taken off again (")))
			other := c.generated("other")
			create(ctx, other)
			taken(ctx, other)
			Expect(c.answers(ctx, "")).To(Equal([]int{401, 401}))
			Expect(c.answers(ctx, c.authorization(ctx, token))).To(Equal([]int{200, 200}))

			By("closing what jwt is refused for")
			change(ctx, guard, func(o *v1alpha1.JwtProtectedService) { o.Spec.Plugins, o.Spec.JWT.Realm = nil, "orders" })
			stalled(ctx, guard, v1alpha1.ReasonKongRejected, SatisfyAll(HavePrefix("spec.jwt: Kong refuses KongClusterPlugin orders-"),
				ContainSubstring("invalid config.realm"), ContainSubstring("every request is answered with 503")))
			c.answering(ctx, c.authorization(ctx, token), 503)
			Expect(c.answers(ctx, "")).To(Equal([]int{503, 503}))

			By("correcting it")
			change(ctx, guard, func(o *v1alpha1.JwtProtectedService) { o.Spec.JWT.Realm = "" })
			taken(ctx, guard)
			Expect(c.answers(ctx, c.authorization(ctx, token))).To(Equal([]int{200, 200}))
			Expect(c.answers(ctx, "")).To(Equal([]int{401, 401}))
			Expect(opened()).To(HaveEach(503))
		})

	It("refuses a name in Kong here, and an object where Kong has an Admin API", func(ctx SpecContext) {
		c := newControlled(ctx)
		guard := c.attached(v1alpha1.AttachTo{ServiceName: c.namespace + ".orders"})
		create(ctx, guard)
		stalled(ctx, guard, v1alpha1.ReasonInvalidSpec, ContainSubstring("Set spec.attachTo.service"))
		w := newWorld(ctx, kongsim.Options{})
		other := w.service("orders", func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Upstream, s.Spec.Routes, s.Spec.AttachTo = nil, nil, &v1alpha1.AttachTo{Service: "orders"}
		})
		create(ctx, other)
		stalled(ctx, other, v1alpha1.ReasonInvalidSpec, ContainSubstring("spec.attachTo.service: Service orders"))
	})
})

// theRoute is an HTTPRoute to read into.
func theRoute() *unstructured.Unstructured {
	o := &unstructured.Unstructured{}
	o.SetAPIVersion("gateway.networking.k8s.io/v1")
	o.SetKind("HTTPRoute")
	return o
}

// clusterPlugins are the operator's of the gateway.
func (c *controlled) clusterPlugins(ctx context.Context, g Gomega) []string {
	list := kongObjects("KongClusterPlugin")
	g.Expect(kube.List(ctx, list)).To(Succeed())
	var names []string
	for _, o := range list.Items {
		if o.GetAnnotations()["kubernetes.io/ingress.class"] == c.name {
			names = append(names, o.GetName())
		}
	}
	return names
}
