package controllers_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

// rotated is a consumer with one generated credential, which rotates.
func (w *world) rotated(name string, rotation *v1alpha1.Rotation) *v1alpha1.JwtConsumer {
	return w.consumer(name, func(c *v1alpha1.JwtConsumer) {
		c.Spec.Credentials = []v1alpha1.Credential{{
			Name: "made", Algorithm: "HS256", Generate: &v1alpha1.Generate{SecretName: name + "-made", Rotation: rotation},
		}}
	})
}

// published reads one value of the Secret for clients.
func (w *world) published(ctx context.Context, name, key string) string {
	secret := w.secret(name, nil)
	if err := kube.Get(ctx, client.ObjectKeyFromObject(secret), secret); err != nil {
		return ""
	}
	return string(secret.Data[key])
}

func annotate(ctx context.Context, object client.Object, key, value string) {
	GinkgoHelper()
	change(ctx, object, func(o client.Object) {
		annotations := o.GetAnnotations()
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[key] = value
		o.SetAnnotations(annotations)
	})
}

// phases lists the generations in the status, as "phase of key".
func phases(ctx context.Context, consumer *v1alpha1.JwtConsumer) func(Gomega) []string {
	return func(g Gomega) []string {
		g.Expect(kube.Get(ctx, client.ObjectKeyFromObject(consumer), consumer)).To(Succeed())
		found := []string{}
		for _, s := range consumer.Status.Credentials {
			found = append(found, string(s.State)+" "+s.Key)
		}
		return found
	}
}

