// Package adminapi is how subcommands reach an Admin API that asks for a token.
package adminapi

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// Flags say how an Admin API is reached.
type Flags struct {
	workspace, header, variable, caFile string
}

// Add gives a subcommand the flags.
func (f *Flags) Add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.workspace, "workspace", "", "Workspace of Kong Enterprise")
	flags.StringVar(&f.header, "admin-header", "Kong-Admin-Token", "Header that carries the Admin API's token")
	flags.StringVar(&f.variable, "admin-token-env", "", "Environment variable that holds the Admin API's token")
	flags.StringVar(&f.caFile, "admin-ca-file", "", "Certificate authorities (PEM) of the Admin API, instead of the system's")
	cobra.CheckErr(cmd.MarkFlagFilename("admin-ca-file"))
}

// Client makes a client of the Admin API at the URL that the named flag gives.
func (f *Flags) Client(flag, url, version string) (*kong.Client, error) {
	config := kong.Config{
		URL: url, Workspace: f.workspace, AuthHeader: f.header, UserAgent: "kubectl-kongjwt/" + version,
	}
	if f.variable != "" {
		token, found := os.LookupEnv(f.variable)
		if !found {
			return nil, fmt.Errorf("--admin-token-env: the environment has no variable %s", f.variable)
		}
		config.AuthToken = kong.Secret(strings.TrimSpace(token))
	}
	if f.caFile != "" {
		content, err := os.ReadFile(f.caFile)
		if err != nil {
			return nil, fmt.Errorf("--admin-ca-file: %w", err)
		}
		config.CA = content
	}
	api, err := kong.New(config)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	return api, nil
}
