package chart

import (
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
