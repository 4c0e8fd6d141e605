package chart

import (
	"context"
	"os/exec"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func kustomize(ctx context.Context, folder string) []*unstructured.Unstructured {
	GinkgoHelper()
	out, err := exec.CommandContext(ctx, environment("KJO_KUSTOMIZE"), "build", "../../config/"+folder).Output()
	Expect(err).NotTo(HaveOccurred(), folder)
	return parse(string(out))
}

// comparable gives objects by their names, without what tells who installed them.
func comparable(objects []*unstructured.Unstructured) map[string]any {
	found := map[string]any{}
	for _, object := range objects {
		if object.GetKind() == "Namespace" {
			continue // helm makes it by a flag
		}
		labels, annotations := object.GetLabels(), object.GetAnnotations()
		if object.GetKind() == "CustomResourceDefinition" {
			labels = nil // as they are generated
		}
		delete(labels, "helm.sh/chart")
		delete(labels, "app.kubernetes.io/managed-by")
		delete(annotations, "helm.sh/resource-policy")
		object.SetLabels(labels)
		object.SetAnnotations(annotations)
		found[object.GetKind()+" "+object.GetNamespace()+"/"+object.GetName()] = object.Object
	}
	return found
}

var _ = DescribeTable("kustomize makes the chart's objects", func(ctx SpecContext, folder string, settings ...string) {
	arguments := []string{"template", release, chartPath}
	for _, setting := range settings {
		arguments = append(arguments, "--set", setting)
	}
	Expect(comparable(kustomize(ctx, folder))).To(Equal(comparable(parse(mustHelm(ctx, arguments...)))))
},
	Entry("for the whole cluster", "default", SpecTimeout(patience)),
	Entry("for one namespace", "namespaced", "watchNamespaces={default}", SpecTimeout(patience)),
	Entry("with monitoring", "default-with-prometheus", "metrics.serviceMonitor.enabled=true", "metrics.prometheusRule.enabled=true",
		"metrics.dashboard.enabled=true", SpecTimeout(patience)),
)
