package chart

import (
	"os"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

var _ = DescribeTable("A value lands where it should", func(ctx SpecContext, setting, kind string, path []string, wanted any) {
	for _, object := range parse(mustHelm(ctx, "template", release, chartPath, "--set-json", setting)) {
		if object.GetKind() == kind {
			value, found, err := unstructured.NestedFieldNoCopy(object.Object, path...)
			Expect(err).NotTo(HaveOccurred())
			Expect(found).To(BeTrue())
			if list, ok := value.([]any); ok {
				value = list[len(list)-1]
			}
			Expect(value).To(BeEquivalentTo(wanted))
			return
		}
	}
	Fail("no " + kind)
},
	onDeployment(`deploymentAnnotations={"a":"b"}`, "b", "metadata", "annotations", "a"),
	onDeployment(`strategy={"type":"Recreate"}`, "Recreate", "spec", "strategy", "type"),
	onDeployment(`revisionHistoryLimit=0`, 0, "spec", "revisionHistoryLimit"),
	onPod(`runtimeClassName="gvisor"`, "gvisor", "runtimeClassName"),
	onPod(`schedulerName="other"`, "other", "schedulerName"),
	onPod(`dnsPolicy="None"`, "None", "dnsPolicy"),
	onPod(`dnsConfig={"nameservers":["192.0.2.1"]}`, "192.0.2.1", "dnsConfig", "nameservers"),
	onPod(`hostAliases=[{"ip":"192.0.2.1"}]`, map[string]any{"ip": "192.0.2.1"}, "hostAliases"),
	onPod(`initContainers=[{"name":"first"}]`, map[string]any{"name": "first"}, "initContainers"),
	onPod(`extraContainers=[{"name":"beside"}]`, map[string]any{"name": "beside"}, "containers"),
	onPod(`automountServiceAccountToken=false`, false, "automountServiceAccountToken"),
	onPod(`openshift=true`, map[string]any{"runAsNonRoot": true, "seccompProfile": map[string]any{"type": "RuntimeDefault"}}, "securityContext"),
	onPod(`global={"imagePullSecrets":["mirror"]}`, map[string]any{"name": "mirror"}, "imagePullSecrets"),
	onPod(`global={"imagePullSecrets":[{"name":"mirror"}]}`, map[string]any{"name": "mirror"}, "imagePullSecrets"),
	onTest(`nodeSelector={"a":"b"}`, "b", "nodeSelector", "a"),
	onTest(`tolerations=[{"key":"a"}]`, map[string]any{"key": "a"}, "tolerations"),
	onTest(`affinity={"nodeAffinity":{"a":"b"}}`, "b", "affinity", "nodeAffinity", "a"),
	onTest(`priorityClassName="high"`, "high", "priorityClassName"),
	onTest(`runtimeClassName="gvisor"`, "gvisor", "runtimeClassName"),
	onTest(`dnsPolicy="None"`, "None", "dnsPolicy"),
	onTest(`hostAliases=[{"ip":"192.0.2.1"}]`, map[string]any{"ip": "192.0.2.1"}, "hostAliases"),
	onTest(`extraVolumes=[{"name":"a"}]`, map[string]any{"name": "a"}, "volumes"),
	onTest(`automountServiceAccountToken=false`, false, "automountServiceAccountToken"),
	onTest(`global={"imagePullSecrets":["mirror"]}`, map[string]any{"name": "mirror"}, "imagePullSecrets"),
	onDeployment(`namespaceOverride="elsewhere"`, "elsewhere", "metadata", "namespace"),
	Entry("metrics.service.annotations", `metrics.service.annotations={"a":"b"}`, "Service", []string{"metadata", "annotations", "a"}, "b",
		SpecTimeout(patience)),
	Entry("metrics.serviceMonitor.relabelings", `metrics.serviceMonitor={"enabled":true,"scrapeTimeout":"5s","relabelings":[{"action":"drop"}]}`,
		"ServiceMonitor", []string{"spec", "endpoints"}, map[string]any{
			"port": "metrics", "scheme": "https", "path": "/metrics", "interval": "30s", "scrapeTimeout": "5s",
			"authorization": map[string]any{"credentials": map[string]any{"name": release + "-monitor", "key": "token"}}, "tlsConfig": map[string]any{"insecureSkipVerify": true},
			"relabelings": []any{map[string]any{"action": "drop"}},
		}, SpecTimeout(patience)),
	Entry("serviceAccount.labels", `serviceAccount.labels={"a":"b"}`, "ServiceAccount", []string{"metadata", "labels", "a"}, "b", SpecTimeout(patience)),
	Entry("extraObjects", `extraObjects=[{"kind":"Extra","metadata":{"name":"{{ .Release.Name }}"}}]`, "Extra", []string{"metadata", "name"},
		release, SpecTimeout(patience)),
)

func onDeployment(setting string, wanted any, path ...string) TableEntry {
	return Entry(setting, setting, "Deployment", path, wanted, SpecTimeout(patience))
}

func onPod(setting string, wanted any, path ...string) TableEntry {
	return onDeployment(setting, wanted, append([]string{"spec", "template", "spec"}, path...)...)
}

// onTest is about the pod of helm test.
func onTest(setting string, wanted any, path ...string) TableEntry {
	return Entry("helm test: "+setting, setting, "Pod", append([]string{"spec"}, path...), wanted, SpecTimeout(patience))
}

var _ = DescribeTable("A parent chart's registry stands in place of the image's own", func(ctx SpecContext, repository, wanted string) {
	for _, object := range parse(mustHelm(ctx, "template", release, chartPath, "--set", "global.imageRegistry=mirror.example.com/proxy,image.repository="+repository+",image.tag=v1")) {
		if object.GetKind() == "Deployment" {
			containers, _, err := unstructured.NestedSlice(object.Object, "spec", "template", "spec", "containers")
			Expect(err).NotTo(HaveOccurred())
			Expect(containers[0]).To(HaveKeyWithValue("image", wanted))
			return
		}
	}
	Fail("no Deployment")
},
	Entry("with a host", "ghcr.io/kongjwt/kong-jwt-operator", "mirror.example.com/proxy/kongjwt/kong-jwt-operator:v1", SpecTimeout(patience)),
	Entry("with a port", "localhost:5000/operator", "mirror.example.com/proxy/operator:v1", SpecTimeout(patience)),
	Entry("without", "kongjwt/kong-jwt-operator", "mirror.example.com/proxy/kongjwt/kong-jwt-operator:v1", SpecTimeout(patience)),
)

var _ = It("A chart that has this one as a dependency leaves it out by its condition", func(ctx SpecContext) {
	parent := GinkgoT().TempDir()
	Expect(os.CopyFS(filepath.Join(parent, "charts", "kong-jwt-operator"), os.DirFS(chartPath))).To(Succeed())
	const about = `{"apiVersion": "v2", "name": "platform", "version": "1.0.0", "dependencies": [
		{"name": "kong-jwt-operator", "version": ">=0.0.0-0", "condition": "kong-jwt-operator.enabled"}]}`
	Expect(os.WriteFile(filepath.Join(parent, "Chart.yaml"), []byte(about), 0o600)).To(Succeed())
	Expect(parse(mustHelm(ctx, "template", release, parent))).NotTo(BeEmpty())
	Expect(parse(mustHelm(ctx, "template", release, parent, "--set", "kong-jwt-operator.enabled=false"))).To(BeEmpty())
}, SpecTimeout(patience))

var _ = It("The namespace of all objects is namespaceOverride's", func(ctx SpecContext) {
	for _, object := range parse(mustHelm(ctx, "template", release, chartPath, "--namespace", "here", "--values", "values/full.yaml",
		"--set", "namespaceOverride=elsewhere")) {
		Expect(object.GetNamespace()).NotTo(Equal("here"), "%s %s", object.GetKind(), object.GetName())
		if object.GetKind() == "ClusterRoleBinding" {
			Expect(object.Object["subjects"]).To(ContainElement(HaveKeyWithValue("namespace", "elsewhere")), object.GetName())
		}
	}
}, SpecTimeout(patience))
