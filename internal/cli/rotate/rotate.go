// Package rotate is kubectl kongjwt rotate: new material now, and how far it is.
package rotate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/complete"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/material"
)

// Values of --wait.
const (
	waitPublished = "published"
	waitRetired   = "retired"
)

type options struct {
	wait    string
	timeout time.Duration
}

// Command returns the subcommand.
func Command(e *env.Env) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "rotate CONSUMER[/CREDENTIAL]",
		Short: "Replace generated material now, with no request refused",
		Long: `Ask the operator to replace the generated material of a JwtConsumer, or of one of its credentials.

A rotation goes five steps: new material is made, is put into Kong beside the former, is known to every
data plane, is published in the Secret for clients, and at last the former retires, an overlap later.
--wait follows them: until new material is published, or, with --wait=retired, to the end.`,
		Example: `  # All generated credentials of worker
  kubectl kongjwt rotate worker

  # One of them, until clients have it
  kubectl kongjwt rotate worker/primary -n team-a --wait

  # Until the former is refused
  kubectl kongjwt rotate worker --wait=retired --timeout 26h`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: complete.Consumers(e),
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), e, args[0]) },
	}
	cmd.Flags().StringVar(&o.wait, "wait", "", "Wait until the new material is published, or until the former is retired")
	cmd.Flags().Lookup("wait").NoOptDefVal = waitPublished
	cmd.Flags().DurationVar(&o.timeout, "timeout", 10*time.Minute, "How long to wait")
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("wait", cobra.FixedCompletions([]string{waitPublished, waitRetired}, cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

func (o *options) run(ctx context.Context, e *env.Env, reference string) error {
	if o.wait != "" && o.wait != waitPublished && o.wait != waitRetired {
		return fmt.Errorf("--wait=%s: it is %s or %s", o.wait, waitPublished, waitRetired)
	}
	ref, err := material.ParseReference(reference)
	if err != nil {
		return err
	}
	namespace, err := e.Namespace()
	if err != nil {
		return err
	}
	kube, err := e.Client()
	if err != nil {
		return err
	}
	consumer := &v1alpha1.JwtConsumer{}
	if err := kube.Get(ctx, client.ObjectKey{Namespace: namespace, Name: ref.Consumer}, consumer); err != nil {
		return fmt.Errorf("get JwtConsumer %s/%s: %w", namespace, ref.Consumer, err)
	}
	rotating, err := chosen(consumer, ref.Credential)
	if err != nil {
		return err
	}
	if o.wait != "" && consumer.Spec.Revoked {
		return fmt.Errorf("JwtConsumer %s/%s is revoked: none of its credentials comes into Kong, so there is nothing to wait for", namespace, consumer.Name)
	}
	steps := newProgress(consumer, rotating, e.Clock)
	if err := ask(ctx, kube, consumer, ref.Credential, e.Clock.Now()); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(e.Out, "jwtconsumer.kongjwt.dev/%s: rotation of %s asked for\n", consumer.Name, strings.Join(rotating, ", ")); err != nil || o.wait == "" {
		return err
	}
	return steps.until(ctx, e.Out, kube, o.timeout, o.wait == waitRetired)
}

// chosen are the credentials that a rotation is for. What cannot be rotated is refused, with what to do instead.
func chosen(consumer *v1alpha1.JwtConsumer, only string) ([]string, error) {
	if consumer.Spec.Suspend {
		return nil, fmt.Errorf("JwtConsumer %s/%s is suspended: nothing happens until spec.suspend is false", consumer.Namespace, consumer.Name)
	}
	var names []string
	for _, c := range consumer.Spec.Credentials {
		switch {
		case only != "" && c.Name != only:
		case c.Generate != nil:
			names = append(names, c.Name)
		case only != "" && c.SecretRef != nil:
			return nil, fmt.Errorf("credential %s comes from Secret %s, which is yours: write new content there, and the operator brings it to Kong", only, c.SecretRef.Name)
		case only != "":
			return nil, fmt.Errorf("credential %s follows a key set: its issuer rotates", only)
		}
	}
	switch {
	case len(names) > 0:
		return names, nil
	case only != "":
		return nil, fmt.Errorf("JwtConsumer %s/%s has no credential %s", consumer.Namespace, consumer.Name, only)
	default:
		return nil, errors.New("JwtConsumer " + consumer.Namespace + "/" + consumer.Name + " has no generated credential: what comes from a Secret or a key set is rotated there")
	}
}

// ask writes the annotation.
func ask(ctx context.Context, kube client.Client, consumer *v1alpha1.JwtConsumer, only string, now time.Time) error {
	value := now.UTC().Format(time.RFC3339Nano)
	if only != "" {
		value = only + "=" + value
	}
	changed := consumer.DeepCopy()
	if changed.Annotations == nil {
		changed.Annotations = map[string]string{}
	}
	changed.Annotations[v1alpha1.AnnotationRotate] = value
	if err := kube.Patch(ctx, changed, client.MergeFrom(consumer), client.FieldOwner(env.FieldManager)); err != nil {
		return fmt.Errorf("annotate JwtConsumer %s/%s: %w", consumer.Namespace, consumer.Name, err)
	}
	return nil
}
