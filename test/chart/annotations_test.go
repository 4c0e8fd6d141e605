package chart

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	syncWave    = "argocd.argoproj.io/sync-wave"
	syncOptions = "argocd.argoproj.io/sync-options"
)

var _ = Describe("What Argo CD renders", func() {
	// withGateway has a default gateway, rendered as Argo CD does: without a cluster to ask.
	withGateway := []string{"template", release, chartPath, "--values", "values/monitoring.yaml", "--set", "defaultGateway.enabled=true",
		"--set", "defaultGateway.spec.adminAPI.url=http://127.0.0.1:1", "--set", "defaultGateway.spec.allowedNamespaces.from=All"}
	kept := func(object *unstructured.Unstructured) bool {
		return object.GetKind() == "CustomResourceDefinition" || object.GetKind() == "KongGateway"
	}

	It("has no hook, keeps the kinds and the gateway, and deletes the operator last", func(ctx SpecContext) {
		objects := parse(mustHelm(ctx, withGateway...))
		Expect(objects).To(ContainElement(HaveField("GetKind()", "KongGateway")))
		for _, object := range objects {
			annotations, name := object.GetAnnotations(), object.GetKind()+" "+object.GetName()
			if annotations["helm.sh/hook"] == "test" {
				continue // Argo CD makes nothing of what is for helm test
			}
			Expect(annotations).NotTo(HaveKey("helm.sh/hook"), name)
			if kept(object) {
				Expect(annotations).To(HaveKeyWithValue("helm.sh/resource-policy", "keep"), name)
				Expect(annotations).To(HaveKeyWithValue(syncOptions, "Prune=false"), name)
				Expect(annotations).NotTo(HaveKey(syncWave), name)
				continue
			}
			Expect(annotations).To(HaveKeyWithValue(syncWave, "-1"), name)
			Expect(annotations).NotTo(HaveKey(syncOptions), name)
		}
	}, SpecTimeout(patience))

	It("has what commonAnnotations say, beside the chart's own", func(ctx SpecContext) {
		objects := parse(mustHelm(ctx, append(withGateway, "--set", "commonAnnotations.team=platform",
			"--set-string", `commonAnnotations.argocd\.argoproj\.io/sync-wave=-5`,
			"--set", `commonAnnotations.argocd\.argoproj\.io/sync-options=Replace=true`)...))
		for _, object := range objects {
			options := "Replace=true"
			if kept(object) {
				options += ",Prune=false"
			}
			Expect(object.GetAnnotations()).To(And(HaveKeyWithValue("team", "platform"), HaveKeyWithValue(syncWave, "-5"),
				HaveKeyWithValue(syncOptions, options)), object.GetKind())
		}
	}, SpecTimeout(patience))

	It("may lose its kinds where crds.keep is off", func(ctx SpecContext) {
		for _, object := range parse(mustHelm(ctx, append(withGateway, "--set", "crds.keep=false")...)) {
			if object.GetKind() == "CustomResourceDefinition" {
				Expect(object.GetAnnotations()).NotTo(Or(HaveKey("helm.sh/resource-policy"), HaveKey(syncOptions), HaveKey(syncWave)))
			}
		}
	}, SpecTimeout(patience))

	It("is refused with a gateway that has no spec", func(ctx SpecContext) {
		out, err := helm(ctx, "template", release, chartPath, "--set", "defaultGateway.enabled=true")
		Expect(err).To(HaveOccurred())
		Expect(out).To(ContainSubstring("defaultGateway.spec: say where Kong is"))
	}, SpecTimeout(patience))

	It("bounds each team by a project of its own", func() {
		set := samples("../../argocd/examples/applicationset.yaml")[0]
		project := samples("../../argocd/examples/appproject.yaml")[0]
		field := func(object *unstructured.Unstructured, path ...string) any {
			GinkgoHelper()
			value, found, err := unstructured.NestedFieldNoCopy(object.Object, path...)
			Expect(err).NotTo(HaveOccurred())
			Expect(found).To(BeTrue(), strings.Join(path, "."))
			return value
		}
		ofOrders := func(path ...string) string {
			text, _ := field(set, append([]string{"spec", "template", "spec"}, path...)...).(string)
			return strings.ReplaceAll(text, "{{ .path.basename }}", "orders")
		}
		Expect(ofOrders("project")).To(Equal(project.GetName()))
		Expect(field(project, "spec", "sourceRepos")).To(ConsistOf(ofOrders("source", "repoURL")))
		Expect(field(project, "spec", "destinations")).To(ConsistOf(map[string]any{
			"server": ofOrders("destination", "server"), "namespace": ofOrders("destination", "namespace"),
		}))
		Expect(field(project, "spec", "clusterResourceWhitelist")).To(BeEmpty())
	})
})
