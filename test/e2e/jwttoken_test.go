package e2e

import (
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/golang-jwt/jwt/v5"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

var _ = Describe("A JwtToken", Ordered, func() {
	var (
		namespace string
		token     *v1alpha1.JwtToken
	)
	bearer := func(ctx SpecContext) string {
		return string(readSecret(ctx, namespace, token.Spec.SecretName).Data["token"])
	}
	// said are a token's claims; who checks them is Kong.
	said := func(text string) jwt.MapClaims {
		payload := jwt.MapClaims{}
		_, _, err := jwt.NewParser().ParseUnverified(text, payload)
		Expect(err).NotTo(HaveOccurred())
		return payload
	}

	BeforeAll(func(ctx SpecContext) {
		namespace = newNamespace(ctx, "token")
		byKID := newService(namespace, "by-kid")
		byISS := newService(namespace, "by-iss", func(s *v1alpha1.JwtProtectedServiceSpec) { s.JWT.KeyClaimName = "iss" })
		consumer := newConsumer(namespace, "caller", func(s *v1alpha1.JwtConsumerSpec) {
			s.Credentials = []v1alpha1.Credential{generated("made", "ES256", "caller-made"), referenced("theirs", "RS256", "", "theirs")}
		})
		token = newToken(namespace, "caller", "made")
		token.Spec.Subject, token.Spec.Audience = "batch", []string{"orders"}
		token.Spec.Claims = raw(map[string]any{"tier": "gold"})
		create(ctx, newSecret(namespace, "theirs", materialOf(newSigningKey("RS256"))), byKID, byISS, consumer, token)
		awaitReady(ctx, byKID, byISS, consumer, token)
	})

	It("passes at services that read kid and at those that read iss, with no key in the workload's hands", func(ctx SpecContext) {
		text := bearer(ctx)
		for _, name := range []string{"by-kid", "by-iss"} {
			seen := expectPassed(ctx, at(pathOfService(namespace, name)).with(text))
			Expect(seen.Headers).To(HaveKeyWithValue("X-Consumer-Username", namespace+".caller"))
		}
		payload := said(text)
		Expect(payload).To(HaveKeyWithValue("sub", "batch"))
		Expect(payload.GetAudience()).To(ConsistOf("orders"))
		Expect(payload).To(HaveKeyWithValue("tier", "gold"))
		secret := readSecret(ctx, namespace, token.Spec.SecretName)
		Expect(secret.Data).To(HaveLen(2))
		Expect(secret.Data).To(HaveKeyWithValue("authorization", BeEquivalentTo("Bearer "+text)))
	})

	It("says when it was signed, when it expires and when it is renewed", func(ctx SpecContext) {
		expires, err := said(bearer(ctx)).GetExpirationTime()
		Expect(err).NotTo(HaveOccurred())
		Expect(token.Status.ExpirationTime.Time).To(BeTemporally("==", expires.Time))
		Expect(token.Status.ExpirationTime.Sub(token.Status.IssueTime.Time)).To(Equal(time.Hour))
		Expect(token.Status.ExpirationTime.Sub(token.Status.RenewalTime.Time)).To(Equal(20 * time.Minute))
	})

	It("is signed anew when what it says changes, and the new one passes too", func(ctx SpecContext) {
		before := bearer(ctx)
		update(ctx, token, func(t *v1alpha1.JwtToken) { t.Spec.Subject = "nightly" })
		Eventually(bearer).WithContext(ctx).WithArguments(ctx).ShouldNot(Equal(before))
		Expect(said(bearer(ctx))).To(HaveKeyWithValue("sub", "nightly"))
		expectPassed(ctx, at(pathOfService(namespace, "by-kid")).with(bearer(ctx)))
	})

	It("is made again when its Secret is deleted", func(ctx SpecContext) {
		secret := readSecret(ctx, namespace, token.Spec.SecretName)
		Expect(env.Client.Delete(ctx, secret)).To(Succeed())
		expectPassed(ctx, at(pathOfService(namespace, "by-kid")).with(bearer(ctx)))
	})

	It("is renewed before it expires", func(ctx SpecContext) {
		short := newToken(namespace, "caller", "made")
		short.Name, short.Spec.SecretName = "short", "short"
		short.Spec.TTL, short.Spec.RenewBefore = "1m", "59s"
		create(ctx, short)
		awaitReady(ctx, short)
		before := string(readSecret(ctx, namespace, "short").Data["token"])
		Eventually(func() string {
			return string(readSecret(ctx, namespace, "short").Data["token"])
		}).WithContext(ctx).ShouldNot(Equal(before), "a second before it is a second old")
		remove(ctx, short)
	})

	It("says so where nothing here can sign", func(ctx SpecContext) {
		unsigned := newToken(namespace, "caller", "theirs")
		create(ctx, unsigned)
		awaitReason(ctx, unsigned, v1alpha1.ReasonCredentialCannotSign, "theirs", "secretRef.dataKeys.privateKey")
		err := env.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: unsigned.Spec.SecretName}, newSecret(namespace, "", nil))
		Expect(apierrors.IsNotFound(err)).To(BeTrue(), "no Secret is made")
	})

	It("follows a Secret that is rewritten under the same key, signed with its private key", func(ctx SpecContext) {
		content := func(key any) map[string]string {
			return map[string]string{"public.pem": materialOf(key)["public.pem"], "private.pem": privatePEMOf(key)}
		}
		secret := newSecret(namespace, "rewritten", content(newSigningKey("ES384")))
		own := referenced("own", "ES384", "", "rewritten")
		own.SecretRef.DataKeys = &v1alpha1.CredentialDataKeys{PrivateKey: "private.pem"}
		consumer := newConsumer(namespace, "rewriting", func(s *v1alpha1.JwtConsumerSpec) { s.Credentials = []v1alpha1.Credential{own} })
		follower := newToken(namespace, "rewriting", "own")
		create(ctx, secret, consumer, follower)
		awaitReady(ctx, consumer, follower)
		text := func() string { return string(readSecret(ctx, namespace, follower.Spec.SecretName).Data["token"]) }
		before := text()
		expectPassed(ctx, at(pathOfService(namespace, "by-kid")).with(before))
		update(ctx, secret, func(s *corev1.Secret) { s.StringData = content(newSigningKey("ES384")) })
		Eventually(text).WithContext(ctx).ShouldNot(Equal(before), "long before it is due for renewal")
		expectPassed(ctx, at(pathOfService(namespace, "by-kid")).with(text()))
		expectRefused(ctx, at(pathOfService(namespace, "by-kid")).with(before), http.StatusUnauthorized, "Invalid signature")
	})

	It("is refused by Kong once its consumer is revoked", func(ctx SpecContext) {
		text := bearer(ctx)
		consumer := newConsumer(namespace, "caller")
		update(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Spec.Revoked = true })
		expectRefused(ctx, at(pathOfService(namespace, "by-kid")).with(text), http.StatusUnauthorized, "No credentials found")
	})
})
