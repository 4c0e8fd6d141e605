package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// readManifests reads what was imported, by file.
func readManifests(dir string) (objects []client.Object) {
	GinkgoHelper()
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	Expect(err).NotTo(HaveOccurred())
	for _, file := range files {
		content, err := os.ReadFile(file)
		Expect(err).NotTo(HaveOccurred())
		var o client.Object
		switch kind, _, _ := strings.Cut(filepath.Base(file), "-"); kind {
		case "secret":
			o = &corev1.Secret{}
		case "jwtconsumer":
			o = &v1alpha1.JwtConsumer{}
		case "jwtprotectedservice":
			o = &v1alpha1.JwtProtectedService{}
		default:
			Expect(string(content)).To(ContainSubstring("kind: Kustomization"))
			continue
		}
		Expect(yaml.UnmarshalStrict(content, o)).To(Succeed(), file)
		objects = append(objects, o)
	}
	return objects
}

var _ = Describe("kubectl kongjwt import", func() {
	const material = "a secret that somebody made by hand, long enough for HS256"
	ref := func(e entity) map[string]any { return map[string]any{"id": e["id"]} }

	It("writes what changes nothing in Kong but tags, while traffic goes on", func(ctx SpecContext) {
		admins := newFront()
		adopting := newGateway(named("importing"))
		adopting.Spec.AdminAPI.URL, adopting.Spec.Adoption = admins.url, v1alpha1.AdoptionUnowned
		adopting.Spec.Policy.Plugins = []string{"cors", "acl"}
		create(ctx, adopting)
		DeferCleanup(func() {
			ctx, cancel := background()
			defer cancel()
			remove(ctx, adopting)
		})
		namespace := newNamespace(ctx, "imported")
		tag, key, path, other := named("tag"), named("imported-key"), pathOf("imported"), pathOf("imported-other")
		made := func(collection string, fields entity) entity {
			fields["tags"] = []string{tag}
			return foreign(ctx, collection, fields)
		}
		service := made("services", entity{"name": named("till"), "url": env.UpstreamURL + "/base", "read_timeout": 12345, "retries": 2})
		jwt := made("plugins", entity{"name": "jwt", "service": ref(service), "config": map[string]any{"key_claim_name": "kid", "claims_to_verify": []string{"exp"}, "cookie_names": []string{"tok"}}})
		acl := made("plugins", entity{"name": "acl", "service": ref(service), "config": map[string]any{"allow": []string{named("buyers")}}})
		limit := made("plugins", entity{"name": "rate-limiting", "service": ref(service), "config": map[string]any{"minute": 100000, "policy": "local"}})
		route := made("routes", entity{"name": named("till") + ".api", "paths": []string{path}, "service": ref(service), "strip_path": false, "methods": []string{"GET", "POST"}})
		cors := made("plugins", entity{"name": "cors", "route": ref(route), "config": map[string]any{"origins": []string{"https://app.example.com"}}})
		// The operator would name this route anew, and so takes only what is on the service.
		stall := made("services", entity{"name": named("stall"), "url": env.UpstreamURL})
		guard := made("plugins", entity{"name": "jwt", "service": ref(stall), "config": map[string]any{"key_claim_name": "kid"}})
		made("routes", entity{"name": named("its-own-name"), "paths": []string{other}, "service": ref(stall)})
		consumer := made("consumers", entity{"username": named("buyer"), "custom_id": named("id")})
		credential := made(fmt.Sprintf("consumers/%v/jwt", consumer["id"]), entity{"key": key, "secret": material})
		signer := newSigningKey("RS256")
		public := made(fmt.Sprintf("consumers/%v/jwt", consumer["id"]), entity{"key": key + "-rsa", "algorithm": "RS256", "rsa_public_key": materialOf(signer)["public.pem"]})
		group := made(fmt.Sprintf("consumers/%v/acls", consumer["id"]), entity{"group": named("buyers")})
		expectPassed(ctx, at(path).with(sign("HS256", []byte(material), key)))

		dir := filepath.Join(GinkgoT().TempDir(), "manifests")
		out, code := kongjwt(ctx, "", "import", "--from-kong", env.AdminURL, "--gateway", adopting.Name, "-n", namespace, "--select-tag", tag, "--output-dir", dir)
		Expect(code).To(BeZero())
		Expect(out).To(HavePrefix("1 JwtConsumers, 2 JwtProtectedServices and 2 Secrets are in " + dir))
		Expect(out).To(ContainSubstring("service " + named("stall") + ": the service and its routes stay as they are"))
		Expect(out).NotTo(ContainSubstring(material))

		objects := readManifests(dir)
		Expect(objects).To(HaveLen(5))
		awaitReady(ctx, adopting)
		var resources []client.Object
		for _, o := range objects {
			create(ctx, o)
			if _, secret := o.(*corev1.Secret); !secret {
				resources = append(resources, o)
			}
		}
		DeferCleanup(func() {
			ctx, cancel := background()
			defer cancel()
			for _, o := range resources {
				remove(ctx, o)
			}
		})
		var secret corev1.Secret
		for _, o := range objects {
			if s, ok := o.(*corev1.Secret); ok && len(s.Data["secret"]) > 0 {
				secret = *s
			}
		}
		flow, flowing := startTraffic(ctx, strings.TrimSuffix(env.ProxyURL, "/")+path)
		Expect(flow.add(flowing, namespace, secret.Name, func(s *corev1.Secret) (string, error) {
			if len(s.Data["secret"]) == 0 {
				return "", errors.New("the Secret holds no secret")
			}
			return sign("HS256", s.Data["secret"], key), nil
		})).To(Succeed())
		awaitReady(ctx, resources...)
		flow.end("what was imported is applied")
		Expect(flow.refused.Load()).To(BeZero(), flow.firstRefusal)
		Expect(admins.written()).To(ConsistOf(
			fmt.Sprintf("PATCH /services/%v", service["id"]), fmt.Sprintf("PATCH /routes/%v", route["id"]),
			fmt.Sprintf("PATCH /plugins/%v", jwt["id"]), fmt.Sprintf("PATCH /plugins/%v", acl["id"]),
			fmt.Sprintf("PATCH /plugins/%v", limit["id"]), fmt.Sprintf("PATCH /plugins/%v", cors["id"]), fmt.Sprintf("PATCH /plugins/%v", guard["id"]),
			fmt.Sprintf("PATCH /consumers/%v", consumer["id"]), fmt.Sprintf("PATCH /consumers/%v/jwt/%v", consumer["id"], credential["id"]),
			fmt.Sprintf("PATCH /consumers/%v/jwt/%v", consumer["id"], public["id"]),
			fmt.Sprintf("PATCH /consumers/%v/acls/%v", consumer["id"], group["id"]),
			reservedRow(consumer["id"]), reservedRow(consumer["id"]),
		))
	})
})
