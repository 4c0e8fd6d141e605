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
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/controller-runtime/pkg/client"

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

// ask gives the labels of the series that a query finds.
func (p prometheusServer) ask(ctx context.Context, expression string) ([]map[string]string, error) {
	data, err := p.get(ctx, "query?query="+url.QueryEscape(expression))
	if err != nil {
		return nil, err
	}
	content, err := json.Marshal(data)
	if err != nil {
		return nil, err
	}
	var vector struct {
		Result []struct{ Metric map[string]string }
	}
	if err := json.Unmarshal(content, &vector); err != nil {
		return nil, err
	}
	var series []map[string]string
	for _, found := range vector.Result {
		series = append(series, found.Metric)
	}
	return series, nil
}

// names lists the metrics that were scraped.
func (p prometheusServer) names(ctx context.Context) []string {
	GinkgoHelper()
	data, err := p.get(ctx, "label/__name__/values")
	Expect(err).NotTo(HaveOccurred())
	var names []string
	for _, name := range data.([]any) {
		names = append(names, name.(string))
	}
	return names
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

	// scraped runs the operator, and a Prometheus that reads its metrics, and waits until it has.
	scraped := func(ctx context.Context, values string) prometheusServer {
		GinkgoHelper()
		Expect(testenv.InstallCRDs(config)).To(Succeed())
		running := startOperator(ctx, values)
		reader := newAccount(ctx, "kong", "scraper")
		bind(ctx, reader.Namespace, reader.Name)
		server := startPrometheus(running.metrics, tokenOf(ctx, reader))
		Eventually(server.ask).WithContext(ctx).WithArguments("leader_election_master_status == 1").ShouldNot(BeEmpty())
		return server
	}

	It("ask for what the operator serves, as a real Prometheus reads it: every panel has something to show", func(ctx SpecContext) {
		server := scraped(ctx, "values/monitoring.yaml")
		somethingOfEverything(ctx)
		known := described()
		for _, name := range server.names(ctx) {
			known[name] = true
		}
		queries := panels()
		for _, expression := range each(read(alerts), "expr", nil) {
			queries = append(queries, query{Expr: expression})
		}
		Expect(len(queries)).To(BeNumerically(">", 25))
		metric := regexp.MustCompile(`\b(?:kongjwt|leader_election|controller_runtime|workqueue)_\w+`)
		for _, q := range queries {
			names := metric.FindAllString(q.Expr, -1)
			Expect(names).NotTo(BeEmpty(), q.Expr)
			for _, name := range names {
				Expect(known).To(HaveKey(Or(Equal(name), Equal(strings.TrimSuffix(name, "_bucket")))), q.Expr)
			}
			_, err := server.ask(ctx, q.Expr)
			Expect(err).NotTo(HaveOccurred())
			if q.panel == "" || strings.Contains(q.Expr, `verified="false"`) {
				continue // nothing is wrong here
			}
			var series []map[string]string
			Eventually(func() (_ []map[string]string, err error) {
				series, err = server.ask(ctx, q.Expr)
				return series, err
			}).WithContext(ctx).ShouldNot(BeEmpty(), "panel %s: %s", q.panel, q.Expr)
			for _, label := range regexp.MustCompile(`{{(\w+)}}`).FindAllStringSubmatch(q.LegendFormat, -1) {
				Expect(series).To(HaveEach(HaveKey(label[1])), "panel %s names its lines by a label of them", q.panel)
			}
		}
	}, SpecTimeout(3*patience))

	DescribeTable("do not come while the operator works, be it for all of the cluster or for a part of it", func(ctx SpecContext, values string) {
		server := scraped(ctx, values)
		alert := map[string]any{}
		for _, rule := range rules() {
			if rule["alert"] == "KongJWTOperatorNotWorking" {
				alert = rule
			}
		}
		Expect(server.ask(ctx, alert["expr"].(string))).To(BeEmpty())
	},
		Entry("all", "values/default.yaml", SpecTimeout(2*patience)),
		Entry("a part", "values/namespaced.yaml", SpecTimeout(2*patience)),
	)
})

// query is one of a panel of the dashboard.
type query struct{ Expr, LegendFormat, panel string }

