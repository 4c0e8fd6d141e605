// Package bundle is kubectl kongjwt bundle: what support asks for, in one archive, with no secret in it.
package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/inventory"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/operatorpods"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/usage"
)

type options struct {
	all      bool
	file     string
	tail     int64
	operator operatorpods.Flags
}

// Command returns the subcommand.
func Command(e *env.Env) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "bundle",
		Short: "Write an archive for support, with no secret in it",
		Long: `Write an archive for whoever helps: resources, their conditions and events, the operator's pods with
logs and metrics, versions. Metrics are in it where their endpoint asks for no token.

There is no secret in it: of Secrets only names, keys and lengths; plugin configurations, claims, values of headers,
annotations of others and environment variables without their text. Whatever of the Secrets that you may
read stands anywhere else, in a log or a message, is taken out. Look at it all the same before you send it.
What you may not read is left out, and named in problems.txt.`,
		Example: `  # All namespaces
  kubectl kongjwt bundle -A

  # One, to look into
  kubectl kongjwt bundle -n team-a -f - | tar -tz`,
		Args: usage.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), e) },
	}
	flags := cmd.Flags()
	flags.BoolVarP(&o.all, "all-namespaces", "A", false, "Look at all namespaces")
	flags.StringVarP(&o.file, "file", "f", "", `File to write; "-" is standard output (default kongjwt-bundle-TIME.tar.gz)`)
	o.operator.Add(cmd)
	flags.Int64Var(&o.tail, "tail", 5000, "How many lines of each log")
	cobra.CheckErr(cmd.MarkFlagFilename("file", "tar.gz", "tgz"))
	return cmd
}

func (o *options) run(ctx context.Context, e *env.Env) error {
	err := o.operator.Check()
	if err != nil {
		return err
	}
	namespace := ""
	if !o.all {
		if namespace, err = e.Namespace(); err != nil {
			return err
		}
	}
	kube, err := e.Client()
	if err != nil {
		return err
	}
	clientset, err := e.Clientset()
	if err != nil {
		return err
	}
	c := &collector{
		kube: kube, clientset: clientset, files: &files{content: map[string]string{}}, guard: &scrubber{},
		namespace: namespace, operator: o.operator, tail: o.tail,
	}
	switch err := c.resources(ctx); {
	// Which is when a bundle is asked for: the operator's pods say why.
	case errors.Is(err, inventory.ErrNotInstalled):
		c.files.lacks("the resources", err)
	case err != nil: // what is not read is not taken out of logs either
		return err
	}
	c.events(ctx)
	c.versions(e.Version, c.pods(ctx))
	return o.write(e, c)
}

// versions of all that takes part.
func (c *collector) versions(plugin string, images []string) {
	versions := map[string]any{"plugin": plugin, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH, "operatorImages": images}
	if server, err := c.clientset.Discovery().ServerVersion(); err != nil {
		c.files.lacks("the API server's version", err)
	} else {
		versions["kubernetes"] = server.GitVersion
	}
	c.files.addYAML("versions.yaml", versions)
}

func (o *options) write(e *env.Env, c *collector) (err error) {
	now := e.Clock.Now().UTC()
	root := "kongjwt-bundle-" + now.Format("20060102-150405")
	out := e.Out
	if o.file != "-" {
		if o.file == "" {
			o.file = root + ".tar.gz"
		}
		file, err := os.OpenFile(o.file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return fmt.Errorf("--file: %w", err)
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		out = file
	}
	if err := c.files.write(out, root, c.guard, now); err != nil {
		return err
	}
	return o.tell(e.ErrOut, c)
}

func (o *options) tell(out io.Writer, c *collector) error {
	for _, problem := range c.files.problems {
		if _, err := fmt.Fprintln(out, "not in it:", c.guard.clean(problem)); err != nil {
			return err
		}
	}
	if o.file == "-" {
		return nil
	}
	_, err := fmt.Fprintf(out, "%s: %d files\n", o.file, len(c.files.content))
	return err
}
