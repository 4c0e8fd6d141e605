package main

import (
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/kongjwt/kong-jwt-operator/internal/metrics"
)

const root = "../.."

// reasonLike is a literal that could be a reason.
var reasonLike = regexp.MustCompile(`^"[A-Z][A-Za-z]+"$`)

// write makes a package of one file.
func write(t *testing.T, content string) string {
	t.Helper()
	directory := t.TempDir()
	if err := os.WriteFile(filepath.Join(directory, "x.go"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return directory
}

func TestMetricsOfAPackage(t *testing.T) {
	g := NewWithT(t)
	all, err := metricsOf(write(t, `package x
const Prefix = "p_"
var a = desc("ready", "Is " + "ready.", "gateway")
var b = prometheus.NewCounterVec(prometheus.CounterOpts{Name: Prefix + "c_total", Help: "Counts."}, []string{"code", "verb"})
var c = prometheus.NewHistogram(prometheus.HistogramOpts{Name: "p_d_seconds", Help: "Lasts."})
`))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(all).To(Equal([]metric{
		{name: "p_c_total", kind: "counter", help: "Counts.", labels: []string{"code", "verb"}},
		{name: "p_d_seconds", kind: "histogram", help: "Lasts."},
		{name: "p_ready", kind: "gauge", help: "Is ready.", labels: []string{"gateway"}},
	}))
}

func TestMetricsThatCannotBeReadAreAnError(t *testing.T) {
	for name, content := range map[string]string{
		"a name that is no constant": `var a = desc(name(), "Help.")`,
		"options elsewhere":          `var a = prometheus.NewCounter(options)`,
		"no help":                    `var a = prometheus.NewCounter(prometheus.CounterOpts{Name: "x"})`,
		"labels elsewhere":           `var a = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "x", Help: "h"}, labels)`,
		"none":                       ``,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := metricsOf(write(t, "package x\n"+content))
			NewWithT(t).Expect(err).To(HaveOccurred())
		})
	}
}

