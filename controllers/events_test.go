package controllers_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
	"github.com/kongjwt/kong-jwt-operator/test/issuer"
)

// What Kubernetes records as one event has the note of the first alone: what happens to another credential later is
// seen all the same.
var _ = Describe("Events of several credentials of one JwtConsumer", func() {
	It("tell of each that is rotated", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		consumer := w.consumer("r", generating("made", "other"))
		create(ctx, consumer)
		ready(ctx, consumer)
		for _, name := range []string{"other", "made"} {
			annotate(ctx, consumer, v1alpha1.AnnotationRotate, name+"=1")
			for _, reason := range []string{v1alpha1.EventRotationStarted, v1alpha1.EventPromoted, v1alpha1.EventPublished} {
				Eventually(notes(ctx, consumer, reason)).WithTimeout(soon).WithPolling(poll).Should(
					ContainElement(And(HavePrefix("Credential "+name), ContainSubstring("revision 2"))), reason)
			}
		}
	})

	It("tell of each that fails, and Ready names them all", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		consumer := w.consumer("r", func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials = nil
			for _, name := range []string{"a", "b"} {
				create(ctx, w.secret("r-"+name, map[string]string{"secret": "0123456789abcdef0123456789abcdef-" + name}))
				c.Spec.Credentials = append(c.Spec.Credentials, v1alpha1.Credential{
					Name: name, Algorithm: "HS256", SecretRef: &v1alpha1.CredentialSecretReference{Name: "r-" + name},
				})
			}
		})
		create(ctx, consumer)
		ready(ctx, consumer)
		Expect(kube.Delete(ctx, w.secret("r-b", nil))).To(Succeed())
		second := ContainSubstring("spec.credentials[1].secretRef")
		stalled(ctx, consumer, v1alpha1.ReasonSecretNotFound, second)
		Expect(kube.Delete(ctx, w.secret("r-a", nil))).To(Succeed())
		both := And(ContainSubstring("spec.credentials[0].secretRef"), second)
		stalled(ctx, consumer, v1alpha1.ReasonSecretNotFound, both)
		Eventually(notes(ctx, consumer, v1alpha1.ReasonSecretNotFound)).WithTimeout(soon).WithPolling(poll).Should(
			ConsistOf(And(second, Not(both)), both))
	})

	It("tell of each issuer that goes away", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{}, func(g *v1alpha1.KongGateway) {
			g.Spec.Policy.JWKS = &v1alpha1.JWKSPolicy{AllowPrivateAddresses: true}
		})
		providers := map[string]*issuer.Issuer{}
		consumer := w.consumer("r", func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials = nil
			for _, name := range []string{"a", "b"} {
				provider := issuer.Start()
				DeferCleanup(provider.Close)
				Expect(provider.Add(w.name+name, "ES256")).To(Succeed())
				create(ctx, w.secret("ca-"+name, map[string]string{"ca.crt": provider.CA()}))
				providers[name] = provider
				c.Spec.Credentials = append(c.Spec.Credentials, v1alpha1.Credential{Name: name, Algorithm: "ES256", JWKS: &v1alpha1.JWKS{
					URL: provider.URL(), CASecretRef: &v1alpha1.LocalSecretKeyReference{Name: "ca-" + name, Key: "ca.crt"},
				}})
			}
		})
		create(ctx, consumer)
		ready(ctx, consumer)
		for _, name := range []string{"b", "a"} {
			providers[name].Answer(503)
			annotate(ctx, consumer, v1alpha1.AnnotationReconcile, name)
			Eventually(notes(ctx, consumer, v1alpha1.ReasonKeySetUnreachable)).WithTimeout(soon).WithPolling(poll).Should(
				ContainElement(ContainSubstring("credential " + name + ": ")))
		}
	})
})
