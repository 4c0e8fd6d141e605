package chart

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

// previousChart makes the chart as it may have been one version ago: another version, and definitions that lack a
// field.
func previousChart() string {
	GinkgoHelper()
	dir := filepath.Join(GinkgoT().TempDir(), "kong-jwt-operator")
	Expect(os.CopyFS(dir, os.DirFS(chartPath))).To(Succeed())
	metadata := filepath.Join(dir, "Chart.yaml")
	content, err := os.ReadFile(metadata)
	Expect(err).NotTo(HaveOccurred())
	version, _, _ := unstructured.NestedString(read(metadata), "version")
	Expect(os.WriteFile(metadata, []byte(strings.ReplaceAll(string(content), version, "0.0.1")), 0o600)).To(Succeed())

	path := filepath.Join(dir, "files/crds/kongjwt.dev_jwtconsumers.yaml")
	definition := read(path)
	versions := definition["spec"].(map[string]any)["versions"].([]any)
	schema := []string{"schema", "openAPIV3Schema", "properties", "spec", "properties"}
	fields, found, err := unstructured.NestedMap(versions[0].(map[string]any), schema...)
	Expect(err).NotTo(HaveOccurred())
	Expect(found).To(BeTrue())
	Expect(fields).To(HaveKey("tags"))
	delete(fields, "tags")
	Expect(unstructured.SetNestedMap(versions[0].(map[string]any), fields, schema...)).To(Succeed())
	written, err := yaml.Marshal(definition)
	Expect(err).NotTo(HaveOccurred())
	Expect(os.WriteFile(path, written, 0o600)).To(Succeed())
	return dir
}

var _ = Describe("An upgrade from the chart before this one", func() {
	It("keeps resources, their Secrets, and what is in Kong, with no request that changes anything", func(ctx SpecContext) {
		removeDefinitions(ctx)
		kong, err := kongsim.Start(kongsim.Options{})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(kong.Close)
		mustHelm(ctx, "install", release, previousChart())
		DeferCleanup(func(ctx SpecContext) { mustHelm(ctx, "uninstall", release) })
		Expect(knowsTags(ctx)).To(BeFalse())

		hasService(ctx, "default", "my-api")
		waves := samples("../../argocd/examples/sync-waves.yaml")
		Expect(unstructured.SetNestedField(waves[0].Object, kong.AdminURL(), "spec", "adminAPI", "url")).To(Succeed())
		for _, object := range waves {
			Expect(applyAs(ctx, "test", object)).To(Succeed())
		}
		DeferCleanup(func(ctx SpecContext) { takeAway(ctx, waves) })
		arguments := deployed(ctx)
		before := run(ctx, arguments)
		for _, object := range waves {
			Eventually(func(g Gomega) { g.Expect(fares(ctx, g, object).Status).To(Equal(status.CurrentStatus)) }).WithContext(ctx).Should(Succeed(), object.GetKind())
		}
		before.stop()
		held, entities := everything(ctx, waves), inKong(ctx, kong)
		Expect(entities).To(HaveLen(8), "a consumer, its two reserved groups, its credential, a service, its two plugins and its route")
		kong.ResetRequests()

		mustHelm(ctx, "upgrade", release, chartPath, "--reset-then-reuse-values")
		Expect(knowsTags(ctx)).To(BeTrue(), "the definitions are upgraded as well")
		run(ctx, deployed(ctx))
		newcomer := parse(`
apiVersion: kongjwt.dev/v1alpha1
kind: JwtConsumer
metadata: {name: newcomer, namespace: default}
spec: {tags: [new]}
`)
		Expect(applyAs(ctx, "test", newcomer[0])).To(Succeed())
		DeferCleanup(func(ctx SpecContext) { takeAway(ctx, newcomer) })
		Eventually(func(g Gomega) { g.Expect(fares(ctx, g, newcomer[0]).Status).To(Equal(status.CurrentStatus)) }).WithContext(ctx).Should(Succeed())

		Expect(kong.CountWrites()).To(Equal(3), "the newcomer and its two reserved groups, and nothing of what was there")
		after := inKong(ctx, kong)
		for id, entity := range entities {
			Expect(after).To(HaveKeyWithValue(id, entity))
		}
		Expect(after).To(HaveLen(len(entities) + 3))
		Expect(everything(ctx, waves)).To(Equal(held), "neither written nor made anew")
	}, SpecTimeout(4*patience))
})

