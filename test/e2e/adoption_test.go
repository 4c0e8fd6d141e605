package e2e

import (
	"fmt"
	"net/http"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"

	corev1 "k8s.io/api/core/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

var _ = Describe("An existing Kong", Ordered, func() {
	var (
		namespace string
		adopting  *v1alpha1.KongGateway
		admins    *front
		secret    *corev1.Secret
	)
	const material = "a secret that somebody made by hand, long enough for HS256"
	key := func() string { return named("by-hand-key") }
	ref := func(e entity) map[string]any { return map[string]any{"id": e["id"]} }

	BeforeAll(func(ctx SpecContext) {
		admins = newFront()
		adopting = newGateway(named("adopting"))
		adopting.Spec.AdminAPI.URL, adopting.Spec.Adoption = admins.url, v1alpha1.AdoptionUnowned
		create(ctx, adopting)
		DeferCleanup(func() {
			ctx, cancel := background()
			defer cancel()
			remove(ctx, adopting)
		})
		namespace = newNamespace(ctx, "existing")
		secret = newSecret(namespace, "material", map[string]string{"secret": material, "key": key(), "algorithm": "HS256"})
		create(ctx, secret)
		awaitReady(ctx, adopting)
	})

	It("is adopted while traffic goes on: what is there keeps its ids, and tags are all that is written", func(ctx SpecContext) {
		path := pathOf("adopted")
		service := foreign(ctx, "services", entity{"name": named("shop"), "url": env.UpstreamURL})
		plugin := foreign(ctx, "plugins", entity{"name": "jwt", "service": ref(service), "config": map[string]any{"key_claim_name": "kid", "claims_to_verify": []string{"exp"}}})
		route := foreign(ctx, "routes", entity{"name": named("shop") + ".api", "paths": []string{path}, "service": ref(service)})
		consumer := foreign(ctx, "consumers", entity{"username": named("hand")})
		credential := foreign(ctx, fmt.Sprintf("consumers/%v/jwt", consumer["id"]), entity{"key": key(), "secret": material})
		expectPassed(ctx, at(path).with(sign("HS256", []byte(material), key())))
		flow, flowing := startTraffic(ctx, strings.TrimSuffix(env.ProxyURL, "/")+path)
		Expect(flow.add(flowing, namespace, secret.Name, signing)).To(Succeed())
		admins.forget()

		caller := newConsumer(namespace, "hand", func(s *v1alpha1.JwtConsumerSpec) {
			s.GatewayRef.Name, s.Username = adopting.Name, named("hand")
			s.Credentials = []v1alpha1.Credential{referenced("primary", "HS256", key(), secret.Name)}
		})
		shop := newService(namespace, "shop", func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.GatewayRef.Name, s.ServiceName = adopting.Name, named("shop")
			s.Routes = []v1alpha1.Route{{Name: "api", Paths: []string{path}}}
		})
		create(ctx, caller, shop)
		awaitReady(ctx, caller, shop)
		Expect(admins.written()).To(ConsistOf(
			fmt.Sprintf("PATCH /consumers/%v", consumer["id"]),
			fmt.Sprintf("PATCH /consumers/%v/jwt/%v", consumer["id"], credential["id"]),
			reservedRow(consumer["id"]), reservedRow(consumer["id"]),
			fmt.Sprintf("PATCH /services/%v", service["id"]),
			fmt.Sprintf("PATCH /plugins/%v", plugin["id"]),
			fmt.Sprintf("PATCH /routes/%v", route["id"]),
		))
		flow.end("an existing Kong is adopted")
		Expect(flow.refused.Load()).To(BeZero(), flow.firstRefusal)
		Expect(flow.requests.Load()).To(BeNumerically(">", 0))
		Expect(caller.Status.ConsumerID).To(Equal(consumer["id"]))
		Expect(shop.Status.ServiceID).To(Equal(service["id"]))

		remove(ctx, caller)
		remove(ctx, shop)
		Expect(get(ctx, fmt.Sprintf("/consumers/%v", consumer["id"]))).To(BeNil(), "what is adopted is the operator's from then on")
		Expect(get(ctx, fmt.Sprintf("/services/%v", service["id"]))).To(BeNil())
	})

	It("gets plugins on what stays somebody else's, and says so when that goes", func(ctx SpecContext) {
		path := pathOf("attached")
		service := foreign(ctx, "services", entity{"name": named("theirs"), "url": env.UpstreamURL})
		route := foreign(ctx, "routes", entity{"name": named("theirs"), "paths": []string{path}, "service": ref(service)})
		expectPassed(ctx, at(path))
		before, err := get(ctx, fmt.Sprintf("/services/%v", service["id"]))
		Expect(err).NotTo(HaveOccurred())

		guard := newService(namespace, "guard", func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.GatewayRef.Name = adopting.Name
			s.Upstream, s.Routes, s.AttachTo = nil, nil, &v1alpha1.AttachTo{ServiceName: named("theirs")}
		})
		caller := newConsumer(namespace, "guarded", func(s *v1alpha1.JwtConsumerSpec) {
			s.GatewayRef.Name = adopting.Name
			s.Credentials = []v1alpha1.Credential{referenced("primary", "HS256", key(), secret.Name)}
		})
		create(ctx, guard, caller)
		awaitReady(ctx, guard, caller)
		expectRefused(ctx, at(path), http.StatusUnauthorized, "Unauthorized")
		expectPassed(ctx, at(path).with(sign("HS256", []byte(material), key())))
		Expect(get(ctx, fmt.Sprintf("/services/%v", service["id"]))).To(Equal(before), "it is not touched")

		erase(ctx, fmt.Sprintf("/routes/%v", route["id"]))
		erase(ctx, fmt.Sprintf("/services/%v", service["id"]))
		awaitReason(ctx, guard, v1alpha1.ReasonTargetNotFound, named("theirs"))
		again := foreign(ctx, "services", entity{"name": named("theirs"), "url": env.UpstreamURL})
		foreign(ctx, "routes", entity{"name": named("theirs"), "paths": []string{path}, "service": ref(again)})
		awaitReady(ctx, guard)
		expectRefused(ctx, at(path), http.StatusUnauthorized, "Unauthorized")

		remove(ctx, guard)
		expectPassed(ctx, at(path))
		remove(ctx, caller)
	})
})

// reservedRow matches the write of one of the two groups that each consumer has: its own, and that of its namespace.
func reservedRow(consumerID any) types.GomegaMatcher {
	return MatchRegexp("^PUT /consumers/%v/acls/", consumerID)
}
