package controllers_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
	"github.com/kongjwt/kong-jwt-operator/internal/token"
)

var _ = Describe("A JwtToken", Ordered, func() {
	var w *world

	BeforeAll(func(ctx SpecContext) { w = newWorld(ctx, kongsim.Options{}) })

	jwtToken := func(name, credential string, change ...func(*v1alpha1.JwtTokenSpec)) *v1alpha1.JwtToken {
		t := &v1alpha1.JwtToken{ObjectMeta: w.meta(name), Spec: v1alpha1.JwtTokenSpec{
			ConsumerRef: v1alpha1.CredentialReference{Name: name, Credential: credential}, SecretName: name + "-token",
		}}
		for _, f := range change {
			f(&t.Spec)
		}
		return t
	}
	published := func(ctx context.Context, g Gomega, t *v1alpha1.JwtToken) string {
		var secret corev1.Secret
		g.Expect(kube.Get(ctx, client.ObjectKey{Namespace: t.Namespace, Name: t.Spec.SecretName}, &secret)).To(Succeed())
		return string(secret.Data["token"])
	}
	hmac := func(secret string) credential.Material {
		return credential.Material{Algorithm: "HS256", Secret: credential.Conceal(secret)}
	}
	signedWith := func(ctx context.Context, t *v1alpha1.JwtToken, material credential.Material) {
		GinkgoHelper()
		Eventually(func(g Gomega) { g.Expect(token.SignedWith(published(ctx, g, t), material)).To(BeTrue()) }).
			WithTimeout(soon).WithPolling(poll).Should(Succeed())
	}
	const other = "another-secret-of-thirty-two-byte"

	It("is signed anew as soon as the Secret it is signed with changes under the same key", func(ctx SpecContext) {
		secret := w.secret("changed-jwt", map[string]string{"secret": longSecret})
		t := jwtToken("changed", "primary")
		create(ctx, secret, w.consumer("changed"), t)
		ready(ctx, t)
		signedWith(ctx, t, hmac(longSecret))
		change(ctx, secret, func(s *corev1.Secret) { s.Data["secret"] = []byte(other) })
		signedWith(ctx, t, hmac(other))
		Expect(w.values(ctx, "jwts", "secret")).To(ContainElement(other), "what it is signed with is live")
		ready(ctx, t)
	})

	It("is never signed with what Kong does not hold, and is as soon as it does", func(ctx SpecContext) {
		secret := w.secret("late-jwt", map[string]string{"secret": longSecret})
		consumer, t := w.consumer("late"), jwtToken("late", "primary")
		create(ctx, secret, consumer, t)
		ready(ctx, t)
		w.kong.Faults.SetDatabaseDown(true)
		change(ctx, secret, func(s *corev1.Secret) { s.Data["secret"] = []byte(other) })
		reconciling(ctx, t, v1alpha1.ReasonConsumerNotReady, ContainSubstring("live in Kong"))
		Consistently(func(g Gomega) { g.Expect(token.SignedWith(published(ctx, g, t), hmac(longSecret))).To(BeTrue()) }).
			WithTimeout(quiet).WithPolling(poll).Should(Succeed(), "the former token stays")
		w.kong.Faults.SetDatabaseDown(false)
		signedWith(ctx, t, hmac(other))
		ready(ctx, t)
		change(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Spec.Revoked = true })
		reconciling(ctx, t, v1alpha1.ReasonConsumerRevoked, ContainSubstring("spec.revoked is false"))
		change(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Spec.Revoked = false })
		ready(ctx, t)
	})

	It("is signed with a private key out of a Secret", func(ctx SpecContext) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		Expect(err).NotTo(HaveOccurred())
		t := jwtToken("private", "primary")
		create(ctx, w.secret("private-jwt", map[string]string{"public.pem": publicPEM(&key.PublicKey), "mine.pem": privatePEM(key)}),
			w.consumer("private", func(c *v1alpha1.JwtConsumer) {
				c.Spec.Credentials[0].Algorithm = "ES256"
				c.Spec.Credentials[0].SecretRef.DataKeys = &v1alpha1.CredentialDataKeys{PrivateKey: "mine.pem"}
			}), t)
		ready(ctx, t)
		signedWith(ctx, t, credential.Material{Algorithm: "ES256", PublicKeyPEM: publicPEM(&key.PublicKey)})
		Expect(t.Status.Key).To(Equal(w.namespace + ".private.primary"))
		Expect(t.Status.Gateway).To(Equal(w.gateway.Name))
	})

	It("follows generated material that is replaced", func(ctx SpecContext) {
		consumer, t := w.consumer("made", func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials[0] = v1alpha1.Credential{Name: "primary", Algorithm: "HS256", Generate: &v1alpha1.Generate{SecretName: "made-jwt"}}
		}), jwtToken("made", "primary")
		create(ctx, consumer, t)
		ready(ctx, t)
		change(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Spec.Credentials[0].Algorithm = "HS512" })
		Eventually(func(g Gomega) {
			var secret corev1.Secret
			g.Expect(kube.Get(ctx, client.ObjectKey{Namespace: w.namespace, Name: "made-jwt"}, &secret)).To(Succeed())
			g.Expect(token.SignedWith(published(ctx, g, t), credential.Material{
				Algorithm: "HS512", Secret: credential.Conceal(string(secret.Data["secret"])),
			})).To(BeTrue())
		}).WithTimeout(soon).WithPolling(poll).Should(Succeed())
	})

	It("is renewed before it expires", func(ctx SpecContext) {
		t := jwtToken("short", "primary", func(s *v1alpha1.JwtTokenSpec) { s.TTL, s.RenewBefore = "12s", "10s" })
		create(ctx, w.secret("short-jwt", map[string]string{"secret": longSecret}), w.consumer("short"), t)
		ready(ctx, t)
		first, expires := published(ctx, Default, t), t.Status.ExpirationTime.Time
		Expect(t.Status.RenewalTime.Time).To(Equal(expires.Add(-10 * time.Second)))
		Eventually(func(g Gomega) { g.Expect(published(ctx, g, t)).NotTo(Equal(first)) }).
			WithTimeout(time.Until(expires)).WithPolling(poll).Should(Succeed(), "renewed while the former is valid")
	})

	It("stays, and is kept fresh, in a Secret of a former name for the overlap", func(ctx SpecContext) {
		t := jwtToken("moved", "primary")
		secret := w.secret("moved-jwt", map[string]string{"secret": longSecret})
		create(ctx, secret, w.consumer("moved"), t)
		ready(ctx, t)
		former := w.secret(t.Spec.SecretName, nil)
		inFormer := func(g Gomega) string {
			var found corev1.Secret
			g.Expect(kube.Get(ctx, client.ObjectKeyFromObject(former), &found)).To(Succeed())
			return string(found.Data["token"])
		}
		change(ctx, t, func(t *v1alpha1.JwtToken) { t.Spec.SecretName = "moved-elsewhere" })
		Eventually(func(g Gomega) { g.Expect(inFormer(g)).To(Equal(published(ctx, g, t))) }).WithTimeout(soon).WithPolling(poll).Should(Succeed())
		ready(ctx, t)
		Expect(t.Status.FormerSecrets).To(HaveLen(1))
		Expect(t.Status.FormerSecrets[0].Name).To(Equal(former.Name))
		Expect(t.Status.FormerSecrets[0].RetirementTime.Time).To(BeTemporally("~", time.Now().Add(24*time.Hour), time.Minute))

		change(ctx, secret, func(s *corev1.Secret) { s.Data["secret"] = []byte(other) })
		signedWith(ctx, t, hmac(other))
		Eventually(func(g Gomega) { g.Expect(token.SignedWith(inFormer(g), hmac(other))).To(BeTrue()) }).
			WithTimeout(soon).WithPolling(poll).Should(Succeed(), "a pod that mounts it is not left with a token that nobody takes")

		By("its time is over")
		Expect(kube.Get(ctx, client.ObjectKeyFromObject(t), t)).To(Succeed())
		over := t.DeepCopy()
		over.Status.FormerSecrets[0].RetirementTime.Time = time.Now().Add(-time.Second)
		Expect(kube.Status().Patch(ctx, over, client.MergeFrom(t))).To(Succeed())
		annotate(ctx, t, v1alpha1.AnnotationReconcile, "1")
		Eventually(func(g Gomega) {
			g.Expect(client.IgnoreNotFound(kube.Get(ctx, client.ObjectKeyFromObject(former), former))).To(Succeed())
			g.Expect(kube.Get(ctx, client.ObjectKeyFromObject(former), former)).NotTo(Succeed())
			g.Expect(kube.Get(ctx, client.ObjectKeyFromObject(t), t)).To(Succeed())
			g.Expect(t.Status.FormerSecrets).To(BeEmpty())
		}).WithTimeout(soon).WithPolling(poll).Should(Succeed())
		Expect(published(ctx, Default, t)).NotTo(BeEmpty())
	})

	It("says which services its ttl is too long for", func(ctx SpecContext) {
		bounded := func(bound v1alpha1.Duration) func(*v1alpha1.JwtProtectedService) {
			return func(s *v1alpha1.JwtProtectedService) {
				s.Spec.JWT.ClaimsToVerify, s.Spec.JWT.MaximumExpiration = []v1alpha1.TimeClaim{"exp"}, bound
			}
		}
		strict := w.service("strict", bounded("10m"))
		closed := w.service("closed", bounded("1m"), func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Access = &v1alpha1.Access{Groups: []string{"others"}}
		})
		t := jwtToken("long", "primary")
		create(ctx, strict, closed, w.service("wide", bounded("1h")),
			w.secret("long-jwt", map[string]string{"secret": longSecret}), w.consumer("long"), t)
		said := func() string {
			Expect(kube.Get(ctx, client.ObjectKeyFromObject(t), t)).To(Succeed())
			if condition := apimeta.FindStatusCondition(t.Status.Conditions, v1alpha1.ConditionTTLTooLong); condition != nil {
				return condition.Message
			}
			return ""
		}
		Eventually(said).WithTimeout(soon).WithPolling(poll).Should(And(
			ContainSubstring("strict (10m)"), ContainSubstring("10m or less"), Not(ContainSubstring("closed")), Not(ContainSubstring("wide"))))
		ready(ctx, t)
		change(ctx, closed, func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Access = &v1alpha1.Access{Consumers: []v1alpha1.ConsumerReference{{Name: "long"}}}
		})
		Eventually(said).WithTimeout(soon).WithPolling(poll).Should(And(ContainSubstring("closed (1m)"), ContainSubstring("1m or less")))
		change(ctx, closed, func(s *v1alpha1.JwtProtectedService) { s.Spec.JWT.MaximumExpiration = "" })
		change(ctx, strict, func(s *v1alpha1.JwtProtectedService) { s.Spec.JWT.MaximumExpiration = "1h" })
		Eventually(said).WithTimeout(soon).WithPolling(poll).Should(BeEmpty())
	})
})
