package e2e

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// make bench-claims prints what claims cost on a Kong, which KONG_ADMIN_URL and KONG_PROXY_URL name.
var _ = Describe("What claims cost", Serial, Label("full", "bench-claims"), func() {
	const (
		rounds = 5
		// loaded is how long each route is called for in a round, one after the other.
		loaded = 2 * time.Second
	)

	It("is a part of a request", func(ctx SpecContext) {
		namespace, key := newNamespace(ctx, "claims-bench"), named("claims-bench")
		const material = "a secret of the benchmark, longer than thirty-two bytes"
		caller := newConsumer(namespace, "caller", func(s *v1alpha1.JwtConsumerSpec) {
			s.Credentials = []v1alpha1.Credential{referenced("primary", "HS256", key, "material")}
		})
		without := newService(namespace, "without")
		with := newService(namespace, "with", func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.Claims = &v1alpha1.ClaimChecks{
				Issuers: []string{"https://login.example.com/"}, Audiences: []string{"orders"},
				Required: []v1alpha1.RequiredClaim{{Claim: "scope", Contains: "orders:read"}, {Claim: "realm_access.roles", Contains: "clerk"}},
				Headers:  []v1alpha1.ClaimHeader{{Claim: "sub", Header: "X-Token-Subject"}},
			}
		})
		create(ctx, newSecret(namespace, "material", map[string]string{"secret": material}), caller, without, with)
		awaitReady(ctx, caller, without, with)
		token := sign("HS256", []byte(material), key, claims{
			"iss": "https://login.example.com/", "aud": "orders", "sub": "somebody", "scope": "profile orders:read",
			"realm_access": map[string]any{"roles": []string{"clerk", "buyer"}}, "azp": "web", "email_verified": true,
		})
		plain, checked := at(pathOfService(namespace, "without")).with(token), at(pathOfService(namespace, "with")).with(token)
		expectPassed(ctx, plain)
		expectPassed(ctx, checked)
		var ratios []float64
		for range rounds {
			before, after := pace(ctx, plain, loaded), pace(ctx, checked, loaded)
			ratios = append(ratios, after.Seconds()/before.Seconds())
			AddReportEntry("a request", fmt.Sprintf("without claims %s, with claims %s", before, after), ReportEntryVisibilityAlways)
		}
		slices.Sort(ratios)
		AddReportEntry("a request with claims, to one without, the median", fmt.Sprintf("%.3f", ratios[rounds/2]), ReportEntryVisibilityAlways)
		Expect(ratios[0]).To(BeNumerically("<", 4), "in the best round")
	})
})

// pace is how long a request takes, of those that one caller sends one after the other.
func pace(ctx context.Context, c call, during time.Duration) time.Duration {
	GinkgoHelper()
	start, count := time.Now(), 0
	for time.Since(start) < during {
		a, err := c.send(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(a.status).To(Equal(http.StatusOK))
		count++
	}
	return (time.Since(start) / time.Duration(count)).Round(time.Microsecond)
}
