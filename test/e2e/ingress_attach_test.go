package e2e

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strconv"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kicsim"
)

const pluginsAnnotation = "konghq.com/plugins"

// backend is a Service of somebody else's before the echoing upstream.
func backend(namespace, name string) *corev1.Service {
	GinkgoHelper()
	host, port := upstreamAddress()
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeExternalName, ExternalName: host,
			Ports: []corev1.ServicePort{{Name: "http", Port: port}},
		},
	}
}

// leading is an Ingress of somebody else's, by which the path of newService leads to a Service of its name.
func (c *controlled) leading(namespace, name string) *networkingv1.Ingress {
	GinkgoHelper()
	_, port := upstreamAddress()
	kind := networkingv1.PathTypePrefix
	return &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: networkingv1.IngressSpec{IngressClassName: &c.class, Rules: []networkingv1.IngressRule{{
			IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
				Paths: []networkingv1.HTTPIngressPath{{
					Path: pathOfService(namespace, name), PathType: &kind,
					Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{
						Name: name, Port: networkingv1.ServiceBackendPort{Number: port},
					}},
				}},
			}},
		}}},
	}
}

// upstreamAddress is where the echoing upstream is.
func upstreamAddress() (host string, port int32) {
	GinkgoHelper()
	u, err := url.Parse(env.UpstreamURL)
	Expect(err).NotTo(HaveOccurred())
	host, text, err := net.SplitHostPort(u.Host)
	Expect(err).NotTo(HaveOccurred())
	number, err := strconv.ParseInt(text, 10, 32)
	Expect(err).NotTo(HaveOccurred())
	return host, int32(number)
}

// attached is a JwtProtectedService on what somebody else has.
func attached(on *v1alpha1.KongGateway, namespace, name string, to v1alpha1.AttachTo) *v1alpha1.JwtProtectedService {
	return newService(namespace, name, func(s *v1alpha1.JwtProtectedServiceSpec) {
		s.GatewayRef.Name, s.Upstream, s.Routes, s.AttachTo = on.Name, nil, nil, &to
	})
}

// pluginsOn is the annotation of an object.
func pluginsOn(ctx context.Context, o client.Object) string {
	GinkgoHelper()
	Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(o), o)).To(Succeed())
	return o.GetAnnotations()[pluginsAnnotation]
}

