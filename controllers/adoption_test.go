package controllers_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/echo"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

// Ids of what somebody made by hand.
const (
	handService  = "7a000000-0000-4000-8000-000000000001"
	handRoute    = "7a000000-0000-4000-8000-000000000002"
	handConsumer = "7a000000-0000-4000-8000-000000000003"
	handKey      = "7a000000-0000-4000-8000-000000000004"
	handGroup    = "7a000000-0000-4000-8000-000000000005"
)

// byHand makes a service with a route to an upstream, without protection, and a consumer with a credential and a
// group.
func (w *world) byHand(ctx context.Context, upstream string) {
	GinkgoHelper()
	for _, e := range []struct {
		path string
		body map[string]any
	}{
		{"/services/" + handService, map[string]any{"name": w.namespace + ".shop", "url": upstream}},
		{"/routes/" + handRoute, map[string]any{"name": "shop-by-hand", "paths": []string{"/shop"}, "service": map[string]any{"id": handService}}},
		{"/consumers/" + handConsumer, map[string]any{"username": w.namespace + ".john", "tags": []string{"by-hand"}}},
		{"/consumers/" + handConsumer + "/jwt/" + handKey, map[string]any{"key": "john-key", "secret": longSecret}},
		{"/consumers/" + handConsumer + "/acls/" + handGroup, map[string]any{"group": w.namespace + ".buyers"}},
	} {
		Expect(w.send(ctx, http.MethodPut, e.path, e.body)).To(Equal(http.StatusOK), e.path)
	}
}

// asking sends requests without a pause until it is told to stop, and says how many there were and how many were not
// answered with 200.
func asking(url string) (stop func() (sent, refused int64)) {
	ctx, cancel := context.WithCancel(context.Background())
	var sent, refused atomic.Int64
	done := make(chan struct{})
	go func() {
		defer GinkgoRecover()
		defer close(done)
		for ctx.Err() == nil {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			Expect(err).NotTo(HaveOccurred())
			response, err := http.DefaultClient.Do(request)
			if ctx.Err() != nil {
				return
			}
			sent.Add(1)
			if err != nil || response.StatusCode != http.StatusOK {
				refused.Add(1)
			}
			if err == nil {
				_ = response.Body.Close()
			}
		}
	}()
	return func() (int64, int64) {
		cancel()
		<-done
		return sent.Load(), refused.Load()
	}
}

