package e2e

import (
	"encoding/json"
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"sigs.k8s.io/yaml"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

var _ = Describe("kubectl kongjwt diff", func() {
	It("says what an apply then causes, and nothing of what is there", func(ctx SpecContext) {
		admins := newFront()
		watched := newGateway(named("diffed"))
		watched.Spec.AdminAPI.URL = admins.url
		create(ctx, watched)
		DeferCleanup(func() {
			ctx, cancel := background()
			defer cancel()
			remove(ctx, watched)
		})
		namespace := newNamespace(ctx, "diff")
		caller := newConsumer(namespace, "worker", func(s *v1alpha1.JwtConsumerSpec) {
			s.GatewayRef.Name = watched.Name
			s.Credentials = []v1alpha1.Credential{referenced("primary", "HS256", named("diffed"), "material")}
		})
		create(ctx, newSecret(namespace, "material", map[string]string{"secret": "a secret that is long enough for HS256"}), caller)
		awaitReady(ctx, caller)
		DeferCleanup(func() {
			ctx, cancel := background()
			defer cancel()
			remove(ctx, caller)
		})
		manifest := func(groups ...string) string {
			content, err := yaml.Marshal(map[string]any{
				"apiVersion": v1alpha1.GroupVersion.String(), "kind": v1alpha1.KindJwtConsumer,
				"metadata": map[string]any{"name": caller.Name, "namespace": namespace},
				"spec": map[string]any{
					"gatewayRef": map[string]any{"name": watched.Name}, "groups": groups,
					"credentials": []any{map[string]any{"name": "primary", "key": named("diffed"), "secretRef": map[string]any{"name": "material"}}},
				},
			})
			Expect(err).NotTo(HaveOccurred())
			return string(content)
		}

		out, code := kongjwt(ctx, manifest(), "diff", "-f", "-")
		Expect(code).To(BeZero(), out)
		Expect(out).To(Equal("No request to Kong\n"))

		admins.forget()
		out, code = kongjwt(ctx, manifest(named("buyers")), "diff", "-f", "-", "-o", "json")
		Expect(code).To(Equal(1))
		var said struct {
			Requests []struct{ Method, Kind, Name, Change string }
		}
		Expect(json.Unmarshal([]byte(out), &said)).To(Succeed())
		Expect(said.Requests).To(HaveLen(1))
		Expect(fmt.Sprint(said.Requests[0])).To(Equal(fmt.Sprintf("{PUT acl group %s create}", named("buyers"))))
		Expect(admins.written()).To(BeEmpty(), "nothing is done")

		update(ctx, caller, func(c *v1alpha1.JwtConsumer) { c.Spec.Groups = []string{named("buyers")} })
		awaitReady(ctx, caller)
		Expect(admins.written()).To(ConsistOf(MatchRegexp(`^PUT /consumers/[^/]+/acls/[^/]+$`)))
	})
})
