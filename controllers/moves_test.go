package controllers_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

// collections of Kong that have something of ours.
var collections = []string{"consumers", "jwts", "acls", "services", "routes", "plugins"}

// content is all that a Kong holds.
func (w *world) content(ctx context.Context) map[string][]map[string]any {
	GinkgoHelper()
	all := map[string][]map[string]any{}
	for _, collection := range collections {
		all[collection] = w.list(ctx, collection)
	}
	return all
}

// idsOf are the ids of a content, by collection.
func idsOf(content map[string][]map[string]any) map[string][]any {
	ids := map[string][]any{}
	for collection, entities := range content {
		for _, entity := range entities {
			ids[collection] = append(ids[collection], entity["id"])
		}
	}
	return ids
}

var _ = Describe("A move", func() {
	// settled is a world with a consumer and a service, and what Kong holds of them.
	settled := func(ctx context.Context) (*world, *v1alpha1.JwtConsumer, *v1alpha1.JwtProtectedService) {
		GinkgoHelper()
		w := newWorld(ctx, kongsim.Options{}, func(g *v1alpha1.KongGateway) { g.Spec.Drift.Interval = "1h" })
		consumer := w.consumer("john", func(c *v1alpha1.JwtConsumer) { c.Spec.Groups = []string{"readers"} })
		service := w.service("api")
		create(ctx, w.secret("john-jwt", map[string]string{"secret": longSecret}), consumer, service)
		ready(ctx, consumer, service)
		return w, consumer, service
	}
	It("of the gateway to another Kong makes everything there, and leaves the former one as it is", func(ctx SpecContext) {
		other, err := kongsim.Start(kongsim.Options{DBUpdateFrequency: 50 * time.Millisecond, WorkerStateUpdateFrequency: 50 * time.Millisecond})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() { Expect(other.Close()).To(Succeed()) })
		w, consumer, service := settled(ctx)
		former := w.content(ctx)
		w.kong.ResetRequests()
		change(ctx, w.gateway, func(g *v1alpha1.KongGateway) { g.Spec.AdminAPI.URL = other.AdminURL() })
		there := &world{kong: other}
		Eventually(func() map[string][]any { return idsOf(there.content(ctx)) }).WithTimeout(soon).WithPolling(poll).Should(Equal(idsOf(former)), "the same ids")
		ready(ctx, w.gateway, consumer, service)
		Expect(w.content(ctx)).To(Equal(former))
		Expect(w.writes()).To(BeZero())
	})

	It("to another installation id deletes nothing: what there is belongs to somebody else then, until the id is back", func(ctx SpecContext) {
		w, consumer, service := settled(ctx)
		former := w.content(ctx)
		w.kong.ResetRequests()
		w.operator.Stop()
		w.operator = startOperator(w.name + "-another")
		stalled(ctx, consumer, v1alpha1.ReasonConflict, ContainSubstring(w.namespace+".john"))
		stalled(ctx, service, v1alpha1.ReasonConflict, ContainSubstring(w.namespace+".api"))
		w.look(ctx)
		w.look(ctx)
		Consistently(func() any { return w.content(ctx) }).WithTimeout(quiet).WithPolling(poll).Should(Equal(former))
		Expect(w.writes()).To(BeNumerically("<", 20), "it is tried with growing pauses")
		w.kong.ResetRequests()
		w.operator.Stop()
		w.operator = startOperator(w.name)
		ready(ctx, consumer, service)
		Expect(w.content(ctx)).To(Equal(former))
		Expect(w.writes()).To(BeZero())
	})

	It("of Kong to an empty database brings everything back under the same ids", func(ctx SpecContext) {
		w, consumer, service := settled(ctx)
		former := idsOf(w.content(ctx))
		for _, collection := range []string{"plugins", "routes", "services", "acls", "jwts", "consumers"} {
			for _, id := range former[collection] {
				Expect(w.send(ctx, http.MethodDelete, "/"+collection+"/"+id.(string), nil)).To(Equal(http.StatusNoContent))
			}
		}
		w.looking(ctx, func(g Gomega) { g.Expect(idsOf(w.content(ctx))).To(Equal(former)) })
		ready(ctx, consumer, service)
	})

	It("of Kong to an old backup ends with what the resources say: what they no longer have goes, what they changed is changed again", func(ctx SpecContext) {
		w, consumer, service := settled(ctx)
		leaving := w.consumer("leaving", func(c *v1alpha1.JwtConsumer) { c.Spec.Groups = []string{"readers"} })
		secret := w.secret("leaving-jwt", map[string]string{"secret": longSecret})
		create(ctx, secret, leaving)
		ready(ctx, leaving)
		backup := w.content(ctx)

		By("going on after the backup")
		gone(ctx, leaving)
		const newer = longSecret + "-newer"
		johns := &corev1.Secret{ObjectMeta: w.meta("john-jwt")}
		change(ctx, johns, func(s *corev1.Secret) { s.StringData = map[string]string{"secret": newer} })
		Eventually(func() []any { return w.values(ctx, "jwts", "secret") }).WithTimeout(soon).WithPolling(poll).Should(ConsistOf(newer))
		current := idsOf(w.content(ctx))

		By("restoring")
		for _, collection := range []string{"consumers", "jwts", "acls"} {
			for _, entity := range backup[collection] {
				path := "/" + collection + "/" + entity["id"].(string)
				if collection != "consumers" {
					path = "/consumers/" + entity["consumer"].(map[string]any)["id"].(string) + map[string]string{"jwts": "/jwt/", "acls": "/acls/"}[collection] + entity["id"].(string)
				}
				body := map[string]any{}
				for name, value := range entity {
					if name != "id" && name != "created_at" && name != "updated_at" && name != "consumer" && value != nil {
						body[name] = value
					}
				}
				Expect(w.send(ctx, http.MethodPut, path, body)).To(Equal(http.StatusOK), path)
			}
		}
		Expect(w.list(ctx, "consumers")).To(HaveLen(2))
		w.looking(ctx, func(g Gomega) {
			g.Expect(idsOf(w.content(ctx))).To(Equal(current))
			g.Expect(w.values(ctx, "jwts", "secret")).To(ConsistOf(newer))
		})
		ready(ctx, consumer, service)
	})

	It("of one gateway's resources touches no other workspace of the same Kong", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		other, err := kongsim.Start(kongsim.Options{DBUpdateFrequency: 50 * time.Millisecond, WorkerStateUpdateFrequency: 50 * time.Millisecond})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() { Expect(other.Close()).To(Succeed()) })
		// A workspace is a part of the Admin API's path, and what is under one is not under another.
		admin := http.NewServeMux()
		for workspace, kong := range map[string]*kongsim.Server{"one": w.kong, "two": other} {
			to, err := url.Parse(kong.AdminURL())
			Expect(err).NotTo(HaveOccurred())
			admin.Handle("/"+workspace+"/", http.StripPrefix("/"+workspace, httputil.NewSingleHostReverseProxy(to)))
			if workspace == "one" {
				admin.Handle("/", httputil.NewSingleHostReverseProxy(to)) // the node speaks for all
			}
		}
		server := httptest.NewServer(admin)
		DeferCleanup(server.Close)
		change(ctx, w.gateway, func(g *v1alpha1.KongGateway) { g.Spec.AdminAPI.URL, g.Spec.AdminAPI.Workspace = server.URL, "one" })
		second := w.gateway.DeepCopy()
		second.ObjectMeta = metav1.ObjectMeta{Name: w.name + "-two"}
		second.Spec.AdminAPI.Workspace = "two"
		create(ctx, second)
		consumers := w.many(ctx, "here", 2)
		there := w.many(ctx, "there", 2, func(c *v1alpha1.JwtConsumer) { c.Spec.GatewayRef.Name = second.Name })
		DeferCleanup(func(ctx SpecContext) {
			for _, consumer := range there {
				gone(ctx, consumer)
			}
			gone(ctx, second)
			change(ctx, w.gateway, func(g *v1alpha1.KongGateway) { g.Spec.AdminAPI.URL, g.Spec.AdminAPI.Workspace = w.kong.AdminURL(), "" })
		})
		ready(ctx, append(consumers, there...)...)
		twos := &world{kong: other}
		before := twos.content(ctx)
		Expect(before["consumers"]).To(HaveLen(2))
		other.ResetRequests()
		w.vanish(ctx, consumers[0])
		w.looking(ctx, func(g Gomega) { g.Expect(w.list(ctx, "consumers")).To(HaveLen(1)) })
		gone(ctx, consumers[1])
		Expect(w.list(ctx, "consumers")).To(BeEmpty())
		Expect(twos.content(ctx)).To(Equal(before))
		Expect(twos.writes()).To(BeZero())
	})
})