// panels gives the queries of the dashboard, with Grafana's variables set.
func panels() []query {
	GinkgoHelper()
	content, err := json.Marshal(read(chartPath + "/files/dashboard.json"))
	Expect(err).NotTo(HaveOccurred())
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []query
		}
	}
	Expect(json.Unmarshal(content, &dashboard)).To(Succeed())
	var queries []query
	for _, panel := range dashboard.Panels {
		Expect(panel.Targets).NotTo(BeEmpty(), panel.Title)
		for _, q := range panel.Targets {
			q.panel = panel.Title
			q.Expr = strings.NewReplacer("$gateway", ".*", "$__rate_interval", "1m").Replace(q.Expr)
			queries = append(queries, q)
		}
	}
	return queries
}

// rules are those of all groups.
func rules() []map[string]any {
	GinkgoHelper()
	groups, _, err := unstructured.NestedSlice(read(alerts), "groups")
	Expect(err).NotTo(HaveOccurred())
	var all []map[string]any
	for _, group := range groups {
		inner, _, err := unstructured.NestedSlice(group.(map[string]any), "rules")
		Expect(err).NotTo(HaveOccurred())
		for _, rule := range inner {
			all = append(all, rule.(map[string]any))
		}
	}
	return all
}

// somethingOfEverything has the operator do all that there are metrics of: requests, a rotation, a token,
// verification, drift, and something that is stalled.
func somethingOfEverything(ctx context.Context) {
	GinkgoHelper()
	kong, err := kongsim.Start(kongsim.Options{})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(kong.Close)
	hasService(ctx, "default", "my-api")
	objects := append(samples("../../argocd/examples/sync-waves.yaml"), parse(`
apiVersion: kongjwt.dev/v1alpha1
kind: JwtConsumer
metadata: {name: worker, namespace: team-a}
spec:
  credentials:
  - {name: primary, generate: {secretName: worker, rotation: {interval: 720h, overlap: 1h}}}
---
apiVersion: kongjwt.dev/v1alpha1
kind: JwtToken
metadata: {name: lost, namespace: team-a}
spec: {consumerRef: {name: nobody, credential: a}, secretName: lost}
`)...)
	Expect(unstructured.SetNestedField(objects[0].Object, kong.AdminURL(), "spec", "adminAPI", "url")).To(Succeed())
	Expect(unstructured.SetNestedField(objects[0].Object, "5s", "spec", "drift", "interval")).To(Succeed())
	Expect(unstructured.SetNestedStringSlice(objects[0].Object, []string{kong.ProxyURL()}, "spec", "dataPlanes", "urls")).To(Succeed())
	for _, object := range objects {
		Expect(applyAs(ctx, "test", object)).To(Succeed())
	}
	DeferCleanup(func(ctx SpecContext) { takeAway(ctx, objects) })
	for _, object := range objects[:len(objects)-1] {
		Eventually(func(g Gomega) { g.Expect(fares(ctx, g, object).Status).To(Equal(status.CurrentStatus)) }).
			WithContext(ctx).Should(Succeed(), "%s %s", object.GetKind(), object.GetName())
	}
	rotate := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"annotations":{"kongjwt.dev/rotate":"now"}}}`))
	Expect(kube.Patch(ctx, objects[len(objects)-2], rotate)).To(Succeed())
	// Somebody else takes a service's plugin away.
	var plugins struct{ Data []struct{ ID string } }
	Expect(adminAPI(ctx, kong, http.MethodGet, "/plugins?tags=kongjwt-owner:JwtProtectedService:default:my-api", &plugins)).To(Equal(http.StatusOK))
	Expect(plugins.Data).NotTo(BeEmpty())
	Expect(adminAPI(ctx, kong, http.MethodDelete, "/plugins/"+plugins.Data[0].ID, nil)).To(Equal(http.StatusNoContent))
}

// adminAPI asks a Kong as somebody else would, and gives the answer's status.
func adminAPI(ctx context.Context, kong *kongsim.Server, method, path string, into any) (int, error) {
	request, err := http.NewRequestWithContext(ctx, method, kong.AdminURL()+path, nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	if into != nil {
		err = json.NewDecoder(response.Body).Decode(into)
	}
	return response.StatusCode, err
}
