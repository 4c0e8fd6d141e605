package controllers_test

import (
	"context"
	"net/http"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/echo"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/dataplane"
)

var _ = Describe("Names in Kong", func() {
	It("stay with who holds them; the other says so, and goes on when they are free", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		create(ctx, w.secret("a-jwt", map[string]string{"secret": longSecret}), w.secret("b-jwt", map[string]string{"secret": longSecret}))
		pinned := func(c *v1alpha1.JwtConsumer) { c.Spec.Credentials[0].Key = "shared-key" }
		a, b := w.consumer("a", pinned), w.consumer("b", pinned)
		create(ctx, a)
		ready(ctx, a)
		create(ctx, b)
		stalled(ctx, b, v1alpha1.ReasonConflict, And(ContainSubstring("key shared-key"), ContainSubstring("JwtConsumer "+w.namespace+"/a")))
		first, second := w.service("first"), w.service("second", func(s *v1alpha1.JwtProtectedService) { s.Spec.Routes[0].Paths = []string{"/first"} })
		create(ctx, first)
		ready(ctx, first)
		create(ctx, second)
		stalled(ctx, second, v1alpha1.ReasonConflict, And(ContainSubstring("/first"), ContainSubstring("JwtProtectedService "+w.namespace+"/first")))
		Expect(first.Status.Paths).To(HaveExactElements("/first"))
		Expect(second.Status.Routes).To(BeEmpty(), "the status names what Kong has")
		Expect(second.Status.Paths).To(BeEmpty())
		gone(ctx, a)
		ready(ctx, b)
		change(ctx, first, func(s *v1alpha1.JwtProtectedService) { s.Spec.Routes[0].Paths = []string{"/elsewhere"} })
		ready(ctx, first, second)
		Expect(second.Status.Routes).To(HaveLen(1))
		Expect(second.Status.Paths).To(HaveExactElements("/first"))
	})

	It("are not taken from what this operator does not manage", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{}, func(g *v1alpha1.KongGateway) { g.Spec.Drift.Interval = "5s" })
		Expect(w.send(ctx, http.MethodPut, "/consumers/00000000-0000-4000-8000-000000000001", map[string]any{"username": "theirs"})).To(Equal(http.StatusOK))
		Expect(w.send(ctx, http.MethodPut, "/routes/00000000-0000-4000-8000-000000000002", map[string]any{"name": "theirs", "paths": []string{"/theirs"}})).To(Equal(http.StatusOK))
		create(ctx, w.secret("john-jwt", map[string]string{"secret": longSecret}))
		consumer := w.consumer("john", func(c *v1alpha1.JwtConsumer) { c.Spec.Username = "theirs" })
		service := w.service("theirs")
		create(ctx, consumer, service)
		stalled(ctx, consumer, v1alpha1.ReasonConflict, And(ContainSubstring("username theirs"), ContainSubstring("does not manage")))
		stalled(ctx, service, v1alpha1.ReasonConflict, And(ContainSubstring("/theirs"), ContainSubstring("does not manage")))
		Expect(w.send(ctx, http.MethodDelete, "/consumers/00000000-0000-4000-8000-000000000001", nil)).To(Equal(http.StatusNoContent))
		Expect(w.send(ctx, http.MethodDelete, "/routes/00000000-0000-4000-8000-000000000002", nil)).To(Equal(http.StatusNoContent))
		ready(ctx, consumer, service)
	})
})

