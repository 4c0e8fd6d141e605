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
by hand are not known. Of a namespace it shows what its consumers may call and who may call its services, wherever they
are, as far as you may read.

A picture shows consumers that may call the same as one, and dashed what is not Ready.`,
		Example: `  # In words, for all namespaces
  kubectl kongjwt graph -A

  # Who may call orders?
  kubectl kongjwt graph -A --service team-a/orders

  # A picture, by Graphviz
  kubectl kongjwt graph -A -o dot | dot -Tsvg > access.svg

  # A picture for Markdown
  kubectl kongjwt graph -o mermaid`,
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
	o.output.Add(cmd, text, mermaid, dot, output.JSON, output.YAML)
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
	kube, err := e.Client()
	if err != nil {
		return err
	}
	read := func() (inventory.Inventory, error) { return inventory.ReadThese(ctx, kube, own) }
	if o.all {
		read = func() (inventory.Inventory, error) { return inventory.Read(ctx, kube, "") }
	}
	found, err := read()
	if err != nil {
		return err
	}
	g := build(&found)
	if !o.all && o.consumer == "" && o.service == "" {
		g = g.around(func(n Node) bool {
			return strings.HasPrefix(n.Label, own+"/") && (n.Kind == Consumer || n.Kind == Service)
		})
	}
	for kind, name := range map[Kind]string{Consumer: o.consumer, Service: o.service} {
		if name == "" {
			continue
		}
		if !strings.Contains(name, "/") {
			name = own + "/" + name
		}
		if g = g.around(func(n Node) bool { return n.Kind == kind && n.Label == name && !n.Anonymous }); len(g.Nodes) == 0 {
			return errors.New("there is no " + string(kind) + " " + name + " among what you may read")
		}
	}
	return o.print(e.Out, g)
}

func (o *options) print(out io.Writer, g Graph) error {
	switch o.output.Format {
	case mermaid:
		return g.mermaid(out)
	case dot:
		return g.dot(out)
	case text:
		return g.text(out, output.StyleOf(out))
	}
	return o.output.Print(out, output.Answer{Kind: "AccessGraph", Value: g, Text: func(out io.Writer, style output.Style, _ bool) error {
		return g.text(out, style)
	}})
}
