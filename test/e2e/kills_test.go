package e2e

import (
	"crypto/sha256"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// unchanged holds what is published of a consumer's material to what was published of it before.
func unchanged(ctx SpecContext, c *v1alpha1.JwtConsumer, material map[string]string) {
	GinkgoHelper()
	secret := &corev1.Secret{}
	key := client.ObjectKey{Namespace: c.Namespace, Name: c.Spec.Credentials[0].Generate.SecretName}
	Expect(client.IgnoreNotFound(env.Client.Get(ctx, key, secret))).To(Succeed())
	now, former := string(secret.Data["secret"]), material[c.Name]
	if former != "" {
		Expect(sha256.Sum256([]byte(now))).To(Equal(sha256.Sum256([]byte(former))), "the material of %s is what it was", c.Name)
	}
	if now != "" {
		material[c.Name] = now
	}
}

var _ = Describe("Killed again and again", Serial, func() {
	// killed kills the operator at random moments, while resources of a gateway of their own are made, changed and
	// deleted.
	killed := func(ctx SpecContext, times int) {
		gateway := newGateway(named("kills"))
		create(ctx, gateway)
		DeferCleanup(func() {
			ctx, cancel := background()
			defer cancel()
			remove(ctx, gateway)
		})
		namespace := newNamespace(ctx, "kills")
		fresh := func(i int) *v1alpha1.JwtConsumer {
			return newConsumer(namespace, fmt.Sprintf("caller-%d", i), func(s *v1alpha1.JwtConsumerSpec) {
				s.GatewayRef.Name = gateway.Name
				s.Groups = []string{named("first")}
				s.Credentials = []v1alpha1.Credential{generated("made", "HS256", fmt.Sprintf("caller-%d-made", i))}
			})
		}
		material := map[string]string{}
		var living []*v1alpha1.JwtConsumer
		for i := range times {
			consumer := fresh(i)
			create(ctx, consumer)
			living = append(living, consumer)
			if i%3 == 2 {
				Expect(env.Client.Delete(ctx, living[0])).To(Succeed())
				living = living[1:]
			}
			if i%2 == 1 {
				update(ctx, living[mathrand.IntN(len(living))], func(c *v1alpha1.JwtConsumer) { c.Spec.Groups = []string{named("second")} })
			}
			for _, c := range living {
				unchanged(ctx, c, material)
			}
			moment := time.NewTimer(mathrand.N(400 * time.Millisecond))
			select {
			case <-ctx.Done():
			case <-moment.C:
			}
			Expect(operator.Kill()).To(Succeed())
			var err error
			operator, err = env.StartOperator(ctx)
			Expect(err).NotTo(HaveOccurred())
		}
		for _, c := range living {
			awaitReady(ctx, c)
			unchanged(ctx, c, material)
		}
		counts := func() map[string]int {
			found, err := tagged(ctx, gatewayTag(gateway.Name))
			Expect(err).NotTo(HaveOccurred())
			counts := map[string]int{}
			for _, e := range found {
				for field, kind := range map[string]string{"username": "consumers", "group": "groups", "key": "credentials"} {
					if e.at(field) != nil {
						counts[kind]++
					}
				}
			}
			return counts
		}
		Eventually(counts).WithContext(ctx).WithTimeout(time.Minute).Should(Equal(map[string]int{
			// Each consumer has a reserved group of its own, and one of its namespace.
			"consumers": len(living), "groups": 3 * len(living), "credentials": len(living),
		}), "nothing is missing, left over or doubled")
		for _, c := range living {
			Expect(env.Client.Delete(ctx, c)).To(Succeed())
		}
		for _, c := range living {
			awaitGone(ctx, c)
		}
		Eventually(counts).WithContext(ctx).WithTimeout(time.Minute).Should(BeEmpty())
	}

	DescribeTable("loses nothing, leaves nothing over and makes nothing twice", killed,
		Entry("3 times", 3, SpecTimeout(5*time.Minute)),
		Entry("a hundred times", Label("full"), 100, SpecTimeout(30*time.Minute)),
	)
})
