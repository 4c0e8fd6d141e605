package importkong

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// adminAuth is how an Admin API is reached that asks who one is.
type adminAuth struct {
	workspace, header, variable, caFile string
}

func (a *adminAuth) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&a.workspace, "workspace", "", "Workspace of Kong Enterprise")
	flags.StringVar(&a.header, "admin-header", "Kong-Admin-Token", "Header that carries the Admin API's token")
	flags.StringVar(&a.variable, "admin-token-env", "", "Environment variable that holds the Admin API's token")
	flags.StringVar(&a.caFile, "admin-ca-file", "", "Certificate authorities (PEM) of the Admin API, instead of the system's")
	cobra.CheckErr(cmd.MarkFlagFilename("admin-ca-file"))
}

func (a *adminAuth) config(address, agent string) (kong.Config, error) {
	config := kong.Config{URL: address, Workspace: a.workspace, AuthHeader: a.header, UserAgent: agent}
	if a.variable != "" {
		token, found := os.LookupEnv(a.variable)
		if !found {
			return kong.Config{}, fmt.Errorf("--admin-token-env: the environment has no variable %s", a.variable)
		}
		config.AuthToken = kong.Secret(strings.TrimSpace(token))
	}
	if a.caFile != "" {
		content, err := os.ReadFile(a.caFile)
		if err != nil {
			return kong.Config{}, fmt.Errorf("--admin-ca-file: %w", err)
		}
		config.CA = content
	}
	return config, nil
}
