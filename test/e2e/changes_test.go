package e2e

import (
	"encoding/base64"
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

var _ = Describe("Credentials that change", func() {
	first, second := []byte("a first secret of more than 32 bytes"), []byte("a second secret of more than 32 bytes")
	var namespace, path string

	BeforeEach(func(ctx SpecContext) {
		namespace = newNamespace(ctx, "changes")
		path = pathOfService(namespace, "api")
		service := newService(namespace, "api")
		create(ctx, service, newSecret(namespace, "first", map[string]string{"secret": string(first)}), newSecret(namespace, "second", map[string]string{"secret": string(second)}))
		awaitReady(ctx, service)
	})

	It("may take each other's keys", func(ctx SpecContext) {
		left, right := named("left"), named("right")
		consumer := newConsumer(namespace, "swapping", func(s *v1alpha1.JwtConsumerSpec) {
			s.Credentials = []v1alpha1.Credential{referenced("a", "HS256", left, "first"), referenced("b", "HS256", right, "second")}
		})
		create(ctx, consumer)
		awaitReady(ctx, consumer)
		expectPassed(ctx, at(path).with(sign("HS256", first, left)))
		update(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Spec.Credentials[0].Key, c.Spec.Credentials[1].Key = right, left })
		awaitReady(ctx, consumer)
		expectPassed(ctx, at(path).with(sign("HS256", first, right)))
		expectPassed(ctx, at(path).with(sign("HS256", second, left)))
		expectRefused(ctx, at(path).with(sign("HS256", first, left)), http.StatusUnauthorized, "Invalid signature")
	})

	It("may be generated from now on: what clients have is taken beside it until the overlap ends", func(ctx SpecContext) {
		key := named("given")
		consumer := newConsumer(namespace, "generating", func(s *v1alpha1.JwtConsumerSpec) {
			s.Credentials = []v1alpha1.Credential{referenced("a", "HS256", key, "first")}
		})
		create(ctx, consumer)
		awaitReady(ctx, consumer)
		former := sign("HS256", first, key)
		expectPassed(ctx, at(path).with(former))
		update(ctx, consumer, func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials = []v1alpha1.Credential{generated("a", "RS256", "made")}
		})
		awaitReady(ctx, consumer)
		made := readSecret(ctx, namespace, "made")
		Expect(string(made.Data["key"])).NotTo(Equal(key))
		expectPassed(ctx, at(path).with(sign("RS256", signingKeyOf(made), string(made.Data["key"]))))
		expectPassed(ctx, at(path).with(former))
		update(ctx, consumer, func(c *v1alpha1.JwtConsumer) {
			c.Annotations = map[string]string{v1alpha1.AnnotationRevokePrevious: "now"}
		})
		expectRefused(ctx, at(path).with(former), http.StatusUnauthorized, "No credentials found")
		expectPassed(ctx, at(path).with(sign("RS256", signingKeyOf(made), string(made.Data["key"]))))
	})

	It("are revoked though somebody moved them to another consumer", func(ctx SpecContext) {
		key, thief := named("moved"), named("thief")
		consumer := newConsumer(namespace, "robbed", func(s *v1alpha1.JwtConsumerSpec) {
			s.Credentials = []v1alpha1.Credential{referenced("a", "HS256", key, "first")}
		})
		create(ctx, consumer)
		awaitReady(ctx, consumer)
		expectPassed(ctx, at(path).with(sign("HS256", first, key)))
		id := consumer.Status.Credentials[0].KongID
		held, err := get(ctx, "/jwts/"+id)
		Expect(err).NotTo(HaveOccurred())
		send := func(ctx SpecContext, method, path string, body any, expected int) {
			GinkgoHelper()
			status, answer, err := admin(ctx, method, path, body)
			Expect(err).NotTo(HaveOccurred())
			Expect(status).To(Equal(expected), "%v", answer)
		}
		send(ctx, http.MethodPut, "/consumers/"+thief, entity{}, http.StatusOK)
		DeferCleanup(func(ctx SpecContext) { send(ctx, http.MethodDelete, "/consumers/"+thief, nil, http.StatusNoContent) })
		send(ctx, http.MethodDelete, "/consumers/"+consumer.Status.ConsumerID+"/jwt/"+id, nil, http.StatusNoContent)
		send(ctx, http.MethodPut, "/consumers/"+thief+"/jwt/"+id, entity{
			"key": held["key"], "algorithm": held["algorithm"], "secret": held["secret"], "tags": held["tags"],
		}, http.StatusOK)
		update(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Spec.Revoked = true })
		expectRefused(ctx, at(path).with(sign("HS256", first, key)), http.StatusUnauthorized, "No credentials found")
		Expect(get(ctx, "/jwts/"+id)).To(BeNil())
	})

	It("are withdrawn from a consumer that cannot be programmed otherwise", func(ctx SpecContext) {
		key := named("withdrawn")
		consumer := newConsumer(namespace, "stalled", func(s *v1alpha1.JwtConsumerSpec) {
			s.Credentials = []v1alpha1.Credential{referenced("a", "HS256", key, "first")}
		})
		create(ctx, consumer)
		awaitReady(ctx, consumer)
		expectPassed(ctx, at(path).with(sign("HS256", first, key)))
		update(ctx, consumer, func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials = nil
			c.Spec.Plugins = []v1alpha1.PluginSpec{{Name: "size", Plugin: "request-size-limiting", ConfigFrom: []v1alpha1.ConfigSource{
				{SecretRef: v1alpha1.LocalSecretKeyReference{Name: "missing", Key: "config"}},
			}}}
		})
		awaitReason(ctx, consumer, v1alpha1.ReasonSecretNotFound, "missing")
		expectRefused(ctx, at(path).with(sign("HS256", first, key)), http.StatusUnauthorized, "No credentials found")
	})

	It("sign with what their secret decodes to, at services that say so", func(ctx SpecContext) {
		decoding := newService(namespace, "decoding", func(s *v1alpha1.JwtProtectedServiceSpec) { s.JWT.SecretIsBase64 = pointer(true) })
		consumer := newConsumer(namespace, "encoded", func(s *v1alpha1.JwtConsumerSpec) {
			s.Credentials = []v1alpha1.Credential{generated("a", "HS256", "encoded")}
		})
		create(ctx, decoding, consumer)
		awaitReady(ctx, decoding, consumer)
		made := readSecret(ctx, namespace, "encoded")
		text, key := made.Data["secret"], string(made.Data["key"])
		decoded, err := base64.RawURLEncoding.DecodeString(string(text))
		Expect(err).NotTo(HaveOccurred())
		expectPassed(ctx, at(path).with(sign("HS256", text, key)))
		expectRefused(ctx, at(path).with(sign("HS256", decoded, key)), http.StatusUnauthorized, "Invalid signature")
		expectPassed(ctx, at(pathOfService(namespace, "decoding")).with(sign("HS256", decoded, key)))
		expectRefused(ctx, at(pathOfService(namespace, "decoding")).with(sign("HS256", text, key)), http.StatusUnauthorized, "Invalid signature")
	})
})
