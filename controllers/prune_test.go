package controllers_test

import (
	"context"
	"fmt"
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	gomegatypes "github.com/onsi/gomega/types"
	eventsv1 "k8s.io/api/events/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

// vanish deletes a resource without letting its finalizer do anything: the operator is away, as it is in a restore.
func (w *world) vanish(ctx context.Context, objects ...client.Object) {
	GinkgoHelper()
	w.operator.Stop()
	for _, object := range objects {
		change(ctx, object, func(o client.Object) { o.SetFinalizers(nil) })
		gone(ctx, object)
	}
	w.operator = startOperator(w.name)
}

// look has the gateway listed once more.
func (w *world) look(ctx context.Context) {
	GinkgoHelper()
	change(ctx, w.gateway, func(g *v1alpha1.KongGateway) {
		g.Annotations = map[string]string{v1alpha1.AnnotationReconcile: fmt.Sprint(serial.Add(1))}
	})
}

// looking has the gateway listed again and again until what is expected holds.
func (w *world) looking(ctx context.Context, expected func(Gomega)) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		w.look(ctx)
		expected(g)
	}).WithTimeout(time.Minute).WithPolling(300 * time.Millisecond).Should(Succeed())
}

// keepsOrphans expects that the gateway says that it keeps orphans, or, without a reason, that it does not.
func (w *world) keepsOrphans(ctx context.Context, reason string, message gomegatypes.GomegaMatcher) func(Gomega) {
	return func(g Gomega) {
		condition := apimeta.FindStatusCondition(conditionsOf(ctx, g, w.gateway), v1alpha1.ConditionOrphansKept)
		if reason == "" {
			g.Expect(condition).To(BeNil())
			g.Expect(w.gateway.Status.Orphaned).To(BeZero())
			return
		}
		g.Expect(condition).NotTo(BeNil())
		g.Expect(condition.Reason).To(Equal(reason))
		g.Expect(condition.Message).To(message)
		g.Expect(w.gateway.Status.Orphaned).To(BeNumerically(">", 0))
	}
}

