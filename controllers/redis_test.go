package controllers_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

var _ = Describe("A Redis of a KongGateway's policy", func() {
	It("counts for the services that name it, with the password that its Secret has", func(ctx SpecContext) {
		secret := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: "redis-password"},
			StringData: map[string]string{"password": "first"},
		}
		w := newWorld(ctx, kongsim.Options{}, func(g *v1alpha1.KongGateway) {
			g.Spec.Policy.Redis = []v1alpha1.RedisServer{{
				Name: "limits", Host: "redis.kong.svc",
				PasswordSecretRef: &v1alpha1.SecretKeyReference{
					SecretReference: v1alpha1.SecretReference{Namespace: operatorNamespace, Name: secret.Name}, Key: "password",
				},
			}}
		})
		s := w.service("limited", func(s *v1alpha1.JwtProtectedService) {
			minute := int32(5)
			s.Spec.RateLimit = &v1alpha1.RateLimit{Minute: &minute, Policy: v1alpha1.RateLimitByRedis, Redis: "limits"}
		})
		create(ctx, s)
		By("waiting for what the gateway's owner has to make")
		reconciling(ctx, s, v1alpha1.ReasonGatewayNotReady, And(ContainSubstring("policy.redis"), ContainSubstring("redis-password")))
		Expect(w.list(ctx, "plugins")).To(BeEmpty())
		create(ctx, secret)
		DeferCleanup(func(ctx SpecContext) { Expect(kube.Delete(ctx, secret)).To(Succeed()) })
		ready(ctx, s)

		redis := func() any {
			for _, plugin := range w.list(ctx, "plugins") {
				if plugin["name"] == "rate-limiting" {
					return plugin["config"].(map[string]any)["redis"]
				}
			}
			return nil
		}
		Expect(redis()).To(And(HaveKeyWithValue("host", "redis.kong.svc"), HaveKeyWithValue("password", "first")))
		By("changing the password")
		change(ctx, secret, func(secret *corev1.Secret) { secret.StringData = map[string]string{"password": "second"} })
		Eventually(redis).WithTimeout(soon).WithPolling(poll).Should(HaveKeyWithValue("password", "second"))
		ready(ctx, s)

		By("leaving what is counted as it is where the policy takes the Redis away, and saying so")
		change(ctx, w.gateway, func(g *v1alpha1.KongGateway) { g.Spec.Policy.Redis = nil })
		stalled(ctx, s, v1alpha1.ReasonPolicyViolation, ContainSubstring("spec.rateLimit.redis"))
		Expect(redis()).To(HaveKeyWithValue("password", "second"))
	})
})
