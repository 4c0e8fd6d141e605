package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
)

// option is a flag of the operator.
type option struct{ name, kind, usage, standard string }

func flagsPage(root string) (string, error) {
	help, err := helpOf(root)
	if err != nil {
		return "", err
	}
	options, err := parseHelp(help)
	if err != nil {
		return "", err
	}
	var page strings.Builder
	page.WriteString(`<!-- Written by ` + "`make docs` from `manager --help`" + `. -->
# Flags of the operator

The chart sets those that its [values](../../charts/kong-jwt-operator/README.md) name; ` + "`extraArgs`" + ` takes any other. Flags that begin with ` + "`zap`" + ` are about the log,
which is JSON with times as rfc3339nano unless they say otherwise.

| Flag | Type | Default | |
|---|---|---|---|
`)
	for _, o := range options {
		standard := "-"
		if o.standard != "" {
			standard = "`" + o.standard + "`"
		}
		fmt.Fprintf(&page, "| `--%s` | %s | %s | %s |\n", o.name, o.kind, standard, cell(o.usage))
	}
	return page.String(), nil
}

// helpOf runs the operator with --help. Which namespace is its own depends on where it runs: here it is the chart's.
func helpOf(root string) (string, error) {
	command := exec.Command("go", "run", "-trimpath", "./cmd/manager", "--help")
	command.Dir = root
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "POD_NAMESPACE=kong-jwt-system")
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	err := command.Run()
	if strings.HasPrefix(out.String(), "Usage of manager:") {
		err = nil // a program that is asked for help may end with an error
	}
	if err != nil {
		return "", fmt.Errorf("manager --help: %w\n%s", err, out.String())
	}
	return out.String(), nil
}

var (
	// A flag's line is "  -name type", as package flag prints it; a bool has no type. What it does follows,
	// indented by a tab.
	flagLine = regexp.MustCompile(`^  -([\w-]+)(?: (\w+))?$`)
	standard = regexp.MustCompile(` \(default "?(.*?)"?\)$`)
)

// parseHelp reads what package flag prints.
func parseHelp(help string) ([]option, error) {
	var options []option
	for _, line := range strings.Split(help, "\n") {
		if found := flagLine.FindStringSubmatch(line); found != nil {
			kind := found[2]
			if kind == "" {
				kind = "bool"
			}
			options = append(options, option{name: found[1], kind: kind})
			continue
		}
		usage, isUsage := strings.CutPrefix(line, "    \t")
		if !isUsage || len(options) == 0 {
			continue
		}
		last := &options[len(options)-1]
		last.usage = strings.TrimSpace(last.usage + " " + usage)
	}
	for i := range options {
		o := &options[i]
		if found := standard.FindStringSubmatch(o.usage); found != nil {
			o.usage, o.standard = strings.TrimSuffix(o.usage, found[0]), found[1]
		}
		if o.usage == "" {
			return nil, fmt.Errorf("flag %s does not say what it does", o.name)
		}
	}
	if len(options) == 0 {
		return nil, fmt.Errorf("no flags in: %s", help)
	}
	return options, nil
}