// What the sources say is what the collectors say.
func TestAllMetricsAreOnThePage(t *testing.T) {
	g := NewWithT(t)
	descriptions := make(chan *prometheus.Desc, 100)
	metrics.NewEngine().Describe(descriptions)
	metrics.NewRotations(nil).Describe(descriptions)
	(&metrics.Resources{}).Describe(descriptions)
	close(descriptions)
	var described []string
	for description := range descriptions {
		described = append(described, description.String())
	}
	all, err := metricsOf(filepath.Join(root, "internal", "metrics"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(all).To(HaveLen(len(described)))
	for _, m := range all {
		g.Expect(described).To(ContainElement(And(
			ContainSubstring("fqName: %q, help: %q", m.name, m.help), HaveSuffix("variableLabels: {%s}}", join(m.labels)))))
	}
}

func join(labels []string) string {
	list := ""
	for i, label := range labels {
		if i > 0 {
			list += ","
		}
		list += label
	}
	return list
}

func TestReasonsSayWhatToDo(t *testing.T) {
	g := NewWithT(t)
	meaning, todo, err := explain(constant{name: "ReasonX", value: "X", comment: "ReasonX: something\nis wrong.\nRemedy: change\nit.\n"})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(meaning).To(Equal("Something is wrong."))
	g.Expect(todo).To(Equal("Change it."))
	for _, comment := range []string{"", "ReasonX: something.", "Something.\nRemedy: x.", "ReasonX: something.\nRemedy: "} {
		_, _, err := explain(constant{name: "ReasonX", value: "X", comment: comment})
		g.Expect(err).To(MatchError(ContainSubstring("ReasonX")), comment)
	}
}

func TestAllReasonsAreOnThePage(t *testing.T) {
	g := NewWithT(t)
	page, err := reasonsPage(root)
	g.Expect(err).NotTo(HaveOccurred())
	sources, err := readSource(filepath.Join(root, "api", "v1alpha1"))
	g.Expect(err).NotTo(HaveOccurred())
	for _, prefix := range []string{"Condition", "Reason", "Event"} {
		some, err := withPrefix(sources.list(), prefix)
		g.Expect(err).NotTo(HaveOccurred())
		for _, c := range some {
			g.Expect(page).To(ContainSubstring("| `%s` | ", c.value))
		}
	}
}

// A condition that no status speaks of would be found by chance only.
func TestStatusesNameTheConditionsThatTheyHave(t *testing.T) {
	g := NewWithT(t)
	sources, err := readSource(filepath.Join(root, "api", "v1alpha1"))
	g.Expect(err).NotTo(HaveOccurred())
	conditions, err := withPrefix(sources.list(), "Condition")
	g.Expect(err).NotTo(HaveOccurred())
	files, err := filepath.Glob(filepath.Join(root, "config", "crd", "bases", "*.yaml"))
	g.Expect(err).NotTo(HaveOccurred())
	said := ""
	for _, file := range files {
		text, err := os.ReadFile(file)
		g.Expect(err).NotTo(HaveOccurred())
		_, description, found := strings.Cut(string(text), "conditions are ")
		g.Expect(found).To(BeTrue(), file)
		description, _, _ = strings.Cut(description, "items:")
		said += description
	}
	for _, c := range conditions {
		g.Expect(said).To(MatchRegexp(`\b%s\b`, c.value))
	}
}

// A reason that is written out in a controller would not be on the page.
func TestReasonsOfEventsAreConstants(t *testing.T) {
	g := NewWithT(t)
	sources, err := readSource(filepath.Join(root, "controllers"))
	g.Expect(err).NotTo(HaveOccurred())
	events := 0
	sources.calls(func(name string, call *ast.CallExpr) {
		if name == "Event" && len(call.Args) == 5 {
			events++
			_, isLiteral := call.Args[2].(*ast.BasicLit)
			g.Expect(isLiteral).To(BeFalse(), "use a constant of api/v1alpha1 instead of %v", call.Args[2])
		}
		if (name == "Stalled" || name == "Wait") && len(call.Args) > 0 {
			for _, argument := range call.Args[:min(2, len(call.Args))] {
				literal, isLiteral := argument.(*ast.BasicLit)
				g.Expect(isLiteral && reasonLike.MatchString(literal.Value)).To(BeFalse(), "use a constant of api/v1alpha1 instead of %v", argument)
			}
		}
	})
	g.Expect(events).To(BeNumerically(">", 5))
}

const help = `Usage of manager:
  -kubeconfig string
    	Path. Empty: none.
  -leader-elect
    	Elect a leader.
    	Second line.
  -wait duration
    	Time. (default 20s)
  -address string
    	Address. (default ":8081")
exit status 2
`

func TestHelpIsRead(t *testing.T) {
	g := NewWithT(t)
	options, err := parseHelp(help)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(options).To(Equal([]option{
		{name: "kubeconfig", kind: "string", usage: "Path. Empty: none."},
		{name: "leader-elect", kind: "bool", usage: "Elect a leader. Second line."},
		{name: "wait", kind: "duration", usage: "Time.", standard: "20s"},
		{name: "address", kind: "string", usage: "Address.", standard: ":8081"},
	}))
	_, err = parseHelp("panic: no\n")
	g.Expect(err).To(HaveOccurred())
	_, err = parseHelp("Usage of manager:\n  -mute\n")
	g.Expect(err).To(MatchError(ContainSubstring("mute")))
}

func TestAllCommandsAreOnThePage(t *testing.T) {
	g := NewWithT(t)
	t.Setenv("HOME", "/somebody/at-home")
	page, err := cliPage(root)
	g.Expect(err).NotTo(HaveOccurred())
	for _, part := range []string{
		"| [`explain`](#kubectl-kongjwt-explain) | Say why", "## kubectl kongjwt explain\n", "## kubectl kongjwt token create\n", "\nkubectl kongjwt rotate (CONSUMER[/CREDENTIAL]... | -l SELECTOR | --all)\n",
		"\nkubectl kongjwt rotate worker --wait=retired --timeout 26h\n", "| `-o, --output string` | - | Output format: json\\|yaml |", "| `--wait[=string]` | - |",
		"| `--limit int` | `20` |", "| `--as string` | - |", "| `--cache-dir string` | `$HOME/.kube/cache` |",
	} {
		g.Expect(page).To(ContainSubstring(part))
	}
	g.Expect(page).NotTo(ContainSubstring("somebody"))
	_, err = commandSection(&cobra.Command{Use: "mute"})
	g.Expect(err).To(MatchError(ContainSubstring("mute")))
}

func TestTablesKeepTheirColumns(t *testing.T) {
	NewWithT(t).Expect(cell("a |\n b")).To(Equal(`a \| b`))
}
