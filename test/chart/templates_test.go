package chart

import (
	"path/filepath"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/kongjwt/kong-jwt-operator/test/testenv"
)

var _ = Describe("The templates", func() {
	BeforeEach(func() { Expect(testenv.InstallCRDs(config)).To(Succeed()) })

	It("pass helm's strict lint, and the API server's schemas, with every set of values", func(ctx SpecContext) {
		for _, values := range valueSets() {
			mustHelm(ctx, "lint", "--strict", chartPath, "--values", values)
			objects := render(ctx, values)
			Expect(len(objects)).To(BeNumerically(">", 8), values)
			for _, object := range objects {
				// Strict: a field that no schema knows is refused.
				strict := client.WithFieldValidation(kube, metav1.FieldValidationStrict)
				err := strict.Patch(ctx, object, client.Apply, client.DryRunAll, client.ForceOwnership, client.FieldOwner("chart-test")) //nolint:staticcheck // Of any kind.
				Expect(err).NotTo(HaveOccurred(), "%s: %s %s", values, object.GetKind(), object.GetName())
			}
		}
	}, SpecTimeout(patience))

	It("make pods that the restricted standard admits, with every set of values", func(ctx SpecContext) {
		for _, values := range valueSets() {
			for _, object := range render(ctx, values) {
				if object.GetKind() != "Deployment" {
					continue
				}
				var deployment appsv1.Deployment
				Expect(runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &deployment)).To(Succeed())
				spec := deployment.Spec.Template.Spec
				// Its account is not there in a dry run.
				spec.ServiceAccountName, spec.AutomountServiceAccountToken = "", new(bool)
				// A class that only kube-system's and quota's namespaces have by default is not what
				// is asked here.
				spec.PriorityClassName = ""
				pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "pod"}, Spec: spec}
				account := &corev1.ServiceAccount{}
				Eventually(kube.Get).WithContext(ctx).WithArguments(client.ObjectKey{Namespace: namespace, Name: "default"}, account).Should(Succeed())
				Expect(kube.Create(ctx, pod, client.DryRunAll)).To(Succeed(), values)
			}
		}
	}, SpecTimeout(patience))

	It("refuse values that no template reads", func(ctx SpecContext) {
		for setting, complaint := range map[string]string{
			"replica=2":           "replica",
			"replicas=two":        "replicas",
			"image.digest=latest": "digest",
			"log.level=trace":     "level",
			"metrics.port=80":     "port",
		} {
			out, err := helm(ctx, "template", release, chartPath, "--set", setting)
			Expect(err).To(HaveOccurred(), setting)
			Expect(out).To(ContainSubstring(complaint))
		}
	}, SpecTimeout(patience))

	It("refuse a PodMonitor that could not authenticate, and make one that can", func(ctx SpecContext) {
		monitor := []string{"template", release, chartPath, "--set", "metrics.podMonitor.enabled=true"}
		for _, secret := range []string{"metrics.podMonitor.tokenSecret=null", "metrics.podMonitor.tokenSecret.name=reader"} {
			out, err := helm(ctx, append(slices.Clone(monitor), "--set", secret)...)
			Expect(err).To(HaveOccurred(), secret)
			Expect(out).To(ContainSubstring("metrics.podMonitor.tokenSecret: name the key of a Secret"))
			Expect(parse(mustHelm(ctx, append(slices.Clone(monitor), "--set", secret, "--set", "metrics.enabled=false")...))).
				NotTo(ContainElement(HaveField("GetKind()", "PodMonitor")))
		}
		Expect(parse(mustHelm(ctx, append(slices.Clone(monitor), "--set", "metrics.podMonitor.tokenSecret.name=reader,metrics.podMonitor.tokenSecret.key=token")...))).
			To(ContainElement(HaveField("GetKind()", "PodMonitor")))
	}, SpecTimeout(patience))

	It("give rights on an ingress controller's objects only where it is enabled", func(ctx SpecContext) {
		const group = "configuration.konghq.com"
		Expect(mustHelm(ctx, "template", release, chartPath)).NotTo(ContainSubstring(group))
		Expect(mustHelm(ctx, "template", release, chartPath, "--set", "ingressController.enabled=true")).To(ContainSubstring(group))
	}, SpecTimeout(patience))

	It("give a ServiceMonitor a token that reads metrics alone, and never Prometheus's own", func(ctx SpecContext) {
		monitor := []string{"template", release, chartPath, "--set", "metrics.serviceMonitor.enabled=true"}
		rendered := mustHelm(ctx, monitor...)
		Expect(rendered).NotTo(ContainSubstring("bearerTokenFile"))
		const name = release + "-monitor"
		seen := map[string]bool{}
		for _, object := range parse(rendered) {
			seen[object.GetKind()+" "+object.GetName()] = true
			switch object.GetKind() + " " + object.GetName() {
			case "Secret " + name:
				Expect(object.GetAnnotations()).To(HaveKeyWithValue("kubernetes.io/service-account.name", name))
			case "ClusterRoleBinding " + name:
				Expect(object.Object["roleRef"]).To(HaveKeyWithValue("name", release+"-metrics-reader"))
			case "ServiceMonitor " + release:
				Expect(object.Object["spec"]).To(HaveKeyWithValue("endpoints", ConsistOf(HaveKeyWithValue("authorization",
					map[string]any{"credentials": map[string]any{"name": name, "key": "token"}}))))
			}
		}
		for _, needed := range []string{"Secret " + name, "ServiceAccount " + name, "ClusterRoleBinding " + name, "ServiceMonitor " + release} {
			Expect(seen).To(HaveKey(needed))
		}
		out, err := helm(ctx, append(slices.Clone(monitor), "--set", "metrics.reader.create=false")...)
		Expect(err).To(HaveOccurred())
		Expect(out).To(ContainSubstring("metrics.serviceMonitor.tokenSecret: name the key of a Secret"))
		own := append(monitor, "--set", "metrics.serviceMonitor.tokenSecret.name=reader,metrics.serviceMonitor.tokenSecret.key=token")
		Expect(parse(mustHelm(ctx, own...))).NotTo(ContainElement(HaveField("GetName()", name)))
	}, SpecTimeout(patience))

	It("make alerts where there are metrics, and none of metrics that are off", func(ctx SpecContext) {
		alerting := []string{"template", release, chartPath, "--set", "metrics.prometheusRule.enabled=true"}
		rule := HaveField("GetKind()", "PrometheusRule")
		Expect(parse(mustHelm(ctx, alerting...))).To(ContainElement(rule))
		Expect(parse(mustHelm(ctx, append(alerting, "--set", "metrics.enabled=false")...))).NotTo(ContainElement(rule))
	}, SpecTimeout(patience))

	It("make no policy of warnings where these are off", func(ctx SpecContext) {
		named := HaveField("GetKind()", HavePrefix("ValidatingAdmissionPolicy"))
		Expect(render(ctx, "values/default.yaml")).To(ContainElement(named))
		Expect(render(ctx, "values/namespaced.yaml")).NotTo(ContainElement(named))
	}, SpecTimeout(patience))

	It("render under another name", func(ctx SpecContext) {
		for _, object := range parse(mustHelm(ctx, "template", "other", chartPath)) {
			if object.GetKind() == "CustomResourceDefinition" {
				continue
			}
			Expect(object.GetName()).To(HavePrefix("other-kong-jwt-operator"))
			Expect(object.GetLabels()).To(HaveKeyWithValue("app.kubernetes.io/instance", "other"))
		}
	}, SpecTimeout(patience))

	It("give every object its labels", func(ctx SpecContext) {
		for _, object := range render(ctx, "values/full.yaml") {
			Expect(object.GetLabels()).To(HaveKeyWithValue("cost-center", "42"), object.GetKind())
		}
	}, SpecTimeout(patience))

	It("name what Artifact Hub shows as it is", func(ctx SpecContext) {
		metadata := read(filepath.Join(chartPath, "Chart.yaml"))
		version, _, _ := unstructured.NestedString(metadata, "appVersion")
		annotations, _, err := unstructured.NestedStringMap(metadata, "annotations")
		Expect(err).NotTo(HaveOccurred())
		Expect(annotations["artifacthub.io/images"]).To(ContainSubstring("kong-jwt-operator:v" + version))
		files, err := filepath.Glob(filepath.Join(chartPath, "files/crds/*.yaml"))
		Expect(err).NotTo(HaveOccurred())
		for _, file := range files {
			name, _, _ := unstructured.NestedString(read(file), "metadata", "name")
			Expect(annotations["artifacthub.io/crds"]).To(ContainSubstring("name: " + name))
		}
		Expect(strings.Count(annotations["artifacthub.io/crds"], "kind:")).To(Equal(len(files)))

		var examples []map[string]any
		Expect(yaml.Unmarshal([]byte(annotations["artifacthub.io/crdsExamples"]), &examples)).To(Succeed())
		var kinds []string
		for _, example := range examples {
			object := &unstructured.Unstructured{Object: example}
			kinds = append(kinds, object.GetKind())
			strict := client.WithFieldValidation(kube, metav1.FieldValidationStrict)
			Expect(strict.Patch(ctx, object, client.Apply, client.DryRunAll, client.FieldOwner("chart-test"))).To(Succeed(), object.GetKind()) //nolint:staticcheck // Of any kind.
		}
		Expect(kinds).To(ConsistOf("KongGateway", "JwtConsumer", "JwtProtectedService", "JwtToken"))
	}, SpecTimeout(patience))
})
