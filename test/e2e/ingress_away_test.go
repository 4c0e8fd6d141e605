package e2e

import (
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// Two operators, two controllers, and one that is away.
var _ = Describe("Beside others, and while the controller is away", Ordered, Serial, Label("ingress"), func() {
	var (
		kongs     *controlled
		namespace string
		owned     *v1alpha1.KongGateway
	)
	caller := func(on *v1alpha1.KongGateway, name string) *v1alpha1.JwtConsumer {
		return newConsumer(namespace, name, func(s *v1alpha1.JwtConsumerSpec) {
			s.GatewayRef.Name, s.Credentials = on.Name, []v1alpha1.Credential{generated("primary", "HS256", name+"-made")}
		})
	}
	tokenOf := func(ctx SpecContext, name string) string {
		made := readSecret(ctx, namespace, name+"-made")
		return sign("HS256", signingKeyOf(made), string(made.Data["key"]))
	}
	path := func() call { return at(pathOfService(namespace, "api")) }

	BeforeAll(func(ctx SpecContext) {
		kongs = newControlled(ctx)
		owned = kongs.gateway(ctx, "beside")
		namespace = newNamespace(ctx, "beside")
		service := newService(namespace, "api", func(s *v1alpha1.JwtProtectedServiceSpec) { s.GatewayRef.Name = owned.Name })
		create(ctx, service)
		awaitReady(ctx, owned, service)
	})

	It("two operators share a controller and a gateway: each works on its own", func(ctx SpecContext) {
		Expect(operator.Stop()).To(Succeed())
		var operators []interface{ Stop() error }
		for _, shard := range []string{"one", "two"} {
			o, err := env.StartOperator(ctx, "--watch-label-selector", "shard="+shard)
			Expect(err).NotTo(HaveOccurred())
			operators = append(operators, o)
		}
		consumers := map[string]*v1alpha1.JwtConsumer{}
		for _, shard := range []string{"one", "two"} {
			consumers[shard] = caller(owned, "shard-"+shard)
			consumers[shard].Labels = map[string]string{"shard": shard}
			create(ctx, consumers[shard])
		}
		for _, shard := range []string{"one", "two"} {
			awaitReady(ctx, consumers[shard])
			expectPassed(ctx, path().with(tokenOf(ctx, "shard-"+shard)))
		}
		By("leaving the other's alone")
		remove(ctx, consumers["one"])
		expectPassed(ctx, path().with(tokenOf(ctx, "shard-two")))
		By("handing over to one for all")
		for _, o := range operators {
			Expect(o.Stop()).To(Succeed())
		}
		var err error
		operator, err = env.StartOperator(ctx)
		Expect(err).NotTo(HaveOccurred())
		held := tokenOf(ctx, "shard-two")
		remove(ctx, consumers["two"])
		expectRefused(ctx, path().with(held), http.StatusUnauthorized, "No credentials found")
	})

	It("one operator serves two controllers, of two classes", func(ctx SpecContext) {
		if kongs.stop == nil {
			Skip("the environment names one controller")
		}
		other := newStandIn(ctx)
		second := other.gateway(ctx, "second")
		moved := caller(owned, "moved")
		create(ctx, moved)
		awaitReady(ctx, second, moved)
		Expect(kongs.entitiesWith(ctx, namespace+".moved")).NotTo(BeEmpty())
		Expect(other.entitiesWith(ctx, namespace+".moved")).To(BeEmpty())
		update(ctx, moved, func(c *v1alpha1.JwtConsumer) { c.Spec.GatewayRef.Name = second.Name })
		awaitReady(ctx, moved)
		Expect(other.entitiesWith(ctx, namespace+".moved")).NotTo(BeEmpty())
		Eventually(kongs.entitiesWith).WithContext(ctx).WithArguments(namespace + ".moved").Should(BeEmpty())
		remove(ctx, moved)
	})

	It("a revocation and a rotation that are under way when the operator is killed come to their end", func(ctx SpecContext) {
		if kongs.stop == nil {
			Skip("the controller is not this suite's to stop")
		}
		revoked, rotated := caller(owned, "revoked"), caller(owned, "rotated")
		rotated.Spec.Credentials[0].Generate.Rotation = &v1alpha1.Rotation{Interval: "1h", Overlap: "30m"}
		create(ctx, revoked, rotated)
		awaitReady(ctx, revoked, rotated)
		held, former := tokenOf(ctx, "revoked"), tokenOf(ctx, "rotated")
		kongs.stop()
		update(ctx, revoked, func(c *v1alpha1.JwtConsumer) { c.Spec.Revoked = true })
		update(ctx, rotated, func(c *v1alpha1.JwtConsumer) {
			c.Annotations = map[string]string{v1alpha1.AnnotationRotate: "now"}
		})
		awaitReason(ctx, revoked, v1alpha1.ReasonProgressing, "waiting until the ingress controller")
		awaitReason(ctx, rotated, v1alpha1.ReasonProgressing, "waiting until the ingress controller")
		Expect(operator.Kill()).To(Succeed())
		var err error
		operator, err = env.StartOperator(ctx)
		Expect(err).NotTo(HaveOccurred())
		expectPassed(ctx, path().with(former))
		key := func() string { return string(readSecret(ctx, namespace, "rotated-made").Data["key"]) }
		first := key()
		Consistently(key).WithContext(ctx).WithTimeout(2*time.Second).Should(Equal(first), "clients get no key that Kong lacks")
		kongs.start()
		expectRefused(ctx, path().with(held), http.StatusUnauthorized, "No credentials found")
		Eventually(key).WithContext(ctx).ShouldNot(Equal(first))
		expectPassed(ctx, path().with(tokenOf(ctx, "rotated")))
		expectPassed(ctx, path().with(former))
		removeAll(ctx, revoked, rotated)
	})

	It("a consumer that is deleted while the controller is away goes when that is back", func(ctx SpecContext) {
		if kongs.stop == nil {
			Skip("the controller is not this suite's to stop")
		}
		leaver := caller(owned, "leaver")
		create(ctx, leaver)
		awaitReady(ctx, leaver)
		held := tokenOf(ctx, "leaver")
		kongs.stop()
		Expect(env.Client.Delete(ctx, leaver)).To(Succeed())
		awaitReason(ctx, leaver, v1alpha1.ReasonProgressing, "waiting until the ingress controller has given Kong what was written")
		expectPassed(ctx, path().with(held))
		kongs.start()
		awaitGone(ctx, leaver)
		expectRefused(ctx, path().with(held), http.StatusUnauthorized, "No credentials found")
	})
})
