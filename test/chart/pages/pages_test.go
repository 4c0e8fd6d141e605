package pages

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

const (
	noNodes  = "no pod runs here"
	noDocker = "it takes a container engine"
)

// installed runs the operator once the reader has installed it, and not any more once it is uninstalled.
func (r *reader) installed(w *world) {
	r.after["helm install"] = func() error { return w.startOperator(r.Context()) }
	r.after["helm upgrade"] = func() error {
		if err := w.stopOperator(); err != nil {
			return err
		}
		return w.startOperator(r.Context())
	}
	r.after["helm uninstall"] = w.stopOperator
}

func TestKind(t *testing.T) {
	w := newWorld(t, kongsim.Options{Database: "off"})
	r := newReader(t, w.checkout, environ(t, w.kubeconfig, "KONG_ADMIN="+w.kong.AdminURL(), "UPSTREAM="+w.upstream.URL()))
	r.installed(w)
	r.instead["PROXY=http://127.0.0.1:8000"] = "PROXY=" + w.kong.ProxyURL()
	for _, start := range []string{"git clone", "cd ", "kind ", "make image"} {
		r.skips[start] = noDocker
	}
	for _, start := range []string{
		"kubectl wait --for=condition=Available", "kubectl -n kong-jwt-system rollout status", "kubectl port-forward",
	} {
		r.skips[start] = noNodes
	}
	r.anyOrder = []string{"kubectl get events"}
	// The reader deletes what was applied with other addresses; names are what counts.
	r.reads("docs/tutorial/kind.md")
}

func TestExistingCluster(t *testing.T) {
	w := newWorld(t, kongsim.Options{})
	r := newReader(t, w.checkout, environ(t, w.kubeconfig))
	r.installed(w)
	r.instead["oci://ghcr.io/kongjwt/charts/kong-jwt-operator"] = "charts/kong-jwt-operator"
	r.instead["http://kong-admin.kong.svc:8001"] = w.kong.AdminURL()
	r.instead["https://kong.example.com"] = w.kong.ProxyURL()
	for start, why := range map[string]string{
		"git clone": "this is a checkout", "cd ": "this is a checkout", "kubectl -n kong-jwt-system rollout status": noNodes,
		"kubectl get konggateway default -o jsonpath": "the page shows what is said where the address is wrong",
	} {
		r.skips[start] = why
	}
	// "Write your address into it", and the simulated Kong has no certificate.
	w.change(t, "config/samples/existing-cluster/01-gateway.yaml", "http://kong-admin.kong.svc:8001", w.kong.AdminURL())
	w.change(t, "config/samples/existing-cluster/02-orders.yaml", "protocols: [https]", "protocols: [http, https]")
	// The Service comes once the reader has seen that it is waited for.
	r.after["kubectl get jwtprotectedservice -n shop orders -o jsonpath"] = func() error {
		return w.kube.Create(t.Context(), &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "orders"},
			Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 8080}}},
		})
	}
	r.reads("docs/tutorial/existing-cluster.md")
}

func TestInstall(t *testing.T) {
	w := newWorld(t, kongsim.Options{})
	r := newReader(t, w.checkout, environ(t, w.kubeconfig))
	r.installed(w)
	r.instead["oci://ghcr.io/kongjwt/charts/kong-jwt-operator"] = "charts/kong-jwt-operator"
	r.instead["http://kong-admin.kong.svc:8001"] = w.kong.AdminURL()
	r.skips["kubectl -n kong-jwt-system rollout status"] = noNodes
	// The page has two ways to uninstall. Who goes the second one has not gone the first.
	uninstalled := 0
	r.after["helm uninstall"] = func() error {
		uninstalled++
		err := w.stopOperator()
		if err != nil || uninstalled > 1 {
			return err
		}
		if output, code, err := r.shell.run(t.Context(), "helm install kong-jwt-operator charts/kong-jwt-operator --namespace kong-jwt-system"); code != 0 || err != nil {
			return fmt.Errorf("install it again: %s %w", output, err)
		}
		return w.startOperator(t.Context())
	}
	for _, start := range []string{"kubectl krew", "cosign", "sha256sum"} {
		r.skips[start] = "it takes a release; test/chart/release unpacks one"
	}
	r.skips["kubectl apply --server-side -k config/default"] = "it is another way to install, and would have what Helm has; a test compares both"
	r.reads("docs/operations/install.md")
	r.reads("charts/kong-jwt-operator/README.md")

	must(t, w.kube.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "argocd"}}))
	must(t, w.kube.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "argocd", Name: "argocd-cm"}}))
	r.reads("docs/how-to/use-with-argo-cd.md")
	r.reads("argocd/README.md")
}

