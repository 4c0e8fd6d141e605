package controllers_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

// many makes consumers of one Secret.
func (w *world) many(ctx context.Context, prefix string, count int, change ...func(*v1alpha1.JwtConsumer)) []client.Object {
	GinkgoHelper()
	create(ctx, w.secret(prefix+"-jwt", map[string]string{"secret": longSecret}))
	var made []client.Object
	for i := range count {
		consumer := w.consumer(fmt.Sprintf("%s-%d", prefix, i), func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials[0].SecretRef.Name = prefix + "-jwt"
		})
		for _, f := range change {
			f(consumer)
		}
		create(ctx, consumer)
		made = append(made, consumer)
	}
	return made
}

// howManyReady counts the consumers of a gateway that are Ready.
func (w *world) howManyReady(ctx context.Context, gateway string) int {
	GinkgoHelper()
	var list v1alpha1.JwtConsumerList
	Expect(kube.List(ctx, &list, client.InNamespace(w.namespace))).To(Succeed())
	count := 0
	for _, c := range list.Items {
		if c.Spec.GatewayRef.Name == gateway && apimeta.IsStatusConditionTrue(c.Status.Conditions, v1alpha1.ConditionReady) {
			count++
		}
	}
	return count
}

var _ = Describe("A gateway in trouble", func() {
	It("is asked a bounded number of times, however much waits for it", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		consumers := w.many(ctx, "waits", 50)
		ready(ctx, consumers...)
		w.kong.Faults.Set(1, kongsim.Fault{Status: http.StatusServiceUnavailable})
		stalled(ctx, w.gateway, v1alpha1.ReasonKongUnreachable, Not(BeEmpty()))
		w.kong.ResetRequests()
		began := time.Now()
		for _, consumer := range consumers {
			change(ctx, consumer.(*v1alpha1.JwtConsumer), func(c *v1alpha1.JwtConsumer) { c.Spec.Groups = []string{"new"} })
		}
		// A look every 200 ms, here, and every 5 s in production. Each asks for the node and for the status, a
		// few times.
		const window, look, most = 3 * time.Second, 200 * time.Millisecond, 5
		Consistently(func() int { return len(w.kong.Requests()) - most*int(time.Since(began)/look) }).
			WithTimeout(window).WithPolling(poll).Should(BeNumerically("<=", most))
		Expect(w.writes()).To(BeZero(), "nothing is written to a Kong that does not answer")
		w.kong.Faults.Set(1)
		Eventually(func() int { return len(w.groups(ctx)) }).WithTimeout(time.Minute).WithPolling(poll).Should(Equal(len(consumers)))
	})

	It("that is slow does not slow a healthy one", func(ctx SpecContext) {
		other, err := kongsim.Start(kongsim.Options{})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(other.Close)
		w := newWorld(ctx, kongsim.Options{}, func(g *v1alpha1.KongGateway) { g.Spec.AdminAPI.Concurrency = 4 })
		healthy := w.gateway.DeepCopy()
		healthy.ObjectMeta = metav1.ObjectMeta{Name: w.name + "-healthy"}
		healthy.Spec.AdminAPI.URL = other.AdminURL()
		create(ctx, healthy)
		ready(ctx, w.gateway, healthy)
		// Four at a time, of two requests each: 40 s for all of them, however fast this machine is.
		w.kong.Faults.Set(1, kongsim.Fault{Methods: []string{http.MethodPut}, Latency: 2 * time.Second})
		w.many(ctx, "slow", 40)
		quick := w.many(ctx, "quick", 40, func(c *v1alpha1.JwtConsumer) { c.Spec.GatewayRef.Name = healthy.Name })
		DeferCleanup(func(ctx SpecContext) {
			w.kong.Faults.Set(1)
			for _, consumer := range quick {
				Expect(client.IgnoreNotFound(kube.Delete(ctx, consumer))).To(Succeed())
			}
			gone(ctx, healthy)
		})
		ready(ctx, quick...)
		Expect(w.howManyReady(ctx, w.name)).To(BeNumerically("<", 40), "the slow one is not done when the healthy one is")
	})

	It("that has thousands of writes to take still takes access away at once", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{}, func(g *v1alpha1.KongGateway) { g.Spec.AdminAPI.Concurrency = 4 })
		storm, leave := w.many(ctx, "storm", 120), w.many(ctx, "leaves", 4)
		ready(ctx, slices.Concat(storm, leave)...)
		var taken []any
		for _, consumer := range leave {
			taken = append(taken, consumer.(*v1alpha1.JwtConsumer).Status.Credentials[0].KongID)
		}
		for _, id := range w.values(ctx, "jwts", "id") {
			if !slices.Contains(taken, id) {
				Expect(w.send(ctx, http.MethodDelete, "/jwts/"+id.(string), nil)).To(Equal(http.StatusNoContent))
			}
		}
		there := func() int { return len(w.list(ctx, "jwts")) }
		// Four at a time: 30 s for all of them, however fast this machine is.
		w.kong.Faults.Set(1, kongsim.Fault{Methods: []string{http.MethodPut}, Latency: time.Second})
		w.askFor(ctx, w.gateway)
		Eventually(there).WithTimeout(soon).WithPolling(poll).Should(BeNumerically(">", len(taken)), "the storm has begun")
		for _, consumer := range leave {
			Expect(kube.Delete(ctx, consumer)).To(Succeed())
		}
		Eventually(func() []any { return w.values(ctx, "jwts", "id") }).WithTimeout(soon).WithPolling(poll).
			ShouldNot(ContainElement(BeElementOf(taken...)))
		Expect(there()).To(BeNumerically("<", len(storm)/2), "the storm goes on")
		w.kong.Faults.Set(0)
		ready(ctx, storm...)
	})

	It("lets go of hundreds of resources that are deleted at once, their Secrets too", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		objects := w.many(ctx, "leaves", 150)
		for i := range 20 {
			service := w.service(fmt.Sprintf("leaves-%d", i))
			create(ctx, service)
			objects = append(objects, service)
		}
		Eventually(func() int { return len(w.list(ctx, "consumers")) + len(w.list(ctx, "services")) }).
			WithTimeout(time.Minute).WithPolling(poll).Should(BeNumerically(">", 100), "while some are still on their way")
		in := client.InNamespace(w.namespace)
		for _, kind := range []client.Object{&corev1.Secret{}, &v1alpha1.JwtConsumer{}, &v1alpha1.JwtProtectedService{}} {
			Expect(kube.DeleteAllOf(ctx, kind, in)).To(Succeed())
		}
		// How fast is for the machine to say: hundreds of deletions are thousands of requests.
		Eventually(func(g Gomega) {
			for _, list := range []v1alpha1.ResourceList{&v1alpha1.JwtConsumerList{}, &v1alpha1.JwtProtectedServiceList{}} {
				g.Expect(kube.List(ctx, list, in)).To(Succeed())
				for left := range list.Resources() {
					ready := apimeta.FindStatusCondition(*left.GetConditions(), v1alpha1.ConditionReady)
					g.Expect(left.GetName()).To(BeEmpty(), "%d are left; this one says %+v", apimeta.LenList(list), ready)
				}
			}
			for _, collection := range collections {
				g.Expect(w.list(ctx, collection)).To(BeEmpty(), collection)
			}
		}).WithTimeout(3 * time.Minute).WithPolling(poll).Should(Succeed())
	})
})

