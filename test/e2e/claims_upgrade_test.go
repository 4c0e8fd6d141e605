package e2e

import (
	"context"
	"fmt"
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

var _ = Describe("The claims of a token, at an upgrade of the operator", Serial, func() {
	It("are checked without a gap while the program of an older one is replaced", func(ctx SpecContext) {
		namespace, key := newNamespace(ctx, "claims-upgrade"), named("claims-upgrade")
		const material = "a secret of the upgrade, longer than thirty-two bytes"
		caller := newConsumer(namespace, "caller", func(s *v1alpha1.JwtConsumerSpec) {
			s.Credentials = []v1alpha1.Credential{referenced("primary", "HS256", key, "material")}
		})
		service := newService(namespace, "upgraded", func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.Claims = &v1alpha1.ClaimChecks{Audiences: []string{"orders"}}
		})
		create(ctx, newSecret(namespace, "material", map[string]string{"secret": material}), caller, service)
		awaitReady(ctx, caller, service)
		with := func(audience string) call {
			return at(pathOfService(namespace, "upgraded")).with(sign("HS256", []byte(material), key, claims{"aud": audience}))
		}
		good, bad := with("orders"), with("invoices")
		plugin, err := pluginOf(ctx, service, "post-function")
		Expect(err).NotTo(HaveOccurred())
		programs, isList := plugin.at("config.access").([]any)
		Expect(isList).To(BeTrue())
		expectPassed(ctx, good)
		expectRefused(ctx, bad, http.StatusUnauthorized, "Unauthorized")

		Expect(operator.Stop()).To(Succeed())
		older := fmt.Sprint("-- An older edition of the program.\n", programs[0])
		status, _, err := admin(ctx, http.MethodPatch, fmt.Sprintf("/plugins/%v", plugin["id"]), entity{"config": entity{"access": []string{older}}})
		Expect(err).NotTo(HaveOccurred())
		Expect(status).To(Equal(http.StatusOK))
		passes, refusals := watch(good), watch(bad)
		operator, err = env.StartOperator(ctx)
		Expect(err).NotTo(HaveOccurred())
		Eventually(func() (entity, error) { return pluginOf(ctx, service, "post-function") }).WithContext(ctx).
			Should(And(HaveKeyWithValue("id", plugin["id"]), HaveKeyWithValue("config", plugin["config"])))
		refused := func(ctx context.Context) (int, error) {
			a, err := bad.send(ctx)
			return a.status, err
		}
		Consistently(refused).WithContext(ctx).Should(Equal(http.StatusUnauthorized))
		Expect(statuses(passes())).To(Equal([]int{http.StatusOK}))
		Expect(statuses(refusals())).To(Equal([]int{http.StatusUnauthorized}))
	})
})