var _ = Describe("Rotation", func() {
	slow := func() kongsim.Options {
		return kongsim.Options{DBUpdateFrequency: 500 * time.Millisecond, WorkerStateUpdateFrequency: 500 * time.Millisecond}
	}

	It("puts the next material beside the former, publishes it when the data planes have to know it, and retires the former after the overlap", func(ctx SpecContext) {
		w := newWorld(ctx, slow())
		consumer := w.rotated("r", &v1alpha1.Rotation{Interval: "1h", Overlap: "3s"})
		create(ctx, consumer)
		ready(ctx, consumer)
		first, second := w.name+".r.made.1", w.name+".r.made.2"
		Expect(w.values(ctx, "jwts", "key")).To(ConsistOf(first))
		Expect(w.published(ctx, "r-made", "key")).To(Equal(first))
		Expect(consumer.Status.Credentials[0].RotationTime).NotTo(BeNil())
		Expect(consumer.Status.Credentials[0].RotationTime.Time).To(And(
			BeTemporally(">", time.Now().Add(50*time.Minute)), BeTemporally("<=", time.Now().Add(time.Hour))))

		annotate(ctx, consumer, v1alpha1.AnnotationRotate, "1")
		reconciling(ctx, consumer, v1alpha1.ReasonAwaitingDataPlane, ContainSubstring("revision 2"))
		Expect(w.values(ctx, "jwts", "key")).To(ConsistOf(first, second))
		Expect(w.published(ctx, "r-made", "key")).To(Equal(first), "it is not published before the data planes have to know it")
		Expect(phases(ctx, consumer)(Default)).To(Equal([]string{"Active " + first, "Pending " + second}))

		ready(ctx, consumer)
		Expect(w.published(ctx, "r-made", "key")).To(Equal(second))
		Expect(phases(ctx, consumer)(Default)).To(Equal([]string{"Active " + second, "Retiring " + first}))
		retirement := consumer.Status.Credentials[1].RetirementTime
		Expect(retirement).NotTo(BeNil())
		Expect(w.values(ctx, "jwts", "key")).To(ConsistOf(first, second))
		Eventually(phases(ctx, consumer)).WithTimeout(soon).WithPolling(poll).Should(Equal([]string{"Active " + second}))
		Expect(time.Now()).To(BeTemporally(">=", retirement.Time), "not before the overlap is over")
		Expect(w.values(ctx, "jwts", "key")).To(ConsistOf(second))
	})

	It("tells its story in events, each of them once", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		consumer := w.rotated("r", &v1alpha1.Rotation{Interval: "1h", Overlap: "1s"})
		create(ctx, consumer)
		ready(ctx, consumer)
		annotate(ctx, consumer, v1alpha1.AnnotationRotate, "1")
		Eventually(phases(ctx, consumer)).WithTimeout(soon).WithPolling(poll).Should(Equal([]string{"Active " + w.name + ".r.made.2"}))
		change(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Spec.Revoked = true })
		ready(ctx, consumer)
		story := map[string][]string{
			v1alpha1.EventRotationStarted: {"revision 2"}, v1alpha1.EventPublished: {"revision 1", "revision 2"},
			v1alpha1.EventPromoted: {"revision 2"}, v1alpha1.EventRetired: {"revision 1"}, v1alpha1.ReasonRevoked: {"1 credentials left Kong", "revoked"},
		}
		for reason, texts := range story {
			expected := make([]any, 0, len(texts))
			for _, text := range texts {
				expected = append(expected, ContainSubstring(text))
			}
			Eventually(notes(ctx, consumer, reason)).WithTimeout(soon).WithPolling(poll).Should(ConsistOf(expected...), reason)
		}
	})

	It("names several credentials in one event", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		consumer := w.consumer("r", generating("made", "other"))
		create(ctx, consumer)
		ready(ctx, consumer)
		Eventually(notes(ctx, consumer, v1alpha1.EventPublished)).WithTimeout(soon).WithPolling(poll).Should(
			ContainElement("Credential made, revision 1, is in Secret r-made; Credential other, revision 1, is in Secret r-other"))
	})

	It("rotates one credential alone where the annotation names it", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		consumer := w.consumer("r", func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials = nil
			for _, name := range []string{"made", "other"} {
				c.Spec.Credentials = append(c.Spec.Credentials, v1alpha1.Credential{
					Name: name, Algorithm: "HS256", Generate: &v1alpha1.Generate{SecretName: "r-" + name, Rotation: &v1alpha1.Rotation{Interval: "1h"}},
				})
			}
		})
		create(ctx, consumer)
		ready(ctx, consumer)
		made, other := w.name+".r.made.", w.name+".r.other."
		annotate(ctx, consumer, v1alpha1.AnnotationRotate, "other=1")
		Eventually(phases(ctx, consumer)).WithTimeout(soon).WithPolling(poll).Should(Equal([]string{"Active " + made + "1", "Active " + other + "2", "Retiring " + other + "1"}))
		annotate(ctx, consumer, v1alpha1.AnnotationRotate, "made=1")
		Eventually(phases(ctx, consumer)).WithTimeout(soon).WithPolling(poll).Should(Equal(
			[]string{"Active " + made + "2", "Retiring " + made + "1", "Active " + other + "2", "Retiring " + other + "1"}))
		By("a value that names none is for all")
		annotate(ctx, consumer, v1alpha1.AnnotationRotate, "now")
		Eventually(phases(ctx, consumer)).WithTimeout(soon).WithPolling(poll).Should(ContainElements("Active "+made+"3", "Active "+other+"3"))
	})

	It("costs two Secrets for the first generation, and no third write", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		consumer := w.rotated("r", &v1alpha1.Rotation{Interval: "1h"})
		create(ctx, consumer)
		ready(ctx, consumer)
		Expect(w.operator.secretWrites.Load()).To(BeEquivalentTo(2))
		for _, name := range []string{"r-made", "r-kongjwt-state"} {
			Expect(kube.Get(ctx, client.ObjectKey{Namespace: w.namespace, Name: name}, &corev1.Secret{})).To(Succeed())
		}
		Consistently(w.operator.secretWrites.Load).WithTimeout(quiet).WithPolling(poll).Should(BeEquivalentTo(2))
	})

	// Where it is killed, see TestARotationGoesOnWhereverTheOperatorIsKilled.
	It("goes on where an operator that was stopped left it", func(ctx SpecContext) {
		w := newWorld(ctx, slow())
		consumer := w.rotated("r", nil)
		create(ctx, consumer)
		ready(ctx, consumer)
		first, second := w.name+".r.made", w.name+".r.made.2"
		annotate(ctx, consumer, v1alpha1.AnnotationRotate, "1")
		reconciling(ctx, consumer, v1alpha1.ReasonAwaitingDataPlane, Not(BeEmpty()))
		w.operator.Stop()
		w.operator = startOperator(w.name)
		ready(ctx, consumer)
		Expect(phases(ctx, consumer)(Default)).To(Equal([]string{"Active " + second, "Retiring " + first}), "the same generation, not another")
		Expect(w.published(ctx, "r-made", "key")).To(Equal(second))

		annotate(ctx, consumer, v1alpha1.AnnotationRevokePrevious, "1")
		Eventually(phases(ctx, consumer)).WithTimeout(soon).WithPolling(poll).Should(Equal([]string{"Active " + second}))
		Expect(w.values(ctx, "jwts", "key")).To(ConsistOf(second))
	})

	It("takes up what is published where the state is lost", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		consumer := w.rotated("r", &v1alpha1.Rotation{Interval: "1h", Overlap: "1s"})
		create(ctx, consumer)
		ready(ctx, consumer)
		annotate(ctx, consumer, v1alpha1.AnnotationRotate, "1")
		second := w.name + ".r.made.2"
		Eventually(phases(ctx, consumer)).WithTimeout(soon).WithPolling(poll).Should(Equal([]string{"Active " + second}))
		material := w.published(ctx, "r-made", "secret")
		w.operator.Stop()
		w.kong.ResetRequests()
		Expect(kube.Delete(ctx, w.secret("r-kongjwt-state", nil))).To(Succeed())
		consumer.Status = v1alpha1.JwtConsumerStatus{}
		Expect(kube.Status().Update(ctx, consumer)).To(Succeed())

		w.operator = startOperator(w.name)
		ready(ctx, consumer)
		Expect(phases(ctx, consumer)(Default)).To(Equal([]string{"Active " + second}))
		Expect(w.published(ctx, "r-made", "secret")).To(Equal(material))
		Expect(w.writes()).To(BeZero(), "Kong has it all: %v", w.kong.Requests())
	})

	It("tells of each step in an event", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		consumer := w.rotated("r", &v1alpha1.Rotation{Interval: "1h", Overlap: "1s"})
		create(ctx, consumer)
		ready(ctx, consumer)
		annotate(ctx, consumer, v1alpha1.AnnotationRotate, "1")
		Eventually(func(g Gomega) []string {
			events := &eventsv1.EventList{}
			g.Expect(kube.List(ctx, events, client.InNamespace(w.namespace))).To(Succeed())
			reasons := []string{}
			for _, event := range events.Items {
				reasons = append(reasons, event.Reason)
			}
			return reasons
		}).WithTimeout(soon).WithPolling(poll).Should(ContainElements("RotationStarted", "Published", "Promoted", "Retired"))
	})

	It("replaces a pinned key in place", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		consumer := w.rotated("r", nil)
		consumer.Spec.Credentials[0].Key = "pinned-" + w.name
		create(ctx, consumer)
		ready(ctx, consumer)
		before := w.published(ctx, "r-made", "secret")
		annotate(ctx, consumer, v1alpha1.AnnotationRotate, "1")
		Eventually(func() string { return w.published(ctx, "r-made", "secret") }).WithTimeout(soon).WithPolling(poll).ShouldNot(Equal(before))
		Expect(w.values(ctx, "jwts", "key")).To(ConsistOf("pinned-" + w.name))
		Expect(w.values(ctx, "jwts", "secret")).To(ConsistOf(w.published(ctx, "r-made", "secret")))
	})
})
