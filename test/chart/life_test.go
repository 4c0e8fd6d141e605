package chart

import (
	"context"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

var gatewayValues = []string{
	"--set", "defaultGateway.enabled=true", "--set", "defaultGateway.spec.adminAPI.url=http://127.0.0.1:1",
	"--set", "defaultGateway.spec.allowedNamespaces.from=All",
}

func install(ctx context.Context, verb string, more ...string) {
	GinkgoHelper()
	mustHelm(ctx, append(append([]string{verb, release, chartPath}, gatewayValues...), more...)...)
}

func replicas(ctx context.Context) int32 {
	GinkgoHelper()
	var deployment appsv1.Deployment
	Expect(kube.Get(ctx, client.ObjectKey{Namespace: namespace, Name: release}, &deployment)).To(Succeed())
	return *deployment.Spec.Replicas
}

// gone says whether no definition of ours is there.
func gone(ctx context.Context) (bool, error) {
	var crds apiextensionsv1.CustomResourceDefinitionList
	err := kube.List(ctx, &crds)
	return !slices.ContainsFunc(crds.Items, isOurs), err
}

func isOurs(crd apiextensionsv1.CustomResourceDefinition) bool {
	return crd.Spec.Group == v1alpha1.GroupVersion.Group
}

var _ = Describe("The release", Ordered, func() {
	var consumer *v1alpha1.JwtConsumer
	gateway := &v1alpha1.KongGateway{ObjectMeta: metav1.ObjectMeta{Name: "default"}}

	BeforeAll(func(ctx SpecContext) {
		removeDefinitions(ctx)
	}, NodeTimeout(patience))

	It("installs into an empty cluster, the default gateway with it", func(ctx SpecContext) {
		install(ctx, "install")
		Expect(replicas(ctx)).To(BeEquivalentTo(2))
		Expect(kube.Get(ctx, client.ObjectKeyFromObject(gateway), gateway)).To(Succeed())
		Expect(gateway.Spec.AdminAPI.URL).To(Equal("http://127.0.0.1:1"))
		consumer = &v1alpha1.JwtConsumer{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "john"}}
		Expect(kube.Create(ctx, consumer)).To(Succeed())
	}, SpecTimeout(patience))

	It("makes pods that the restricted standard admits", func(ctx SpecContext) {
		var pods corev1.PodList
		Eventually(func(g Gomega) {
			g.Expect(kube.List(ctx, &pods, client.InNamespace(namespace))).To(Succeed())
			g.Expect(pods.Items).To(HaveLen(2), "the namespace refuses other pods, and the Deployment's controller makes them")
		}).Should(Succeed())
		Expect(*pods.Items[0].Spec.Containers[0].SecurityContext.ReadOnlyRootFilesystem).To(BeTrue())
	}, SpecTimeout(patience))

	It("upgrades, and the gateway and the resources with it", func(ctx SpecContext) {
		uid := gateway.UID
		install(ctx, "upgrade", "--set", "replicas=3", "--set", "defaultGateway.spec.adminAPI.url=http://127.0.0.1:2")
		Expect(replicas(ctx)).To(BeEquivalentTo(3))
		Expect(kube.Get(ctx, client.ObjectKeyFromObject(gateway), gateway)).To(Succeed())
		Expect(gateway.Spec.AdminAPI.URL).To(Equal("http://127.0.0.1:2"))
		Expect(gateway.UID).To(Equal(uid), "it is changed, not made anew")
		Expect(kube.Get(ctx, client.ObjectKeyFromObject(consumer), consumer)).To(Succeed())
		install(ctx, "upgrade", "--set", "replicas=3", "--set", "defaultGateway.spec.adminAPI.url=http://127.0.0.1:2")
		Expect(kube.Get(ctx, client.ObjectKeyFromObject(gateway), gateway)).To(Succeed())
		Expect(gateway.UID).To(Equal(uid))
	}, SpecTimeout(patience))

	It("rolls back, to the gateway's spec where that was of the release, which it is from the second revision on", func(ctx SpecContext) {
		install(ctx, "upgrade", "--set", "replicas=1", "--set", "defaultGateway.spec.adminAPI.url=http://127.0.0.1:3")
		uid := gateway.UID
		for _, back := range []struct {
			revision, url string
			replicas      int
		}{
			{"2", "http://127.0.0.1:2", 3},
			// The first made it by a hook, which is no part of a release: it stays as it was last.
			{"1", "http://127.0.0.1:2", 2},
		} {
			mustHelm(ctx, "rollback", release, back.revision)
			Expect(replicas(ctx)).To(BeEquivalentTo(back.replicas))
			Expect(kube.Get(ctx, client.ObjectKeyFromObject(gateway), gateway)).To(Succeed())
			Expect(gateway.Spec.AdminAPI.URL).To(Equal(back.url), "revision %s", back.revision)
			Expect(gateway.UID).To(Equal(uid))
			Expect(gateway.DeletionTimestamp).To(BeNil())
			Expect(kube.Get(ctx, client.ObjectKeyFromObject(consumer), consumer)).To(Succeed())
		}
	}, SpecTimeout(patience))

	It("takes the gateway that a rollback left up again, and its spec back to what it was", func(ctx SpecContext) {
		uid := gateway.UID
		install(ctx, "upgrade")
		Expect(kube.Get(ctx, client.ObjectKeyFromObject(gateway), gateway)).To(Succeed())
		Expect(gateway.Spec.AdminAPI.URL).To(Equal("http://127.0.0.1:1"))
		Expect(gateway.UID).To(Equal(uid))
	}, SpecTimeout(patience))

	It("leaves the kinds, the gateway and the resources when it is uninstalled, and takes them up again", func(ctx SpecContext) {
		mustHelm(ctx, "uninstall", release)
		Expect(kube.Get(ctx, client.ObjectKeyFromObject(gateway), gateway)).To(Succeed())
		Expect(gateway.DeletionTimestamp).To(BeNil())
		Expect(kube.Get(ctx, client.ObjectKeyFromObject(consumer), consumer)).To(Succeed())
		var deployment appsv1.Deployment
		err := kube.Get(ctx, client.ObjectKey{Namespace: namespace, Name: release}, &deployment)
		Expect(apierrors.IsNotFound(err)).To(BeTrue())

		install(ctx, "install")
		Expect(kube.Get(ctx, client.ObjectKeyFromObject(gateway), gateway)).To(Succeed())
		Expect(gateway.Spec.AdminAPI.URL).To(Equal("http://127.0.0.1:1"))
	}, SpecTimeout(patience))

	It("takes the kinds along with crds.keep=false", func(ctx SpecContext) {
		install(ctx, "upgrade", "--set", "crds.keep=false", "--set", "defaultGateway.enabled=false")
		mustHelm(ctx, "uninstall", release)
		Eventually(gone).WithContext(ctx).Should(BeTrue())
	}, SpecTimeout(patience))
})
