package testenv_test

import (
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/kongjwt/kong-jwt-operator/test/testenv"
)

func TestStartServesOurKinds(t *testing.T) {
	g := NewWithT(t)
	config, stop, err := testenv.Start(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	client, err := kubernetes.NewForConfig(config)
	g.Expect(err).NotTo(HaveOccurred())

	served, err := client.Discovery().ServerResourcesForGroupVersion("kongjwt.dev/v1alpha1")
	g.Expect(err).NotTo(HaveOccurred())
	var kinds []string
	for _, resource := range served.APIResources {
		kinds = append(kinds, resource.Kind)
	}
	g.Expect(kinds).To(ContainElements("KongGateway", "JwtConsumer", "JwtProtectedService", "JwtToken"))

	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team-a"}}
	_, err = client.CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{})
	g.Expect(err).NotTo(HaveOccurred())

	g.Expect(stop()).To(Succeed())
	_, err = client.Discovery().ServerVersion()
	g.Expect(err).To(MatchError(ContainSubstring("refused")))
}

func TestStartNamesTheRemedy(t *testing.T) {
	g := NewWithT(t)
	t.Setenv(testenv.AssetsVariable, t.TempDir())
	_, _, err := testenv.Start(t.Context())
	g.Expect(err).To(MatchError(ContainSubstring("make control-plane")))
}

func TestStartOutsideTheRepository(t *testing.T) {
	g := NewWithT(t)
	t.Setenv(testenv.AssetsVariable, "")
	t.Chdir(t.TempDir())
	_, _, err := testenv.Start(t.Context())
	g.Expect(err).To(MatchError(ContainSubstring("not inside the repository")))
}
