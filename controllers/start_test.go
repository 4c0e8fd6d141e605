package controllers_test

import (
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

// reconciles are those of consumers so far, by all operators of this process.
func reconciles() (sum float64) {
	GinkgoHelper()
	families, err := metrics.Registry.Gather()
	Expect(err).NotTo(HaveOccurred())
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				if family.GetName() == "controller_runtime_reconcile_total" && label.GetValue() == "jwtconsumer" {
					sum += metric.GetCounter().GetValue()
				}
			}
		}
	}
	return sum
}

var _ = Describe("A start", func() {
	It("looks at each consumer once, when it is known what Kong holds", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		ready(ctx, w.many(ctx, "known", 3)...)
		w.operator.Stop()
		w.kong.Faults.Set(1, kongsim.Fault{Methods: []string{http.MethodGet}, Latency: 200 * time.Millisecond})
		before := reconciles()
		w.operator = startOperator(w.name)
		Eventually(reconciles).WithTimeout(soon).WithPolling(poll).Should(BeNumerically(">=", before+3))
		Consistently(reconciles).WithTimeout(quiet).WithPolling(poll).Should(Equal(before + 3))
	})

	It("does not wait for a Kong that does not answer", func(ctx SpecContext) {
		dead, err := kongsim.Start(kongsim.Options{})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(dead.Close)
		w := newWorld(ctx, kongsim.Options{})
		consumer := w.many(ctx, "leaves", 1)[0].(*v1alpha1.JwtConsumer)
		other := w.gateway.DeepCopy()
		other.ObjectMeta = metav1.ObjectMeta{Name: w.name + "-dead"}
		other.Spec.AdminAPI.URL, other.Spec.AdminAPI.Timeout = dead.AdminURL(), "1m"
		create(ctx, other)
		ready(ctx, consumer, other)
		w.operator.Stop()
		dead.Faults.Set(1, kongsim.Fault{Latency: time.Minute})
		DeferCleanup(func(ctx SpecContext) {
			Expect(kube.Delete(ctx, other)).To(Succeed())
			change(ctx, other, func(g *v1alpha1.KongGateway) { g.Finalizers = nil })
		})
		change(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Spec.Revoked = true })
		w.operator = startOperator(w.name)
		Eventually(func() []any { return w.values(ctx, "jwts", "key") }).WithTimeout(soon).WithPolling(poll).Should(BeEmpty(), "what is revoked goes")
	})
})