var _ = Describe("A protected service", func() {
	It("is never reachable unprotected, from before its creation until after its deletion", func(ctx SpecContext) {
		const frequency = 400 * time.Millisecond
		upstream, err := echo.Start("127.0.0.1:0")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(upstream.Close)
		w := newWorld(ctx, kongsim.Options{
			DBUpdateFrequency: frequency, WorkerStateUpdateFrequency: frequency, Workers: 4, Propagation: dataplane.Slowest(frequency, frequency),
		})
		ready(ctx, w.gateway)
		answers := pollRoute(ctx, w.kong.ProxyURL()+"/guarded")
		for range 3 {
			service := w.service("guarded", func(s *v1alpha1.JwtProtectedService) { s.Spec.Upstream.URL = upstream.URL() })
			create(ctx, service)
			ready(ctx, service)
			Eventually(func() int { return answers.count(http.StatusUnauthorized) }).WithTimeout(soon).WithPolling(poll).Should(BeNumerically(">", 20))
			gone(ctx, service)
			Eventually(func() int { return answers.last() }).WithTimeout(soon).WithPolling(poll).Should(Equal(http.StatusNotFound))
			answers.forget()
		}
		Expect(answers.others()).To(BeEmpty(), "answers but 401 and 404")
		Expect(upstream.Seen()).To(BeZero(), "requests that reached the upstream")
	})

	It("goes where its Kubernetes Service is, and says what is wrong with it", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		service := w.service("orders", func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Upstream = &v1alpha1.Upstream{ServiceRef: &v1alpha1.UpstreamServiceReference{Name: "orders", Port: 8080}}
		})
		create(ctx, service)
		stalled(ctx, service, v1alpha1.ReasonInvalidSpec, And(ContainSubstring("spec.upstream.serviceRef"), ContainSubstring("does not exist")))
		target := &corev1.Service{ObjectMeta: w.meta("orders"), Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}}
		create(ctx, target)
		stalled(ctx, service, v1alpha1.ReasonInvalidSpec, And(ContainSubstring("8080"), ContainSubstring("Use one of 80")))
		change(ctx, target, func(s *corev1.Service) { s.Spec.Ports[0].Port = 8080 })
		ready(ctx, service)
		Expect(w.values(ctx, "services", "host")).To(ConsistOf("orders." + w.namespace + ".svc.cluster.local"))
	})

	It("admits the consumers that it names, and lets them out, by its own acl plugin alone", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		create(ctx, w.secret("a-jwt", map[string]string{"secret": longSecret}), w.secret("b-jwt", map[string]string{"secret": longSecret}))
		a := w.consumer("a")
		b := w.consumer("b", func(c *v1alpha1.JwtConsumer) { c.Labels = map[string]string{"tier": "gold"} })
		service := w.service("orders", func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Access = &v1alpha1.Access{Consumers: []v1alpha1.ConsumerReference{{Name: "a"}}, ConsumerSelector: selector("tier", "gold")}
		})
		create(ctx, service, a, b)
		ready(ctx, a, b, service)
		own := "kongjwt:" + w.namespace
		eventually := func(groups ...any) {
			GinkgoHelper()
			Eventually(w.admitted).WithContext(ctx).WithTimeout(soon).WithPolling(poll).Should(ConsistOf(groups...))
		}
		eventually(own+".a", own+".b")
		change(ctx, b, func(c *v1alpha1.JwtConsumer) { c.Labels = nil })
		eventually(own + ".a")
		change(ctx, service, func(s *v1alpha1.JwtProtectedService) { s.Spec.Access = &v1alpha1.Access{Groups: []string{"readers"}} })
		eventually("readers")
		Expect(w.values(ctx, "acls", "group")).To(ConsistOf(own+".a", own+".b", own, own), "nobody writes to another's object")
	})
})

