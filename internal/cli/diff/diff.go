// Package diff is kubectl kongjwt diff: what an apply would cause in Kong.
package diff

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/output"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/usage"
)

type options struct {
	output output.Flags
	files  []string
}

// Command returns the subcommand.
func Command(e *env.Env) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "diff -f FILE|DIRECTORY|-",
		Short: "Say which requests to Kong an apply would cause",
		Long: `Say which requests to Kong an apply would cause: the operator's own plan, made here and sent nowhere.
The API server is asked what it would store (a dry run), which takes the right to create and update
the resources; nothing is changed. A spec is taken to be whole: what the file leaves out is gone.

What is compared is what the resources say now with what they would say, and so are the Secrets in the
files, where you may read them. Other material is not looked at: a credential changes where its source
does. Kong is not asked: what was changed there by hand is not seen, and neither is who holds a name there.
What you may not read is said to be unknown.

Exits with 1 where there is a request, or where the operator would refuse a resource, as kubectl diff does.`,
		Example: `  # A folder
  kubectl kongjwt diff -f deploy/

  # What kustomize makes
  kubectl kustomize overlays/prod | kubectl kongjwt diff -f -

  # Nothing in Kong may go, in a pipeline
  kubectl kongjwt diff -f deploy/ -o json | jq -e 'all(.requests[]; .change != "delete")'`,
		Args: usage.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), e) },
	}
	cmd.Flags().StringSliceVarP(&o.files, "filename", "f", nil, `File or directory with manifests; "-" is standard input; may be given again`)
	cobra.CheckErr(errors.Join(cmd.MarkFlagRequired("filename"), cmd.MarkFlagFilename("filename", "yaml", "yml", "json")))
	o.output.Add(cmd, output.JSON, output.YAML)
	return cmd
}

func (o *options) run(ctx context.Context, e *env.Env) error {
	if err := o.output.Check(); err != nil {
		return err
	}
	namespace, err := e.Namespace()
	if err != nil {
		return err
	}
	objects, err := read(e.In, o.files, namespace)
	if err != nil {
		return err
	}
	kube, err := e.Client()
	if err != nil {
		return err
	}
	c, err := newChange(ctx, kube, namespace, objects)
	if err != nil {
		return err
	}
	for _, object := range objects {
		if err := c.apply(ctx, object); err != nil {
			return err
		}
	}
	c.readNamespaces(ctx)
	a := compare(c.before, c.after)
	a.Unknown = append(a.Unknown, c.unknown...)
	err = o.output.Print(e.Out, output.Answer{Kind: "KongDiff", Value: a, Text: a.print})
	if err == nil && a.differs() {
		return env.ErrNegative
	}
	return err
}

// print writes the answer for people.
func (a answer) print(out io.Writer, style output.Style, wide bool) error {
	if !a.differs() {
		if _, err := fmt.Fprintln(out, "No request to Kong"); err != nil {
			return err
		}
	}
	if len(a.Requests) > 0 {
		table := output.Table{Columns: []output.Column{{Name: "Change"}, {Name: "Request"}, {Name: "Entity"}, {Name: "Resource"}, {Name: "Gateway"}}}
		tones := map[string]output.Tone{"create": output.Good, "update": output.Warning, "delete": output.Bad}
		for _, r := range a.Requests {
			table.Add(tones[r.Change], r.Change, r.Method, r.Kind+" "+r.Name, r.Resource, r.Gateway)
		}
		if err := table.Print(out, style, wide); err != nil {
			return err
		}
	}
	for _, part := range []struct {
		word  string
		tone  output.Tone
		lines []string
	}{{"refused", output.Bad, a.Refused}, {"unknown", output.Faint, a.Unknown}} {
		for _, line := range part.lines {
			if _, err := fmt.Fprintf(out, "%s  %s\n", style.Paint(part.tone, part.word), output.Line(line)); err != nil {
				return err
			}
		}
	}
	return nil
}
