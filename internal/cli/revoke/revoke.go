// Package revoke is kubectl kongjwt revoke: a consumer's tokens are refused from now on.
package revoke

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/complete"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/follow"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/output"
)

type options struct {
	yes, undo, wait bool
	timeout         time.Duration
}

// Command returns the subcommand.
func Command(e *env.Env) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "revoke CONSUMER",
		Short: "Take every credential of a consumer out of Kong at once",
		Long: `Set spec.revoked of a JwtConsumer: every credential of it leaves Kong, and every token of it is refused.

The consumer, its groups and its Secrets stay. Asks first, and needs --yes where there is nobody to
ask. What applies the resource from Git puts it back as it is there: set revoked there too.`,
		Example: `  # Asks, and waits until Kong refuses its tokens
  kubectl kongjwt revoke mobile --wait

  # In a script
  kubectl kongjwt revoke mobile -n team-a --yes

  # Let its tokens in again
  kubectl kongjwt revoke mobile --undo`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: complete.Consumers(e),
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), e, args[0]) },
	}
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "Do not ask")
	cmd.Flags().BoolVar(&o.undo, "undo", false, "Set spec.revoked to false again")
	cmd.Flags().BoolVar(&o.wait, "wait", false, "Wait until the operator says that it is done")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 2*time.Minute, "How long to wait")
	return cmd
}

func (o *options) run(ctx context.Context, e *env.Env, name string) error {
	namespace, err := e.Namespace()
	if err != nil {
		return err
	}
	kube, err := e.Client()
	if err != nil {
		return err
	}
	consumer := &v1alpha1.JwtConsumer{}
	if err := kube.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, consumer); err != nil {
		return fmt.Errorf("get JwtConsumer %s/%s: %w", namespace, name, err)
	}
	if consumer.Spec.Suspend {
		return fmt.Errorf("JwtConsumer %s/%s is suspended: its credentials stay in Kong until spec.suspend is false", namespace, name)
	}
	if err := o.confirm(e, consumer); err != nil {
		return err
	}
	changed := consumer.DeepCopy()
	changed.Spec.Revoked = !o.undo
	if err := kube.Patch(ctx, changed, client.MergeFrom(consumer), client.FieldOwner(env.FieldManager)); err != nil {
		return fmt.Errorf("change JwtConsumer %s/%s: %w", namespace, name, err)
	}
	if by := appliedBy(consumer); by != "" {
		_, _ = fmt.Fprintf(e.ErrOut, "warning: %s applies this resource, and puts spec.revoked back to what its source says; change it there too\n", by)
	}
	word := "revoked"
	if o.undo {
		word = "no longer revoked"
	}
	if _, err := fmt.Fprintf(e.Out, "jwtconsumer.kongjwt.dev/%s %s\n", name, word); err != nil || !o.wait {
		return err
	}
	return o.follow(ctx, e, kube, changed)
}

// confirm asks whoever sits at the terminal to type the name.
func (o *options) confirm(e *env.Env, consumer *v1alpha1.JwtConsumer) error {
	if o.yes || o.undo {
		return nil
	}
	if !e.Interactive() {
		return errors.New("there is nobody to ask; give --yes to revoke without asking")
	}
	_, _ = fmt.Fprintf(e.ErrOut, "Every token of JwtConsumer %s/%s (%s) is refused from now on.\nType its name to revoke it: ",
		consumer.Namespace, consumer.Name, output.Line(output.OrNone(consumer.Status.Username)))
	answer, err := bufio.NewReader(e.In).ReadString('\n')
	if err != nil && answer == "" {
		return errors.New("nothing was typed; nothing was changed")
	}
	if strings.TrimSpace(answer) != consumer.Name {
		return errors.New("what was typed is not its name; nothing was changed")
	}
	return nil
}

// appliedBy names what applies a resource again and again, by the marks that it leaves; empty where nobody does.
func appliedBy(consumer *v1alpha1.JwtConsumer) string {
	switch labels, annotations := consumer.Labels, consumer.Annotations; {
	case annotations["argocd.argoproj.io/tracking-id"] != "" || labels["argocd.argoproj.io/instance"] != "":
		return "Argo CD"
	case labels["kustomize.toolkit.fluxcd.io/name"] != "" || labels["helm.toolkit.fluxcd.io/name"] != "":
		return "Flux"
	case labels["app.kubernetes.io/managed-by"] == "Helm":
		return "Helm"
	default:
		return ""
	}
}

// follow waits until the operator has seen the change and says that it is done.
func (o *options) follow(ctx context.Context, e *env.Env, kube client.Reader, changed *v1alpha1.JwtConsumer) error {
	told := ""
	return follow.Consumer(ctx, kube, client.ObjectKeyFromObject(changed), o.timeout, "the operator has not finished in time",
		func(consumer *v1alpha1.JwtConsumer, ready *metav1.Condition) (bool, error) {
			if consumer.Status.ObservedGeneration < changed.Generation {
				return false, nil
			}
			if said := follow.Said(ready); said != told {
				told = said
				if _, err := fmt.Fprintln(e.Out, "  "+said); err != nil {
					return false, err
				}
			}
			return ready.Status == metav1.ConditionTrue, nil
		})
}