var _ = Describe("Deletion", func() {
	It("leaves the entities in Kong without our tags where they are to be retained", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		consumer := w.consumer("john", func(c *v1alpha1.JwtConsumer) {
			c.Spec.DeletionPolicy, c.Spec.Tags = v1alpha1.DeletionPolicyRetain, []v1alpha1.Tag{"mine"}
			c.Spec.Credentials = []v1alpha1.Credential{{Name: "made", Algorithm: "HS256", Generate: &v1alpha1.Generate{SecretName: "john-made"}}}
		})
		create(ctx, consumer)
		ready(ctx, consumer)
		gone(ctx, consumer)
		Expect(w.values(ctx, "consumers", "tags")).To(ConsistOf(ConsistOf("mine")))
		Expect(w.values(ctx, "jwts", "tags")).To(ConsistOf(ConsistOf("mine")))
		secret := w.secret("john-made", nil)
		Expect(kube.Get(ctx, client.ObjectKeyFromObject(secret), secret)).To(Succeed())
		Expect(secret.OwnerReferences).To(BeEmpty(), "it stays with the credential")
	})

	It("is blocked by what others hung on it in Kong, which it names", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{}, func(g *v1alpha1.KongGateway) { g.Spec.Drift.Interval = "5s" })
		service := w.service("orders")
		create(ctx, service)
		ready(ctx, service)
		foreign := "/routes/00000000-0000-4000-8000-000000000007"
		Expect(w.send(ctx, http.MethodPut, foreign, map[string]any{
			"name": "hung-on", "paths": []string{"/x"}, "service": map[string]any{"id": service.Status.ServiceID},
		})).To(Equal(http.StatusOK))
		Expect(kube.Delete(ctx, service)).To(Succeed())
		stalled(ctx, service, v1alpha1.ReasonConflict, ContainSubstring("hung-on"))
		Expect(w.send(ctx, http.MethodDelete, foreign, nil)).To(Equal(http.StatusNoContent))
		gone(ctx, service)
		Expect(w.list(ctx, "services")).To(BeEmpty())
	})

	It("of everything at once ends, the gateway and its Secrets included", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		secret := w.secret("john-jwt", map[string]string{"secret": longSecret})
		consumer, service := w.consumer("john"), w.service("orders")
		create(ctx, secret, consumer, service)
		ready(ctx, consumer, service)
		for _, object := range []client.Object{w.gateway, secret, service, consumer} {
			Expect(kube.Delete(ctx, object)).To(Succeed())
		}
		for _, object := range []client.Object{service, consumer, w.gateway} {
			gone(ctx, object)
		}
		Expect(w.list(ctx, "consumers")).To(BeEmpty())
		Expect(w.list(ctx, "services")).To(BeEmpty())
	})

	It("moves a resource to another gateway: it leaves the old one first", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		other, err := kongsim.Start(kongsim.Options{})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(other.Close)
		second := w.gateway.DeepCopy()
		second.ObjectMeta = metav1.ObjectMeta{Name: w.name + "-second"}
		second.Spec.AdminAPI.URL = other.AdminURL()
		consumer := w.consumer("john")
		create(ctx, second, w.secret("john-jwt", map[string]string{"secret": longSecret}), consumer)
		DeferCleanup(func(ctx SpecContext) { gone(ctx, consumer); gone(ctx, second) })
		ready(ctx, second, consumer)
		change(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Spec.GatewayRef.Name = second.Name })
		Eventually(func(g Gomega) {
			g.Expect(kube.Get(ctx, client.ObjectKeyFromObject(consumer), consumer)).To(Succeed())
			g.Expect(consumer.Status.Gateway).To(Equal(second.Name))
		}).WithTimeout(soon).WithPolling(poll).Should(Succeed())
		ready(ctx, consumer)
		Expect(w.list(ctx, "consumers")).To(BeEmpty())
		Expect((&world{kong: other}).list(ctx, "consumers")).To(HaveLen(1))
	})
})

func selector(key, value string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{key: value}}
}

// polled are the answers of a route that is asked again and again.
type polled struct {
	mu     sync.Mutex
	counts map[int]int
	latest int
}

// pollRoute asks a route without a token, from several connections, until the spec ends.
func pollRoute(ctx context.Context, url string) *polled {
	p := &polled{counts: map[int]int{}}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var group sync.WaitGroup
	DeferCleanup(func() { cancel(); group.Wait() })
	for range 4 {
		// A connection stays with one worker, so each request has its own.
		asker := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		group.Go(func() {
			for ctx.Err() == nil {
				request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
				if err != nil {
					return
				}
				response, err := asker.Do(request)
				if err != nil {
					continue
				}
				_ = response.Body.Close()
				p.mu.Lock()
				p.counts[response.StatusCode]++
				p.latest = response.StatusCode
				p.mu.Unlock()
			}
		})
	}
	return p
}

func (p *polled) count(code int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts[code]
}

func (p *polled) last() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.latest
}

// forget begins the counts of the expected answers anew.
func (p *polled) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.counts, http.StatusUnauthorized)
}

func (p *polled) others() map[int]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	others := map[int]int{}
	for code, count := range p.counts {
		if code != http.StatusUnauthorized && code != http.StatusNotFound {
			others[code] = count
		}
	}
	return others
}
