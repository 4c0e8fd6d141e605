// Package token is kubectl kongjwt token: create, decode and verify tokens.
package token

import (
	"github.com/spf13/cobra"

	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/usage"
)

// Command returns the subcommand.
func Command(e *env.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Create, decode and verify tokens",
		Args:  usage.Subcommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		Example: `  # A token of the consumer john, in a request
  curl -H "Authorization: Bearer $(kubectl kongjwt token create john)" https://kong.example.com/api`,
	}
	cmd.AddCommand(create(e), decode(e), verify(e))
	return cmd
}
