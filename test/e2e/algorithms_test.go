package e2e

import (
	"fmt"
	"net/http"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

var _ = Describe("Algorithms", Ordered, func() {
	taken, lacking := splitAlgorithms(algorithms)
	var (
		namespace, path string
		owned           = map[v1alpha1.Algorithm]any{} // signing keys of the credentials with a secretRef
		keys            = map[string]string{}          // of the credentials in Kong, by consumer and credential
	)
	credentialName := func(algorithm v1alpha1.Algorithm) string { return strings.ToLower(string(algorithm)) }

	BeforeAll(func(ctx SpecContext) {
		namespace = newNamespace(ctx, "algorithms")
		path = pathOfService(namespace, "api")
		service := newService(namespace, "api")
		referencing, generating := newConsumer(namespace, "referencing"), newConsumer(namespace, "generating")
		for _, algorithm := range taken {
			name := credentialName(algorithm)
			owned[algorithm] = newSigningKey(algorithm)
			create(ctx, newSecret(namespace, "owned-"+name, materialOf(owned[algorithm])))
			referencing.Spec.Credentials = append(referencing.Spec.Credentials, referenced(name, algorithm, "", "owned-"+name))
			generating.Spec.Credentials = append(generating.Spec.Credentials, generated(name, algorithm, "generated-"+name))
		}
		create(ctx, service, referencing, generating)
		awaitReady(ctx, service, referencing, generating)
		for _, consumer := range []*v1alpha1.JwtConsumer{referencing, generating} {
			for _, credential := range consumer.Status.Credentials {
				keys[consumer.Name+"/"+credential.Name] = credential.Key
			}
		}
	})

	// A source gives the material of a credential and its key in Kong.
	type source func(ctx SpecContext, algorithm v1alpha1.Algorithm) (signingKey any, key string)
	fromSecret := func(_ SpecContext, algorithm v1alpha1.Algorithm) (any, string) {
		return owned[algorithm], keys["referencing/"+credentialName(algorithm)]
	}
	generated := func(ctx SpecContext, algorithm v1alpha1.Algorithm) (any, string) {
		secret := readSecret(ctx, namespace, "generated-"+credentialName(algorithm))
		Expect(secret.Data).To(HaveKeyWithValue("algorithm", []byte(algorithm)))
		Expect(secret.Data).To(HaveKeyWithValue("key", []byte(keys["generating/"+credentialName(algorithm)])))
		return signingKeyOf(secret), string(secret.Data["key"])
	}
	verify := func(ctx SpecContext, algorithm v1alpha1.Algorithm, material source) {
		signingKey, key := material(ctx, algorithm)
		Expect(key).NotTo(BeEmpty())
		seen := expectPassed(ctx, at(path).with(sign(algorithm, signingKey, key)))
		Expect(seen.Headers).To(HaveKeyWithValue("X-Credential-Identifier", key))
		forged := sign(algorithm, newSigningKey(algorithm), key)
		expectRefused(ctx, at(path).with(forged), http.StatusUnauthorized, "Invalid signature")
	}

	for _, algorithm := range taken {
		It("accepts "+string(algorithm)+" with material from a Secret, and no other's", func(ctx SpecContext) {
			verify(ctx, algorithm, fromSecret)
		})
		It("accepts "+string(algorithm)+" with material that the operator made, and no other's", func(ctx SpecContext) {
			verify(ctx, algorithm, generated)
		})
	}

	It("are listed in the gateway's status", func(ctx SpecContext) {
		shown := &v1alpha1.KongGateway{}
		Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(gateway), shown)).To(Succeed())
		Expect(shown.Status.Capabilities.Algorithms).To(ConsistOf(takes.Algorithms))
		Expect(shown.Status.Capabilities.JWTOptions).To(ContainElement("claims_to_verify"))
		Expect(shown.Status.Capabilities.FlatRedis).To(Equal(takes.FlatRedis))
	})

	for _, algorithm := range lacking {
		It("says that "+string(algorithm)+" needs a newer Kong, and takes the other credential", func(ctx SpecContext) {
			consumer := newConsumer(namespace, "newer-"+credentialName(algorithm))
			consumer.Spec.Credentials = []v1alpha1.Credential{
				referenced("primary", "HS256", "", "owned-hs256"),
				referenced("newer", algorithm, "", "newer-"+credentialName(algorithm)),
			}
			create(ctx, newSecret(namespace, "newer-"+credentialName(algorithm), materialOf(newSigningKey(algorithm))), consumer)
			awaitReason(ctx, consumer, v1alpha1.ReasonInvalidSpec, fmt.Sprintf("spec.credentials[1].algorithm: %s needs Kong %s (KongGateway %s runs %s)",
				algorithm, kong.AlgorithmSince(string(algorithm)), gateway.Name, takes.Version))
			key := namespace + "." + consumer.Name + ".primary"
			seen := expectPassed(ctx, at(path).with(sign("HS256", owned["HS256"], key)))
			Expect(seen.Headers).To(HaveKeyWithValue("X-Credential-Identifier", key))
		})
	}

	Context("after a rotation", func() {
		former := map[v1alpha1.Algorithm]call{}   // with what was generated before
		replaced := map[v1alpha1.Algorithm]call{} // with what the Secrets held before

		BeforeAll(func(ctx SpecContext) {
			for _, algorithm := range taken {
				signingKey, key := generated(ctx, algorithm)
				former[algorithm] = at(path).with(sign(algorithm, signingKey, key))
				signingKey, key = fromSecret(ctx, algorithm)
				replaced[algorithm] = at(path).with(sign(algorithm, signingKey, key))
				owned[algorithm] = newSigningKey(algorithm)
				update(ctx, readSecret(ctx, namespace, "owned-"+credentialName(algorithm)), func(s *corev1.Secret) {
					s.StringData = materialOf(owned[algorithm])
				})
			}
			generating := newConsumer(namespace, "generating")
			update(ctx, generating, func(c *v1alpha1.JwtConsumer) {
				c.Annotations = map[string]string{v1alpha1.AnnotationRotate: "1"}
			})
			Eventually(func(g Gomega) {
				g.Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(generating), generating)).To(Succeed())
				for _, credential := range generating.Status.Credentials {
					if credential.State == v1alpha1.CredentialActive {
						g.Expect(credential.Revision).To(BeEquivalentTo(2), credential.Name)
						keys["generating/"+credential.Name] = credential.Key
					}
				}
			}).WithContext(ctx).Should(Succeed(), "all credentials rotate")
		})

		for _, algorithm := range taken {
			It("accepts "+string(algorithm)+" with the new material from a Secret, and no longer with the former", func(ctx SpecContext) {
				verify(ctx, algorithm, fromSecret)
				expectRefused(ctx, replaced[algorithm], http.StatusUnauthorized, "Invalid signature")
			})
			It("accepts "+string(algorithm)+" with the new material that the operator made, and with the former for the overlap", func(ctx SpecContext) {
				verify(ctx, algorithm, generated)
				expectPassed(ctx, former[algorithm])
			})
		}
	})
})