var _ = Describe("What belongs to resources that are gone", func() {
	slow := func(g *v1alpha1.KongGateway) { g.Spec.Drift.Interval = "1h" } // Nothing is listed but on request.

	// filled is a world with a service, and consumers of seven entities each: two are reserved groups.
	filled := func(ctx context.Context, kong kongsim.Options, consumers int, change ...func(*v1alpha1.KongGateway)) (*world, *v1alpha1.JwtProtectedService, []client.Object) {
		GinkgoHelper()
		w := newWorld(ctx, kong, append(change, slow)...)
		service := w.service("stays")
		create(ctx, service)
		var made []client.Object
		for i := range consumers {
			name := fmt.Sprintf("goes-%d", i)
			consumer := w.consumer(name, func(c *v1alpha1.JwtConsumer) { c.Spec.Groups = []string{"a", "b", "c"} })
			create(ctx, w.secret(name+"-jwt", map[string]string{"secret": longSecret}), consumer)
			made = append(made, consumer)
		}
		ready(ctx, append(made, service)...)
		return w, service, made
	}
	consumersLeft := func(ctx context.Context, w *world) func() []any {
		return func() []any { return w.values(ctx, "consumers", "username") }
	}

	It("goes though the probe cannot be programmed", func(ctx SpecContext) {
		w, _, consumers := filled(ctx, kongsim.Options{}, 1)
		w.kong.Faults.Set(1, kongsim.Fault{Methods: []string{http.MethodPut}, PathPrefix: "/routes/", Status: http.StatusBadRequest})
		change(ctx, w.gateway, func(g *v1alpha1.KongGateway) {
			g.Spec.DataPlanes = &v1alpha1.DataPlanes{URLs: []string{w.kong.ProxyURL()}}
		})
		w.vanish(ctx, consumers[0])
		w.looking(ctx, func(g Gomega) { g.Expect(consumersLeft(ctx, w)()).NotTo(ContainElement(w.namespace + ".goes-0")) })
	})

	DescribeTable("is deleted at the second look, and nothing else is", func(ctx SpecContext, kong kongsim.Options) {
		w, service, consumers := filled(ctx, kong, 2)
		foreign := []string{"kongjwt", "kongjwt-installation:another", "kongjwt-gateway:" + w.name, "kongjwt-owner:JwtConsumer:" + w.namespace + ":x", "kongjwt-part:consumer"}
		sibling := []string{"kongjwt", "kongjwt-installation:" + w.name, "kongjwt-gateway:sibling", "kongjwt-owner:JwtConsumer:" + w.namespace + ":y", "kongjwt-part:consumer"}
		others := 0
		if kong.Database != "off" {
			others = 3
			for username, tags := range map[string][]string{"another-installation": foreign, "another-gateway": sibling, "by-hand": nil} {
				Expect(w.send(ctx, http.MethodPost, "/consumers", map[string]any{"username": username, "tags": tags})).To(Equal(http.StatusCreated))
			}
		}
		w.vanish(ctx, consumers[0])
		ready(ctx, service, consumers[1])
		w.looking(ctx, func(g Gomega) {
			g.Expect(consumersLeft(ctx, w)()).To(And(HaveLen(1+others), Not(ContainElement(w.namespace+".goes-0"))))
		})
		Expect(consumersLeft(ctx, w)()).To(ContainElement(w.namespace + ".goes-1"))
		Expect(w.list(ctx, "jwts")).To(HaveLen(1))
		Expect(w.list(ctx, "services")).To(HaveLen(1))
		Eventually(w.keepsOrphans(ctx, "", nil)).WithTimeout(soon).WithPolling(poll).Should(Succeed())
		Eventually(func(g Gomega) {
			var list eventsv1.EventList
			g.Expect(kube.List(ctx, &list)).To(Succeed())
			g.Expect(list.Items).To(ContainElement(And(
				HaveField("Reason", v1alpha1.EventPruned), HaveField("Regarding.Name", w.name),
				HaveField("Note", "Deleted from Kong 7 entities of resources that are gone: JwtConsumer "+w.namespace+"/goes-0"),
			)))
		}).WithTimeout(soon).WithPolling(poll).Should(Succeed())
	},
		Entry("with a database", kongsim.Options{}),
		Entry("without a database", kongsim.Options{Database: "off"}),
	)

	It("stays where it is more than maxPercent, credentials aside, until somebody says that it may go", func(ctx SpecContext) {
		w, service, consumers := filled(ctx, kongsim.Options{}, 3)
		w.vanish(ctx, consumers...)
		ready(ctx, service)
		w.looking(ctx, w.keepsOrphans(ctx, v1alpha1.ReasonTooManyOrphans, And(
			ContainSubstring("18 of the"), ContainSubstring("JwtConsumer "+w.namespace+"/goes-0"),
			ContainSubstring("spec.prune.maxPercent: 20"))))
		Expect(w.list(ctx, "jwts")).To(BeEmpty(), "nobody calls as a consumer whose resource is gone")
		Expect(w.gateway.Status.Orphaned).To(Equal(int32(18)))
		ready(ctx, w.gateway)
		w.kong.ResetRequests()
		w.look(ctx)
		Consistently(consumersLeft(ctx, w)).WithTimeout(quiet).WithPolling(poll).Should(HaveLen(3))
		Expect(w.writes()).To(BeZero())

		change(ctx, w.gateway, func(g *v1alpha1.KongGateway) { g.Spec.Prune.MaxPercent = 100 })
		Eventually(consumersLeft(ctx, w)).WithTimeout(soon).WithPolling(poll).Should(BeEmpty())
		Eventually(w.keepsOrphans(ctx, "", nil)).WithTimeout(soon).WithPolling(poll).Should(Succeed())
		Expect(w.list(ctx, "services")).To(HaveLen(1))
	})

	It("is reported and stays with the policy Report", func(ctx SpecContext) {
		w, _, consumers := filled(ctx, kongsim.Options{}, 1, func(g *v1alpha1.KongGateway) { g.Spec.Prune.Policy = v1alpha1.PruneReport })
		w.vanish(ctx, consumers...)
		ready(ctx, w.gateway)
		w.looking(ctx, w.keepsOrphans(ctx, v1alpha1.ReasonPruneReported, ContainSubstring("7 of the")))
		w.kong.ResetRequests()
		w.look(ctx)
		Consistently(consumersLeft(ctx, w)).WithTimeout(quiet).WithPolling(poll).Should(HaveLen(1))
		Expect(w.writes()).To(BeZero())
		change(ctx, w.gateway, func(g *v1alpha1.KongGateway) { g.Spec.Prune.Policy = "Delete" })
		Eventually(consumersLeft(ctx, w)).WithTimeout(soon).WithPolling(poll).Should(BeEmpty())
		Eventually(w.keepsOrphans(ctx, "", nil)).WithTimeout(soon).WithPolling(poll).Should(Succeed())
	})

	It("stays while others hang on it, and the gateway says what", func(ctx SpecContext) {
		w, _, consumers := filled(ctx, kongsim.Options{}, 1)
		consumer := consumers[0].(*v1alpha1.JwtConsumer)
		Expect(w.send(ctx, http.MethodPost, "/consumers/"+consumer.Status.ConsumerID+"/acls", map[string]any{"group": "by-hand"})).To(Equal(http.StatusCreated))
		w.vanish(ctx, consumer)
		ready(ctx, w.gateway)
		w.looking(ctx, w.keepsOrphans(ctx, v1alpha1.ReasonConflict, And(ContainSubstring("goes-0 is gone"), ContainSubstring("others hung on it"))))
		Expect(consumersLeft(ctx, w)()).To(HaveLen(1))
		for _, row := range w.list(ctx, "acls") {
			if row["group"] == "by-hand" {
				Expect(w.send(ctx, http.MethodDelete, "/acls/"+row["id"].(string), nil)).To(Equal(http.StatusNoContent))
			}
		}
		w.looking(ctx, func(g Gomega) { g.Expect(consumersLeft(ctx, w)()).To(BeEmpty()) })
		Eventually(w.keepsOrphans(ctx, "", nil)).WithTimeout(soon).WithPolling(poll).Should(Succeed())
	})

	It("is its own again when the resource comes back, as after a restore: nothing is written to Kong", func(ctx SpecContext) {
		w, service, consumers := filled(ctx, kongsim.Options{}, 2)
		before := w.list(ctx, "consumers")
		w.operator.Stop()
		for _, object := range append(consumers, service) {
			change(ctx, object, func(o client.Object) { o.SetFinalizers(nil) })
			gone(ctx, object)
		}
		w.kong.ResetRequests()
		w.operator = startOperator(w.name)
		ready(ctx, w.gateway)
		By("restoring with new UIDs and without a status")
		for _, object := range append(consumers, service) {
			object.SetResourceVersion("")
			object.SetUID("")
			object.SetCreationTimestamp(metav1.Time{})
			create(ctx, object)
		}
		ready(ctx, append(consumers, service)...)
		w.look(ctx)
		w.look(ctx)
		ready(ctx, append(consumers, service)...)
		Expect(w.list(ctx, "consumers")).To(Equal(before))
		Expect(w.writes()).To(BeZero())
		Eventually(w.keepsOrphans(ctx, "", nil)).WithTimeout(soon).WithPolling(poll).Should(Succeed())
	})
})
