package e2e

import (
	"net/http"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

var _ = Describe("Algorithms", Ordered, func() {
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
		for _, algorithm := range algorithms {
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

	for _, algorithm := range algorithms {
		It("accepts "+string(algorithm)+" with material from a Secret, and no other's", func(ctx SpecContext) {
			verify(ctx, algorithm, fromSecret)
		})
		It("accepts "+string(algorithm)+" with material that the operator made, and no other's", func(ctx SpecContext) {
			verify(ctx, algorithm, generated)
		})
	}
})
