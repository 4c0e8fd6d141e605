package controllers_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

var _ = Describe("A KongGateway", func() {
	It("says what it found, and counts what it manages", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{DBUpdateFrequency: time.Second, WorkerStateUpdateFrequency: time.Second})
		ready(ctx, w.gateway)
		Expect(w.gateway.Status.KongVersion).To(Equal("3.9.3"))
		Expect(w.gateway.Status.Mode).To(Equal(v1alpha1.ModeDatabase))
		Expect(w.gateway.Status.PropagationDelay).To(Equal("2.05s"), "both frequencies, and the margin")
		consumer := w.consumer("john")
		create(ctx, w.secret("john-jwt", map[string]string{"secret": longSecret}), consumer)
		ready(ctx, consumer)
		Eventually(func(g Gomega) {
			g.Expect(kube.Get(ctx, client.ObjectKeyFromObject(w.gateway), w.gateway)).To(Succeed())
			g.Expect(w.gateway.Status.Managed).To(HaveValue(Equal(v1alpha1.ManagedEntities{Consumers: 1, Credentials: 1, Groups: 2})))
		}).WithTimeout(soon).WithPolling(poll).Should(Succeed())
	})

	It("says that an older Kong answers than before", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		ready(ctx, w.gateway)
		Expect(w.gateway.Status.Capabilities.Algorithms).To(ContainElements("HS256", "EdDSA"))
		Expect(w.gateway.Status.Capabilities.Plugins).To(ContainElement("jwt"))
		before := w.gateway.DeepCopy()
		w.gateway.Status.KongVersion = "3.10.0"
		Expect(kube.Status().Patch(ctx, w.gateway, client.MergeFrom(before))).To(Succeed())
		annotate(ctx, w.gateway, v1alpha1.AnnotationReconcile, "1")
		Eventually(notes(ctx, w.gateway, v1alpha1.EventKongVersionChanged)).WithTimeout(soon).WithPolling(poll).
			Should(ContainElement(ContainSubstring("Kong 3.9.3 answers, which is older than 3.10.0")))
	})

	It("whose Kong runs no Lua of plugins opens nothing that checks claims", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{UntrustedLua: "off"})
		ready(ctx, w.gateway)
		Expect(w.gateway.Status.Capabilities.NoLua).To(BeTrue())
		service := w.service("orders", func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Claims = &v1alpha1.ClaimChecks{Audiences: []string{"orders"}}
		})
		create(ctx, service)
		stalled(ctx, service, v1alpha1.ReasonInvalidSpec, ContainSubstring("Set untrusted_lua = sandbox in kong.conf and restart Kong"))
		Expect(w.list(ctx, "routes")).To(BeEmpty())

		var err error
		w.kong, err = w.kong.Restart(func(o *kongsim.Options) { o.UntrustedLua = "sandbox" })
		Expect(err).NotTo(HaveOccurred())
		annotate(ctx, w.gateway, v1alpha1.AnnotationReconcile, "restarted")
		ready(ctx, service)
		Expect(kube.Get(ctx, client.ObjectKeyFromObject(w.gateway), w.gateway)).To(Succeed())
		Expect(w.gateway.Status.Capabilities.NoLua).To(BeFalse())
	})

	It("notices that its Kong goes away and comes back; what changed meanwhile waits, and goes on by itself", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		old, lost := w.consumer("old"), w.consumer("lost")
		for _, name := range []string{"old", "new", "lost"} {
			create(ctx, w.secret(name+"-jwt", map[string]string{"secret": longSecret}))
		}
		create(ctx, old, lost)
		ready(ctx, w.gateway, old, lost)

		w.kong.Faults.SetDatabaseDown(true)
		stalled(ctx, w.gateway, v1alpha1.ReasonKongUnreachable, ContainSubstring("spec.adminAPI: Kong cannot reach its database"))
		Eventually(func(g Gomega) {
			var list eventsv1.EventList
			g.Expect(kube.List(ctx, &list)).To(Succeed())
			g.Expect(list.Items).To(ContainElement(And(HaveField("Regarding.Name", w.gateway.Name),
				HaveField("Type", corev1.EventTypeWarning), HaveField("Reason", v1alpha1.ReasonKongUnreachable))))
		}).WithTimeout(soon).WithPolling(poll).Should(Succeed())
		fresh := w.consumer("new")
		create(ctx, fresh)
		stalled(ctx, fresh, v1alpha1.ReasonKongUnreachable, ContainSubstring("database"))
		Expect(kube.Delete(ctx, old)).To(Succeed())
		stalled(ctx, old, v1alpha1.ReasonKongUnreachable, ContainSubstring("database"))

		By("letting one go without Kong, by the command that its message has")
		Expect(kube.Delete(ctx, lost)).To(Succeed())
		stalled(ctx, lost, v1alpha1.ReasonKongUnreachable, ContainSubstring(
			"kubectl patch jwtconsumer -n "+w.namespace+` lost --type=merge -p '{"metadata":{"finalizers":null}}'`))
		Expect(kube.Patch(ctx, lost, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`)))).To(Succeed())
		gone(ctx, lost)

		w.kong.Faults.SetDatabaseDown(false)
		ready(ctx, w.gateway, fresh)
		gone(ctx, old)
		w.looking(ctx, func(g Gomega) {
			g.Expect(w.values(ctx, "consumers", "username")).To(ConsistOf(w.namespace+".new"), "what was let go is pruned")
		})
	})

	It("takes nobody's resources unless it says whose", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{}, func(g *v1alpha1.KongGateway) {
			g.Spec.AllowedNamespaces = v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesSelector, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"kong": "yes"}}}
		})
		consumer := w.consumer("john")
		create(ctx, w.secret("john-jwt", map[string]string{"secret": longSecret}), consumer)
		stalled(ctx, consumer, v1alpha1.ReasonNamespaceNotAllowed, And(ContainSubstring(w.namespace), ContainSubstring("allowedNamespaces")))
		Expect(w.list(ctx, "consumers")).To(BeEmpty())
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace}}
		change(ctx, namespace, func(n *corev1.Namespace) { n.Labels["kong"] = "yes" })
		ready(ctx, consumer)
	})

	It("holds tenants to its policy", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{}, func(g *v1alpha1.KongGateway) { g.Spec.Policy = v1alpha1.GatewayPolicy{} })
		create(ctx, w.secret("john-jwt", map[string]string{"secret": longSecret}))
		named := w.consumer("john", func(c *v1alpha1.JwtConsumer) { c.Spec.Username = "admin" })
		local := w.service("local")
		lua := w.service("lua", func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Upstream.URL = "http://example.com"
			s.Spec.Plugins = []v1alpha1.ServicePlugin{{PluginSpec: v1alpha1.PluginSpec{Name: "x", Plugin: "pre-function"}}}
		})
		vault := w.service("vault", func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Upstream.URL = "http://example.com"
			s.Spec.Plugins = []v1alpha1.ServicePlugin{{PluginSpec: v1alpha1.PluginSpec{
				Name: "log", Plugin: "http-log", Config: rawJSON(`{"http_endpoint":"http://log.example.com","headers":{"Authorization":"{vault://env/pg-password}"}}`),
			}}}
		})
		create(ctx, named, local, lua, vault)
		stalled(ctx, named, v1alpha1.ReasonPolicyViolation, And(ContainSubstring("spec.username"), ContainSubstring(w.namespace+".admin")))
		stalled(ctx, local, v1alpha1.ReasonPolicyViolation, ContainSubstring("not a public address"))
		stalled(ctx, lua, v1alpha1.ReasonPolicyViolation, ContainSubstring("pre-function"))
		stalled(ctx, vault, v1alpha1.ReasonPolicyViolation, ContainSubstring("vault"))
		Expect(w.list(ctx, "services")).To(BeEmpty())
		Expect(w.list(ctx, "consumers")).To(BeEmpty())
	})

	It("stays while it is in use, and its users let go when it is gone all the same", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		consumer := w.consumer("john")
		create(ctx, w.secret("john-jwt", map[string]string{"secret": longSecret}), consumer)
		ready(ctx, consumer)
		Expect(kube.Delete(ctx, w.gateway)).To(Succeed())
		reconciling(ctx, w.gateway, v1alpha1.ReasonDeleting, ContainSubstring("JwtConsumer "+w.namespace+"/john"))
		By("taking its finalizer off by force")
		change(ctx, w.gateway, func(g *v1alpha1.KongGateway) { g.Finalizers = nil })
		stalled(ctx, consumer, v1alpha1.ReasonGatewayNotFound, ContainSubstring(w.name))
		gone(ctx, consumer)
		Expect(w.list(ctx, "consumers")).To(HaveLen(1), "what is in Kong stays, and an event says so")
	})

	It("reads its token from a Secret in the operator's namespace only, and follows it", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{}, func(g *v1alpha1.KongGateway) {
			g.Spec.AdminAPI.Auth = &v1alpha1.AdminAuth{SecretRef: v1alpha1.SecretKeyReference{
				SecretReference: v1alpha1.SecretReference{Namespace: g.Name, Name: "token"}, Key: "token",
			}}
		})
		stalled(ctx, w.gateway, v1alpha1.ReasonPolicyViolation, And(ContainSubstring("spec.adminAPI.auth"), ContainSubstring(operatorNamespace)))
		change(ctx, w.gateway, func(g *v1alpha1.KongGateway) {
			g.Spec.AdminAPI.Auth.SecretRef.Namespace, g.Spec.AdminAPI.Auth.SecretRef.Name = operatorNamespace, w.name
		})
		stalled(ctx, w.gateway, v1alpha1.ReasonSecretNotFound, ContainSubstring(w.name))
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: w.name}, StringData: map[string]string{"token": "t"}}
		create(ctx, secret)
		ready(ctx, w.gateway)
	})
})
