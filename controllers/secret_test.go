package controllers_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

func publicPEM(key any) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	Expect(err).NotTo(HaveOccurred())
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func privatePEM(key any) string {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	Expect(err).NotTo(HaveOccurred())
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

var _ = Describe("Secrets of a JwtConsumer", Ordered, func() {
	var w *world
	var rsaKey *rsa.PrivateKey
	var ecKey *ecdsa.PrivateKey

	BeforeAll(func(ctx SpecContext) {
		w = newWorld(ctx, kongsim.Options{})
		var err error
		rsaKey, err = rsa.GenerateKey(rand.Reader, 2048)
		Expect(err).NotTo(HaveOccurred())
		ecKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		Expect(err).NotTo(HaveOccurred())
	})

	with := func(algorithm v1alpha1.Algorithm) func(*v1alpha1.JwtConsumer) {
		return func(c *v1alpha1.JwtConsumer) { c.Spec.Credentials[0].Algorithm = algorithm }
	}

	DescribeTable("that cannot be used end in a condition that says what is wrong and what to do",
		func(ctx SpecContext, name string, algorithm v1alpha1.Algorithm, data func() map[string]string, reason string, says ...string) {
			if content := data(); content != nil {
				create(ctx, w.secret(name+"-jwt", content))
			}
			consumer := w.consumer(name, with(algorithm))
			create(ctx, consumer)
			for _, text := range says {
				stalled(ctx, consumer, reason, ContainSubstring(text))
			}
			Expect(w.values(ctx, "jwts", "key")).NotTo(ContainElement(w.namespace + "." + name + ".primary"))
		},
		Entry("no Secret", "s-none", v1alpha1.Algorithm("HS256"), func() map[string]string { return nil },
			v1alpha1.ReasonSecretNotFound, "s-none-jwt", "Create it"),
		Entry("a Secret without the key", "s-key", v1alpha1.Algorithm("HS256"), func() map[string]string { return map[string]string{"password": "x"} },
			v1alpha1.ReasonSecretInvalid, "secret", "password"),
		Entry("an RSA key for ES256", "s-rsa", v1alpha1.Algorithm("ES256"), func() map[string]string {
			return map[string]string{"public.pem": publicPEM(&rsaKey.PublicKey)}
		}, v1alpha1.ReasonSecretInvalid, "public.pem", "RSA", "ES256"),
		Entry("an EC key for RS256", "s-ec", v1alpha1.Algorithm("RS256"), func() map[string]string {
			return map[string]string{"public.pem": publicPEM(&ecKey.PublicKey)}
		}, v1alpha1.ReasonSecretInvalid, "public.pem", "RS256"),
		Entry("a private key where a public one belongs", "s-private", v1alpha1.Algorithm("RS256"), func() map[string]string {
			return map[string]string{"public.pem": privatePEM(rsaKey)}
		}, v1alpha1.ReasonSecretInvalid, "public.pem", "private key"),
		Entry("a vault reference", "s-vault", v1alpha1.Algorithm("HS256"), func() map[string]string {
			return map[string]string{"secret": "{vault://env/pg-password}"}
		}, v1alpha1.ReasonSecretInvalid, "vault"),
	)

	It("is programmed though its HMAC secret is short, with condition WeakSecret", func(ctx SpecContext) {
		consumer := w.consumer("weak")
		create(ctx, w.secret("weak-jwt", map[string]string{"secret": "secret-key"}), consumer)
		ready(ctx, consumer)
		weak := apimeta.FindStatusCondition(consumer.Status.Conditions, v1alpha1.ConditionWeakSecret)
		Expect(weak).NotTo(BeNil())
		Expect(weak.Message).To(And(ContainSubstring("primary"), ContainSubstring("RFC 7518")))
		Expect(weak.Message).NotTo(ContainSubstring("secret-key"))
	})

	It("is taken byte by byte, and a line break at its end is pointed out", func(ctx SpecContext) {
		consumer := w.consumer("echoed")
		create(ctx, w.secret("echoed-jwt", map[string]string{"secret": longSecret + "\r\n"}), consumer)
		ready(ctx, consumer)
		Expect(w.values(ctx, "jwts", "secret")).To(ContainElement(longSecret + "\r\n"))
		Expect(apimeta.FindStatusCondition(consumer.Status.Conditions, v1alpha1.ConditionReady).Message).To(And(
			ContainSubstring("credential primary"), ContainSubstring("line break"), ContainSubstring("printf"), Not(ContainSubstring(longSecret))))
	})

	It("follows a Secret that is mended, changed and deleted; the last good credential stays", func(ctx SpecContext) {
		consumer := w.consumer("follow")
		create(ctx, consumer)
		stalled(ctx, consumer, v1alpha1.ReasonSecretNotFound, Not(BeEmpty()))
		secret := w.secret("follow-jwt", map[string]string{"secret": longSecret})
		create(ctx, secret)
		ready(ctx, consumer)
		Expect(w.values(ctx, "jwts", "secret")).To(ContainElement(longSecret))
		change(ctx, secret, func(s *corev1.Secret) { s.Data["secret"] = []byte("another-secret-of-thirty-two-byte") })
		Eventually(func() []any { return w.values(ctx, "jwts", "secret") }).WithTimeout(soon).WithPolling(poll).
			Should(And(ContainElement("another-secret-of-thirty-two-byte"), Not(ContainElement(longSecret))))
		Expect(kube.Delete(ctx, secret)).To(Succeed())
		stalled(ctx, consumer, v1alpha1.ReasonSecretNotFound, Not(BeEmpty()))
		Expect(w.values(ctx, "jwts", "secret")).To(ContainElement("another-secret-of-thirty-two-byte"))
	})

	It("does not hold up the other credentials of the consumer", func(ctx SpecContext) {
		consumer := w.consumer("mixed", func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials = append(c.Spec.Credentials, v1alpha1.Credential{
				Name: "good", Algorithm: "HS256", Generate: &v1alpha1.Generate{SecretName: "mixed-good"},
			})
		})
		create(ctx, consumer)
		stalled(ctx, consumer, v1alpha1.ReasonSecretNotFound, ContainSubstring("mixed-jwt"))
		Expect(w.values(ctx, "jwts", "key")).To(ContainElement(w.namespace + ".mixed.good"))
	})

	It("refuses to publish into a Secret that is somebody else's", func(ctx SpecContext) {
		create(ctx, w.secret("taken", map[string]string{"mine": "x"}))
		consumer := w.consumer("thief", func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials = []v1alpha1.Credential{{Name: "made", Algorithm: "HS256", Generate: &v1alpha1.Generate{SecretName: "taken"}}}
		})
		create(ctx, consumer)
		stalled(ctx, consumer, v1alpha1.ReasonSecretConflict, And(ContainSubstring("taken"), ContainSubstring("generate.secretName")))
		secret := w.secret("taken", nil)
		Expect(kube.Get(ctx, client.ObjectKeyFromObject(secret), secret)).To(Succeed())
		Expect(secret.Data).To(HaveLen(1))
	})

	It("keeps material that was generated, and puts back a published Secret that was deleted", func(ctx SpecContext) {
		consumer := w.consumer("keeper", func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials = []v1alpha1.Credential{{Name: "made", Algorithm: "HS256", Generate: &v1alpha1.Generate{SecretName: "keeper-made"}}}
		})
		create(ctx, consumer)
		ready(ctx, consumer)
		published := func() string {
			secret := w.secret("keeper-made", nil)
			if err := kube.Get(ctx, client.ObjectKeyFromObject(secret), secret); err != nil {
				return ""
			}
			return string(secret.Data["secret"])
		}
		first := published()
		Expect(first).To(HaveLen(64), "48 bytes in base64url")
		Expect(kube.Delete(ctx, w.secret("keeper-made", nil))).To(Succeed())
		Eventually(published).WithTimeout(soon).WithPolling(poll).Should(Equal(first))
		Expect(w.values(ctx, "jwts", "secret")).To(ContainElement(first))
	})

	It("signs no token without something to sign with, nor with claims of its own", func(ctx SpecContext) {
		create(ctx, w.secret("pub-jwt", map[string]string{"public.pem": publicPEM(&rsaKey.PublicKey)}))
		consumer := w.consumer("pub", with("RS256"))
		create(ctx, consumer)
		ready(ctx, consumer)
		token := &v1alpha1.JwtToken{ObjectMeta: w.meta("cannot"), Spec: v1alpha1.JwtTokenSpec{
			ConsumerRef: v1alpha1.CredentialReference{Name: "pub", Credential: "primary"}, SecretName: "cannot-token",
		}}
		reserved := &v1alpha1.JwtToken{ObjectMeta: w.meta("reserved"), Spec: v1alpha1.JwtTokenSpec{
			ConsumerRef: v1alpha1.CredentialReference{Name: "pub", Credential: "primary"}, SecretName: "reserved-token",
			Claims: rawJSON(`{"iss":"me","role":"admin"}`),
		}}
		create(ctx, token, reserved)
		stalled(ctx, token, v1alpha1.ReasonCredentialCannotSign, ContainSubstring("privateKey"))
		stalled(ctx, reserved, v1alpha1.ReasonInvalidSpec, And(ContainSubstring("spec.claims"), ContainSubstring("iss")))
	})
})
