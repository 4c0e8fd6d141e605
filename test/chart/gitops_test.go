package chart

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
	"github.com/kongjwt/kong-jwt-operator/test/testenv"
)

// sampleFiles are the samples with resources of ours, by their folder.
var sampleFiles = map[string]string{
	"existing-cluster": "../../config/samples/existing-cluster/*.yaml",
	"full":             "../../config/samples/full/*.yaml",
	"tutorial":         "../../config/samples/tutorial/*.yaml",
	"watch-use":        "../../config/samples/watch-use/*.yaml",
}

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
	DescribeTable("stays as it was applied, and kstatus understands it", func(ctx SpecContext, works bool, patterns ...string) {
		Expect(testenv.InstallCRDs(config)).To(Succeed())
		kong, err := kongsim.Start(kongsim.Options{})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(kong.Close)
		startOperator(ctx, "values/default.yaml")

		hasService(ctx, "default", "my-api")
		all := samples(patterns...)
		applied := make([]*unstructured.Unstructured, len(all))
		for i, object := range all {
			if object.GetKind() == "KongGateway" && works {
				Expect(unstructured.SetNestedField(object.Object, kong.AdminURL(), "spec", "adminAPI", "url")).To(Succeed())
			}
			answer := object.DeepCopy()
			Expect(applyAs(ctx, "argocd-controller", answer)).To(Succeed())
			applied[i] = answer
			if answer.GetKind() == "Namespace" {
				hasService(ctx, answer.GetName(), "orders")
			}
		}
		DeferCleanup(func(ctx SpecContext) { takeAway(ctx, applied) })

		ours := 0
		for i, answer := range applied {
			if answer.GroupVersionKind().Group != v1alpha1.GroupVersion.Group {
				continue
			}
			ours++
			if works {
				Eventually(func(g Gomega) {
					result := fares(ctx, g, answer)
					g.Expect(result.Status).To(Equal(status.CurrentStatus), result.Message)
				}).WithContext(ctx).Should(Succeed(), answer.GetKind())
			} else {
				Eventually(func(g Gomega) { fares(ctx, g, answer) }).WithContext(ctx).Should(Succeed(), "the operator has looked at it")
			}
			unchanged(ctx, all[i], answer)
		}
		Expect(ours).To(BeNumerically(">", 3))
	},
		Entry("as Argo CD's waves", true, "../../argocd/examples/sync-waves.yaml", SpecTimeout(2*patience)),
		Entry("with every field there is", false, sampleFiles["full"], SpecTimeout(2*patience)),
		Entry("as in the tutorial", true, sampleFiles["tutorial"], SpecTimeout(2*patience)),
		Entry("as on an existing cluster", true, sampleFiles["existing-cluster"], SpecTimeout(2*patience)),
		Entry("as where use is watched", true, "../../argocd/examples/sync-waves.yaml", sampleFiles["watch-use"], SpecTimeout(2*patience)),
	)

	It("is every sample with a resource of ours", func() {
		files, err := filepath.Glob("../../config/samples/*/*")
		Expect(err).NotTo(HaveOccurred())
		folders := map[string]bool{}
		for _, file := range files {
			folder := filepath.Base(filepath.Dir(file))
			if folder == "bank" || folder == "ingress-controller" {
				// A gateway alone: TestThePolicyOfABank, or test/e2e/ingress_tutorial_test.go;
				// test/crds applies both.
				continue
			}
			for _, object := range samples(file) {
				if object.GroupVersionKind().Group == v1alpha1.GroupVersion.Group {
					folders[folder] = true
					Expect(filepath.Match(sampleFiles[folder], file)).To(BeTrue(), "%s is not applied by the table above", file)
				}
			}
		}
		Expect(folders).To(HaveLen(len(sampleFiles)))
	})

	It("are Argo CD's own kinds by its schemas, and the operator's values by the chart's", func(ctx SpecContext) {
		applications := samples("../../argocd/examples/application.yaml", "../../argocd/examples/applicationset.yaml",
			"../../argocd/examples/appproject.yaml", operatorProject)
		takesStrictly(ctx, applications)
		project := samples(operatorProject)[0]
		for _, object := range renderValues(ctx, applications[0], "spec", "source", "helm", "valuesObject") {
			if object.GetAnnotations()["helm.sh/hook"] == "test" {
				continue // Argo CD makes none of Helm's tests.
			}
			Expect(object.GetAnnotations()).NotTo(HaveKey("helm.sh/hook"), "Argo CD orders objects itself")
			if object.GetNamespace() == "" {
				kind := object.GroupVersionKind().GroupKind()
				Expect(listed(project, "clusterResourceWhitelist")).To(ContainElement(map[string]any{"group": kind.Group, "kind": kind.Kind}))
			} else {
				Expect(listed(project, "destinations")).To(ContainElement(HaveKeyWithValue("namespace", object.GetNamespace())))
			}
		}
		version, _, _ := unstructured.NestedString(read(chartPath+"/Chart.yaml"), "version")
		asked, _, _ := unstructured.NestedString(applications[0].Object, "spec", "source", "targetRevision")
		Expect(asked).To(Equal(version))
	}, SpecTimeout(patience))

	It("leaves nothing that the AppProject of the operator calls an orphan", func(ctx SpecContext) {
		Expect(testenv.InstallCRDs(config)).To(Succeed())
		kong, err := kongsim.Start(kongsim.Options{})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(kong.Close)
		ignored := listed(samples(operatorProject)[0], "orphanedResources", "ignore")
		seeds := []string{"kong-jwt-operator-probe", "kong-jwt-operator-state"}
		for _, name := range seeds {
			seed := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
			Expect(client.IgnoreNotFound(kube.Delete(ctx, seed))).To(Succeed())
		}
		before := secretNames(ctx, Default)
		startOperator(ctx, "values/default.yaml")
		gateway := &v1alpha1.KongGateway{ObjectMeta: metav1.ObjectMeta{Name: "orphans"}, Spec: v1alpha1.KongGatewaySpec{
			AdminAPI:          v1alpha1.AdminAPI{URL: kong.AdminURL()},
			DataPlanes:        &v1alpha1.DataPlanes{URLs: []string{kong.ProxyURL()}},
			AllowedNamespaces: v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesAll},
		}}
		consumer := &v1alpha1.JwtConsumer{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "orphans"}, Spec: v1alpha1.JwtConsumerSpec{
			GatewayRef:  v1alpha1.GatewayReference{Name: gateway.Name},
			Credentials: []v1alpha1.Credential{{Name: "a", Algorithm: "HS256", Generate: &v1alpha1.Generate{SecretName: "orphans"}}},
		}}
		for _, object := range []client.Object{gateway, consumer} {
			Expect(kube.Create(ctx, object)).To(Succeed())
			DeferCleanup(func(ctx SpecContext) {
				Expect(kube.Delete(ctx, object)).To(Succeed())
				Eventually(func() error { return kube.Get(ctx, client.ObjectKeyFromObject(object), object) }).
					WithContext(ctx).Should(MatchError(apierrors.IsNotFound, "is gone"))
			})
		}
		var made []string
		Eventually(func(g Gomega) {
			made = slices.DeleteFunc(secretNames(ctx, g), func(name string) bool { return slices.Contains(before, name) })
			g.Expect(made).To(ContainElements(seeds))
		}).WithContext(ctx).Should(Succeed())
		for _, name := range made {
			Expect(ignored).To(ContainElement(map[string]any{"group": "", "kind": "Secret", "name": name}))
		}
	}, SpecTimeout(patience))

	It("are Flux's own kinds by its schemas, and the operator's values by the chart's", func(ctx SpecContext) {
		objects := samples("../../docs/examples/flux/operator.yaml", "../../docs/examples/flux/team.yaml")
		takesStrictly(ctx, objects)
		releases := 0
		for _, object := range objects {
			if object.GetKind() == "HelmRelease" {
				releases++
				renderValues(ctx, object, "spec", "values")
			}
		}
		Expect(releases).To(Equal(1))
	}, SpecTimeout(patience))

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

