package chart

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
	"github.com/kongjwt/kong-jwt-operator/internal/metrics"
	"github.com/kongjwt/kong-jwt-operator/test/testenv"
)

const alerts = chartPath + "/files/alerts.yaml"

func promtool(ctx context.Context, arguments ...string) {
	GinkgoHelper()
	out, err := exec.CommandContext(ctx, filepath.Join(environment("KJO_PROMETHEUS"), "promtool"), arguments...).CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(out))
}

// each gives the values of a key, however deep it is.
func each(node any, key string, found []string) []string {
	switch typed := node.(type) {
	case map[string]any:
		for name, child := range typed {
			if text, ok := child.(string); ok && name == key {
				found = append(found, text)
				continue
			}
			found = each(child, key, found)
		}
	case []any:
		for _, child := range typed {
			found = each(child, key, found)
		}
	}
	return found
}

// described lists the names of our metrics that may be served: some have no series before something happens.
func described() map[string]bool {
	GinkgoHelper()
	descriptions := make(chan *prometheus.Desc, 100)
	for _, collector := range []prometheus.Collector{metrics.NewEngine(), metrics.NewRotations(nil), metrics.NewResources(nil, nil)} {
		collector.Describe(descriptions)
	}
	close(descriptions)
	names := map[string]bool{}
	for description := range descriptions {
		name := regexp.MustCompile(`fqName: "([^"]+)"`).FindStringSubmatch(description.String())
		Expect(name).To(HaveLen(2))
		names[name[1]] = true
	}
	return names
}

// prometheusServer is a running Prometheus.
type prometheusServer string

func startPrometheus(target, token string) prometheusServer {
	GinkgoHelper()
	dir, listen := GinkgoT().TempDir(), address()
	file := fmt.Sprintf(`
global: {scrape_interval: 1s}
rule_files: [%q]
scrape_configs:
- job_name: operator
  scheme: https
  tls_config: {insecure_skip_verify: true}
  authorization: {credentials: %q}
  static_configs: [{targets: [%q]}]
`, absolute(alerts), token, target)
	path := filepath.Join(dir, "prometheus.yaml")
	Expect(os.WriteFile(path, []byte(file), 0o600)).To(Succeed())
	command := exec.Command(filepath.Join(environment("KJO_PROMETHEUS"), "prometheus"),
		"--config.file="+path, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+listen)
	Expect(command.Start()).To(Succeed())
	DeferCleanup(func() {
		Expect(command.Process.Signal(syscall.SIGTERM)).To(Succeed())
		_ = command.Wait()
	})
	return prometheusServer("http://" + listen)
}

func absolute(path string) string {
	GinkgoHelper()
	whole, err := filepath.Abs(path)
	Expect(err).NotTo(HaveOccurred())
	return whole
}

// get asks the API of Prometheus, and gives data.
func (p prometheusServer) get(ctx context.Context, path string) (any, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, string(p)+"/api/v1/"+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	var answer struct {
		Status, Error string
		Data          any
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return nil, err
	}
	if answer.Status != "success" {
		return nil, fmt.Errorf("%s: %s", path, answer.Error)
	}
	return answer.Data, nil
}

var _ = Describe("Alerts and dashboard", func() {
	It("pass promtool", func(ctx SpecContext) {
		promtool(ctx, "check", "rules", alerts)
		promtool(ctx, "test", "rules", "../alerts/alerts_test.yaml")
	}, SpecTimeout(patience))

	It("have a runbook and a test for every alert", func() {
		runbook, err := os.ReadFile("../../docs/how-to/alerts.md")
		Expect(err).NotTo(HaveOccurred())
		tests, err := os.ReadFile("../alerts/alerts_test.yaml")
		Expect(err).NotTo(HaveOccurred())
		names := each(read(alerts), "alert", nil)
		Expect(len(names)).To(BeNumerically(">", 5))
		links := each(read(alerts), "runbook_url", nil)
		Expect(links).To(HaveLen(len(names)))
		for _, name := range names {
			Expect(string(runbook)).To(ContainSubstring("\n## " + name + "\n"))
			Expect(links).To(ContainElement(HaveSuffix("docs/how-to/alerts.md#" + strings.ToLower(name))))
			Expect(string(tests)).To(ContainSubstring("alertname: " + name))
		}
	})

	It("ask for what the operator serves, as a real Prometheus reads it", func(ctx SpecContext) {
		Expect(testenv.InstallCRDs(config)).To(Succeed())
		kong, err := kongsim.Start(kongsim.Options{})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(kong.Close)
		running := startOperator(ctx, "values/monitoring.yaml")
		reader := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "kong", Name: "scraper"}}
		binding := &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "scraper-reads"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: release + "-metrics-reader"},
			Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "kong", Name: "scraper"}},
		}
		Expect(kube.Create(ctx, reader)).To(Succeed())
		Expect(kube.Create(ctx, binding)).To(Succeed())
		waves := samples("../../argocd/examples/sync-waves.yaml")
		Expect(unstructured.SetNestedField(waves[0].Object, kong.AdminURL(), "spec", "adminAPI", "url")).To(Succeed())
		for _, object := range waves {
			Expect(applyAs(ctx, "test", object)).To(Succeed())
		}
		DeferCleanup(func(ctx SpecContext) {
			takeAway(ctx, waves)
			Expect(kube.Delete(ctx, binding)).To(Succeed())
			Expect(kube.Delete(ctx, reader)).To(Succeed())
		})

		server := startPrometheus(running.metrics, tokenOf(ctx, reader))
		Eventually(func(g Gomega) {
			data, err := server.get(ctx, "query?query="+url.QueryEscape(`kongjwt_tokens{state="fresh"} == 1`))
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(data).To(HaveKeyWithValue("result", HaveLen(1)), "the token of the last wave is signed")
		}).WithContext(ctx).Should(Succeed())

		known := described()
		data, err := server.get(ctx, "label/__name__/values")
		Expect(err).NotTo(HaveOccurred())
		for _, name := range data.([]any) {
			known[name.(string)] = true
		}
		expressions := append(each(read(chartPath+"/files/dashboard.json"), "expr", nil), each(read(alerts), "expr", nil)...)
		Expect(len(expressions)).To(BeNumerically(">", 20))
		metric := regexp.MustCompile(`\b(?:kongjwt|leader_election|controller_runtime|workqueue)_\w+`)
		for _, expression := range expressions {
			expression = strings.NewReplacer("$gateway", ".*", "$__rate_interval", "1m").Replace(expression)
			_, err := server.get(ctx, "query?query="+url.QueryEscape(expression))
			Expect(err).NotTo(HaveOccurred())
			names := metric.FindAllString(expression, -1)
			Expect(names).NotTo(BeEmpty(), expression)
			for _, name := range names {
				Expect(known).To(HaveKey(Or(Equal(name), Equal(strings.TrimSuffix(name, "_bucket")))), expression)
			}
		}
	}, SpecTimeout(2*patience))
})
