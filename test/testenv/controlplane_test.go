package testenv_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/kongjwt/kong-jwt-operator/test/testenv"
)

// patience bounds what takes a few seconds; a namespace needs five by itself.
const patience = 30 * time.Second

var ownerKind = schema.GroupVersionKind{Group: "test.kongjwt.dev", Version: "v1", Kind: "Owner"}

func TestControlPlane(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	config, kubeconfig, stop, err := testenv.StartControlPlane(t.Context(), dir)
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { g.Expect(stop()).To(Succeed(), "stopping twice is no error") })
	g.Expect(kubeconfig).To(Equal(filepath.Join(dir, "kubeconfig")))
	g.Expect(kubeconfig).To(BeARegularFile())
	kube, err := client.New(config, client.Options{Scheme: scheme.Scheme})
	g.Expect(err).NotTo(HaveOccurred())

	t.Run("installs our CustomResourceDefinitions", func(t *testing.T) {
		g := NewWithT(t)
		g.Expect(testenv.InstallCRDs(config)).To(Succeed())
		_, err := kube.RESTMapper().RESTMapping(schema.GroupKind{Group: "kongjwt.dev", Kind: "JwtConsumer"})
		g.Expect(err).NotTo(HaveOccurred())
	})

	t.Run("collects what a custom resource owned, also of a kind installed later", func(t *testing.T) {
		g := NewWithT(t)
		_, err := envtest.InstallCRDs(config, envtest.CRDInstallOptions{CRDs: []*apiextensionsv1.CustomResourceDefinition{ownerCRD()}})
		g.Expect(err).NotTo(HaveOccurred())
		owner := &unstructured.Unstructured{}
		owner.SetGroupVersionKind(ownerKind)
		owner.SetNamespace("default")
		owner.SetName("owner")
		g.Expect(kube.Create(t.Context(), owner)).To(Succeed())
		owned := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: "owned",
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(owner, ownerKind)},
		}}
		g.Expect(kube.Create(t.Context(), owned)).To(Succeed())

		g.Expect(kube.Delete(t.Context(), owner)).To(Succeed())
		g.Eventually(notFound(t.Context(), kube, owned)).WithTimeout(patience).Should(BeTrue())
	})

	t.Run("deletes a namespace with what is in it", func(t *testing.T) {
		g := NewWithT(t)
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team-a"}}
		g.Expect(kube.Create(t.Context(), namespace)).To(Succeed())
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "default"}}
		g.Eventually(notFound(t.Context(), kube, account)).WithTimeout(patience).Should(BeFalse())

		g.Expect(kube.Delete(t.Context(), namespace)).To(Succeed())
		g.Eventually(notFound(t.Context(), kube, namespace)).WithTimeout(patience).Should(BeTrue())
		g.Expect(notFound(t.Context(), kube, account)()).To(BeTrue())
	})

	t.Run("keeps its state and its kubeconfig over a restart", func(t *testing.T) {
		g := NewWithT(t)
		kept := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kept"}}
		g.Expect(kube.Create(t.Context(), kept)).To(Succeed())
		g.Expect(stop()).To(Succeed())
		g.Expect(kube.Get(t.Context(), client.ObjectKeyFromObject(kept), kept)).To(MatchError(ContainSubstring("refused")))

		config, _, stopAgain, err := testenv.StartControlPlane(t.Context(), dir)
		g.Expect(err).NotTo(HaveOccurred())
		again, err := client.New(config, client.Options{Scheme: scheme.Scheme})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(again.Get(t.Context(), client.ObjectKeyFromObject(kept), kept)).To(Succeed())
		g.Expect(stopAgain()).To(Succeed())
	})
}

func TestControlPlaneEndsWithItsContext(t *testing.T) {
	g := NewWithT(t)
	ctx, cancel := context.WithCancel(t.Context())
	config, _, stop, err := testenv.StartControlPlane(ctx, t.TempDir())
	g.Expect(err).NotTo(HaveOccurred())
	kube, err := client.New(config, client.Options{Scheme: scheme.Scheme})
	g.Expect(err).NotTo(HaveOccurred())

	cancel()
	g.Eventually(func() error {
		return kube.List(t.Context(), &corev1.NamespaceList{})
	}).WithTimeout(patience).Should(MatchError(ContainSubstring("refused")))
	g.Expect(stop()).To(Succeed())
}

func TestControlPlaneNamesTheRemedy(t *testing.T) {
	g := NewWithT(t)
	t.Setenv(testenv.ControlPlaneVariable, filepath.Join(t.TempDir(), "controlplane"))
	_, _, _, err := testenv.StartControlPlane(t.Context(), t.TempDir())
	g.Expect(err).To(MatchError(ContainSubstring("make control-plane")))
}

func TestControlPlaneShowsWhyItDidNotStart(t *testing.T) {
	g := NewWithT(t)
	t.Setenv(testenv.ControlPlaneVariable, "/bin/false")
	_, _, _, err := testenv.StartControlPlane(t.Context(), t.TempDir())
	g.Expect(err).To(MatchError(ContainSubstring("controlplane.log")))
}

func notFound(ctx context.Context, kube client.Client, object client.Object) func() bool {
	return func() bool {
		return apierrors.IsNotFound(kube.Get(ctx, client.ObjectKeyFromObject(object), object))
	}
}

func ownerCRD() *apiextensionsv1.CustomResourceDefinition {
	return &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "owners." + ownerKind.Group},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: ownerKind.Group,
			Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{
				Kind: ownerKind.Kind, ListKind: "OwnerList", Singular: "owner", Plural: "owners",
			},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: ownerKind.Version, Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{
					OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object"},
				},
			}},
		},
	}
}
