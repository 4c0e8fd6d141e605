package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// deckFile is what deck dump writes, with names of this run: service, upstream, path, tag, consumer, key, material,
// group.
const deckFile = `_format_version: "3.0"
_info:
  select_tags: [%[4]s]
services:
- name: %[1]s
  url: %[2]s
  retries: 2
  routes:
  - name: %[1]s.api
    paths: ["%[3]s"]
    strip_path: false
  plugins:
  - name: jwt
    config: {key_claim_name: kid, claims_to_verify: [exp]}
  - name: acl
    config: {allow: [%[8]s]}
consumers:
- username: %[5]s
  jwt_secrets:
  - {key: %[6]s, secret: "%[7]s", algorithm: HS256}
  acls:
  - group: %[8]s
  keyauth_credentials:
  - key: %[6]s-api-key
`

// kicFile is what an application of Kong's ingress controller has, with names of this run: consumer, key, material,
// group, host, path.
const kicFile = `
apiVersion: configuration.konghq.com/v1
kind: KongConsumer
metadata: {name: caller, annotations: {kubernetes.io/ingress.class: kong}}
username: %[1]s
credentials: [caller-jwt, caller-group, caller-key]
---
apiVersion: v1
kind: Secret
metadata: {name: caller-jwt, labels: {konghq.com/credential: jwt}}
stringData: {key: "%[2]s", algorithm: HS256, secret: "%[3]s"}
---
apiVersion: v1
kind: Secret
metadata: {name: caller-group, labels: {konghq.com/credential: acl}}
stringData: {group: "%[4]s"}
---
apiVersion: v1
kind: Secret
metadata: {name: caller-key, labels: {konghq.com/credential: key-auth}}
stringData: {key: an-api-key}
---
apiVersion: configuration.konghq.com/v1
kind: KongPlugin
metadata: {name: tokens}
plugin: jwt
config: {key_claim_name: kid, claims_to_verify: [exp]}
---
apiVersion: configuration.konghq.com/v1
kind: KongPlugin
metadata: {name: buyers}
plugin: acl
config: {allow: ["%[4]s"]}
---
apiVersion: v1
kind: Service
metadata: {name: orders}
spec: {ports: [{port: 8080}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: orders, annotations: {konghq.com/plugins: "tokens,buyers"}}
spec:
  ingressClassName: kong
  rules:
  - host: %[5]s
    http: {paths: [{path: "%[6]s", pathType: Prefix, backend: {service: {name: orders, port: {number: 8080}}}}]}
`

// applied creates what was imported, and takes the resources away again.
func applied(ctx SpecContext, objects []client.Object) (resources []client.Object) {
	GinkgoHelper()
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
	return resources
}