var _ = Describe("What somebody else has at a Kong of an ingress controller", Ordered, Serial, Label("ingress"), func() {
	var (
		kongs          *controlled
		namespace      string
		owned          *v1alpha1.KongGateway
		clients        *traffic
		service, other *v1alpha1.JwtProtectedService
		token          *v1alpha1.JwtToken
	)
	path := func(name string) call { return at(pathOfService(namespace, name)) }
	carried := func(ctx SpecContext) string {
		return string(readSecret(ctx, namespace, token.Spec.SecretName).Data["token"])
	}

	BeforeAll(func(ctx SpecContext) {
		kongs = newControlled(ctx)
		owned = kongs.gateway(ctx, "attach")
		namespace = newNamespace(ctx, "attach")
		caller := newConsumer(namespace, "caller", func(s *v1alpha1.JwtConsumerSpec) {
			s.GatewayRef.Name, s.Credentials = owned.Name, []v1alpha1.Credential{generated("made", "HS256", "caller-made")}
		})
		token = newToken(namespace, "caller", "made")
		create(ctx, caller, token)
		for _, name := range []string{"by-service", "by-ingress"} {
			create(ctx, backend(namespace, name), kongs.leading(namespace, name))
		}
		awaitReady(ctx, owned, caller, token)
		service = attached(owned, namespace, "by-service", v1alpha1.AttachTo{Service: "by-service"})
		other = attached(owned, namespace, "by-ingress", v1alpha1.AttachTo{Ingress: "by-ingress"})
	})

	It("is open to everybody before a resource names it, and for a token afterwards", func(ctx SpecContext) {
		expectPassed(ctx, path("by-service"))
		expectPassed(ctx, path("by-ingress"))
		var living context.Context
		clients, living = startTraffic(ctx, env.ProxyURL+path("by-service").path)
		DeferCleanup(clients.stop)
		Expect(clients.add(living, namespace, token.Spec.SecretName, carrying)).To(Succeed())
		create(ctx, service, other)
		awaitReady(ctx, service, other)
		for _, name := range []string{"by-service", "by-ingress"} {
			expectRefused(ctx, path(name), http.StatusUnauthorized, "Unauthorized")
			expectRefused(ctx, path(name).with(sign("HS256", []byte("a secret of nobody, longer than thirty-two bytes"), "x")),
				http.StatusUnauthorized, "No credentials found")
			expectPassed(ctx, path(name).with(carried(ctx)), HaveKeyWithValue("X-Consumer-Username", namespace+".caller"))
		}
		Expect(pluginsOn(ctx, backend(namespace, "by-service"))).NotTo(BeEmpty())
		Expect(pluginsOn(ctx, kongs.leading(namespace, "by-service"))).To(BeEmpty(), "of the Ingress nothing is changed")
	})

	It("is protected while its plugins change: no request passes without a token", func(ctx SpecContext) {
		opened := watch(path("by-service"))
		DeferCleanup(func() { opened() })
		update(ctx, service, func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Plugins = []v1alpha1.ServicePlugin{{PluginSpec: v1alpha1.PluginSpec{
				Name: "mark", Plugin: "correlation-id",
				Config: raw(map[string]any{"header_name": "X-Marked"}),
			}}}
		})
		awaitReady(ctx, service)
		expectRefused(ctx, path("by-service"), http.StatusUnauthorized, "Unauthorized")
		update(ctx, service, func(s *v1alpha1.JwtProtectedService) { s.Spec.Plugins = nil })
		awaitReady(ctx, service)
		Expect(statuses(opened())).To(Equal([]int{http.StatusUnauthorized}))
	})

	It("says Unprotected when somebody takes the annotation off, and is protected again", func(ctx SpecContext) {
		update(ctx, backend(namespace, "by-service"), func(s *corev1.Service) { delete(s.Annotations, pluginsAnnotation) })
		Eventually(func(g Gomega) { // the status says so for one push only
			var events eventsv1.EventList
			g.Expect(env.Client.List(ctx, &events, client.InNamespace(namespace))).To(Succeed())
			g.Expect(events.Items).To(ContainElement(And(HaveField("Regarding.Name", service.Name),
				HaveField("Type", corev1.EventTypeWarning), HaveField("Reason", v1alpha1.ReasonUnprotected),
				HaveField("Note", ContainSubstring("spec.attachTo.service: Service "+namespace+"/by-service did not have")))))
		}).WithContext(ctx).Should(Succeed())
		awaitReady(ctx, service)
		Expect(pluginsOn(ctx, backend(namespace, "by-service"))).NotTo(BeEmpty())
		expectRefused(ctx, path("by-service"), http.StatusUnauthorized, "Unauthorized")
	})

	It("says who has set the annotation by force, and is protected again when that one lets it go", func(ctx SpecContext) {
		theirs := func(annotations map[string]any) {
			GinkgoHelper()
			o := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"annotations": annotations}}}
			o.SetAPIVersion("networking.k8s.io/v1")
			o.SetKind("Ingress")
			o.SetNamespace(namespace)
			o.SetName("by-ingress")
			Expect(env.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(o), client.FieldOwner("thief"),
				client.ForceOwnership)).To(Succeed())
		}
		theirs(map[string]any{"example.com/of": "theirs", pluginsAnnotation: ""})
		awaitReason(ctx, other, v1alpha1.ReasonUnprotected, `field manager "thief"`, namespace+"/by-ingress")
		expectPassed(ctx, path("by-ingress"))
		theirs(map[string]any{"example.com/of": "theirs"})
		awaitReady(ctx, other)
		expectRefused(ctx, path("by-ingress"), http.StatusUnauthorized, "Unauthorized")
		expectPassed(ctx, path("by-ingress").with(carried(ctx)))
	})

	It("is as it was when the resources are deleted, and whoever had a token was never refused", func(ctx SpecContext) {
		removeAll(ctx, service, other)
		expectPassed(ctx, path("by-service"))
		expectPassed(ctx, path("by-ingress"))
		Expect(pluginsOn(ctx, backend(namespace, "by-service"))).To(BeEmpty())
		clients.end("a Service is protected by attachTo, loses its annotation, and gets it again")
		Expect(clients.refused.Load()).To(BeZero(), clients.firstRefusal())
		Expect(clients.requests.Load()).To(BeNumerically(">", 100), "the client was at work")
	})
})

