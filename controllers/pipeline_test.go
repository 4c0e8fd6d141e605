package controllers_test

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
	"github.com/kongjwt/kong-jwt-operator/test/issuer"
)

// What is wrong with a plugin freezes neither the removal nor the arrival of credentials.
var _ = Describe("A JwtConsumer of which something cannot be had", func() {
	const rotated = "another-secret-of-thirty-two-byte"
	plugin := func(c *v1alpha1.JwtConsumer) {
		c.Spec.Plugins = []v1alpha1.PluginSpec{{Name: "log", Plugin: "http-log", ConfigFrom: []v1alpha1.ConfigSource{
			{SecretRef: v1alpha1.LocalSecretKeyReference{Name: "log", Key: "config"}},
		}}}
	}
	// programmed makes a consumer with a generated credential, one out of a Secret and one of an issuer, and a
	// plugin.
	programmed := func(ctx SpecContext) (*world, *v1alpha1.JwtConsumer, *issuer.Issuer, *corev1.Secret) {
		w := newWorld(ctx, kongsim.Options{}, func(g *v1alpha1.KongGateway) {
			g.Spec.Policy.JWKS = &v1alpha1.JWKSPolicy{AllowPrivateAddresses: true}
		})
		provider := issuer.Start()
		DeferCleanup(provider.Close)
		Expect(provider.Add("one", "ES256")).To(Succeed())
		given := w.secret("c-jwt", map[string]string{"secret": longSecret})
		consumer := w.rotated("c", &v1alpha1.Rotation{Interval: "1h", Overlap: "30m"})
		plugin(consumer)
		consumer.Spec.Credentials = append(consumer.Spec.Credentials,
			v1alpha1.Credential{Name: "given", Algorithm: "HS256", SecretRef: &v1alpha1.CredentialSecretReference{Name: "c-jwt"}},
			v1alpha1.Credential{Name: "idp", JWKS: &v1alpha1.JWKS{
				URL: provider.URL(), CASecretRef: &v1alpha1.LocalSecretKeyReference{Name: "idp-ca", Key: "ca.crt"},
			}})
		create(ctx, given, w.secret("idp-ca", map[string]string{"ca.crt": provider.CA()}),
			w.secret("log", map[string]string{"config": `{"http_endpoint": "https://log.example.com"}`}), consumer)
		ready(ctx, consumer)
		annotate(ctx, consumer, v1alpha1.AnnotationRotate, "made=1")
		Eventually(phases(ctx, consumer)).WithTimeout(soon).WithPolling(poll).Should(ContainElement(HavePrefix("Retiring ")))
		return w, consumer, provider, given
	}
	// expectLife takes one credential away and has two arrive.
	expectLife := func(ctx context.Context, w *world, consumer *v1alpha1.JwtConsumer, provider *issuer.Issuer, given *corev1.Secret) {
		GinkgoHelper()
		former := w.name + ".c.made.1"
		Expect(w.values(ctx, "jwts", "key")).To(ContainElement(former))
		annotate(ctx, consumer, v1alpha1.AnnotationRevokePrevious, "made=1")
		change(ctx, given, func(s *corev1.Secret) { s.Data["secret"] = []byte(rotated) })
		Expect(provider.Add("two", "ES256")).To(Succeed())
		annotate(ctx, consumer, v1alpha1.AnnotationReconcile, "1")
		Eventually(func(g Gomega) {
			keys, secrets := w.values(ctx, "jwts", "key"), w.values(ctx, "jwts", "secret")
			g.Expect(keys).NotTo(ContainElement(former))
			g.Expect(keys).To(ContainElements(w.name+".c.made.2", "one", "two"))
			g.Expect(secrets).To(And(ContainElement(rotated), Not(ContainElement(longSecret))))
		}).WithTimeout(soon).WithPolling(poll).Should(Succeed())
		Expect(w.values(ctx, "plugins", "name")).To(ConsistOf("http-log"), "what worked last goes on")
	}

	It("has its credentials come and go though the plugin's Secret is gone", func(ctx SpecContext) {
		w, consumer, provider, given := programmed(ctx)
		Expect(kube.Delete(ctx, w.secret("log", nil))).To(Succeed())
		stalled(ctx, consumer, v1alpha1.ReasonSecretNotFound, ContainSubstring("spec.plugins[0]"))
		expectLife(ctx, w, consumer, provider, given)
		stalled(ctx, consumer, v1alpha1.ReasonSecretNotFound, ContainSubstring("spec.plugins[0]"))
		create(ctx, w.secret("log", map[string]string{"config": `{"http_endpoint": "https://log.example.com"}`}))
		ready(ctx, consumer)
	})

	It("has its credentials come and go though policy allows the plugin no longer", func(ctx SpecContext) {
		w, consumer, provider, given := programmed(ctx)
		change(ctx, w.gateway, func(g *v1alpha1.KongGateway) { g.Spec.Policy.ConsumerPlugins = []string{"cors"} })
		stalled(ctx, consumer, v1alpha1.ReasonPolicyViolation, ContainSubstring("spec.plugins[0]"))
		expectLife(ctx, w, consumer, provider, given)
	})

	It("has credentials and groups come and go though a group is a reference to a vault", func(ctx SpecContext) {
		w, consumer, provider, given := programmed(ctx)
		kept, left := w.name+".kept", w.name+".left"
		change(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Spec.Groups = []string{kept, left} })
		ready(ctx, consumer)
		change(ctx, consumer, func(c *v1alpha1.JwtConsumer) {
			c.Spec.Groups = []string{kept, w.name + ".{vault://env/pg-password}"}
		})
		stalled(ctx, consumer, v1alpha1.ReasonPolicyViolation, ContainSubstring("spec.groups[1]"))
		Expect(w.groups(ctx)).To(ConsistOf(kept))
		expectLife(ctx, w, consumer, provider, given)
	})

	It("has its other credentials come and go though the state of one cannot be read", func(ctx SpecContext) {
		w, consumer, provider, given := programmed(ctx)
		change(ctx, w.secret("c-kongjwt-state", nil), func(s *corev1.Secret) { s.Labels[v1alpha1.LabelOwnerName] = "another" })
		stalled(ctx, consumer, v1alpha1.ReasonSecretConflict, ContainSubstring("state"))
		change(ctx, given, func(s *corev1.Secret) { s.Data["secret"] = []byte(rotated) })
		Expect(provider.Add("two", "ES256")).To(Succeed())
		annotate(ctx, consumer, v1alpha1.AnnotationReconcile, "1")
		Eventually(func(g Gomega) {
			g.Expect(w.values(ctx, "jwts", "key")).To(ConsistOf(w.name+".c.made.1", w.name+".c.made.2", w.name+".c.given", "one", "two"))
			g.Expect(w.values(ctx, "jwts", "secret")).To(And(ContainElement(rotated), Not(ContainElement(longSecret))))
		}).WithTimeout(soon).WithPolling(poll).Should(Succeed())
		Expect(phases(ctx, consumer)(Default)).To(ContainElements("Active "+w.name+".c.made.2", "Retiring "+w.name+".c.made.1"))
	})

	It("has its other credentials come and go though the keys of its issuers cannot be read", func(ctx SpecContext) {
		w, consumer, _, given := programmed(ctx)
		change(ctx, w.secret("c-kongjwt-jwks", nil), func(s *corev1.Secret) { s.Labels[v1alpha1.LabelOwnerName] = "another" })
		stalled(ctx, consumer, v1alpha1.ReasonSecretConflict, ContainSubstring("jwks"))
		annotate(ctx, consumer, v1alpha1.AnnotationRevokePrevious, "made=1")
		change(ctx, given, func(s *corev1.Secret) { s.Data["secret"] = []byte(rotated) })
		Eventually(func(g Gomega) {
			g.Expect(w.values(ctx, "jwts", "key")).To(ConsistOf(w.name+".c.made.2", w.name+".c.given", "one"))
			g.Expect(w.values(ctx, "jwts", "secret")).To(And(ContainElement(rotated), Not(ContainElement(longSecret))))
		}).WithTimeout(soon).WithPolling(poll).Should(Succeed())
	})

	It("does not come into Kong without the plugin", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		consumer := w.rotated("c", nil)
		plugin(consumer)
		create(ctx, consumer)
		stalled(ctx, consumer, v1alpha1.ReasonSecretNotFound, ContainSubstring("spec.plugins[0]"))
		Expect(w.list(ctx, "consumers")).To(BeEmpty())
		create(ctx, w.secret("log", map[string]string{"config": `{"http_endpoint": "https://log.example.com"}`}))
		ready(ctx, consumer)
		Expect(kube.Get(ctx, client.ObjectKeyFromObject(consumer), consumer)).To(Succeed())
	})
})
