package e2e

import (
	"fmt"
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// underControl says where a case rotates.
func (c rotationCase) underControl(kongs *controlled) string {
	text := "a stand-in for an ingress controller"
	if kongs.stop == nil {
		text = "a real ingress controller"
	}
	if c.kill {
		text += ", the operator killed in each"
	}
	return fmt.Sprintf("%s, %d Kongs", text, len(kongs.proxies))
}

var _ = Describe("A Kong of an ingress controller", Ordered, Serial, Label("ingress"), func() {
	var (
		kongs              *controlled
		namespace          string
		owned              *v1alpha1.KongGateway
		service            *v1alpha1.JwtProtectedService
		consumer, stranger *v1alpha1.JwtConsumer
		token              *v1alpha1.JwtToken
		opened             func() []answer
		rotated            int // how often, so far
	)
	path := func() call { return at(pathOfService(namespace, "api")) }
	tokenOf := func(ctx SpecContext) string {
		return string(readSecret(ctx, namespace, token.Spec.SecretName).Data["token"])
	}

	BeforeAll(func(ctx SpecContext) {
		kongs = newControlled(ctx)
		owned = kongs.gateway(ctx, "ingress")
		namespace = newNamespace(ctx, "ingress")
		opened = watch(path())
		DeferCleanup(func() { opened() })
		on := v1alpha1.GatewayReference{Name: owned.Name}
		service = newService(namespace, "api", func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.GatewayRef, s.Access = on, &v1alpha1.Access{Consumers: []v1alpha1.ConsumerReference{{Name: "caller"}}}
		})
		consumers := map[string]*v1alpha1.JwtConsumer{}
		for _, name := range []string{"caller", "stranger"} {
			consumers[name] = newConsumer(namespace, name, func(s *v1alpha1.JwtConsumerSpec) {
				made := generated("made", "HS256", name+"-made")
				made.Generate.Rotation = &v1alpha1.Rotation{
					Interval: "1h", Overlap: v1alpha1.Duration(overlapOfRotation.String()),
				}
				s.GatewayRef, s.Credentials = on, []v1alpha1.Credential{made}
			})
			create(ctx, consumers[name])
		}
		consumer, stranger = consumers["caller"], consumers["stranger"]
		token = newToken(namespace, "caller", "made")
		create(ctx, service, token)
		awaitReady(ctx, owned, service, consumer, stranger, token)
	})

	It("lets those in whom the service admits, and nobody else", func(ctx SpecContext) {
		Expect(owned.Status.Mode).To(Equal(v1alpha1.ModeIngressController))
		expectPassed(ctx, path().with(tokenOf(ctx)), HaveKeyWithValue("X-Consumer-Username", namespace+".caller"))
		expectRefused(ctx, path(), http.StatusUnauthorized, "Unauthorized")
		made := readSecret(ctx, namespace, "stranger-made")
		expectRefused(ctx, path().with(sign("HS256", signingKeyOf(made), string(made.Data["key"]))),
			http.StatusForbidden, "You cannot consume this service")
	})

	DescribeTable("rotates with nothing refused", func(ctx SpecContext, c rotationCase) {
		r := &rotating{gateway: owned, consumer: consumer, url: env.ProxyURL + path().path}
		clients, living := startTraffic(ctx, r.url)
		DeferCleanup(clients.stop)
		Expect(clients.add(living, namespace, "caller-made", signing)).To(Succeed())
		Expect(clients.add(living, namespace, token.Spec.SecretName, carrying)).To(Succeed())
		for range c.rotations {
			rotated++
			r.rotate(ctx, rotated, c.kill)
		}
		clients.end(fmt.Sprintf("%d rotations, %s", c.rotations, c.underControl(kongs)))
		Expect(clients.refused.Load()).To(BeZero(), clients.firstRefusal())
		Expect(clients.requests.Load()).To(BeNumerically(">", 100*c.rotations), "the clients were at work")
		awaitReady(ctx, token)
	},
		Entry("3 rotations", rotationCase{rotations: 3}, SpecTimeout(10*time.Minute)),
		Entry("20 rotations", Label("full"), rotationCase{rotations: 20}, SpecTimeout(30*time.Minute)),
		Entry("20 rotations, killed", Label("full"), rotationCase{rotations: 20, kill: true}, SpecTimeout(30*time.Minute)),
	)

	It("says who holds a username, and harms neither", func(ctx SpecContext) {
		rival := newConsumer(namespace, "rival", func(s *v1alpha1.JwtConsumerSpec) {
			s.GatewayRef.Name, s.Username = owned.Name, namespace+".caller"
			s.Credentials = []v1alpha1.Credential{generated("made", "HS256", "rival-made")}
		})
		create(ctx, rival)
		awaitReason(ctx, rival, v1alpha1.ReasonConflict, "JwtConsumer "+namespace+"/caller")
		expectPassed(ctx, path().with(tokenOf(ctx)))
		remove(ctx, rival)
	})

	It("goes on when the operator is killed", func(ctx SpecContext) {
		Expect(operator.Kill()).To(Succeed())
		expectPassed(ctx, path().with(tokenOf(ctx)))
		var err error
		operator, err = env.StartOperator(ctx)
		Expect(err).NotTo(HaveOccurred())
		awaitReady(ctx, owned, service, consumer)
		update(ctx, stranger, func(c *v1alpha1.JwtConsumer) { c.Spec.Groups = []string{named("later")} })
		awaitReady(ctx, stranger)
	})

	It("revokes on every node, and leaves nothing", func(ctx SpecContext) {
		held := tokenOf(ctx)
		expectPassed(ctx, path().with(held))
		update(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Spec.Revoked = true })
		expectRefused(ctx, path().with(held), http.StatusUnauthorized, "No credentials found")
		Expect(writtenFor(ctx, owned.Name, namespace)).NotTo(BeEmpty())
		removeAll(ctx, token, consumer, stranger, service)
		expectRefused(ctx, path(), http.StatusNotFound, "no Route matched")
		for _, a := range opened() {
			Expect(a.upstream).To(BeNil(), "nobody got in without a token")
		}
		remove(ctx, owned)
		Expect(writtenFor(ctx, owned.Name, namespace)).To(BeEmpty())
		Eventually(kongs.entitiesWith).WithContext(ctx).WithArguments(namespace).Should(BeEmpty(), "the controller takes all out")
	})
})
