// Package lint is kubectl kongjwt lint: what deserves a second look in manifests, before they are applied.
package lint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/manifests"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/output"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/usage"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

type options struct {
	files    []string
	disabled []string
	level    string
	failOn   string
	list     bool
	// kongVersion is what the manifests are for; empty for the newest.
	kongVersion string
	output      output.Flags
}

// Report is the answer.
type Report struct {
	Passed bool `json:"passed"`
	// Checked counts resources of ours that were looked at.
	Checked  int       `json:"checked"`
	Findings []Located `json:"findings"`
}

// Located is a finding, and where it is.
type Located struct {
	File      string `json:"file"`
	Line      int    `json:"line"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	Finding
}

// Command returns the subcommand.
func Command(e *env.Env) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "lint -f FILE|DIRECTORY|-",
		Short: "Say what deserves a second look in manifests, with no cluster",
		Long: `Say what deserves a second look in manifests of the operator's kinds. No cluster is asked.

Errors are what the API server refuses: the CustomResourceDefinitions are built in, and their schemas and rules
are checked as it checks them. Warnings are those that the chart's admission policy gives at kubectl apply, from the same expressions, and some
more: references to what the manifests do not have among them, where they have its kind. Infos are mostly Kong's
own defaults, which are on nearly every resource: better written out.
The annotation ` + Annotation + ` (rules, with commas between) excepts a resource.

Exits with 1 where there is a finding of --fail-on or worse.`,
		Example: `  # A folder, with all below it
  kubectl kongjwt lint -f deploy/

  # What kustomize makes, in a pipeline
  kubectl kustomize overlays/prod | kubectl kongjwt lint -f - --level warning

  # For GitHub's code scanning
  kubectl kongjwt lint -f deploy/ -o sarif > lint.sarif

  # As strict as can be, but for one rule
  kubectl kongjwt lint -f deploy/ --fail-on info --disable no-rate-limit

  # All rules there are
  kubectl kongjwt lint --list-rules`,
		Args: usage.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), e) },
	}
	flags := cmd.Flags()
	flags.StringSliceVarP(&o.files, "filename", "f", nil, `File or directory with manifests; "-" is standard input; may be given again`)
	flags.StringSliceVar(&o.disabled, "disable", nil, "Rule that is not looked at; may be given again")
	flags.StringVar(&o.level, "level", string(Info), "The mildest severity that is shown: error, warning or info")
	flags.StringVar(&o.failOn, "fail-on", string(Warning), "The mildest severity that makes the exit code 1: error, warning or info")
	flags.StringVar(&o.kongVersion, "kong-version", "", "Version of Kong that the manifests are for, such as 3.4: what it does not take is an error")
	flags.BoolVar(&o.list, "list-rules", false, "List the rules")
	severities := cobra.FixedCompletions([]string{string(Error), string(Warning), string(Info)}, cobra.ShellCompDirectiveNoFileComp)
	cobra.CheckErr(errors.Join(
		cmd.MarkFlagFilename("filename", "yaml", "yml", "json"), cmd.RegisterFlagCompletionFunc("level", severities),
		cmd.RegisterFlagCompletionFunc("fail-on", severities),
		cmd.RegisterFlagCompletionFunc("disable", cobra.FixedCompletions(ruleNames(), cobra.ShellCompDirectiveNoFileComp)),
	))
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("kong-version", cobra.NoFileCompletions))
	cmd.MarkFlagsOneRequired("filename", "list-rules")
	o.output.Add(cmd, output.JSON, output.YAML, formatGitHub, formatSARIF)
	return cmd
}

// ruleNames are the rules that can be disabled: all but ruleInvalid, which is no matter of taste.
func ruleNames() []string {
	var names []string
	for _, r := range abouts() {
		if r.id != ruleInvalid {
			names = append(names, r.id)
		}
	}
	return names
}

func (o *options) check() error {
	if err := o.output.Check(); err != nil {
		return err
	}
	for _, s := range []string{o.level, o.failOn} {
		if rank(Severity(s)) < 0 {
			return fmt.Errorf("%q is no severity; it is error, warning or info", s)
		}
	}
	if err := kong.CheckVersion("--kong-version", o.kongVersion); err != nil {
		return err
	}
	for _, name := range o.disabled {
		if name == ruleInvalid {
			return errors.New("--disable: what cannot be applied cannot be disabled")
		}
		if !slices.Contains(ruleNames(), name) {
			return fmt.Errorf("--disable: there is no rule %q; --list-rules lists them", name)
		}
	}
	return nil
}

func (o *options) run(ctx context.Context, e *env.Env) error {
	if err := o.check(); err != nil {
		return err
	}
	if o.list {
		return listRules(e.Out)
	}
	p, err := chartPolicy()
	if err != nil {
		return err
	}
	objects, err := manifests.ReadAll(e.In, o.files)
	if err != nil {
		return fmt.Errorf("--filename: %w", err)
	}
	l := linter{policy: p, disabled: o.disabled, set: &set{}, kongVersion: o.kongVersion}
	for _, object := range objects {
		l.set.add(l.typed(object.Content))
	}
	report, err := o.report(ctx, l, objects)
	if err != nil {
		return err
	}
	switch o.output.Format {
	case formatGitHub:
		err = report.github(e.Out)
	case formatSARIF:
		err = report.sarif(e.Out, e.Version)
	default:
		err = o.output.Print(e.Out, output.Answer{Kind: "LintReport", Value: report, Text: report.print})
	}
	if err == nil && !report.Passed {
		return env.ErrNegative
	}
	return err
}

// fieldOf is the field that a message is about: it begins with it.
var fieldOf = regexp.MustCompile(`^[A-Za-z0-9_.\[\]]+`)

func (o *options) report(ctx context.Context, l linter, objects []manifests.Object) (Report, error) {
	report := Report{Passed: true, Findings: []Located{}}
	for _, object := range objects {
		if _, ours, _ := kindOf(object.Content); ours {
			report.Checked++
		}
		found := []Finding{}
		if problem := object.Problem(); problem != nil {
			found = append(found, Finding{ruleInvalid, Error, problem.Error()})
		} else {
			var err error
			if found, err = l.judge(ctx, object.Content); err != nil {
				return Report{}, fmt.Errorf("%s: %w", object.File, err)
			}
		}
		metadata, _ := object.Content["metadata"].(map[string]any)
		text := func(fields map[string]any, name string) string { s, _ := fields[name].(string); return s }
		for _, f := range found {
			if rank(f.Severity) <= rank(Severity(o.failOn)) {
				report.Passed = false
			}
			if rank(f.Severity) <= rank(Severity(o.level)) {
				report.Findings = append(report.Findings, Located{
					File: object.File, Line: object.LineOf(fieldOf.FindString(f.Message)), Kind: text(object.Content, "kind"),
					Namespace: text(metadata, "namespace"), Name: text(metadata, "name"), Finding: f,
				})
			}
		}
	}
	return report, nil
}

// subject names the resource that a finding is about.
func (l Located) subject() string {
	return strings.TrimSpace(l.Kind + " " + strings.TrimPrefix(l.Namespace+"/"+l.Name, "/"))
}

// tones of the severities.
var tones = map[Severity]output.Tone{Error: output.Bad, Warning: output.Warning, Info: output.Faint}

func (r Report) print(out io.Writer, style output.Style, _ bool) error {
	counts := map[Severity]int{}
	last := ""
	for _, f := range r.Findings {
		counts[f.Severity]++
		title := fmt.Sprintf("%s: %s", f.File, f.subject())
		if title != last {
			if _, err := fmt.Fprintln(out, style.Bold(output.Line(title))); err != nil {
				return err
			}
			last = title
		}
		if _, err := fmt.Fprintf(out, "  %s  %s: %s\n", style.Paint(tones[f.Severity], fmt.Sprintf("%-7s", f.Severity)), f.Rule, output.Line(f.Message)); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(out, "%d resources: %d errors, %d warnings, %d infos\n", r.Checked, counts[Error], counts[Warning], counts[Info])
	return err
}

// abouts are all rules, with what they are about.
func abouts() []rule {
	all := []rule{{id: ruleInvalid, severity: Error, about: "the API server refuses a manifest, or it cannot be read"}}
	for _, id := range policyRules {
		all = append(all, rule{id: id, severity: Warning, about: policyAbout[id]})
	}
	all = append(all, rules...)
	all = append(all, rule{id: ruleKongVersion, severity: Error, about: "a Kong of --kong-version does not take a field"})
	for _, r := range append([]referenceRule{upstreamRule}, referenceRules...) {
		all = append(all, rule{id: r.id, severity: r.severity, about: r.about})
	}
	return all
}

// listRules prints all rules.
func listRules(out io.Writer) error {
	table := output.Table{Columns: []output.Column{{Name: "Rule"}, {Name: "Severity"}, {Name: "About"}}}
	for _, r := range abouts() {
		table.Add(output.Plain, r.id, string(r.severity), r.about)
	}
	return table.Print(out, output.StyleOf(out), true)
}

// policyAbout says what the admission policy's rules are about.
var policyAbout = map[string]string{
	"issuers-without-audience": "a service names issuers of tokens and no audience (at apply too)",
	"no-expiry":                "a service does not verify exp: expired tokens pass (at apply too)",
	"anonymous-consumer":       "a service lets requests without a valid token in (at apply too)",
	"any-namespace":            "a service lets the consumers of every namespace call (at apply too)",
	"clear-text-route":         "a route asks for http or grpc (at apply too)",
	"pinned-key-rotates":       "a credential with a pinned key rotates, with no overlap (at apply too)",
	"rare-rotation":            "a credential rotates less than once a year (at apply too)",
	"short-overlap":            "a rotation's overlap is shorter than pods take to see a changed Secret (at apply too)",
}
