// Package importkong is kubectl kongjwt import: manifests for what a Kong holds.
package importkong

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/kongjwt/kong-jwt-operator/internal/cli/adminapi"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/complete"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/output"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/usage"
	"github.com/kongjwt/kong-jwt-operator/internal/importer"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

type options struct {
	output                      output.Flags
	fromKong, fromDeck, fromKIC string
	gateway, secrets            string
	selectTag                   string
	keep                        bool
	dir                         string
	auth                        adminapi.Flags
}

// Values of --secrets.
const (
	secretsPlain = "plain"
	secretsNone  = "none"
)

// answer is what is printed.
type answer struct {
	Dir       string          `json:"dir"`
	Files     int             `json:"files"`
	Consumers int             `json:"consumers"`
	Services  int             `json:"services"`
	Secrets   int             `json:"secrets"`
	Left      []importer.Left `json:"left"`
}

// Command returns the subcommand.
func Command(e *env.Env) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "import (--from-kong URL | --from-deck FILE | --from-kic DIR) --gateway NAME --output-dir DIR",
		Short: "Write manifests for what a Kong holds already",
		Long: `Write manifests for what a Kong holds already: JwtConsumers, JwtProtectedServices and Secrets, one
file an object, and a kustomization.yaml of all. Nothing is applied, and nothing is written to Kong.

What a resource cannot say is listed, with the reason. A service with a setting that no field has,
or with routes whose names the operator would change, is not taken over: its plugins are, by
spec.attachTo. Applied to a KongGateway with spec.adoption: Unowned, what was written changes
nothing in Kong but tags.

With --from-kic, manifests of Kong's ingress controller are read: KongConsumers, their Secrets,
KongPlugins, and Ingresses with the Services behind them, of one namespace. The ingress controller
deletes what it does not know from a Kong that it manages: let a JwtConsumer's KongGateway be another
one, or let the ingress controller go first.

With --keep as well, the KongGateway is one with spec.ingressController, of the same controller: each
JwtConsumer takes its KongConsumer over, and that one's Secrets, by an annotation. No request is
refused meanwhile. Ingresses stay as they are, and JwtProtectedServices are not written.

The material of credentials is written into Secrets in plain text, or, with --secrets none, into
none: the Secrets that have to be made are then listed.`,
		Example: `  # Everything that a Kong holds
  kubectl kongjwt import --from-kong http://127.0.0.1:8001 --gateway main -n shop --output-dir shop/

  # What decK keeps, without its secrets
  kubectl kongjwt import --from-deck kong.yaml --gateway main --secrets none --output-dir shop/

  # What the ingress controller does for a namespace
  kubectl kongjwt import --from-kic manifests/ -n shop --gateway main --output-dir shop/

  # Consumers that stay in the Kong of the ingress controller
  kubectl get kongconsumers,kongplugins,secrets -n shop -o yaml | kubectl kongjwt import --from-kic - --keep -n shop --gateway main --output-dir shop/

  # All of it, from a cluster where it runs
  kubectl get kongconsumers,kongplugins,ingresses,services,secrets -n shop -o yaml | kubectl kongjwt import --from-kic - -n shop --gateway main --output-dir shop/`,
		Args: usage.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), e) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.fromKong, "from-kong", "", "URL of a Kong's Admin API")
	flags.StringVar(&o.fromDeck, "from-deck", "", "File of decK, format 3.0")
	flags.StringVar(&o.fromKIC, "from-kic", "", `Folder of manifests of Kong's ingress controller (*.yaml, *.yml, *.json), with those below it; "-" is standard input`)
	flags.BoolVar(&o.keep, "keep", false, "With --from-kic: take KongConsumers and their Secrets over, in the Kong that they are in")
	flags.StringVar(&o.gateway, "gateway", "", "KongGateway of the resources")
	flags.StringVar(&o.secrets, "secrets", secretsPlain, "plain writes Secrets with the material, none lists the Secrets to be made")
	flags.StringVar(&o.selectTag, "select-tag", "", "Take the consumers and services alone that have this tag, and what hangs on them")
	flags.StringVar(&o.dir, "output-dir", "", "Folder for the manifests; it has to be empty, or not there")
	o.auth.Add(cmd)
	cmd.MarkFlagsOneRequired("from-kong", "from-deck", "from-kic")
	cmd.MarkFlagsMutuallyExclusive("from-kong", "from-deck", "from-kic")
	cobra.CheckErr(errors.Join(cmd.MarkFlagRequired("gateway"), cmd.MarkFlagRequired("output-dir"), cmd.MarkFlagDirname("output-dir"), cmd.MarkFlagDirname("from-kic"), cmd.MarkFlagFilename("from-deck"),
		cmd.RegisterFlagCompletionFunc("gateway", complete.Gateways(e)),
		cmd.RegisterFlagCompletionFunc("secrets", cobra.FixedCompletions([]string{secretsPlain, secretsNone}, cobra.ShellCompDirectiveNoFileComp))))
	o.output.Add(cmd, output.JSON, output.YAML)
	return cmd
}

