package chart

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
)

var _ = Describe("The memory that Go is told of", func() {
	// targets gives the values of GOMEMLIMIT, and the limit of the container.
	targets := func(ctx SpecContext, settings ...string) ([]string, *resource.Quantity) {
		GinkgoHelper()
		arguments := []string{"template", release, chartPath, "--show-only", "templates/deployment.yaml"}
		for _, setting := range settings {
			arguments = append(arguments, "--set-json", setting)
		}
		objects := parse(mustHelm(ctx, arguments...))
		Expect(objects).To(HaveLen(1))
		var deployment appsv1.Deployment
		Expect(runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(objects[0].Object, &deployment, true)).To(Succeed())
		container := deployment.Spec.Template.Spec.Containers[0]
		var found []string
		for _, variable := range container.Env {
			if variable.Name == "GOMEMLIMIT" {
				found = append(found, variable.Value)
			}
		}
		limit, limited := container.Resources.Limits[corev1.ResourceMemory]
		if !limited {
			return found, nil
		}
		return found, &limit
	}

	DescribeTable("is 90% of the limit", func(ctx SpecContext, settings ...string) {
		found, limit := targets(ctx, settings...)
		Expect(limit).NotTo(BeNil())
		Expect(found).To(HaveLen(1))
		target, err := resource.ParseQuantity(found[0])
		Expect(err).NotTo(HaveOccurred())
		Expect(found[0]).To(MatchRegexp("^[0-9]+$"), "bytes, as Go reads them")
		Expect(target.Value()).To(BeNumerically("~", float64(limit.Value())*0.9, 1))
	},
		Entry("by default", SpecTimeout(patience)),
		Entry("in Ki", `resources.limits.memory="300000Ki"`, SpecTimeout(patience)),
		Entry("in Mi", `resources.limits.memory="1000Mi"`, SpecTimeout(patience)),
		Entry("in Gi, and a fraction", `resources.limits.memory="1.5Gi"`, SpecTimeout(patience)),
		Entry("in k", `resources.limits.memory="300000k"`, SpecTimeout(patience)),
		Entry("in M", `resources.limits.memory="400M"`, SpecTimeout(patience)),
		Entry("in G", `resources.limits.memory="2G"`, SpecTimeout(patience)),
		Entry("in bytes", `resources.limits.memory="536870912"`, SpecTimeout(patience)),
		Entry("in bytes, as a number", `resources.limits.memory=536870912`, SpecTimeout(patience)),
	)

	DescribeTable("is nothing without a limit", func(ctx SpecContext, setting string) {
		found, limit := targets(ctx, setting)
		Expect(limit).To(BeNil())
		Expect(found).To(BeEmpty())
	},
		Entry("of memory", `resources.limits.memory=null`, SpecTimeout(patience)),
		Entry("of anything", `resources.limits=null`, SpecTimeout(patience)),
		Entry("and without requests", `resources=null`, SpecTimeout(patience)),
	)

	It("is what extraEnv says, once", func(ctx SpecContext) {
		found, _ := targets(ctx, `extraEnv=[{"name": "GOMEMLIMIT", "value": "1GiB"}]`)
		Expect(found).To(Equal([]string{"1GiB"}))
	}, SpecTimeout(patience))

	It("is not made up of a limit that is no quantity", func(ctx SpecContext) {
		out, err := helm(ctx, "template", release, chartPath, "--set", "resources.limits.memory=512MB")
		Expect(err).To(HaveOccurred())
		Expect(out).To(ContainSubstring(`resources.limits.memory: "512MB" is not understood`))
	}, SpecTimeout(patience))
})
