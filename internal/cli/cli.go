// Package cli is kubectl kongjwt: the root command. Each subcommand has a package of its own below this one.
package cli

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kongjwt/kong-jwt-operator/internal/cli/bundle"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/check"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/complete"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/diff"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/events"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/explain"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/graph"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/importkong"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/lint"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/reconcile"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/revoke"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/rotate"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/status"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/token"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/usage"
)

// subcommands are the constructors of all there are, in the order of the help.
var subcommands = []func(*env.Env) *cobra.Command{
	status.Command,
	events.Command,
	token.Command,
	explain.Command,
	importkong.Command,
	rotate.Command,
	revoke.Command,
	reconcile.Command,
	reconcile.Suspend,
	reconcile.Resume,
	diff.Command,
	lint.Command,
	graph.Command,
	check.Command,
	bundle.Command,
	check.Version,
	options,
}

// Run runs the plugin with the arguments after its name and returns the exit code.
func Run(ctx context.Context, version string, streams genericiooptions.IOStreams, args []string) int {
	root := New(env.New(version, streams)) //nolint:contextcheck // A completion has the context of its own run.
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return env.ExitOK
	case errors.Is(err, env.ErrNegative):
		return env.ExitNegative
	default:
		_, _ = fmt.Fprintln(streams.ErrOut, "error:", usage.WithoutTokens(err))
		return env.ExitError
	}
}

// New returns the root command.
func New(e *env.Env) *cobra.Command {
	root := &cobra.Command{
		Use:   "kubectl-kongjwt",
		Short: "See, explain and act on JWT authentication on Kong",
		Long: `See, explain and act on JWT authentication on Kong, as kong-jwt-operator's resources declare it.

Reads and writes with your own rights. Exit codes: 0 for yes or done, 1 where the
answer is no (a token refused, a difference, a finding), 2 for an error.`,
		Annotations: map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl kongjwt"},
		Version:     e.Version,
		Args:        usage.Subcommand,
		// The order is cobra's: arguments, this, its own check of flags.
		PersistentPreRunE: usage.Flags,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceUsage:      true,
		SilenceErrors:     true,
	}
	root.SetIn(e.In)
	root.SetOut(e.Out)
	root.SetErr(e.ErrOut)
	e.Flags.AddFlags(root.PersistentFlags())
	cobra.CheckErr(errors.Join(
		root.RegisterFlagCompletionFunc("namespace", complete.Namespaces(e)), root.RegisterFlagCompletionFunc("context", complete.Contexts(e)),
	))
	// Each page would end in the same thirty flags of kubectl's.
	root.SetUsageTemplate(inherited.ReplaceAllString(root.UsageTemplate(), `{{if .HasAvailableInheritedFlags}}

Use "kubectl kongjwt options" for the flags of all commands.{{end}}`))
	for _, subcommand := range subcommands {
		root.AddCommand(subcommand(e))
	}
	return root
}

// inherited is the part of cobra's usage that lists the flags of all commands.
var inherited = regexp.MustCompile(`(?s)\{\{if \.HasAvailableInheritedFlags\}\}.*?\{\{end\}\}`)

// options lists kubectl's own flags, as kubectl options does.
func options(*env.Env) *cobra.Command {
	return &cobra.Command{
		Use:     "options",
		Short:   "List the flags of all commands",
		Long:    `List the flags that all commands take: kubectl's own.`,
		Example: `  kubectl kongjwt options`,
		Args:    usage.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(cmd.OutOrStdout(), cmd.Root().PersistentFlags().FlagUsages())
			return err
		},
	}
}
