package e2e

import (
	"context"
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kicsim"
)

// gatewayAPI makes an object of the Gateway API. The GatewayClass has the name of the ingress class.
func gatewayAPI(kind, namespace, name string, spec map[string]any) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	o.SetAPIVersion("gateway.networking.k8s.io/v1")
	o.SetKind(kind)
	o.SetNamespace(namespace)
	o.SetName(name)
	return o
}

var _ = Describe("An HTTPRoute at a Kong of an ingress controller", Ordered, Serial, Label("ingress"), func() {
	It("is protected by attachTo.httpRoute, and its status says which Gateways serve it", func(ctx SpecContext) {
		kongs := newControlled(ctx)
		owned := kongs.gateway(ctx, "routes")
		namespace := newNamespace(ctx, "routes")
		_, port := upstreamAddress()
		edge := gatewayAPI("Gateway", namespace, "edge", map[string]any{
			"gatewayClassName": kongs.class,
			"listeners":        []any{map[string]any{"name": "http", "port": int64(80), "protocol": "HTTP"}},
		})
		route := gatewayAPI("HTTPRoute", namespace, "orders", map[string]any{
			"parentRefs": []any{map[string]any{"name": "edge"}},
			"rules": []any{map[string]any{
				"matches": []any{map[string]any{
					"path": map[string]any{"type": "PathPrefix", "value": pathOfService(namespace, "orders")},
				}},
				"backendRefs": []any{map[string]any{"name": "orders", "port": int64(port)}},
			}},
		})
		create(ctx, backend(namespace, "orders"), edge, route)
		awaitReady(ctx, owned)
		expectPassed(ctx, at(pathOfService(namespace, "orders")))

		guard := attached(owned, namespace, "orders", v1alpha1.AttachTo{HTTPRoute: "orders"})
		create(ctx, guard)
		awaitReady(ctx, guard)
		expectRefused(ctx, at(pathOfService(namespace, "orders")), http.StatusUnauthorized, "Unauthorized")
		served := func(g Gomega) []string {
			g.Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(guard), guard)).To(Succeed())
			return guard.Status.ServedBy
		}
		Eventually(served).WithContext(ctx).Should(ConsistOf(namespace + "/edge"))

		By("deleting the resource")
		remove(ctx, guard)
		Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(route), route)).To(Succeed())
		Expect(route.GetAnnotations()[pluginsAnnotation]).To(BeEmpty())
		Expect(route.Object["spec"]).To(HaveKeyWithValue("parentRefs", HaveLen(1)), "nothing of its spec is changed")
		remove(ctx, route)
		remove(ctx, edge)
	})

	It("nothing of a change is written that admission refuses a part of", func(ctx SpecContext) {
		kongs := newControlled(ctx)
		owned := kongs.gateway(ctx, "judged")
		namespace := newNamespace(ctx, "judged")
		service := newService(namespace, "api", func(s *v1alpha1.JwtProtectedServiceSpec) { s.GatewayRef.Name = owned.Name })
		create(ctx, service)
		awaitReady(ctx, owned, service)
		refusing(ctx, kongs.class, "request-size-limiting")
		before := pluginVersions(ctx, kongs.class)
		update(ctx, service, func(s *v1alpha1.JwtProtectedService) {
			s.Spec.JWT.HeaderNames = &[]string{"x-token"}
			s.Spec.Plugins = []v1alpha1.ServicePlugin{{PluginSpec: v1alpha1.PluginSpec{
				Name: "limit", Plugin: "request-size-limiting", Config: raw(map[string]any{"allowed_payload_size": 8}),
			}}}
		})
		awaitReason(ctx, service, v1alpha1.ReasonKongRejected, "spec.plugins[limit]: the API server refuses KongClusterPlugin")
		Expect(pluginVersions(ctx, kongs.class)).To(Equal(before), "jwt is as it was, though it was not refused")
		expectRefused(ctx, at(pathOfService(namespace, "api")), http.StatusUnauthorized, "Unauthorized")
		update(ctx, service, func(s *v1alpha1.JwtProtectedService) { s.Spec.Plugins = nil })
		awaitReady(ctx, service)
		Expect(pluginVersions(ctx, kongs.class)).NotTo(Equal(before))
		remove(ctx, service)
	})
})

// pluginVersions are the resource versions of the KongClusterPlugins of a class.
func pluginVersions(ctx context.Context, class string) map[string]string {
	GinkgoHelper()
	list, versions := &unstructured.UnstructuredList{}, map[string]string{}
	list.SetAPIVersion(kicsim.Group + "/v1")
	list.SetKind("KongClusterPluginList")
	Expect(env.Client.List(ctx, list)).To(Succeed())
	for _, o := range list.Items {
		if o.GetAnnotations()["kubernetes.io/ingress.class"] == class {
			versions[o.GetName()] = o.GetResourceVersion()
		}
	}
	return versions
}

// refusing has the API server refuse the KongClusterPlugins of a class that are of a plugin of Kong, until the spec
// ends.
func refusing(ctx context.Context, class, plugin string) {
	GinkgoHelper()
	fail := admissionv1.Fail
	policy := &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: named("refuses-" + plugin)},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			FailurePolicy: &fail,
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{
				RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update},
					Rule: admissionv1.Rule{
						APIGroups: []string{kicsim.Group}, APIVersions: []string{"*"}, Resources: []string{"kongclusterplugins"},
					},
				},
			}}},
			Validations: []admissionv1.Validation{{
				Expression: "object.metadata.annotations['kubernetes.io/ingress.class'] != '" + class +
					"' || object.plugin != '" + plugin + "'",
				Message: "plugin failed schema validation: schema violation (config.allowed_payload_size: no)",
			}},
		},
	}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: policy.Name},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: policy.Name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
		},
	}
	for _, o := range []client.Object{policy, binding} {
		create(ctx, o)
		DeferCleanup(func(ctx context.Context) { Expect(client.IgnoreNotFound(env.Client.Delete(ctx, o))).To(Succeed()) })
	}
	probe := &unstructured.Unstructured{Object: map[string]any{"plugin": plugin}}
	probe.SetAPIVersion(kicsim.Group + "/v1")
	probe.SetKind("KongClusterPlugin")
	probe.SetName(named("probe"))
	probe.SetAnnotations(map[string]string{"kubernetes.io/ingress.class": class})
	Eventually(func() error { return env.Client.Create(ctx, probe.DeepCopy(), client.DryRunAll) }).WithContext(ctx).
		Should(MatchError(ContainSubstring("schema violation")))
}