var _ = Describe("What exists in Kong", func() {
	It("is adopted under its own ids: tags are written and nothing else, while requests go on", func(ctx SpecContext) {
		upstream, err := echo.Start("127.0.0.1:0")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(upstream.Close)
		w := newWorld(ctx, kongsim.Options{}, func(g *v1alpha1.KongGateway) { g.Spec.Adoption = v1alpha1.AdoptionUnowned })
		w.byHand(ctx, upstream.URL())
		stop := asking(w.kong.ProxyURL() + "/shop")
		w.kong.ResetRequests()

		create(ctx, w.secret("john-jwt", map[string]string{"secret": longSecret}))
		consumer := w.consumer("john", func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials[0].Key, c.Spec.Groups = "john-key", []string{w.namespace + ".buyers"}
		})
		create(ctx, consumer)
		ready(ctx, consumer)
		Expect(w.writes()).To(Equal(5), "the tags of consumer, credential and group, and the two reserved groups")
		Expect(consumer.Status.ConsumerID).To(Equal(handConsumer))
		Expect(consumer.Status.Credentials[0].KongID).To(Equal(handKey))
		sent, refused := stop()
		Expect(sent).To(BeNumerically(">", 0))
		Expect(refused).To(BeZero())

		By("losing the status")
		w.kong.ResetRequests()
		change(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Annotations = map[string]string{v1alpha1.AnnotationReconcile: "now"} })
		consumer.Status = v1alpha1.JwtConsumerStatus{}
		Eventually(func() error {
			if err := kube.Get(ctx, client.ObjectKeyFromObject(consumer), consumer); err != nil {
				return err
			}
			consumer.Status = v1alpha1.JwtConsumerStatus{}
			return kube.Status().Update(ctx, consumer)
		}).WithTimeout(soon).WithPolling(poll).Should(Succeed())
		change(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Annotations[v1alpha1.AnnotationReconcile] = "again" })
		ready(ctx, consumer)
		Expect(consumer.Status.ConsumerID).To(Equal(handConsumer))
		Expect(w.writes()).To(BeZero())
	})

	It("is adopted, or said to be somebody else's, where its name and key look like ids", func(ctx SpecContext) {
		const username, key = "40af65f4-2a40-4ab2-bb9d-bf1ee39ecab3", "9d2b6f0e-37f2-4d0e-8a10-4f6ab9f1f2aa"
		w := newWorld(ctx, kongsim.Options{})
		Expect(w.send(ctx, http.MethodPut, "/consumers/"+handConsumer, map[string]any{"username": username})).To(Equal(http.StatusOK))
		Expect(w.send(ctx, http.MethodPut, "/consumers/"+handConsumer+"/jwt/"+handKey,
			map[string]any{"key": key, "secret": longSecret})).To(Equal(http.StatusOK))
		create(ctx, w.secret("john-jwt", map[string]string{"secret": longSecret}))
		consumer := w.consumer("john", func(c *v1alpha1.JwtConsumer) { c.Spec.Username, c.Spec.Credentials[0].Key = username, key })
		create(ctx, consumer)
		stalled(ctx, consumer, v1alpha1.ReasonConflict, ContainSubstring(handConsumer))
		change(ctx, w.gateway, func(g *v1alpha1.KongGateway) { g.Spec.Adoption = v1alpha1.AdoptionUnowned })
		ready(ctx, consumer)
		Expect(consumer.Status.ConsumerID).To(Equal(handConsumer))
		Expect(consumer.Status.Credentials[0].KongID).To(Equal(handKey))
	})

	It("is asked of the data planes under its own id", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{}, func(g *v1alpha1.KongGateway) { g.Spec.Adoption = v1alpha1.AdoptionUnowned })
		change(ctx, w.gateway, func(g *v1alpha1.KongGateway) {
			g.Spec.DataPlanes = &v1alpha1.DataPlanes{URLs: []string{w.kong.ProxyURL()}}
		})
		w.byHand(ctx, "http://127.0.0.1:9")
		create(ctx, w.secret("john-jwt", map[string]string{"secret": longSecret}))
		consumer := w.consumer("john", func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials[0].Key, c.Spec.Groups = "john-key", []string{w.namespace + ".buyers"}
		})
		create(ctx, consumer)
		ready(ctx, consumer)
		verified(ctx, consumer, metav1.ConditionTrue, ContainSubstring(w.kong.ProxyURL()))
		Expect(consumer.Status.Credentials[0].KongID).To(Equal(handKey))
		Expect(consumer.Status.Credentials[0].Verified).To(HaveValue(BeTrue()))
	})

	It("keeps its id while its Secret brings a new key, which overlaps with the old one", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{}, func(g *v1alpha1.KongGateway) { g.Spec.Adoption = v1alpha1.AdoptionUnowned })
		w.byHand(ctx, "http://127.0.0.1:9")
		secret := w.secret("john-jwt", map[string]string{"key": "john-key", "secret": longSecret})
		create(ctx, secret)
		consumer := w.consumer("john", func(c *v1alpha1.JwtConsumer) {
			ref := c.Spec.Credentials[0].SecretRef
			ref.DataKeys = &v1alpha1.CredentialDataKeys{Key: "key"}
			c.Spec.Credentials[0].Key, ref.Overlap = "", "1h"
			c.Spec.Groups = []string{w.namespace + ".buyers"}
		})
		create(ctx, consumer)
		ready(ctx, consumer)
		Expect(consumer.Status.Credentials).To(ConsistOf(HaveField("KongID", handKey)))
		change(ctx, secret, func(s *corev1.Secret) {
			s.StringData = map[string]string{"key": "john-next", "secret": longSecret + "-next"}
		})
		Eventually(func(g Gomega) {
			g.Expect(kube.Get(ctx, client.ObjectKeyFromObject(consumer), consumer)).To(Succeed())
			g.Expect(consumer.Status.Credentials).To(ConsistOf(
				And(HaveField("Key", "john-next"), HaveField("State", v1alpha1.CredentialActive)),
				And(HaveField("Key", "john-key"), HaveField("State", v1alpha1.CredentialRetiring), HaveField("KongID", handKey)),
			))
		}).WithTimeout(soon).WithPolling(poll).Should(Succeed())
	})

	It("takes plugins on a service of somebody else's, which is not touched", func(ctx SpecContext) {
		upstream, err := echo.Start("127.0.0.1:0")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(upstream.Close)
		w := newWorld(ctx, kongsim.Options{}, func(g *v1alpha1.KongGateway) { g.Spec.Drift.Interval = "5s" })
		guard := w.service("guard", func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Upstream, s.Spec.Routes = nil, nil
			s.Spec.AttachTo = &v1alpha1.AttachTo{ServiceName: w.namespace + ".shop"}
		})
		create(ctx, guard)
		stalled(ctx, guard, v1alpha1.ReasonTargetNotFound, ContainSubstring("service "+w.namespace+".shop"))
		w.byHand(ctx, upstream.URL())
		ready(ctx, guard)
		before := w.list(ctx, "services")
		Expect(w.list(ctx, "plugins")).To(HaveLen(1))
		answers := func() int {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.kong.ProxyURL()+"/shop", nil)
			Expect(err).NotTo(HaveOccurred())
			response, err := http.DefaultClient.Do(request)
			Expect(err).NotTo(HaveOccurred())
			defer func() { _ = response.Body.Close() }()
			return response.StatusCode
		}
		Eventually(answers).WithTimeout(soon).WithPolling(poll).Should(Equal(http.StatusUnauthorized))

		By("deleting the service in Kong and making it anew")
		Expect(w.send(ctx, http.MethodDelete, "/routes/"+handRoute, nil)).To(Equal(http.StatusNoContent))
		Expect(w.send(ctx, http.MethodDelete, "/services/"+handService, nil)).To(Equal(http.StatusNoContent))
		stalled(ctx, guard, v1alpha1.ReasonTargetNotFound, ContainSubstring("does not exist in Kong"))
		w.byHand(ctx, upstream.URL())
		ready(ctx, guard)
		Expect(w.list(ctx, "plugins")).To(HaveLen(1))

		gone(ctx, guard)
		Expect(w.list(ctx, "plugins")).To(BeEmpty())
		Expect(w.list(ctx, "services")).To(HaveLen(len(before)))
		Eventually(answers).WithTimeout(2 * time.Minute).WithPolling(poll).Should(Equal(http.StatusOK))
	})
})
