package e2e

import (
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

var _ = Describe("What Kong answers 500 to", func() {
	It("stalls the resource that has it, and holds up no access that is taken away", func(ctx SpecContext) {
		namespace := newNamespace(ctx, "hard")
		secret, key := []byte("a secret of more than 32 bytes, as it has to be"), named("hard")
		service := newService(namespace, "api")
		consumer := newConsumer(namespace, "caller", func(s *v1alpha1.JwtConsumerSpec) {
			s.Credentials = []v1alpha1.Credential{referenced("a", "HS256", key, "first")}
		})
		create(ctx, service, consumer, newSecret(namespace, "first", map[string]string{"secret": string(secret)}))
		awaitReady(ctx, service, consumer)
		call := at(pathOfService(namespace, "api")).with(sign("HS256", secret, key))
		expectPassed(ctx, call)
		update(ctx, service, func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Access = &v1alpha1.Access{Consumers: []v1alpha1.ConsumerReference{}}
			s.Spec.Plugins = []v1alpha1.ServicePlugin{{PluginSpec: v1alpha1.PluginSpec{
				Name: "poison", Plugin: "cors", Config: &apiextensionsv1.JSON{Raw: []byte(`{"exposed_headers": ["a\u0000b"]}`)},
			}}}
		})
		awaitReason(ctx, service, v1alpha1.ReasonKongRejected, "poison")
		expectRefused(ctx, call, http.StatusForbidden, "You cannot consume this service")
		update(ctx, service, func(s *v1alpha1.JwtProtectedService) { s.Spec.Access, s.Spec.Plugins = nil, nil })
		awaitReady(ctx, service)
		expectPassed(ctx, call)
	})
})