var _ = Describe("An ingress controller that falls back without the last valid configuration", Ordered, Serial,
	Label("ingress"), func() {
		It("is warned of at the gateway once it serves somebody's route without its plugin", func(ctx SpecContext) {
			kongs := newControlled(ctx, func(o *kicsim.Options) { o.Fallback = true })
			if kongs.stop == nil {
				Skip("how the controller is started is not this suite's to choose")
			}
			owned := kongs.gateway(ctx, "fallback")
			namespace := newNamespace(ctx, "fallback")
			service := newService(namespace, "own", func(s *v1alpha1.JwtProtectedServiceSpec) { s.GatewayRef.Name = owned.Name })
			theirs := kongs.leading(namespace, "theirs")
			theirs.Annotations = map[string]string{pluginsAnnotation: namespace + ":limit"}
			limit := &unstructured.Unstructured{Object: map[string]any{
				"plugin": "request-size-limiting", "config": map[string]any{"allowed_payload_size": int64(8)},
			}}
			limit.SetAPIVersion(kicsim.Group + "/v1")
			limit.SetKind("KongPlugin")
			limit.SetNamespace(namespace)
			limit.SetName("limit")
			grant := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{
				"from": []any{map[string]any{"group": "networking.k8s.io", "kind": "Ingress", "namespace": namespace}},
				"to":   []any{map[string]any{"group": kicsim.Group, "kind": "KongPlugin"}},
			}}}
			grant.SetAPIVersion("gateway.networking.k8s.io/v1beta1")
			grant.SetKind("ReferenceGrant")
			grant.SetNamespace(namespace)
			grant.SetName("limit")
			create(ctx, backend(namespace, "theirs"), limit, grant, theirs, service)
			awaitReady(ctx, owned, service)
			Expect(meta.FindStatusCondition(owned.Status.Conditions, v1alpha1.ConditionFallbackOpens)).To(BeNil())
			// The warning lasts as long as the event, for every gateway.
			DeferCleanup(func(ctx context.Context) {
				Expect(env.Client.DeleteAllOf(ctx, &corev1.Event{}, client.InNamespace(namespace))).To(Succeed())
			})

			update(ctx, limit, func(o *unstructured.Unstructured) {
				o.Object["config"] = map[string]any{"allowed_payload_size": "many"}
			})
			Eventually(func(g Gomega) {
				g.Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(owned), owned)).To(Succeed())
				opens := meta.FindStatusCondition(owned.Status.Conditions, v1alpha1.ConditionFallbackOpens)
				g.Expect(opens).NotTo(BeNil())
				g.Expect(opens.Status).To(Equal(metav1.ConditionTrue))
				g.Expect(opens.Message).To(ContainSubstring("Ingress " + namespace + "/theirs"))
				g.Expect(opens.Message).To(ContainSubstring("--use-last-valid-config-for-fallback"))
			}).WithContext(ctx).Should(Succeed())
			expectPassed(ctx, at(pathOfService(namespace, "theirs")))
			expectRefused(ctx, at(pathOfService(namespace, "own")), http.StatusUnauthorized, "Unauthorized")
			awaitReady(ctx, owned, service)
		})
	})
