// Package status is kubectl kongjwt status: how everything is, what is wrong first.
package status

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/internal/cli/complete"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/inventory"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/output"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/usage"
)

// options are the flags.
type options struct {
	all, watch bool
	limit      int
	output     output.Flags
}

// Command returns the subcommand.
func Command(e *env.Env) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "status [KIND/NAME]",
		Short: "How gateways, consumers, services and tokens are, what is wrong first",
		Long: `How gateways, consumers, services and tokens are: those of a namespace with the gateways that they are on, or all.

What is wrong comes first, with what the operator says about it and what to do. Of one resource: its credentials
and Secrets with what is due, who may call, and its events.
Exits with 1 while something does not work as its spec says.`,
		Example: `  # This namespace
  kubectl kongjwt status

  # One resource
  kubectl kongjwt status jwtc/worker

  # All namespaces, anew with every change
  kubectl kongjwt status -A --watch

  # What is stalled, for a script
  kubectl kongjwt status -A -o json | jq -r '.resources[] | select(.health == "Stalled") | .name'`,
		Args:              usage.AtMostOne("KIND/NAME"),
		ValidArgsFunction: complete.Resources(e),
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), e, args) },
	}
	cmd.Flags().BoolVarP(&o.all, "all-namespaces", "A", false, "Look at all namespaces")
	cmd.Flags().BoolVarP(&o.watch, "watch", "w", false, "Print anew when something changes, until interrupted")
	cmd.Flags().IntVar(&o.limit, "limit", 20, "How many lines each list may have; 0 is all")
	o.output.Add(cmd, output.Wide, output.JSON, output.YAML, output.Name)
	return cmd
}

func (o *options) run(ctx context.Context, e *env.Env, args []string) error {
	if err := o.output.Check(); err != nil {
		return err
	}
	namespace := ""
	if !o.all {
		var err error
		if namespace, err = e.Namespace(); err != nil {
			return err
		}
	}
	kube, err := e.Client()
	if err != nil {
		return err
	}
	if len(args) == 1 {
		return o.one(ctx, e, kube, args[0])
	}
	if o.watch {
		return o.follow(ctx, e, kube, namespace)
	}
	report, err := o.look(ctx, e, kube, namespace)
	if err != nil {
		return err
	}
	if err := o.print(e.Out, report); err != nil {
		return err
	}
	if !report.Works {
		return env.ErrNegative
	}
	return nil
}

// Report is what status says.
type Report struct {
	// Works is whether every resource works as its spec says, or is suspended by it.
	Works bool `json:"works"`
	// Summary counts resources by kind and health.
	Summary map[string]map[inventory.Health]int `json:"summary"`
	// Resources, the worst first.
	Resources []Resource `json:"resources"`
	// Rotations that are due next, the soonest first.
	Rotations []Rotation `json:"rotations,omitempty"`
	// Unreadable are the kinds that the caller may not list.
	Unreadable []string `json:"unreadable,omitempty"`

	namespace string
	now       time.Time
}

// Resource is how one resource is, and what to do.
type Resource struct {
	inventory.Resource
	Remedy string `json:"remedy,omitempty"`
}

// Rotation is one that is due.
type Rotation struct {
	Namespace  string      `json:"namespace"`
	Consumer   string      `json:"consumer"`
	Credential string      `json:"credential"`
	Time       metav1.Time `json:"time"`
}

// look reads the cluster.
func (o *options) look(ctx context.Context, e *env.Env, kube client.Reader, namespace string) (Report, error) {
	found, err := inventory.Read(ctx, kube, namespace)
	if err != nil {
		return Report{}, err
	}
	if namespace != "" {
		found.KeepOwnGateways()
	}
	report := reportOf(&found)
	report.namespace, report.now = namespace, e.Clock.Now()
	return report, nil
}

// reportOf is pure.
func reportOf(found *inventory.Inventory) Report {
	report := Report{Works: true, Summary: map[string]map[inventory.Health]int{}, Resources: []Resource{}, Unreadable: found.Unreadable}
	for _, r := range found.Resources() {
		report.Resources = append(report.Resources, Resource{Resource: r, Remedy: remedyOf(r)})
		if report.Summary[r.Kind] == nil {
			report.Summary[r.Kind] = map[inventory.Health]int{}
		}
		report.Summary[r.Kind][r.Health]++
		if !works(r.Health) {
			report.Works = false
		}
	}
	for i := range found.Consumers {
		consumer := &found.Consumers[i]
		for _, c := range consumer.Status.Credentials {
			if c.RotationTime != nil {
				report.Rotations = append(report.Rotations, Rotation{Namespace: consumer.Namespace, Consumer: consumer.Name, Credential: c.Name, Time: *c.RotationTime})
			}
		}
	}
	slices.SortStableFunc(report.Rotations, func(a, b Rotation) int { return a.Time.Compare(b.Time.Time) })
	return report
}

func works(h inventory.Health) bool {
	return h == inventory.Ready || h == inventory.Warning || h == inventory.Suspended
}

func (o *options) print(out io.Writer, report Report) error {
	answer := output.Answer{Kind: "Status", Value: report, Text: func(out io.Writer, style output.Style, wide bool) error {
		return render{out: out, style: style, wide: wide, limit: o.limit, report: report}.all()
	}}
	for _, r := range report.Resources {
		answer.Names = append(answer.Names, r.ID())
	}
	return o.output.Print(out, answer)
}

// orAll makes the limit that --limit means.
func orAll(limit, count int) int {
	if limit <= 0 || limit > count {
		return count
	}
	return limit
}

func (r render) more(count int, what string) error {
	if count <= 0 {
		return nil
	}
	_, err := fmt.Fprintln(r.out, r.style.Paint(output.Faint, fmt.Sprintf("... and %d more %s; --limit 0 shows all", count, what)))
	return err
}
