// Package graph is kubectl kongjwt graph: who may call what.
package graph

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kongjwt/kong-jwt-operator/internal/cli/complete"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/inventory"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/output"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/usage"
)

// Formats beside those of output.
const (
	text    = "text"
	mermaid = "mermaid"
	dot     = "dot"
	svg     = "svg"
)

type options struct {
	all               bool
	consumer, service string
	output            output.Flags
}

// Command returns the subcommand.
func Command(e *env.Env) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "graph",
		Short: "Show who may call what",
		Long: `Show who may call what: consumers, their groups, the services that let them in, and the routes of those.

It is what the resources ask for. Whether Kong has it, kubectl kongjwt status says. Groups that consumers got in Kong
by hand are not known.`,
		Example: `  # In words, for all namespaces
  kubectl kongjwt graph -A

  # Who may call orders?
  kubectl kongjwt graph -A --service team-a/orders

  # A picture
  kubectl kongjwt graph -A -o svg > access.svg

  # For Markdown, and for Graphviz
  kubectl kongjwt graph -o mermaid
  kubectl kongjwt graph -o dot | dot -Tpng > access.png`,
		Args: usage.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), e) },
	}
	cmd.Flags().BoolVarP(&o.all, "all-namespaces", "A", false, "Look at all namespaces")
	cmd.Flags().StringVar(&o.consumer, "consumer", "", "Only what this consumer may call: [NAMESPACE/]NAME")
	cmd.Flags().StringVar(&o.service, "service", "", "Only who may call this service: [NAMESPACE/]NAME")
	cmd.MarkFlagsMutuallyExclusive("consumer", "service")
	cobra.CheckErr(errors.Join(
		cmd.RegisterFlagCompletionFunc("service", complete.Services(e)),
		cmd.RegisterFlagCompletionFunc("consumer", complete.QualifiedConsumers(e)),
	))
	o.output.Add(cmd, text, mermaid, dot, svg, output.JSON, output.YAML)
	return cmd
}

func (o *options) run(ctx context.Context, e *env.Env) error {
	if err := o.output.Check(); err != nil {
		return err
	}
	own, err := e.Namespace()
	if err != nil {
		return err
	}
	namespace := own
	if o.all {
		namespace = ""
	}
	kube, err := e.Client()
	if err != nil {
		return err
	}
	found, err := inventory.Read(ctx, kube, namespace)
	if err != nil {
		return err
	}
	g := build(&found)
	for kind, name := range map[Kind]string{Consumer: o.consumer, Service: o.service} {
		if name == "" {
			continue
		}
		if !strings.Contains(name, "/") {
			name = own + "/" + name
		}
		if g = g.about(kind, name); len(g.Nodes) == 0 {
			return errors.New("there is no " + string(kind) + " " + name + " in what was looked at; -A looks everywhere")
		}
	}
	return o.print(e.Out, g)
}

// about keeps what has to do with one consumer or service. What is open to every consumer is open to that consumer.
func (g Graph) about(kind Kind, label string) Graph {
	matches := func(n Node) bool { return n.Kind == kind && n.Label == label && !n.Anonymous }
	if kind != Consumer {
		return g.around(matches)
	}
	gateways := map[string]bool{}
	for _, n := range g.Nodes {
		if matches(n) {
			gateways[n.Gateway] = true
		}
	}
	return g.around(func(n Node) bool { return matches(n) || n.Everyone && gateways[n.Gateway] })
}

func (o *options) print(out io.Writer, g Graph) error {
	switch o.output.Format {
	case mermaid:
		return g.mermaid(out)
	case dot:
		return g.dot(out)
	case svg:
		return g.svg(out)
	case text:
		return g.text(out, output.StyleOf(out))
	}
	return o.output.Print(out, output.Answer{Kind: "AccessGraph", Value: g, Text: func(out io.Writer, style output.Style, _ bool) error {
		return g.text(out, style)
	}})
}
