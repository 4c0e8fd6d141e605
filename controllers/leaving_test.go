package controllers_test

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

var _ = Describe("A move to another gateway", func() {
	// secondGateway is one more gateway of a world, with a Kong of its own.
	secondGateway := func(ctx context.Context, w *world) (*v1alpha1.KongGateway, *world) {
		GinkgoHelper()
		other, err := kongsim.Start(kongsim.Options{})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(other.Close)
		second := w.gateway.DeepCopy()
		second.ObjectMeta = metav1.ObjectMeta{Name: w.name + "-second"}
		second.Spec.AdminAPI.URL = other.AdminURL()
		create(ctx, second)
		DeferCleanup(func(ctx SpecContext) {
			other.Faults.SetDatabaseDown(false)
			gone(ctx, w.consumer("john"))
			gone(ctx, second)
		})
		ready(ctx, second)
		return second, &world{kong: other}
	}

	It("does not wait for a Kong that does not answer; what is there is pruned when it does", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		second, elsewhere := secondGateway(ctx, w)
		consumer := w.consumer("john")
		create(ctx, w.secret("john-jwt", map[string]string{"secret": longSecret}), consumer)
		ready(ctx, consumer)
		w.kong.Faults.SetDatabaseDown(true)
		stalled(ctx, w.gateway, v1alpha1.ReasonKongUnreachable, ContainSubstring("database"))
		change(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Spec.GatewayRef.Name = second.Name })
		ready(ctx, consumer)
		Expect(elsewhere.values(ctx, "jwts", "secret")).To(ConsistOf(longSecret))
		Eventually(notes(ctx, consumer, v1alpha1.EventGatewayLeftBehind)).WithTimeout(soon).WithPolling(poll).
			Should(ConsistOf(ContainSubstring(w.name)))
		w.kong.Faults.SetDatabaseDown(false)
		ready(ctx, w.gateway)
		w.looking(ctx, func(g Gomega) { g.Expect(w.list(ctx, "jwts")).To(BeEmpty()) })
		Expect(elsewhere.values(ctx, "jwts", "secret")).To(ConsistOf(longSecret))
	})

	It("gives up nothing for a Kong that does not answer", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		second, elsewhere := secondGateway(ctx, w)
		consumer := w.consumer("john")
		create(ctx, w.secret("john-jwt", map[string]string{"secret": longSecret}), consumer)
		ready(ctx, consumer)
		elsewhere.kong.Faults.SetDatabaseDown(true)
		stalled(ctx, second, v1alpha1.ReasonKongUnreachable, ContainSubstring("database"))
		change(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Spec.GatewayRef.Name = second.Name })
		stalled(ctx, consumer, v1alpha1.ReasonKongUnreachable, ContainSubstring(second.Name))
		Expect(w.values(ctx, "jwts", "secret")).To(ConsistOf(longSecret))
		elsewhere.kong.Faults.SetDatabaseDown(false)
		ready(ctx, consumer)
		Expect(w.list(ctx, "jwts")).To(BeEmpty())
	})
})

var _ = Describe("The Secret that clients read", func() {
	It("stays for the overlap where the spec names another", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		consumer := w.rotated("r", &v1alpha1.Rotation{Interval: "1h", Overlap: "4s"})
		create(ctx, consumer)
		ready(ctx, consumer)
		material := w.published(ctx, "r-made", "secret")
		change(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Spec.Credentials[0].Generate.SecretName = "r-next" })
		Eventually(func() string { return w.published(ctx, "r-next", "secret") }).WithTimeout(soon).WithPolling(poll).Should(Equal(material))
		ready(ctx, consumer)
		Expect(w.published(ctx, "r-made", "secret")).To(Equal(material), "pods that start within the overlap mount it")
		Eventually(func() string { return w.published(ctx, "r-made", "secret") }).WithTimeout(soon).WithPolling(poll).Should(BeEmpty())
		Expect(w.published(ctx, "r-next", "secret")).To(Equal(material))
	})

	It("stays for the overlap where the credential comes out of somebody else's", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		consumer := w.rotated("r", &v1alpha1.Rotation{Interval: "1h", Overlap: "30m"})
		create(ctx, consumer)
		ready(ctx, consumer)
		first, material := w.published(ctx, "r-made", "key"), w.published(ctx, "r-made", "secret")
		create(ctx, w.secret("theirs", map[string]string{"id": w.name + "-given", "secret": longSecret}))
		change(ctx, consumer, func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials[0].Generate = nil
			c.Spec.Credentials[0].SecretRef = &v1alpha1.CredentialSecretReference{
				Name: "theirs", Overlap: "30m", DataKeys: &v1alpha1.CredentialDataKeys{Key: "id"},
			}
		})
		Eventually(phases(ctx, consumer)).WithTimeout(soon).WithPolling(poll).
			Should(Equal([]string{"Active " + w.name + "-given", "Retiring " + first}))
		ready(ctx, consumer)
		Expect(w.published(ctx, "r-made", "secret")).To(Equal(material))
		By("deleting the consumer, which takes it along")
		gone(ctx, consumer)
		for _, name := range []string{"r-made", "r-kongjwt-state"} {
			secret := w.secret(name, nil)
			Expect(apierrors.IsNotFound(kube.Get(ctx, client.ObjectKeyFromObject(secret), secret))).To(BeTrue(), name)
		}
		Expect(w.published(ctx, "theirs", "secret")).To(Equal(longSecret))
	})
})