func (o *options) run(ctx context.Context, e *env.Env) error {
	if err := o.output.Check(); err != nil {
		return err
	}
	if o.secrets != secretsPlain && o.secrets != secretsNone {
		return fmt.Errorf("--secrets %s: choose %s or %s", o.secrets, secretsPlain, secretsNone)
	}
	if o.keep && o.fromKIC == "" {
		return errors.New("--keep: it is for --from-kic; leave it out")
	}
	namespace, err := e.Namespace()
	if err != nil {
		return err
	}
	if err := checkEmpty(o.dir); err != nil {
		return err
	}
	entities, left, err := o.read(ctx, e, namespace)
	if err != nil {
		return err
	}
	result := importer.Import(entities, importer.Options{
		Namespace: namespace, Gateway: o.gateway, SelectTag: o.selectTag, PlainSecrets: o.secrets == secretsPlain, Keep: o.keep,
	})
	files, err := result.Files()
	if err != nil {
		return err
	}
	if err := write(o.dir, files); err != nil {
		return err
	}
	a := answer{
		Dir: o.dir, Files: len(files), Consumers: len(result.Consumers), Services: len(result.Services), Secrets: len(result.Secrets),
		Left: append(left, result.Left...),
	}
	return o.output.Print(e.Out, output.Answer{Kind: "Import", Value: a, Text: a.print})
}

func (o *options) read(ctx context.Context, e *env.Env, namespace string) ([]kong.Entity, []importer.Left, error) {
	if o.fromDeck != "" {
		content, err := os.ReadFile(o.fromDeck)
		if err != nil {
			return nil, nil, fmt.Errorf("--from-deck: %w", err)
		}
		entities, left, err := importer.ReadDeck(content)
		if err != nil {
			return nil, nil, fmt.Errorf("--from-deck %s: %w", o.fromDeck, err)
		}
		return entities, left, nil
	}
	if o.fromKIC != "" {
		return readKIC(e.In, o.fromKIC, namespace)
	}
	api, err := o.auth.Client("--from-kong", o.fromKong, e.Version)
	if err != nil {
		return nil, nil, err
	}
	defer api.CloseIdle()
	var entities []kong.Entity
	for _, kind := range kong.Kinds() {
		for entity, err := range api.List(ctx, kind, kong.ListOptions{}) {
			if err != nil {
				return nil, nil, fmt.Errorf("--from-kong: list %s: %w", kind, err)
			}
			entities = append(entities, entity)
		}
	}
	return entities, nil, nil
}

// checkEmpty refuses a folder that holds anything: nothing is overwritten.
func checkEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("--output-dir: %w", err)
	case len(entries) > 0:
		return fmt.Errorf("--output-dir: %s is not empty; name another, nothing is overwritten", dir)
	}
	return nil
}

// Modes of what is written.
const (
	dirMode    = 0o755
	fileMode   = 0o644
	secretMode = 0o600
)

func write(dir string, files []importer.File) error {
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return fmt.Errorf("--output-dir: %w", err)
	}
	for _, file := range files {
		mode := os.FileMode(fileMode)
		if file.Secret {
			mode = secretMode
		}
		if err := os.WriteFile(filepath.Join(dir, file.Name), file.Content, mode); err != nil {
			return fmt.Errorf("--output-dir: %w", err)
		}
	}
	return nil
}

// print writes the answer for people.
func (a answer) print(out io.Writer, style output.Style, _ bool) error {
	_, err := fmt.Fprintf(out, "%d JwtConsumers, %d JwtProtectedServices and %d Secrets are in %s\n", a.Consumers, a.Services, a.Secrets, a.Dir)
	if err != nil || len(a.Left) == 0 {
		return err
	}
	if _, err := fmt.Fprintf(out, "\n%s\n", style.Bold("Not imported, or not wholly")); err != nil {
		return err
	}
	for _, left := range a.Left {
		if _, err := fmt.Fprintf(out, "  %s: %s\n", output.Line(left.What), output.Line(left.Why)); err != nil {
			return err
		}
	}
	return nil
}
