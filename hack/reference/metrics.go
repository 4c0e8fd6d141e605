package main

import (
	"fmt"
	"go/ast"
	"path/filepath"
	"sort"
	"strings"
)

// metric is one that internal/metrics defines.
type metric struct {
	name, kind, help string
	labels           []string
}

// vectors are the constructors of client_golang that internal/metrics may use, and what they make.
var vectors = map[string]string{
	"NewCounterVec": "counter", "NewGaugeVec": "gauge", "NewHistogramVec": "histogram",
	"NewCounter": "counter", "NewGauge": "gauge", "NewHistogram": "histogram",
}

func metricsPage(root string) (string, error) {
	all, err := metricsOf(filepath.Join(root, "internal", "metrics"))
	if err != nil {
		return "", err
	}
	var page strings.Builder
	page.WriteString(`<!-- Written by ` + "`make docs`" + ` from internal/metrics. -->
# Metrics

What the operator says of itself at ` + "`/metrics`" + `. No label is a consumer or a namespace: a cluster has thousands of them, and the status of a resource is where to look at one.
Beside these it serves those of [controller-runtime](https://book.kubebuilder.io/reference/metrics-reference) (` + "`controller_runtime_*`, `workqueue_*`, `leader_election_*`" + `), of Go and of the process.

Gauges are told by the replica that leads. [Alerts](../how-to/alerts.md) are made of these metrics; [values](../../charts/kong-jwt-operator/README.md) below ` + "`metrics`" + ` bring
them to a Prometheus.

| Metric | Type | Labels | What it says |
|---|---|---|---|
`)
	for _, m := range all {
		labels := "-"
		if len(m.labels) > 0 {
			labels = "`" + strings.Join(m.labels, "`, `") + "`"
		}
		fmt.Fprintf(&page, "| `%s` | %s | %s | %s |\n", m.name, m.kind, labels, cell(m.help))
	}
	return page.String(), nil
}

// metricsOf finds the metrics that a package defines, sorted by name.
func metricsOf(directory string) ([]metric, error) {
	sources, err := readSource(directory)
	if err != nil {
		return nil, err
	}
	var all []metric
	var problem error
	sources.calls(func(name string, call *ast.CallExpr) {
		found, isMetric, err := sources.metric(name, call)
		if err != nil && problem == nil {
			problem = fmt.Errorf("%s: %w", name, err)
		}
		if isMetric {
			all = append(all, found)
		}
	})
	sort.Slice(all, func(i, j int) bool { return all[i].name < all[j].name })
	if problem == nil && len(all) == 0 {
		problem = fmt.Errorf("%s defines no metric", directory)
	}
	return all, problem
}

// metric reads a call that defines one: desc(NAME, HELP, LABELS...), or a constructor with options and a list of
// labels.
func (s *source) metric(called string, call *ast.CallExpr) (metric, bool, error) {
	if called == "desc" {
		texts, err := s.texts(call.Args)
		if err != nil || len(texts) < 2 {
			return metric{}, false, fmt.Errorf("name, help and labels have to be constants: %w", err)
		}
		return metric{name: s.constants["Prefix"] + texts[0], kind: "gauge", help: texts[1], labels: texts[2:]}, true, nil
	}
	kind, known := vectors[called]
	if !known {
		return metric{}, false, nil
	}
	found := metric{kind: kind}
	options, isLiteral := call.Args[0].(*ast.CompositeLit)
	if !isLiteral {
		return found, false, fmt.Errorf("options have to be a literal")
	}
	for _, element := range options.Elts {
		pair, isPair := element.(*ast.KeyValueExpr)
		if !isPair {
			continue
		}
		switch pair.Key.(*ast.Ident).Name {
		case "Name":
			found.name, _ = s.text(pair.Value)
		case "Help":
			found.help, _ = s.text(pair.Value)
		}
	}
	if found.name == "" || found.help == "" {
		return found, false, fmt.Errorf("name and help have to be constants")
	}
	if len(call.Args) > 1 {
		list, isList := call.Args[1].(*ast.CompositeLit)
		if !isList {
			return found, false, fmt.Errorf("labels have to be a literal")
		}
		labels, err := s.texts(list.Elts)
		if err != nil {
			return found, false, err
		}
		found.labels = labels
	}
	return found, true, nil
}

// texts evaluates expressions.
func (s *source) texts(expressions []ast.Expr) ([]string, error) {
	texts := make([]string, 0, len(expressions))
	for _, expression := range expressions {
		text, known := s.text(expression)
		if !known {
			return nil, fmt.Errorf("%T is no constant", expression)
		}
		texts = append(texts, text)
	}
	return texts, nil
}