// operatorProject is the AppProject of the operator itself.
const operatorProject = "../../argocd/examples/operator-appproject.yaml"

// listed gives a list of an object's spec.
func listed(object *unstructured.Unstructured, path ...string) []any {
	GinkgoHelper()
	list, found, err := unstructured.NestedSlice(object.Object, append([]string{"spec"}, path...)...)
	Expect(err).NotTo(HaveOccurred())
	Expect(found).To(BeTrue(), "%s", path)
	return list
}

// secretNames are the names of the Secrets of the operator's namespace that have no owner.
func secretNames(ctx context.Context, g Gomega) []string {
	var secrets corev1.SecretList
	g.Expect(kube.List(ctx, &secrets, client.InNamespace(namespace))).To(Succeed())
	var names []string
	for i := range secrets.Items {
		if len(secrets.Items[i].OwnerReferences) == 0 {
			names = append(names, secrets.Items[i].Name)
		}
	}
	return names
}

// takesStrictly holds objects to the schemas of their kinds: no field is unknown.
func takesStrictly(ctx context.Context, objects []*unstructured.Unstructured) {
	GinkgoHelper()
	strict := client.WithFieldValidation(kube, metav1.FieldValidationStrict)
	for _, object := range objects {
		Expect(strict.Patch(ctx, object.DeepCopy(), client.Apply, client.DryRunAll, client.FieldOwner("test"))).To(Succeed(), object.GetKind()) //nolint:staticcheck // Of any kind.
	}
}

