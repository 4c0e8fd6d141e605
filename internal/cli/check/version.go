package check

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"

	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/operatorpods"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/output"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/usage"
)

// Versions are those of the plugin and of the operator's pods.
type Versions struct {
	Client string `json:"client"`
	// Operator has the images of the operator's containers, each once.
	Operator []string `json:"operator,omitempty"`
	// Problem says why the operator's are not known.
	Problem string `json:"problem,omitempty"`
}

// Version returns the subcommand version.
func Version(e *env.Env) *cobra.Command {
	var format output.Flags
	var operator operatorpods.Flags
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Say the versions of the plugin and of the operator",
		Long:    `Say the versions of the plugin and of the operator: the images of its pods.`,
		Example: `  kubectl kongjwt version`,
		Args:    usage.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(format.Check(), operator.Check()); err != nil {
				return err
			}
			versions := versionsOf(cmd.Context(), e, operator)
			return format.Print(e.Out, output.Answer{Kind: "Versions", Value: versions, Text: versions.print})
		},
	}
	operator.Add(cmd)
	format.Add(cmd, output.JSON, output.YAML)
	return cmd
}

func versionsOf(ctx context.Context, e *env.Env, operator operatorpods.Flags) Versions {
	versions := Versions{Client: e.Version}
	kube, err := e.Client()
	var pods []corev1.Pod
	if err == nil {
		pods, err = operator.List(ctx, kube)
	}
	switch {
	case err != nil:
		versions.Problem = err.Error()
	case len(pods) == 0:
		versions.Problem = operator.None()
	}
	versions.Operator = operatorpods.Images(pods)
	return versions
}

func (v Versions) print(out io.Writer, _ output.Style, _ bool) error {
	if _, err := fmt.Fprintf(out, "client    %s\n", v.Client); err != nil {
		return err
	}
	for _, image := range v.Operator {
		if _, err := fmt.Fprintf(out, "operator  %s\n", output.Line(image)); err != nil {
			return err
		}
	}
	if v.Problem == "" {
		return nil
	}
	_, err := fmt.Fprintf(out, "operator  unknown: %s\n", output.Line(v.Problem))
	return err
}
