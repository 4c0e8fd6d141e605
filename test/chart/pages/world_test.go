package pages

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/internal/echo"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/dataplane"
	"github.com/kongjwt/kong-jwt-operator/test/testenv"
)

const (
	root      = "../../.."
	namespace = "kong-jwt-system"
	name      = "kong-jwt-operator"
	// patience bounds what takes a second or two on an idle machine.
	patience = 90 * time.Second
	// frequency is the simulated Kong's: with Kong's own each change would take ten seconds.
	frequency = 200 * time.Millisecond
)

// environment gives a tool's path, or says how it comes to be there.
func environment(t *testing.T, variable string) string {
	t.Helper()
	path := os.Getenv(variable)
	if path == "" {
		t.Fatalf("%s is not set: run `make test-chart`", variable)
	}
	return path
}

// world is what a reader has: a cluster, a Kong, something to protect, and a checkout. The operator runs once the
// reader has installed it.
type world struct {
	config     *rest.Config
	kubeconfig string
	kube       client.Client
	kong       *kongsim.Server
	upstream   *echo.Server
	// checkout is a copy of what pages name of the repository, which may be changed.
	checkout string

	operator *exec.Cmd
}

func newWorld(t *testing.T, options kongsim.Options) *world {
	t.Helper()
	w := &world{}
	var stop func() error
	var err error
	w.config, w.kubeconfig, stop, err = testenv.StartControlPlane(t.Context(), t.TempDir())
	must(t, err)
	t.Cleanup(func() { must(t, stop()) })
	w.kube, err = client.New(w.config, client.Options{})
	must(t, err)
	options.DBUpdateFrequency, options.WorkerStateUpdateFrequency = frequency, frequency
	options.Propagation = dataplane.Slowest(frequency, frequency)
	w.kong, err = kongsim.Start(options)
	must(t, err)
	t.Cleanup(func() { must(t, w.kong.Close()) })
	w.upstream, err = echo.Start("127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { must(t, w.upstream.Close()) })
	w.checkout = checkout(t)
	t.Cleanup(func() { must(t, w.stopOperator()) })
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func checkout(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, folder := range []string{"argocd", "charts", "config", "docs"} {
		must(t, os.CopyFS(filepath.Join(dir, folder), os.DirFS(filepath.Join(root, folder))))
	}
	return dir
}

// change puts something else into a file of the checkout, as a page asks for.
func (w *world) change(t *testing.T, file, from, to string) {
	t.Helper()
	path := filepath.Join(w.checkout, file)
	content, err := os.ReadFile(path)
	must(t, err)
	if !strings.Contains(string(content), from) {
		t.Fatalf("%s does not have %q", file, from)
	}
	must(t, os.WriteFile(path, []byte(strings.ReplaceAll(string(content), from, to)), 0o600))
}

// environ is the reader's: kubectl, its plugin and helm are found, and the cluster.
func environ(t *testing.T, kubeconfig string, more ...string) []string {
	t.Helper()
	bin, home := t.TempDir(), t.TempDir()
	for tool, variable := range map[string]string{
		"kubectl": "KJO_KUBECTL", "kubectl-kongjwt": "KJO_PLUGIN", "helm": "KJO_HELM",
	} {
		must(t, os.Symlink(environment(t, variable), filepath.Join(bin, tool)))
	}
	return append([]string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + home, "KUBECONFIG=" + kubeconfig, "LC_ALL=C"}, more...)
}

// startOperator runs what the Deployment says that the reader has installed, under its account: there is no kubelet.
func (w *world) startOperator(ctx context.Context) error {
	var deployment appsv1.Deployment
	if err := w.kube.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &deployment); err != nil {
		return err
	}
	token := &authenticationv1.TokenRequest{}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: deployment.Spec.Template.Spec.ServiceAccountName}}
	if err := w.kube.SubResource("token").Create(ctx, account, token); err != nil {
		return err
	}
	file := clientcmdapi.NewConfig()
	file.Clusters["c"] = &clientcmdapi.Cluster{Server: w.config.Host, CertificateAuthorityData: w.config.CAData}
	file.AuthInfos["c"] = &clientcmdapi.AuthInfo{Token: token.Status.Token}
	file.Contexts["c"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "c"}
	file.CurrentContext = "c"
	path := filepath.Join(w.checkout, "operator-kubeconfig")
	if err := clientcmd.WriteToFile(*file, path); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(w.checkout, "operator.log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the process has its own descriptor
	arguments := append(deployment.Spec.Template.Spec.Containers[0].Args,
		"--namespace="+namespace, "--kubeconfig="+path, "--metrics-bind-address=0", "--health-probe-bind-address=0")
	w.operator = exec.Command(os.Getenv("KJO_MANAGER"), arguments...)
	w.operator.Stdout, w.operator.Stderr = log, log
	return w.operator.Start()
}

func (w *world) stopOperator() error {
	if w.operator == nil {
		return nil
	}
	running := w.operator
	w.operator = nil
	if err := running.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	if err := running.Wait(); err != nil {
		return fmt.Errorf("the operator ended: %w", err)
	}
	return nil
}