// renderValues renders the chart with the values that an object holds, which have it make one KongGateway.
func renderValues(ctx context.Context, object *unstructured.Unstructured, path ...string) []*unstructured.Unstructured {
	GinkgoHelper()
	values, found, err := unstructured.NestedMap(object.Object, path...)
	Expect(err).NotTo(HaveOccurred())
	Expect(found).To(BeTrue())
	content, err := yaml.Marshal(values)
	Expect(err).NotTo(HaveOccurred())
	file := filepath.Join(GinkgoT().TempDir(), "values.yaml")
	Expect(os.WriteFile(file, content, 0o600)).To(Succeed())
	rendered, gateways := render(ctx, file), 0
	for _, o := range rendered {
		if o.GetKind() == "KongGateway" {
			gateways++
		}
	}
	Expect(gateways).To(Equal(1))
	return rendered
}

// hasService makes a Service that samples protect.
func hasService(ctx context.Context, namespace, name string) {
	GinkgoHelper()
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 8080}}}}
	Expect(kube.Create(ctx, service)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) { Expect(client.IgnoreNotFound(kube.Delete(ctx, service))).To(Succeed()) })
}

// unchanged holds an object to what was applied: no field of its spec, and of its metadata none that was applied, is
// another, and nobody took one over.
func unchanged(ctx context.Context, written, answer *unstructured.Unstructured) {
	GinkgoHelper()
	name := answer.GetKind() + " " + answer.GetName()
	live := answer.DeepCopy()
	Expect(kube.Get(ctx, client.ObjectKeyFromObject(live), live)).To(Succeed())
	Expect(live.Object["spec"]).To(Equal(answer.Object["spec"]), name)
	Expect(live.GetGeneration()).To(Equal(answer.GetGeneration()), name)
	Expect(live.GetLabels()).To(Equal(answer.GetLabels()), name)
	Expect(live.GetAnnotations()).To(Equal(answer.GetAnnotations()), name)
	Expect(ownedBy(live, "argocd-controller")).To(Equal(ownedBy(answer, "argocd-controller")), name)
	// What Argo CD asks to find a difference: the same again, for trial.
	again := written.DeepCopy()
	again.SetManagedFields(nil)
	Expect(kube.Patch(ctx, again, client.Apply, client.DryRunAll, client.FieldOwner("argocd-controller"))).To(Succeed(), "%s: no conflict", name) //nolint:staticcheck // Of any kind.
	Expect(again.Object["spec"]).To(Equal(live.Object["spec"]), name)
}

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
