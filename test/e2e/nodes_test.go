package e2e

import (
	"fmt"
	"net/http"
	"os"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// onNodes decorates specs on several nodes. Those of a real Kong run one at a time: a node without a database has one
// configuration.
func onNodes() []any {
	decorators := []any{Label("nodes")}
	if os.Getenv(nodesVariable) != "" {
		decorators = append(decorators, Serial)
	}
	return decorators
}

// clients are those of a rotating consumer, at each of some nodes.
type clients struct {
	of *rotating
	at map[string]*traffic
}

func newClients(of *rotating) *clients { return &clients{of: of, at: map[string]*traffic{}} }

// begin sends requests to a node without a pause, once it serves.
func (c *clients) begin(ctx SpecContext, proxy string) {
	GinkgoHelper()
	t, living := startTraffic(ctx, proxy+c.of.path)
	DeferCleanup(t.stop)
	expectServed(ctx, t, c.of)
	Expect(t.add(living, c.of.consumer.Namespace, "caller-made", signing)).To(Succeed())
	Expect(t.add(living, c.of.consumer.Namespace, "caller-made-token", carrying)).To(Succeed())
	c.at[proxy] = t
}

// refused is how many requests were refused so far.
func (c *clients) refused() (n int64) {
	for _, t := range c.at {
		n += t.refused.Load()
	}
	return n
}

// end stops the clients of a node, of which none may have been refused.
func (c *clients) end(proxy, what string) {
	GinkgoHelper()
	t := c.at[proxy]
	delete(c.at, proxy)
	Eventually(t.requests.Load).Should(BeNumerically(">", 100), "the clients are at work")
	t.end(fmt.Sprintf("%s, at %s", what, proxy))
	Expect(t.refused.Load()).To(BeZero(), func() string { return proxy + ": " + t.firstRefusal() })
}

var _ = Describe("Several nodes", onNodes(), func() {
	const limit = 20 * time.Minute

	// each runs a spec on each kind of nodes.
	each := func(text string, body func(SpecContext, *site)) {
		for _, c := range []struct {
			kind string
			ask  bool
		}{{sharedDatabase, false}, {sharedDatabase, true}, {noDatabase, false}, {hybrid, true}} {
			known := ""
			if c.ask {
				known = ", which the gateway asks"
			}
			It(fmt.Sprintf("%s%s %s", c.kind, known, text), func(ctx SpecContext) {
				s := newSite(ctx, c.kind, c.ask)
				if s.pods != nil {
					for _, node := range s.nodes {
						s.pods.come(ctx, node)
					}
				}
				s.ready(ctx)
				body(ctx, s)
			}, SpecTimeout(limit))
		}
	}

	rotate := func(rotations int) func(SpecContext, *site) {
		return func(ctx SpecContext, s *site) {
			r := newRotatingOn(ctx, s.gateway, overlapOfMany)
			all := newClients(r)
			for _, proxy := range s.proxies() {
				all.begin(ctx, proxy)
			}
			for number := range rotations {
				r.rotate(ctx, number+1, false)
			}
			for _, proxy := range s.proxies() {
				all.end(proxy, fmt.Sprintf("%d rotations", rotations))
			}
		}
	}
	each("refuse nothing while a credential is rotated", rotate(2))
	Describe("for long,", Label("full"), func() { each("refuse nothing while a credential is rotated", rotate(20)) })

	each("refuse nothing while one after the other is killed in a rotation, and comes back", func(ctx SpecContext, s *site) {
		if s.nodes[0].process == nil {
			Skip("what " + nodesVariable + " names is not killed")
		}
		r := newRotatingOn(ctx, s.gateway, overlapOfMany)
		all := newClients(r)
		for _, proxy := range s.proxies() {
			all.begin(ctx, proxy)
		}
		for number, node := range s.nodes {
			former, err := signing(readSecret(ctx, r.consumer.Namespace, "caller-made"))
			Expect(err).NotTo(HaveOccurred())
			if node.proxy != "" {
				all.end(node.proxy, "a node that is to be killed")
			}
			r.begin(ctx, number+1)
			r.somewhere(ctx)
			Expect(node.process.Kill()).To(Succeed())
			Consistently(all.refused).WithContext(ctx).Should(BeZero())
			node.process.start()
			if node.proxy != "" {
				all.begin(ctx, node.proxy) // it serves what the others do
			}
			r.through(ctx, number+1)
			for _, c := range s.everywhere(at(r.path).with(former)) {
				expectRefused(ctx, c, http.StatusUnauthorized, "No credentials found")
			}
		}
		r.rotate(ctx, len(s.nodes)+1, false)
		for _, proxy := range s.proxies() {
			all.end(proxy, "each node was killed in a rotation")
		}
	})

	each("all refuse a credential when its revocation is done", func(ctx SpecContext, s *site) {
		const material = "a secret that several nodes hold, longer than thirty-two bytes"
		namespace := newNamespace(ctx, unique("nodes"))
		service := newService(namespace, "api", func(s2 *v1alpha1.JwtProtectedServiceSpec) { s2.GatewayRef.Name = s.gateway.Name })
		consumer := newConsumer(namespace, "caller", func(c *v1alpha1.JwtConsumerSpec) {
			c.GatewayRef.Name = s.gateway.Name
			c.Credentials = []v1alpha1.Credential{referenced("primary", "HS256", "", "material")}
		})
		create(ctx, newSecret(namespace, "material", map[string]string{"secret": material}), service, consumer)
		awaitReady(ctx, service, consumer)
		calls := s.everywhere(at(pathOfService(namespace, "api")).with(sign("HS256", []byte(material), namespace+".caller.primary")))
		for _, c := range calls {
			expectPassed(ctx, c)
		}
		update(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Spec.Revoked = true })
		awaitReady(ctx, consumer)
		for range agreeing { // at once: what is done is done at every worker of every node
			for _, c := range calls {
				a, err := c.send(ctx)
				Expect(err).NotTo(HaveOccurred())
				Expect(a.status).To(Equal(http.StatusUnauthorized), "%s takes it when the consumer says Revoked: %s", c.node, a)
			}
		}
	})

	each("never serve a new route without its plugins", func(ctx SpecContext, s *site) {
		namespace := newNamespace(ctx, unique("nodes"))
		service := newService(namespace, "api", func(s2 *v1alpha1.JwtProtectedServiceSpec) { s2.GatewayRef.Name = s.gateway.Name })
		calls := s.everywhere(at(pathOfService(namespace, "api")))
		var stops []func() []answer
		for _, c := range calls {
			stop := watch(c)
			DeferCleanup(func() { stop() })
			stops = append(stops, stop)
		}
		create(ctx, service)
		awaitReady(ctx, service)
		for _, c := range calls {
			expectRefused(ctx, c, http.StatusUnauthorized, "Unauthorized")
		}
		remove(ctx, service)
		for _, c := range calls {
			expectRefused(ctx, c, http.StatusNotFound, "no Route matched")
		}
		for _, stop := range stops {
			only(stop())
		}
	})

	It("without a database come, go and are replaced: clients of those that serve are refused nothing", func(ctx SpecContext) {
		s := newSite(ctx, noDatabase, false)
		first := s.pods.come(ctx, s.nodes[0])
		s.ready(ctx)
		r := newRotatingOn(ctx, s.gateway, overlapOfMany)
		all := newClients(r)
		all.begin(ctx, first.node.proxy)
		// comes adds a pod, which serves nothing that is open on its way to what the others have.
		comes := func(node kongNode) *pod {
			GinkgoHelper()
			stop := watch(at(r.path).on(node.proxy))
			DeferCleanup(func() { stop() })
			one := s.pods.come(ctx, node)
			all.begin(ctx, node.proxy)
			only(stop())
			return one
		}

		By("a second pod comes")
		second := comes(s.nodes[1])
		r.rotate(ctx, 1, false)

		By("the second does not answer: what it does not run is not published, until it is gone")
		second.crash()
		published := func() string { return string(readSecret(ctx, r.consumer.Namespace, "caller-made").Data["key"]) }
		former := published()
		update(ctx, r.consumer, func(c *v1alpha1.JwtConsumer) { c.Annotations[v1alpha1.AnnotationRotate] = "2" })
		Consistently(published).WithContext(ctx).Should(Equal(former))
		all.end(second.node.proxy, "a pod that does not answer")
		second.leave(ctx)
		r.rotate(ctx, 2, false)

		By("it is replaced, and then the first goes while a credential is rotated")
		comes(s.nodes[1])
		update(ctx, r.consumer, func(c *v1alpha1.JwtConsumer) { c.Annotations[v1alpha1.AnnotationRotate] = "3" })
		all.end(first.node.proxy, "a pod that goes") // Kubernetes sends it no more
		first.leave(ctx)
		r.rotate(ctx, 3, false)
		all.end(s.nodes[1].proxy, "pods that come, go and are replaced")
		Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(s.gateway), s.gateway)).To(Succeed())
		awaitReady(ctx, s.gateway)
	}, SpecTimeout(limit))
})