// The demo as it is: make demo KEEP=1, its screen, and what its page has people type in a second terminal. How-tos go
// on from there.
func TestDemo(t *testing.T) {
	g := NewWithT(t)
	screen, err := os.Create(filepath.Join(t.TempDir(), "screen"))
	must(t, err)
	defer func() { _ = screen.Close() }()
	demo := exec.CommandContext(t.Context(), environment(t, "KJO_DEMO"))
	demo.Dir, demo.Env = root, append(os.Environ(), "KEEP=1")
	demo.Stdout, demo.Stderr = screen, screen
	must(t, demo.Start())
	shown := func() string {
		content, err := os.ReadFile(screen.Name())
		must(t, err)
		return string(content)
	}
	exited := make(chan error, 1)
	go func() { exited <- demo.Wait() }()
	g.Eventually(shown).WithTimeout(3*time.Minute).Should(ContainSubstring("curl -i http"), "the last line")
	kubeconfig := regexp.MustCompile(`export KUBECONFIG=(\S+)`).FindStringSubmatch(shown())
	proxy := regexp.MustCompile(`curl -i (http://[0-9.:]+)/api`).FindStringSubmatch(shown())
	admin := regexp.MustCompile(`curl (http://[0-9.:]+)/consumers`).FindStringSubmatch(shown())
	g.Expect(kubeconfig).NotTo(BeNil())
	g.Expect(proxy).NotTo(BeNil())

	r := newReader(t, checkout(t), environ(t, kubeconfig[1]))
	r.instead["PROXY=http://127.0.0.1:32951"] = "PROXY=" + proxy[1]
	r.instead["https://kong.example.com"] = proxy[1]
	r.instead["https://kong.example.com/orders"] = proxy[1] + "/api" // the README's service is not the demo's
	// Nobody is there to be asked.
	r.instead["kubectl kongjwt revoke worker -n tutorial --wait"] = "kubectl kongjwt revoke worker -n tutorial --wait --yes"
	if admin != nil {
		r.instead["http://127.0.0.1:8001"] = admin[1]
	}
	for start, why := range map[string]string{
		"git clone": "this is a checkout", "cd kong-jwt-operator": "this is a checkout", "make ": "it runs already",
		"kubectl get jwtconsumer -n tutorial worker -w": "it does not end", "helm install": "others install it", "kubectl logs": noNodes, "kubectl kongjwt import --from-kic": "there is no such folder here",
	} {
		r.skips[start] = why
	}
	sets := func(variable string) {
		t.Helper()
		output, code, err := r.shell.run(t.Context(), variable)
		if err != nil || code != 0 {
			t.Fatalf("%s: %d %v\n%s", variable, code, err, output)
		}
	}
	r.reads("docs/tutorial/demo.md")
	sets(`TOKEN=$(docs/tutorial/token.sh user-issuer secret-key)`) // the page has ended with another key
	r.reads("README.md")
	r.instead["--service orders/orders"] = "--service tutorial/my-api" // the page's service is not the demo's
	r.reads("docs/how-to/check-claims.md")
	sets(`LEAKED=$(docs/tutorial/token.sh worker.primary.1 leaked)`)
	for _, path := range []string{
		"docs/how-to/rotate-with-no-downtime.md", "docs/how-to/revoke-in-an-emergency.md", "docs/how-to/alerts.md", "docs/how-to/troubleshooting.md",
		"docs/how-to/watch-use.md", "docs/operations/drift.md", "docs/operations/prune.md", "docs/how-to/bring-an-existing-kong.md",
	} {
		r.reads(path)
	}

	must(t, demo.Process.Signal(syscall.SIGINT))
	select {
	case err := <-exited:
		g.Expect(err).NotTo(HaveOccurred(), shown())
	case <-time.After(patience):
		t.Fatal("the demo does not stop")
	}
	t.Run("the screen in the README", func(t *testing.T) {
		for _, block := range page(t, "README.md").Blocks {
			if block.Language != "text" {
				continue
			}
			looked, _, _ := strings.Cut(block.Text, "\nkubectl delete -f")
			if line, differs := missing(looked, shown()); differs {
				t.Errorf("the README has a line that is not shown: %s\n%s", line, shown())
			}
			return
		}
		t.Error("the README has no screen")
	})
}