// removeDefinitions takes our kinds away, which other specs install without helm.
func removeDefinitions(ctx context.Context) {
	GinkgoHelper()
	crds := &apiextensionsv1.CustomResourceDefinitionList{}
	Expect(kube.List(ctx, crds)).To(Succeed())
	for i := range crds.Items {
		if isOurs(crds.Items[i]) {
			Expect(kube.Delete(ctx, &crds.Items[i])).To(Succeed())
		}
	}
	Eventually(gone).WithContext(ctx).Should(BeTrue())
}

// knowsTags says whether the definition of JwtConsumers that the cluster has knows the new field.
func knowsTags(ctx context.Context) bool {
	GinkgoHelper()
	crd := &apiextensionsv1.CustomResourceDefinition{}
	Expect(kube.Get(ctx, client.ObjectKey{Name: "jwtconsumers.kongjwt.dev"}, crd)).To(Succeed())
	_, found := crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"].Properties["tags"]
	return found
}

// deployed gives the arguments of the Deployment that helm made.
func deployed(ctx context.Context) []string {
	GinkgoHelper()
	deployment := &unstructured.Unstructured{}
	deployment.SetAPIVersion("apps/v1")
	deployment.SetKind("Deployment")
	Expect(kube.Get(ctx, client.ObjectKey{Namespace: namespace, Name: release}, deployment)).To(Succeed())
	containers, _, err := unstructured.NestedSlice(deployment.Object, "spec", "template", "spec", "containers")
	Expect(err).NotTo(HaveOccurred())
	arguments, _, err := unstructured.NestedStringSlice(containers[0].(map[string]any), "args")
	Expect(err).NotTo(HaveOccurred())
	return arguments
}

// everything gives resources and the operator's Secrets beside them, with their revisions. Of the gateway it leaves
// the status out, which counts what is new.
func everything(ctx context.Context, objects []*unstructured.Unstructured) map[string]any {
	GinkgoHelper()
	found := map[string]any{}
	for _, object := range objects {
		live := object.DeepCopy()
		Expect(kube.Get(ctx, client.ObjectKeyFromObject(live), live)).To(Succeed())
		if live.GetKind() == "KongGateway" {
			found[live.GetKind()] = []any{live.GetUID(), live.GetGeneration(), live.Object["spec"]}
			continue
		}
		found[live.GetKind()] = live.Object
	}
	var secrets corev1.SecretList
	Expect(kube.List(ctx, &secrets, client.InNamespace("default"))).To(Succeed())
	for i := range secrets.Items {
		found["Secret "+secrets.Items[i].Name] = string(secrets.Items[i].UID) + " " + secrets.Items[i].ResourceVersion
	}
	Expect(found).To(HaveKey("Secret john-jwt"))
	Expect(found).To(HaveKey("Secret john-token"))
	return found
}

// inKong gives every entity by its id.
func inKong(ctx context.Context, kong *kongsim.Server) map[string]any {
	GinkgoHelper()
	found := map[string]any{}
	for _, collection := range []string{"consumers", "jwts", "acls", "services", "routes", "plugins"} {
		var list struct{ Data any }
		Expect(adminAPI(ctx, kong, "GET", "/"+collection, &list)).To(Equal(200))
		items, _ := list.Data.([]any)
		for _, item := range items {
			found[item.(map[string]any)["id"].(string)] = item
		}
	}
	return found
}
