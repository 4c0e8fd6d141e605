package controllers_test

import (
	"context"
	"fmt"
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	eventsv1 "k8s.io/api/events/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

// told waits for an event about an object, and gives its notes.
func told(ctx context.Context, object client.Object, reason string) func() []string {
	return func() []string {
		var list eventsv1.EventList
		Expect(kube.List(ctx, &list)).To(Succeed())
		var notes []string
		for _, event := range list.Items {
			if event.Regarding.UID == object.GetUID() && event.Reason == reason {
				notes = append(notes, event.Note)
			}
		}
		return notes
	}
}

// askFor asks for a check of what one resource has in Kong.
func (w *world) askFor(ctx context.Context, object client.Object) {
	GinkgoHelper()
	change(ctx, object, func(o client.Object) {
		o.SetAnnotations(map[string]string{v1alpha1.AnnotationReconcile: fmt.Sprint(serial.Add(1))})
	})
}

var _ = Describe("What somebody else changes in Kong", func() {
	type scene struct {
		*world
		service  *v1alpha1.JwtProtectedService
		consumer *v1alpha1.JwtConsumer
	}
	set := func(ctx context.Context, policy v1alpha1.DriftPolicy) scene {
		GinkgoHelper()
		s := scene{world: newWorld(ctx, kongsim.Options{}, func(g *v1alpha1.KongGateway) {
			g.Spec.Drift = v1alpha1.Drift{Policy: policy, Interval: "1h"}
		})}
		s.service, s.consumer = s.world.service("api"), s.world.consumer("john", func(c *v1alpha1.JwtConsumer) { c.Spec.Groups = []string{"readers"} })
		create(ctx, s.secret("john-jwt", map[string]string{"secret": longSecret}), s.service, s.consumer)
		ready(ctx, s.service, s.consumer)
		return s
	}
	jwtPlugin := func(ctx context.Context, s scene) map[string]any {
		for _, plugin := range s.list(ctx, "plugins") {
			if plugin["name"] == "jwt" {
				return plugin
			}
		}
		return nil
	}
	keyClaim := func(ctx context.Context, s scene) func() any {
		return func() any { return jwtPlugin(ctx, s)["config"].(map[string]any)["key_claim_name"] }
	}
	// meddle changes a field of a plugin, deletes a credential, and hangs something of its own on the service.
	meddle := func(ctx context.Context, s scene) {
		GinkgoHelper()
		Expect(s.send(ctx, http.MethodPatch, "/plugins/"+jwtPlugin(ctx, s)["id"].(string), map[string]any{
			"config": map[string]any{"key_claim_name": "sub", "claims_to_verify": []string{"exp"}},
		})).To(Equal(http.StatusOK))
		Expect(s.send(ctx, http.MethodDelete, "/jwts/"+s.consumer.Status.Credentials[0].KongID, nil)).To(Equal(http.StatusNoContent))
		Expect(s.send(ctx, http.MethodPost, "/services/"+s.service.Status.ServiceID+"/plugins", map[string]any{"name": "cors"})).To(Equal(http.StatusCreated))
		DeferCleanup(func(ctx SpecContext) { // what others hung on a service keeps it in Kong
			for _, plugin := range s.list(ctx, "plugins") {
				if plugin["name"] == "cors" {
					Expect(s.send(ctx, http.MethodDelete, "/plugins/"+plugin["id"].(string), nil)).To(Equal(http.StatusNoContent))
				}
			}
		})
	}
	drifted := func(ctx context.Context, object client.Object) func(Gomega) bool {
		return func(g Gomega) bool {
			return apimeta.IsStatusConditionTrue(conditionsOf(ctx, g, object), v1alpha1.ConditionDrifted)
		}
	}

	It("is put back, and an event names what it was and no value; what is not ours stays", func(ctx SpecContext) {
		s := set(ctx, "Correct")
		meddle(ctx, s)
		s.look(ctx)
		Eventually(keyClaim(ctx, s)).WithTimeout(soon).WithPolling(poll).Should(Equal("iss"))
		Eventually(func() any { return s.list(ctx, "jwts") }).WithTimeout(soon).WithPolling(poll).Should(HaveLen(1))
		Eventually(told(ctx, s.service, v1alpha1.EventDriftCorrected)).WithTimeout(soon).WithPolling(poll).Should(ContainElement(
			"Somebody else changed this in Kong, and it was put back: plugin jwt was changed in config.claims_to_verify, config.key_claim_name"))
		Eventually(told(ctx, s.consumer, v1alpha1.EventDriftCorrected)).WithTimeout(soon).WithPolling(poll).Should(ContainElement(
			"Somebody else changed this in Kong, and it was put back: jwt credential credential:primary was deleted"))
		Expect(s.values(ctx, "plugins", "name")).To(ConsistOf("jwt", "cors"))
		Expect(s.service.Status.Drift).To(BeEmpty())
	})

	It("is put back within the interval, with nobody asking", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{}, func(g *v1alpha1.KongGateway) { g.Spec.Drift.Interval = "5s" })
		consumer := w.consumer("john")
		create(ctx, w.secret("john-jwt", map[string]string{"secret": longSecret}), consumer)
		ready(ctx, consumer)
		before := idsOf(w.content(ctx))
		for range 2 {
			Expect(w.send(ctx, http.MethodDelete, "/jwts/"+consumer.Status.Credentials[0].KongID, nil)).To(Equal(http.StatusNoContent))
			Eventually(func() any { return idsOf(w.content(ctx)) }).WithTimeout(soon).WithPolling(poll).Should(Equal(before))
		}
	})

	It("is told of and stays with the policy Report, also across a restart, until it is to be put back", func(ctx SpecContext) {
		s := set(ctx, v1alpha1.DriftReport)
		meddle(ctx, s)
		s.kong.ResetRequests()
		s.look(ctx)
		Eventually(drifted(ctx, s.service)).WithTimeout(soon).WithPolling(poll).Should(BeTrue())
		Eventually(drifted(ctx, s.consumer)).WithTimeout(soon).WithPolling(poll).Should(BeTrue())
		Expect(s.service.Status.Drift).To(ConsistOf(And(
			HaveField("Kind", "plugin"), HaveField("Name", "jwt"), HaveField("Change", v1alpha1.DriftChange("Changed")),
			HaveField("Fields", ConsistOf("config.claims_to_verify", "config.key_claim_name")))))
		Expect(s.consumer.Status.Drift).To(ConsistOf(And(
			HaveField("Name", "credential:primary"), HaveField("Change", v1alpha1.DriftChange("Deleted")))))
		Eventually(told(ctx, s.service, v1alpha1.ReasonDriftReported)).WithTimeout(soon).WithPolling(poll).Should(HaveLen(1))

		By("restarting the operator")
		s.operator.Stop()
		s.operator = startOperator(s.name)
		ready(ctx, s.gateway)
		for range 2 {
			s.look(ctx)
		}
		Consistently(keyClaim(ctx, s)).WithTimeout(quiet).WithPolling(poll).Should(Equal("sub"))
		Expect(s.kong.Requests()).NotTo(ContainElement(HaveField("Method", http.MethodPut)))
		Expect(s.list(ctx, "jwts")).To(BeEmpty())
		Expect(drifted(ctx, s.service)(Default)).To(BeTrue())

		By("changing the resource itself, elsewhere")
		change(ctx, s.consumer, func(c *v1alpha1.JwtConsumer) { c.Spec.Groups = []string{"readers", "writers"} })
		Eventually(func() []any { return s.groups(ctx) }).WithTimeout(soon).WithPolling(poll).Should(ConsistOf("readers", "writers"))
		Expect(s.list(ctx, "jwts")).To(BeEmpty())

		By("having it put back")
		change(ctx, s.gateway, func(g *v1alpha1.KongGateway) { g.Spec.Drift.Policy = "Correct" })
		Eventually(keyClaim(ctx, s)).WithTimeout(soon).WithPolling(poll).Should(Equal("iss"))
		Eventually(func() any { return s.list(ctx, "jwts") }).WithTimeout(soon).WithPolling(poll).Should(HaveLen(1))
		Eventually(drifted(ctx, s.service)).WithTimeout(soon).WithPolling(poll).Should(BeFalse())
		Eventually(drifted(ctx, s.consumer)).WithTimeout(soon).WithPolling(poll).Should(BeFalse())
	})

	It("is over when the resource asks for something else, or when somebody puts it back", func(ctx SpecContext) {
		s := set(ctx, v1alpha1.DriftReport)
		id := jwtPlugin(ctx, s)["id"].(string)
		patch := func(claim string) {
			GinkgoHelper()
			Expect(s.send(ctx, http.MethodPatch, "/plugins/"+id, map[string]any{"config": map[string]any{"key_claim_name": claim}})).To(Equal(http.StatusOK))
		}
		for _, over := range []func(){
			func() { patch("iss"); s.askFor(ctx, s.service) },
			func() {
				change(ctx, s.service, func(p *v1alpha1.JwtProtectedService) { p.Spec.JWT.KeyClaimName = "kid" })
			},
		} {
			patch("sub")
			s.looking(ctx, func(g Gomega) { g.Expect(drifted(ctx, s.service)(g)).To(BeTrue()) })
			over()
			Eventually(drifted(ctx, s.service)).WithTimeout(soon).WithPolling(poll).Should(BeFalse())
		}
		Expect(keyClaim(ctx, s)()).To(Equal("kid"))
	})

	It("cannot be left where there is no database", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{Database: "off"})
		ready(ctx, w.gateway)
		change(ctx, w.gateway, func(g *v1alpha1.KongGateway) { g.Spec.Drift.Policy = v1alpha1.DriftReport })
		stalled(ctx, w.gateway, v1alpha1.ReasonInvalidSpec, ContainSubstring("spec.drift.policy"))
	})
})
