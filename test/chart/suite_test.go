// Package chart installs the chart by a real helm into a real control plane, runs the operator under the rights that
// the chart gives it, and holds kustomize's bases to the same objects.
package chart

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/test/testenv"
)

const (
	chartPath = "../../charts/kong-jwt-operator"
	namespace = "kong-jwt-system"
	release   = "kong-jwt-operator"
	// patience bounds what takes a second on an idle machine.
	patience = 60 * time.Second
)

var (
	config     *rest.Config
	kubeconfig string
	kube       client.Client
)

func TestChart(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(patience)
	SetDefaultEventuallyPollingInterval(100 * time.Millisecond)
	EnforceDefaultTimeoutsWhenUsingContexts()
	RunSpecs(t, "Chart")
}

var _ = BeforeSuite(func(ctx SpecContext) {
	log.SetLogger(GinkgoLogr)
	living, end := context.WithCancel(context.Background())
	DeferCleanup(end)
	var stop func() error
	var err error
	config, kubeconfig, stop, err = testenv.StartControlPlane(living, GinkgoT().TempDir())
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(stop)
	config.QPS = -1
	scheme := runtime.NewScheme()
	Expect(errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme), apiextensionsv1.AddToScheme(scheme))).To(Succeed())
	kube, err = client.New(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())

	for _, name := range []string{namespace, "team-a", "team-b", "kong", "argocd", "flux-system"} {
		// The strictest standard: a pod that does not meet it is refused.
		labels := map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}
		Expect(kube.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}})).To(Succeed())
	}
	// The kinds of the Prometheus operator, of Argo CD and of Flux, with schemas of the fields that are used.
	_, err = envtest.InstallCRDs(config, envtest.CRDInstallOptions{Paths: []string{"testdata"}, ErrorIfPathMissing: true, MaxTime: patience})
	Expect(err).NotTo(HaveOccurred())
}, NodeTimeout(3*time.Minute))

// environment gives a tool's path, or says how it comes to be there.
func environment(variable string) string {
	path := os.Getenv(variable)
	Expect(path).NotTo(BeEmpty(), "%s is not set: run `make test-chart`", variable)
	return path
}

// valueSets are the files of values that users are thought to have.
func valueSets() []string {
	files, err := filepath.Glob("values/*.yaml")
	Expect(err).NotTo(HaveOccurred())
	Expect(len(files)).To(BeNumerically(">=", 5))
	return files
}
