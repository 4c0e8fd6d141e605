package e2e

import (
	"context"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// pollers that ask one route at once: each request is a connection of its own, so that all of Kong's workers are
// asked.
const pollers = 4

// watch asks without a pause until stop is called, which gives every answer. An answer that could not be had is a
// failure.
func watch(c call) (stop func() []answer) {
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	var mu sync.Mutex
	var answers []answer
	for range pollers {
		group.Go(func() {
			defer GinkgoRecover()
			for ctx.Err() == nil {
				a, err := c.send(ctx)
				if ctx.Err() != nil {
					return
				}
				Expect(err).NotTo(HaveOccurred())
				mu.Lock()
				answers = append(answers, a)
				mu.Unlock()
			}
		})
	}
	return func() []answer {
		cancel()
		group.Wait()
		return answers
	}
}

// only asserts that nothing but 404 and 401 was answered, both of them, and that nothing got to the upstream.
func only(answers []answer) {
	GinkgoHelper()
	Expect(statuses(answers)).To(Equal([]int{401, 404}), "of %d answers", len(answers))
	for _, a := range answers {
		Expect(a.upstream).To(BeNil())
	}
}

var _ = Describe("Never reachable unprotected", func() {
	var namespace string

	BeforeEach(func(ctx SpecContext) { namespace = newNamespace(ctx, "unprotected") })

	secured := func(name string, change ...func(*v1alpha1.JwtProtectedServiceSpec)) *v1alpha1.JwtProtectedService {
		return newService(namespace, name, change...)
	}

	It("from before a service's creation until after its deletion", func(ctx SpecContext) {
		service := secured("api")
		path := pathOfService(namespace, "api")
		stop := watch(at(path))
		DeferCleanup(func() { stop() })
		create(ctx, service)
		awaitReady(ctx, service)
		expectRefused(ctx, at(path), 401, "Unauthorized")
		remove(ctx, service)
		expectRefused(ctx, at(path), 404, "no Route matched")
		only(stop())
	})

	It("nor by a token whose claims the service refuses", func(ctx SpecContext) {
		const material = "a secret of a watcher, longer than thirty-two bytes"
		key := named("unprotected-claims")
		caller := newConsumer(namespace, "caller", func(s *v1alpha1.JwtConsumerSpec) {
			s.Credentials = []v1alpha1.Credential{referenced("primary", "HS256", key, "material")}
		})
		create(ctx, newSecret(namespace, "material", map[string]string{"secret": material}), caller)
		awaitReady(ctx, caller)
		token := sign("HS256", []byte(material), key, claims{"aud": "another"})
		service := secured("claims", func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.Claims = &v1alpha1.ClaimChecks{Audiences: []string{"orders"}}
		})
		path := pathOfService(namespace, "claims")
		stop := watch(at(path).with(token))
		DeferCleanup(func() { stop() })
		create(ctx, service)
		awaitReady(ctx, service)
		expectRefused(ctx, at(path).with(token), 401, "Unauthorized")
		update(ctx, service, func(s *v1alpha1.JwtProtectedService) { s.Spec.Claims.Audiences = []string{"invoices"} })
		awaitReady(ctx, service)
		expectPassed(ctx, at(path).with(sign("HS256", []byte(material), key, claims{"aud": "invoices"})))
		remove(ctx, service)
		expectRefused(ctx, at(path), 404, "no Route matched")
		only(stop())
	})

	It("while the routes, the plugins and the name of a service change", func(ctx SpecContext) {
		service := secured("changing")
		path, second := pathOfService(namespace, "changing"), pathOf("changing-second")
		stops := []func() []answer{watch(at(path)), watch(at(second))}
		for _, stop := range stops {
			DeferCleanup(func() { stop() })
		}
		create(ctx, service)
		awaitReady(ctx, service)
		changes := []func(*v1alpha1.JwtProtectedService){
			func(s *v1alpha1.JwtProtectedService) {
				s.Spec.Routes = append(s.Spec.Routes, v1alpha1.Route{Name: "second", Paths: []string{second}, Protocols: []v1alpha1.Protocol{"http"}})
			},
			func(s *v1alpha1.JwtProtectedService) { s.Spec.JWT = v1alpha1.JWTPlugin{KeyClaimName: "iss"} },
			func(s *v1alpha1.JwtProtectedService) { s.Spec.ServiceName = named("changing") },
			func(s *v1alpha1.JwtProtectedService) { s.Spec.Routes = s.Spec.Routes[1:] },
			func(s *v1alpha1.JwtProtectedService) { s.Spec.Routes = nil },
		}
		expectRefused(ctx, at(path), 401, "Unauthorized")
		for i, change := range changes {
			update(ctx, service, change)
			awaitReady(ctx, service)
			if i == 0 {
				// Every worker has the route: what follows is about one that is served.
				expectRefused(ctx, at(second), 401, "Unauthorized")
			}
		}
		expectRefused(ctx, at(second), 404, "no Route matched")
		remove(ctx, service)
		for _, stop := range stops {
			only(stop())
		}
	})

	It("when a service of its own becomes an attachment to somebody else's", func(ctx SpecContext) {
		theirs := foreign(ctx, "services", entity{"name": named("attached"), "url": env.UpstreamURL})
		service := secured("attaching")
		path := pathOfService(namespace, "attaching")
		stop := watch(at(path))
		DeferCleanup(func() { stop() })
		create(ctx, service)
		awaitReady(ctx, service)
		expectRefused(ctx, at(path), 401, "Unauthorized")
		update(ctx, service, func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Upstream, s.Spec.Routes, s.Spec.AttachTo = nil, nil, &v1alpha1.AttachTo{ServiceName: named("attached")}
		})
		awaitReady(ctx, service)
		expectRefused(ctx, at(path), 404, "no Route matched")
		only(stop())
		plugin, err := pluginOf(ctx, service, "jwt")
		Expect(err).NotTo(HaveOccurred())
		Expect(plugin.at("service.id")).To(Equal(theirs["id"]))
		remove(ctx, service)
	})

	It("when a service is deleted and made again at once", func(ctx SpecContext) {
		path := pathOfService(namespace, "again")
		service := secured("again")
		stop := watch(at(path))
		DeferCleanup(func() { stop() })
		create(ctx, service)
		awaitReady(ctx, service)
		expectRefused(ctx, at(path), 401, "Unauthorized")
		remove(ctx, service)
		again := secured("again")
		create(ctx, again)
		awaitReady(ctx, again)
		expectRefused(ctx, at(path), 401, "Unauthorized")
		Expect(env.Client.DeleteAllOf(ctx, &v1alpha1.JwtProtectedService{}, client.InNamespace(namespace))).To(Succeed())
		awaitGone(ctx, again)
		expectRefused(ctx, at(path), 404, "no Route matched")
		only(stop())
	})
})
