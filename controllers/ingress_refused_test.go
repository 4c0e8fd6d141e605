package controllers_test

import (
	"context"
	"maps"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// refusingPlugins has the API server refuse the gateway's KongClusterPlugins of one Kong plugin, as the ingress
// controller's webhook refuses one with a configuration that Kong does not take.
func (c *controlled) refusingPlugins(ctx context.Context, plugin, violation string) {
	GinkgoHelper()
	fail, deny := admissionv1.Fail, []admissionv1.ValidationAction{admissionv1.Deny}
	policy := &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: c.name + "-" + plugin},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			FailurePolicy: &fail,
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{
				RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update},
					Rule: admissionv1.Rule{APIGroups: []string{"configuration.konghq.com"}, APIVersions: []string{"*"},
						Resources: []string{"kongclusterplugins"}},
				},
			}}},
			Validations: []admissionv1.Validation{{
				Expression: "object.metadata.annotations['kubernetes.io/ingress.class'] != '" + c.name +
					"' || object.plugin != '" + plugin + "'",
				Message: "plugin failed schema validation: schema violation (" + violation + ")",
			}},
		},
	}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: policy.Name},
		Spec:       admissionv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: policy.Name, ValidationActions: deny},
	}
	for _, o := range []client.Object{policy, binding} {
		create(ctx, o)
		DeferCleanup(func(ctx context.Context) { Expect(client.IgnoreNotFound(kube.Delete(ctx, o))).To(Succeed()) })
	}
	Eventually(func() error {
		o := kongObject("KongClusterPlugin", c.name+"-probe", map[string]any{"plugin": plugin})
		o.SetAnnotations(map[string]string{"kubernetes.io/ingress.class": c.name})
		return kube.Create(ctx, o, client.DryRunAll)
	}).WithTimeout(pushed).WithPolling(poll).Should(MatchError(ContainSubstring("schema violation")))
}

// pluginsNow are the operator's KongClusterPlugins: what each plugin is, and its version.
func (c *controlled) pluginsNow(ctx context.Context) map[string]string {
	GinkgoHelper()
	list, now := kongObjects("KongClusterPlugin"), map[string]string{}
	Expect(kube.List(ctx, list)).To(Succeed())
	for _, o := range list.Items {
		if o.GetAnnotations()["kubernetes.io/ingress.class"] == c.name && o.GetAnnotations()["kongjwt.dev/owner"] != "" {
			kind, _, _ := unstructured.NestedString(o.Object, "plugin")
			now[kind+" "+o.GetName()] = o.GetResourceVersion()
		}
	}
	return now
}

// routesNow are the names of the operator's Ingresses.
func (c *controlled) routesNow(ctx context.Context) []string {
	GinkgoHelper()
	var list networkingv1.IngressList
	Expect(kube.List(ctx, &list, client.InNamespace(c.namespace), client.HasLabels{"kongjwt.dev/scope"})).To(Succeed())
	var names []string
	for _, o := range list.Items {
		names = append(names, o.Annotations["kongjwt.dev/part"])
	}
	slices.Sort(names)
	return names
}

var _ = Describe("what the API server refuses of a resource on a Kong of an ingress controller", func() {
	limit := []v1alpha1.ServicePlugin{{PluginSpec: v1alpha1.PluginSpec{
		Name: "limit", Plugin: "request-size-limiting", Config: rawJSON(`{"allowed_payload_size":8}`),
	}}}

	It("is refused before anything is written; access that is taken away goes all the same", func(ctx SpecContext) {
		c := newControlled(ctx)
		c.refusingPlugins(ctx, "request-size-limiting", "config.allowed_payload_size: not that much")
		service, consumer, token := c.protected("api"), c.generated("app"), c.token("app")
		consumer.Spec.Groups = []string{"staff"}
		service.Spec.Access = &v1alpha1.Access{Groups: []string{"staff", "guests"}}
		service.Spec.Routes = append(service.Spec.Routes,
			v1alpha1.Route{Name: "leaves", Hosts: []string{c.name + ".example"}, Paths: []string{"/leaves"}})
		create(ctx, service, consumer, token)
		taken(ctx, c.gateway, service, consumer, token)
		authorization := c.authorization(ctx, token)
		Expect(c.answers(ctx, authorization)).To(Equal([]int{200, 200}))
		before := c.pluginsNow(ctx)

		change(ctx, service, func(o *v1alpha1.JwtProtectedService) {
			o.Spec.JWT.HeaderNames = &[]string{"x-token"}
			o.Spec.Access = &v1alpha1.Access{Groups: []string{"guests", "others"}}
			o.Spec.Plugins = limit
			o.Spec.Routes[1] = v1alpha1.Route{Name: "comes", Hosts: []string{c.name + ".example"}, Paths: []string{"/comes"}}
		})
		stalled(ctx, service, v1alpha1.ReasonKongRejected, SatisfyAll(
			HavePrefix("spec.plugins[limit]: the API server refuses KongClusterPlugin api-"),
			ContainSubstring("invalid config.allowed_payload_size;"), Not(ContainSubstring("not that much"))))

		By("leaving all as it was")
		after := c.pluginsNow(ctx)
		Expect(slices.Sorted(maps.Keys(after))).To(Equal(slices.Sorted(maps.Keys(before))))
		for name, version := range before {
			if name[:3] != "acl" {
				Expect(after).To(HaveKeyWithValue(name, version))
			}
		}

		By("taking away those whom the service no longer admits, and its route")
		Expect(c.routesNow(ctx)).To(Equal([]string{"route:main"}))
		Eventually(func() []int { return c.answers(ctx, authorization) }).WithTimeout(pushed).Should(Equal([]int{403, 403}))
		change(ctx, consumer, func(o *v1alpha1.JwtConsumer) { o.Spec.Groups = []string{"others"} })
		taken(ctx, consumer)
		Expect(c.answers(ctx, authorization)).To(Equal([]int{403, 403}), "nobody new is let in")

		By("writing all of it once it is corrected")
		change(ctx, service, func(o *v1alpha1.JwtProtectedService) { o.Spec.Plugins, o.Spec.JWT.HeaderNames = nil, nil })
		taken(ctx, service)
		Expect(c.answers(ctx, authorization)).To(Equal([]int{200, 200}))
		Expect(c.routesNow(ctx)).To(Equal([]string{"route:comes", "route:main"}))
	})

	It("holds up nobody else's changes", func(ctx SpecContext) {
		c := newControlled(ctx)
		c.refusingPlugins(ctx, "request-size-limiting", "config.allowed_payload_size: not that much")
		bad, consumer := c.protected("bad"), c.generated("app")
		bad.Spec.Plugins = limit
		create(ctx, bad)
		stalled(ctx, bad, v1alpha1.ReasonKongRejected, HavePrefix("spec.plugins[limit]: the API server refuses"))
		create(ctx, consumer)
		taken(ctx, c.gateway, consumer)
		Expect(c.pluginsNow(ctx)).To(BeEmpty())
		Expect(c.answers(ctx, "")).To(Equal([]int{404, 404}))
		gone(ctx, bad)
	})
})
