package chart

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
	"github.com/kongjwt/kong-jwt-operator/test/testenv"
)

// applyAs applies as a GitOps tool does. The object becomes what the API server answers.
func applyAs(ctx context.Context, manager string, object *unstructured.Unstructured) error {
	object.SetManagedFields(nil)
	return kube.Patch(ctx, object, client.Apply, client.ForceOwnership, client.FieldOwner(manager)) //nolint:staticcheck // Of any kind.
}

// samples gives the objects of files, those of several kinds in the order in which they are written.
func samples(patterns ...string) []*unstructured.Unstructured {
	GinkgoHelper()
	var objects []*unstructured.Unstructured
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		Expect(err).NotTo(HaveOccurred())
		Expect(files).NotTo(BeEmpty(), pattern)
		for _, file := range files {
			content, err := os.ReadFile(file)
			Expect(err).NotTo(HaveOccurred())
			objects = append(objects, parse(string(content))...)
		}
	}
	return objects
}

var _ = Describe("What GitOps applies", func() {
	It("stays as it was applied, and kstatus understands it", func(ctx SpecContext) {
		Expect(testenv.InstallCRDs(config)).To(Succeed())
		kong, err := kongsim.Start(kongsim.Options{})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(kong.Close)
		startOperator(ctx, "values/default.yaml")

		waves := samples("../../argocd/examples/sync-waves.yaml")
		Expect(unstructured.SetNestedField(waves[0].Object, kong.AdminURL(), "spec", "adminAPI", "url")).To(Succeed())
		all := append(waves, samples("../../config/samples/full/*.yaml")...)
		applied := make([]*unstructured.Unstructured, len(all))
		for i, object := range all {
			answer := object.DeepCopy()
			Expect(applyAs(ctx, "argocd-controller", answer)).To(Succeed())
			applied[i] = answer
		}
		DeferCleanup(func(ctx SpecContext) { takeAway(ctx, applied) })

		for i := range waves {
			Eventually(func(g Gomega) {
				g.Expect(fares(ctx, g, applied[i]).Status).To(Equal(status.CurrentStatus))
			}).WithContext(ctx).Should(Succeed(), waves[i].GetKind())
		}
		for i, answer := range applied {
			var live *unstructured.Unstructured
			Eventually(func(g Gomega) {
				live = answer.DeepCopy()
				g.Expect(kube.Get(ctx, client.ObjectKeyFromObject(live), live)).To(Succeed())
				conditions, _, _ := unstructured.NestedSlice(live.Object, "status", "conditions")
				g.Expect(conditions).NotTo(BeEmpty(), "the operator has looked at it")
			}).WithContext(ctx).Should(Succeed(), answer.GetKind())
			name := answer.GetKind() + " " + answer.GetName()
			Expect(live.Object["spec"]).To(Equal(answer.Object["spec"]), name)
			Expect(live.GetGeneration()).To(Equal(answer.GetGeneration()), name)
			Expect(live.GetLabels()).To(Equal(answer.GetLabels()), name)
			Expect(live.GetAnnotations()).To(Equal(answer.GetAnnotations()), name)
			// Owned as before: nobody took a field over, so nothing is shown as out of sync.
			Expect(ownedBy(live, "argocd-controller")).To(Equal(ownedBy(answer, "argocd-controller")), name)
			// What Argo CD asks to find a difference: the same again, for trial.
			again := all[i].DeepCopy()
			again.SetManagedFields(nil)
			Expect(kube.Patch(ctx, again, client.Apply, client.DryRunAll, client.FieldOwner("argocd-controller"))).To(Succeed(), "%s: no conflict", name) //nolint:staticcheck // Of any kind.
			Expect(again.Object["spec"]).To(Equal(live.Object["spec"]), name)
		}
	}, SpecTimeout(2*patience))

	It("is InProgress while Kong is away, and Failed where somebody has to act", func(ctx SpecContext) {
		Expect(testenv.InstallCRDs(config)).To(Succeed())
		startOperator(ctx, "values/default.yaml")
		objects := parse(strings.ReplaceAll(`
apiVersion: kongjwt.dev/v1alpha1
kind: KongGateway
metadata: {name: away}
spec: {adminAPI: {url: "http://127.0.0.1:1"}, allowedNamespaces: {from: All}}
---
apiVersion: kongjwt.dev/v1alpha1
kind: JwtConsumer
metadata: {name: lost, namespace: team-a}
spec: {gatewayRef: {name: nowhere}}
---
apiVersion: kongjwt.dev/v1alpha1
kind: JwtToken
metadata: {name: lost, namespace: team-a}
spec: {consumerRef: {name: nobody, credential: a}, secretName: lost}
`, "\t", ""))
		for _, object := range objects {
			Expect(applyAs(ctx, "kustomize-controller", object)).To(Succeed())
		}
		DeferCleanup(func(ctx SpecContext) { takeAway(ctx, objects) })
		for i, expected := range []status.Status{status.InProgressStatus, status.FailedStatus, status.FailedStatus} {
			Eventually(func(g Gomega) {
				result := fares(ctx, g, objects[i])
				g.Expect(result.Status).To(Equal(expected), result.Message)
				g.Expect(result.Message).NotTo(BeEmpty())
			}).WithContext(ctx).Should(Succeed(), objects[i].GetKind())
		}
	}, SpecTimeout(2*patience))
})

// fares reads an object and gives what kstatus, and so Flux and kubectl wait, make of it.
func fares(ctx context.Context, g Gomega, object *unstructured.Unstructured) *status.Result {
	live := object.DeepCopy()
	g.Expect(kube.Get(ctx, client.ObjectKeyFromObject(live), live)).To(Succeed())
	conditions, _, _ := unstructured.NestedSlice(live.Object, "status", "conditions")
	g.Expect(conditions).NotTo(BeEmpty())
	result, err := status.Compute(live)
	g.Expect(err).NotTo(HaveOccurred())
	return result
}

func ownedBy(object *unstructured.Unstructured, manager string) string {
	for _, entry := range object.GetManagedFields() {
		if entry.Manager == manager && entry.Subresource == "" {
			return entry.FieldsV1.GetRawString()
		}
	}
	return ""
}

// takeAway deletes objects, those that others use last, whoever looks after their finalizers.
func takeAway(ctx context.Context, objects []*unstructured.Unstructured) {
	GinkgoHelper()
	for _, object := range objects {
		Expect(client.IgnoreNotFound(kube.Delete(ctx, object))).To(Succeed())
		patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))
		Expect(client.IgnoreNotFound(kube.Patch(ctx, object, patch))).To(Succeed())
	}
}
