package chart

import (
	"context"
	"os"
	"os/exec"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
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
		if object.GetAnnotations()["helm.sh/hook"] == "test" {
			continue // it is for helm test
		}
		labels, annotations := object.GetLabels(), object.GetAnnotations()
		if object.GetKind() == "CustomResourceDefinition" {
			labels = nil // as they are generated
		}
		delete(labels, "helm.sh/chart")
		delete(labels, "app.kubernetes.io/managed-by")
		delete(annotations, "helm.sh/resource-policy")
		delete(annotations, syncOptions) // Argo CD's form of the same
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

var _ = Describe("kubectl apply -k", func() {
	It("makes an operator that works", func(ctx SpecContext) {
		removeDefinitions(ctx)
		DeferCleanup(func(ctx SpecContext) {
			for _, object := range kustomize(ctx, "default") {
				// The namespace is that of the other specs too.
				if object.GetKind() != "Namespace" && object.GetKind() != "CustomResourceDefinition" {
					Expect(client.IgnoreNotFound(kube.Delete(ctx, object))).To(Succeed())
				}
			}
			removeDefinitions(ctx)
		})
		shown := paste(ctx, "kubectl apply --server-side -k "+absolute("../../config/default"))
		Expect(shown).To(ContainSubstring("deployment.apps/kong-jwt-operator serverside-applied"))
		for _, name := range []string{"konggateways", "jwtconsumers", "jwtprotectedservices", "jwttokens"} {
			paste(ctx, "kubectl wait --for=condition=Established crd/"+name+".kongjwt.dev")
		}

		kong, err := kongsim.Start(kongsim.Options{})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(kong.Close)
		resources := parse(`
apiVersion: kongjwt.dev/v1alpha1
kind: KongGateway
metadata: {name: default}
spec: {adminAPI: {url: "` + kong.AdminURL() + `"}, allowedNamespaces: {from: All}}
---
apiVersion: kongjwt.dev/v1alpha1
kind: JwtConsumer
metadata: {name: john, namespace: team-a}
spec: {credentials: [{name: primary, generate: {secretName: john-jwt}}]}
`)
		DeferCleanup(func(ctx SpecContext) { takeAway(ctx, []*unstructured.Unstructured{resources[1], resources[0]}) })
		running := run(ctx, deployed(ctx))
		podsRun(ctx)
		paste(ctx, "kubectl -n kong-jwt-system rollout status deployment/kong-jwt-operator")
		for _, object := range resources {
			Expect(applyAs(ctx, "test", object)).To(Succeed())
		}
		for _, object := range resources {
			Eventually(func(g Gomega) {
				result := fares(ctx, g, object)
				g.Expect(result.Status).To(Equal(status.CurrentStatus), result.Message)
			}).WithContext(ctx).Should(Succeed(), object.GetKind())
		}
		Expect(os.ReadFile(running.log)).NotTo(ContainSubstring("forbidden"))
	}, SpecTimeout(2*patience))
})
