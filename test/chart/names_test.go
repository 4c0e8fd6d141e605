package chart

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/test/testenv"
)

var _ = Describe("The objects' names", func() {
	BeforeEach(func() { Expect(testenv.InstallCRDs(config)).To(Succeed()) })

	// everyObject is what there is with all that may be made.
	everyObject := func(ctx SpecContext, name string, settings ...string) []*unstructured.Unstructured {
		GinkgoHelper()
		arguments := []string{"template", name, chartPath, "--values", "values/monitoring.yaml", "--values", "values/namespaced.yaml",
			"--set", "admissionWarnings.enabled=true", "--set", "rbac.aggregate=true", "--set", "networkPolicy.enabled=true"}
		for _, setting := range settings {
			arguments = append(arguments, "--set", setting)
		}
		return parse(mustHelm(ctx, arguments...))
	}
	// identities gives each object once, with the release's name as it is cut replaced by what is shown for it.
	identities := func(objects []*unstructured.Unstructured, base string) []string {
		GinkgoHelper()
		var found []string
		for _, object := range objects {
			name := object.GetName()
			Expect(len(name)).To(BeNumerically("<=", 63), name)
			if object.GetKind() != "CustomResourceDefinition" {
				Expect(name).To(HavePrefix(base))
			}
			found = append(found, object.GetKind()+" "+object.GetNamespace()+"/"+strings.Replace(name, base, "NAME", 1))
		}
		return found
	}

	DescribeTable("are whole, and no two are one, however long the release's is", func(ctx SpecContext, name, base string, settings ...string) {
		objects := everyObject(ctx, name, settings...)
		Expect(identities(objects, base)).To(Equal(identities(everyObject(ctx, release), release)), "the suffix of each is whole")
		taken := map[string]bool{}
		strict := client.WithFieldValidation(kube, metav1.FieldValidationStrict)
		for _, object := range objects {
			identity := object.GetKind() + " " + object.GetNamespace() + "/" + object.GetName()
			Expect(taken).NotTo(HaveKey(identity))
			taken[identity] = true
			if object.GetKind() == "Pod" {
				continue // that of helm test: its account is not there in a dry run
			}
			Expect(strict.Patch(ctx, object, client.Apply, client.DryRunAll, client.ForceOwnership, client.FieldOwner("chart-test"))).To(Succeed(), identity) //nolint:staticcheck // Of any kind.
		}
	},
		Entry("the longest that helm takes", strings.Repeat("r", 53), strings.Repeat("r", 48), SpecTimeout(patience)),
		Entry("the longest that the values take", "short", strings.Repeat("f", 48), "fullnameOverride="+strings.Repeat("f", 63), SpecTimeout(patience)),
		Entry("one that is cut beside a hyphen", "short", strings.Repeat("f", 47), "fullnameOverride="+strings.Repeat("f", 47)+"-"+strings.Repeat("g", 15), SpecTimeout(patience)),
		Entry("one that is cut within the chart's", strings.Repeat("r", 40), strings.Repeat("r", 40)+"-kong-jw", SpecTimeout(patience)),
	)
})