var _ = Describe("A status that a former leader wrote", func() {
	It("is put right: it does not speak of what is no more", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		consumer, service := w.many(ctx, "john", 1)[0].(*v1alpha1.JwtConsumer), w.service("api")
		create(ctx, service)
		ready(ctx, w.gateway, consumer, service)
		for object, conditions := range map[client.Object]*[]metav1.Condition{
			consumer: &consumer.Status.Conditions, service: &service.Status.Conditions, w.gateway: &w.gateway.Status.Conditions,
		} {
			before := object.DeepCopyObject().(client.Object)
			apimeta.SetStatusCondition(conditions, metav1.Condition{
				Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonKongUnreachable, Message: "as it was a moment ago",
			})
			Expect(kube.Status().Patch(ctx, object, client.MergeFrom(before))).To(Succeed())
			ready(ctx, object)
		}
	})
})

var _ = Describe("Whatever goes wrong with the Admin API", func() {
	writes := []string{http.MethodPut, http.MethodPost, http.MethodPatch, http.MethodDelete}

	DescribeTable("Kong ends with what the resources say: nothing is missing, left over or doubled", func(ctx SpecContext, faults ...kongsim.Fault) {
		w := newWorld(ctx, kongsim.Options{}, func(g *v1alpha1.KongGateway) { g.Spec.AdminAPI.Timeout, g.Spec.Drift.Interval = "1s", "5s" })
		ready(ctx, w.gateway)
		w.kong.Faults.Set(uint64(GinkgoRandomSeed()), faults...)
		consumers := w.many(ctx, "caller", 24)
		service := w.service("api")
		create(ctx, service)
		for i, object := range consumers {
			switch i % 3 {
			case 0:
				Expect(kube.Delete(ctx, object)).To(Succeed())
			case 1:
				change(ctx, object.(*v1alpha1.JwtConsumer), func(c *v1alpha1.JwtConsumer) { c.Spec.Groups = []string{"changed"} })
			}
		}
		Eventually(w.kong.CountWrites).WithTimeout(soon).WithPolling(poll).Should(BeNumerically(">", 20), "they are at work while it goes wrong")
		w.kong.Faults.Set(0)
		const left, changed = 16, 8
		Eventually(func(g Gomega) {
			g.Expect(w.howManyReady(ctx, w.name)).To(Equal(left))
			g.Expect(w.list(ctx, "consumers")).To(HaveLen(left))
			g.Expect(w.list(ctx, "jwts")).To(HaveLen(left))
			g.Expect(w.groups(ctx)).To(HaveLen(changed))
			g.Expect(w.list(ctx, "acls")).To(HaveLen(changed+2*left), "and the reserved ones")
			g.Expect(w.list(ctx, "plugins")).To(HaveLen(1))
		}).WithTimeout(time.Minute).WithPolling(poll).Should(Succeed())
		ready(ctx, w.gateway, service)
	},
		Entry("30% server errors", kongsim.Fault{Probability: 0.1, Status: 500}, kongsim.Fault{Probability: 0.1, Status: 502}, kongsim.Fault{Probability: 0.1, Status: 503}),
		Entry("connections that are cut before a request is processed", kongsim.Fault{Probability: 0.3, ResetBefore: true}),
		Entry("connections that are cut once a request was processed", kongsim.Fault{Methods: writes, Probability: 0.3, ResetAfter: true}),
		Entry("answers that never come", kongsim.Fault{Methods: writes, Probability: 0.1, Hang: true}),
		Entry("throttling", kongsim.Fault{Probability: 0.3, Status: http.StatusTooManyRequests, RetryAfter: time.Second}),
		Entry("slow pages", kongsim.Fault{Methods: []string{http.MethodGet}, Latency: 300 * time.Millisecond}),
	)
})
