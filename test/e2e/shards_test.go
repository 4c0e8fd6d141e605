package e2e

import (
	"fmt"
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

var _ = Describe("Two operators on disjoint selectors", Serial, func() {
	It("share a Kong and an installation: each works on its own, and leaves the other's alone", func(ctx SpecContext) {
		namespace := newNamespace(ctx, "shards")
		inShard := func(name, shard string) *v1alpha1.JwtConsumer {
			c := newConsumer(namespace, name, func(s *v1alpha1.JwtConsumerSpec) {
				s.Credentials = []v1alpha1.Credential{generated("primary", "HS256", name+"-jwt")}
			})
			if shard != "" {
				c.Labels = map[string]string{"shard": shard}
			}
			return c
		}
		Expect(operator.Stop()).To(Succeed())
		one, err := env.StartOperator(ctx, "--watch-label-selector", "shard=one", "--watch-namespaces", namespace)
		Expect(err).NotTo(HaveOccurred())
		two, err := env.StartOperator(ctx, "--watch-label-selector", "shard=two")
		Expect(err).NotTo(HaveOccurred())

		first, second, nobodys := inShard("first", "one"), inShard("second", "two"), inShard("nobodys", "")
		create(ctx, first, second, nobodys)
		awaitReady(ctx, first, second)
		Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(nobodys), nobodys)).To(Succeed())
		Expect(nobodys.Status.Conditions).To(BeEmpty(), "it is in no shard")

		By("not taking what is the other's for what is left over")
		var crowd []client.Object
		for i := range 8 { // two entities each: more than may be pruned, whatever the percentage
			crowd = append(crowd, inShard(fmt.Sprintf("crowd-%d", i), "two"))
		}
		create(ctx, crowd...)
		awaitReady(ctx, crowd...)
		for range 3 { // each repair is a look at everything
			erase(ctx, "/consumers/"+first.Status.ConsumerID)
			Eventually(get).WithContext(ctx).WithArguments("/consumers/" + first.Status.ConsumerID).ShouldNot(BeNil())
		}
		var events eventsv1.EventList
		Expect(env.Client.List(ctx, &events)).To(Succeed())
		Expect(events.Items).NotTo(ContainElement(And(
			HaveField("Regarding.Name", gateway.Name), HaveField("Reason", v1alpha1.ReasonTooManyOrphans))))
		for _, c := range crowd {
			remove(ctx, c)
		}

		By("repairing what is its own")
		for _, c := range []*v1alpha1.JwtConsumer{first, second} {
			erase(ctx, "/consumers/"+c.Status.ConsumerID)
			Eventually(get).WithContext(ctx).WithArguments("/consumers/" + c.Status.ConsumerID).ShouldNot(BeNil())
		}

		By("not touching what is the other's while that one is away")
		Expect(one.Stop()).To(Succeed())
		erase(ctx, "/consumers/"+first.Status.ConsumerID)
		remove(ctx, second)
		awaitGone(ctx, second)
		Expect(get(ctx, "/consumers/"+second.Status.ConsumerID)).To(BeNil())
		Consistently(get).WithContext(ctx).WithArguments("/consumers/"+first.Status.ConsumerID).Should(BeNil(), "it is the first one's to repair")

		By("handing over to one for all")
		Expect(two.Stop()).To(Succeed())
		operator, err = env.StartOperator(ctx)
		Expect(err).NotTo(HaveOccurred())
		awaitReady(ctx, nobodys)
		Eventually(func(g Gomega) {
			status, _, err := admin(ctx, http.MethodGet, "/consumers/"+first.Status.ConsumerID, nil)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(status).To(Equal(http.StatusOK))
		}).WithContext(ctx).Should(Succeed())
		for _, c := range []client.Object{first, nobodys} {
			remove(ctx, c)
			awaitGone(ctx, c)
		}
	})
})
