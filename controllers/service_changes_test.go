package controllers_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

var _ = Describe("What is changed in a JwtProtectedService", func() {
	It("may be the paths, between two routes and between two services", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		paths := func() map[any]any {
			found := map[any]any{}
			for _, route := range w.list(ctx, "routes") {
				found[route["name"]] = route["paths"].([]any)[0]
			}
			return found
		}
		a := w.service("a", func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Routes = []v1alpha1.Route{{Name: "x", Paths: []string{"/x"}}, {Name: "y", Paths: []string{"/y"}}}
		})
		b := w.service("b")
		create(ctx, a, b)
		ready(ctx, a, b)
		ids := a.Status.Routes

		By("within a service")
		change(ctx, a, func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Routes[0].Paths, s.Spec.Routes[1].Paths = []string{"/y"}, []string{"/x"}
		})
		ready(ctx, a)
		prefix := w.namespace + "."
		Expect(paths()).To(Equal(map[any]any{prefix + "a.x": "/y", prefix + "a.y": "/x", prefix + "b.api": "/b"}))
		Expect(a.Status.Routes).To(Equal(ids))

		By("between two")
		change(ctx, a, func(s *v1alpha1.JwtProtectedService) { s.Spec.Routes[0].Paths = []string{"/b"} })
		stalled(ctx, a, v1alpha1.ReasonConflict, And(ContainSubstring("/b"), ContainSubstring(w.namespace+"/b")))
		change(ctx, b, func(s *v1alpha1.JwtProtectedService) { s.Spec.Routes[0].Paths = []string{"/y"} })
		ready(ctx, a, b)
		Expect(paths()).To(Equal(map[any]any{prefix + "a.x": "/b", prefix + "a.y": "/x", prefix + "b.api": "/y"}))

		By("reordering them, which is no change")
		w.kong.ResetRequests()
		change(ctx, a, func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Routes[0], s.Spec.Routes[1] = s.Spec.Routes[1], s.Spec.Routes[0]
		})
		ready(ctx, a)
		Expect(w.writes()).To(BeZero())

		By("renaming one")
		change(ctx, a, func(s *v1alpha1.JwtProtectedService) { s.Spec.Routes[0].Name = "z" })
		ready(ctx, a)
		Expect(paths()).To(Equal(map[any]any{prefix + "a.x": "/b", prefix + "a.z": "/x", prefix + "b.api": "/y"}))
	})

	It("may be the names of two, with each other", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		as := func(name string) func(*v1alpha1.JwtProtectedService) {
			return func(s *v1alpha1.JwtProtectedService) { s.Spec.ServiceName = name }
		}
		a, b := w.service("a", as("blue")), w.service("b", as("green"))
		create(ctx, a, b)
		ready(ctx, a, b)
		change(ctx, a, as("green"))
		stalled(ctx, a, v1alpha1.ReasonConflict, ContainSubstring(w.namespace+"/b"))
		change(ctx, b, as("blue"))
		ready(ctx, a, b)
		Expect(w.values(ctx, "services", "name")).To(ConsistOf("blue", "green"))
		Expect(w.values(ctx, "routes", "name")).To(ConsistOf("blue.api", "green.api"))
		for _, service := range w.list(ctx, "services") {
			Expect(service["id"]).To(Equal(map[any]string{"green": a.Status.ServiceID, "blue": b.Status.ServiceID}[service["name"]]))
		}
	})

	It("may be a consumer that it names and that comes later", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		service := w.service("orders", func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Access = &v1alpha1.Access{Consumers: []v1alpha1.ConsumerReference{{Name: "later"}}}
		})
		create(ctx, service)
		ready(ctx, service)
		Expect(w.admitted(ctx)).To(ConsistOf("kongjwt:" + w.namespace + ".later"))
		later := w.consumer("later", func(c *v1alpha1.JwtConsumer) { c.Spec.Credentials = nil })
		create(ctx, later)
		ready(ctx, later)
		Expect(w.values(ctx, "acls", "group")).To(ContainElement("kongjwt:" + w.namespace + ".later"))
	})

	It("has no routes while its Service is gone or leads elsewhere, and has them again when that is over", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		backend := func() *corev1.Service {
			return &corev1.Service{ObjectMeta: w.meta("backend"), Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 8080}}}}
		}
		service := w.service("orders", func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Upstream = &v1alpha1.Upstream{ServiceRef: &v1alpha1.UpstreamServiceReference{Name: "backend", Port: 8080}}
			s.Spec.Plugins = []v1alpha1.ServicePlugin{{Route: "api", PluginSpec: v1alpha1.PluginSpec{Name: "cors", Plugin: "cors"}}}
		})
		create(ctx, backend(), service)
		ready(ctx, service)
		Expect(w.list(ctx, "plugins")).To(HaveLen(2))

		By("deleting the Service")
		Expect(kube.Delete(ctx, backend())).To(Succeed())
		stalled(ctx, service, v1alpha1.ReasonInvalidSpec, ContainSubstring("does not exist"))
		Expect(w.list(ctx, "routes")).To(BeEmpty())
		Expect(w.values(ctx, "plugins", "name")).To(ConsistOf("jwt"), "the service stays protected")
		Expect(service.Status.Routes).To(BeEmpty())
		Expect(service.Status.Paths).To(BeEmpty())
		create(ctx, backend())
		ready(ctx, service)
		Expect(w.list(ctx, "routes")).To(HaveLen(1))

		By("turning it into one that leads to any host, while something else is wrong too")
		change(ctx, service, func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Plugins[0].ConfigFrom = []v1alpha1.ConfigSource{{SecretRef: v1alpha1.LocalSecretKeyReference{Name: "absent", Key: "config"}}}
		})
		stalled(ctx, service, v1alpha1.ReasonSecretNotFound, ContainSubstring("absent"))
		Expect(w.list(ctx, "routes")).To(HaveLen(1))
		target := backend()
		change(ctx, target, func(s *corev1.Service) {
			s.Spec = corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "metadata.google.internal"}
		})
		Eventually(w.list).WithContext(ctx).WithArguments("routes").WithTimeout(soon).WithPolling(poll).Should(BeEmpty())
		change(ctx, service, func(s *v1alpha1.JwtProtectedService) { s.Spec.Plugins = nil })
		stalled(ctx, service, v1alpha1.ReasonPolicyViolation, ContainSubstring("ExternalName"))
	})

	It("may be whom it admits, down to an empty list, which is nobody", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		service := w.service("empty", func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Access = &v1alpha1.Access{Consumers: []v1alpha1.ConsumerReference{}}
		})
		create(ctx, w.consumer("caller"), service)
		ready(ctx, service)
		Expect(w.admitted(ctx)).To(ConsistOf("kongjwt:."))
		change(ctx, service, func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Access = &v1alpha1.Access{ConsumerSelector: &metav1.LabelSelector{}}
		})
		Eventually(func() []any { return w.admitted(ctx) }).WithTimeout(soon).WithPolling(poll).
			Should(ConsistOf("kongjwt:" + w.namespace + ".caller"))
		change(ctx, service, func(s *v1alpha1.JwtProtectedService) { s.Spec.Access.ConsumerNamespaces = []string{} })
		Eventually(func() []any { return w.admitted(ctx) }).WithTimeout(soon).WithPolling(poll).Should(ConsistOf("kongjwt:."))
	})
})
