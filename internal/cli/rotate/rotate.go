// Package rotate is kubectl kongjwt rotate: new material now, and how far it is.
package rotate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/complete"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/selection"
)

// Values of --wait.
const (
	waitPublished = "published"
	waitRetired   = "retired"
)

type options struct {
	selection      selection.Flags
	wait           string
	revokePrevious bool
	timeout        time.Duration
}

// Command returns the subcommand.
func Command(e *env.Env) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "rotate (CONSUMER[/CREDENTIAL]... | -l SELECTOR | --all)",
		Short: "Replace generated material now, with no request refused",
		Long: `Ask the operator to replace the generated material of JwtConsumers, or of one of their credentials.

A rotation goes five steps: new material is made, is put into Kong beside the former, is known to every
data plane, is published in the Secret for clients, and at last the former retires, an overlap later.
--wait follows them: until new material is published, or, with --wait=retired, to the end.

--revoke-previous ends the overlap once new material is published: for material that leaked. Clients are
refused from then on until they read their Secret again. Of a revoked consumer new material is made, and
comes into Kong when the revocation ends.`,
		Example: `  # All generated credentials of worker
  kubectl kongjwt rotate worker

  # One of them, until clients have it
  kubectl kongjwt rotate worker/primary -n team-a --wait

  # Until the former is refused
  kubectl kongjwt rotate worker --wait=retired --timeout 26h

  # Kong's database leaked
  kubectl kongjwt rotate --all -A --revoke-previous --wait=retired`,
		ValidArgsFunction: complete.Consumers(e),
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), e, args) },
	}
	o.selection.Add(cmd, v1alpha1.KindJwtConsumer, true)
	flags := cmd.Flags()
	flags.BoolVar(&o.revokePrevious, "revoke-previous", false, "End the overlap as soon as the new material is published")
	flags.StringVar(&o.wait, "wait", "", "Wait until the new material is published, or until the former is retired")
	flags.Lookup("wait").NoOptDefVal = waitPublished
	flags.DurationVar(&o.timeout, "timeout", 10*time.Minute, "How long to wait")
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("wait",
		cobra.FixedCompletions([]string{waitPublished, waitRetired}, cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

func (o *options) run(ctx context.Context, e *env.Env, args []string) error {
	if o.wait != "" && o.wait != waitPublished && o.wait != waitRetired {
		return fmt.Errorf("--wait=%s: it is %s or %s", o.wait, waitPublished, waitRetired)
	}
	kube, err := e.Client()
	if err != nil {
		return err
	}
	chosen, err := o.selection.Find(ctx, e, kube, args)
	if err != nil {
		return err
	}
	asked := map[string]*progress{}
	err = selection.Each(e.Out, chosen, func(c selection.Chosen) (string, error) {
		consumer, _ := c.Resource.(*v1alpha1.JwtConsumer)
		rotating, err := credentials(consumer, c.Part)
		if errors.Is(err, errNothing) && !o.selection.Named() {
			return "skipped: " + errNothing.Error(), nil
		}
		if err != nil {
			return "", err
		}
		steps := newProgress(consumer, rotating, e.Clock)
		if err := o.ask(ctx, kube, consumer, c.Part, e.Clock.Now()); err != nil {
			return "", err
		}
		asked[selection.Path(consumer)] = steps
		return "rotation of " + strings.Join(rotating, ", ") + " requested", nil
	})
	if o.wait == "" || len(asked) == 0 {
		return err
	}
	// The steps of many at once would be told late, and nobody would read them.
	out := e.Out
	if len(chosen) > 1 {
		out = io.Discard
	}
	deadline := time.Now().Add(o.timeout)
	return errors.Join(err, selection.Each(e.Out, chosen, func(c selection.Chosen) (string, error) {
		steps, there := asked[selection.Path(c)]
		if !there {
			return "", nil // it was told already
		}
		return steps.until(ctx, out, kube, deadline, o.wait == waitRetired)
	}))
}

// errNothing says that a consumer has nothing that the operator made.
var errNothing = errors.New("it has no generated credential; what comes from a Secret or a key set is rotated there")

// credentials are those that a rotation is for. What cannot be rotated is refused, with what to do instead.
func credentials(consumer *v1alpha1.JwtConsumer, only string) ([]string, error) {
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
		return nil, fmt.Errorf("JwtConsumer %s: %w", selection.Path(consumer), errNothing)
	}
}

// ask writes the annotations. The operator ends the overlap of what is in use now once the rotation has published
// what follows it.
func (o *options) ask(ctx context.Context, kube client.Client, consumer *v1alpha1.JwtConsumer, only string, now time.Time) error {
	value := now.UTC().Format(time.RFC3339Nano)
	if only != "" {
		value = only + "=" + value
	}
	changed := consumer.DeepCopy()
	if changed.Annotations == nil {
		changed.Annotations = map[string]string{}
	}
	changed.Annotations[v1alpha1.AnnotationRotate] = value
	if o.revokePrevious {
		changed.Annotations[v1alpha1.AnnotationRevokePrevious] = value
	}
	if err := kube.Patch(ctx, changed, client.MergeFrom(consumer), client.FieldOwner(env.FieldManager)); err != nil {
		return fmt.Errorf("annotate JwtConsumer %s: %w", selection.Path(consumer), err)
	}
	return nil
}