var _ = Describe("kubectl kongjwt import of files", func() {
	const material = "a secret that is in a file, and long enough for HS256"
	gatewayFor := func(ctx SpecContext, name string, change ...func(*v1alpha1.KongGatewaySpec)) *v1alpha1.KongGateway {
		GinkgoHelper()
		g := newGateway(named(name))
		for _, f := range change {
			f(&g.Spec)
		}
		create(ctx, g)
		DeferCleanup(func() {
			ctx, cancel := background()
			defer cancel()
			remove(ctx, g)
		})
		awaitReady(ctx, g)
		return g
	}
	write := func(name, content string) string {
		GinkgoHelper()
		path := filepath.Join(GinkgoT().TempDir(), name)
		Expect(os.WriteFile(path, []byte(content), 0o600)).To(Succeed())
		return path
	}

	It("reads decK's format, and what it writes changes nothing but tags in the Kong that decK filled", func(ctx SpecContext) {
		admins := newFront()
		adopting := gatewayFor(ctx, "deck", func(s *v1alpha1.KongGatewaySpec) { s.AdminAPI.URL, s.Adoption = admins.url, v1alpha1.AdoptionUnowned })
		namespace := newNamespace(ctx, "deck")
		tag, name, caller, key, group, path := named("deck-tag"), named("deck"), named("deck-caller"), named("deck-key"), named("deck-buyers"), pathOf("deck")
		made := func(collection string, fields entity) string {
			fields["tags"] = []string{tag}
			return fmt.Sprint(foreign(ctx, collection, fields)["id"])
		}
		service := made("services", entity{"name": name, "url": env.UpstreamURL, "retries": 2})
		on := map[string]any{"id": service}
		jwt := made("plugins", entity{"name": "jwt", "service": on, "config": map[string]any{"key_claim_name": "kid", "claims_to_verify": []string{"exp"}}})
		acl := made("plugins", entity{"name": "acl", "service": on, "config": map[string]any{"allow": []string{group}}})
		route := made("routes", entity{"name": name + ".api", "service": on, "paths": []string{path}, "strip_path": false})
		consumer := made("consumers", entity{"username": caller})
		credential := made("consumers/"+consumer+"/jwt", entity{"key": key, "secret": material, "algorithm": "HS256"})
		row := made("consumers/"+consumer+"/acls", entity{"group": group})
		token := sign("HS256", []byte(material), key)
		expectPassed(ctx, at(path).with(token))

		file := write("kong.yaml", fmt.Sprintf(deckFile, name, env.UpstreamURL, path, tag, caller, key, material, group))
		dir := filepath.Join(GinkgoT().TempDir(), "manifests")
		out, code := kongjwt(ctx, "", "import", "--from-deck", file, "--gateway", adopting.Name, "-n", namespace, "--output-dir", dir)
		Expect(code).To(BeZero())
		Expect(out).To(And(HavePrefix("1 JwtConsumers, 1 JwtProtectedServices and 1 Secrets are in "+dir), ContainSubstring("keyauth_credentials of consumer "+caller)))
		Expect(out).NotTo(ContainSubstring(material))

		admins.forget()
		awaitReady(ctx, applied(ctx, readManifests(dir))...)
		Expect(admins.written()).To(ConsistOf(
			"PATCH /services/"+service, "PATCH /routes/"+route, "PATCH /plugins/"+jwt, "PATCH /plugins/"+acl,
			"PATCH /consumers/"+consumer, "PATCH /consumers/"+consumer+"/jwt/"+credential, "PATCH /consumers/"+consumer+"/acls/"+row,
			reservedRow(consumer), reservedRow(consumer),
		))
		expectPassed(ctx, at(path).with(token))
	})

	It("reads the ingress controller's manifests, and the tokens that it let in pass as before", func(ctx SpecContext) {
		own := gatewayFor(ctx, "kic")
		namespace := newNamespace(ctx, "kic")
		caller, key, group, host, path := named("kic-caller"), named("kic-key"), named("kic-buyers"), hostOf("kic"), pathOf("kic")
		file := write("app.yaml", fmt.Sprintf(kicFile, caller, key, material, group, host, path))
		dir := filepath.Join(GinkgoT().TempDir(), "manifests")
		out, code := kongjwt(ctx, "", "import", "--from-kic", filepath.Dir(file), "--gateway", own.Name, "-n", namespace, "--output-dir", dir)
		Expect(code).To(BeZero())
		Expect(out).To(And(HavePrefix("1 JwtConsumers, 1 JwtProtectedServices and 1 Secrets are in "+dir), ContainSubstring(`credential of type "key-auth"`)))
		Expect(out).NotTo(ContainSubstring(material))

		objects := readManifests(dir)
		for _, o := range objects {
			if s, ok := o.(*v1alpha1.JwtProtectedService); ok {
				Expect(s.Spec.Upstream.ServiceRef).To(Equal(&v1alpha1.UpstreamServiceReference{Name: "orders", Port: 8080}))
				// No Service has an address here.
				s.Spec.Upstream = &v1alpha1.Upstream{URL: env.UpstreamURL}
			}
		}
		awaitReady(ctx, applied(ctx, objects)...)
		orders := at(path + "/7")
		orders.host = host
		expectPassed(ctx, orders.with(sign("HS256", []byte(material), key)), HaveKeyWithValue("X-Consumer-Username", caller))
		expectRefused(ctx, orders, http.StatusUnauthorized, "Unauthorized")
		expectRefused(ctx, orders.with(sign("HS256", []byte(material), key, expired())), http.StatusUnauthorized, "token expired")
	})

	It("writes no material where none is wanted, and lists the Secrets to be made", func(ctx SpecContext) {
		file := write("kong.yaml", fmt.Sprintf(deckFile, "orders", env.UpstreamURL, "/orders", "tag", "caller", "a-key", material, "buyers"))
		dir := filepath.Join(GinkgoT().TempDir(), "manifests")
		out, code := kongjwt(ctx, "", "import", "--from-deck", file, "--gateway", "main", "-n", "shop", "--secrets", "none", "--output-dir", dir)
		Expect(code).To(BeZero())
		Expect(out).To(ContainSubstring("make Secret shop/caller-primary with the key secret"))
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		Expect(err).NotTo(HaveOccurred())
		Expect(files).To(HaveLen(3))
		for _, file := range files {
			content, err := os.ReadFile(file)
			Expect(err).NotTo(HaveOccurred())
			Expect(string(content)).NotTo(ContainSubstring(material))
		}
		again := runPlugin(ctx, "", "import", "--from-deck", file, "--gateway", "main", "--output-dir", dir)
		Expect(again.code).To(Equal(2), "nothing is overwritten")
	})
})
