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
	"github.com/kongjwt/kong-jwt-operator/internal/cli/selection"
)

type options struct {
	selection       selection.Flags
	yes, undo, wait bool
	timeout         time.Duration
}

// Command returns the subcommand.
func Command(e *env.Env) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "revoke (CONSUMER... | -l SELECTOR | --all)",
		Short: "Take every credential of consumers out of Kong at once",
		Long: `Set spec.revoked of JwtConsumers: every credential of them leaves Kong, and every token of them is refused.

The consumers, their groups and their Secrets stay. Kong accepts the tokens until the operator has acted: --wait
says when. Asks first, and needs --yes where there is nobody to ask. What applies a resource from Git puts it
back as it is there: set revoked there too.`,
		Example: `  # Asks, and waits until Kong refuses its tokens
  kubectl kongjwt revoke mobile --wait

  # In a script
  kubectl kongjwt revoke mobile -n team-a --yes

  # All of a team, in every namespace
  kubectl kongjwt revoke -l team=blue -A --wait

  # Let its tokens in again
  kubectl kongjwt revoke mobile --undo`,
		ValidArgsFunction: complete.Consumers(e),
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), e, args) },
	}
	o.selection.Add(cmd, v1alpha1.KindJwtConsumer, false)
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "Do not ask")
	cmd.Flags().BoolVar(&o.undo, "undo", false, "Set spec.revoked to false again")
	cmd.Flags().BoolVar(&o.wait, "wait", false, "Wait until the operator says that it is done")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 2*time.Minute, "How long to wait")
	return cmd
}

func (o *options) run(ctx context.Context, e *env.Env, args []string) error {
	kube, err := e.Client()
	if err != nil {
		return err
	}
	chosen, err := o.selection.Find(ctx, e, kube, args)
	if err != nil {
		return err
	}
	if err := o.confirm(e, chosen); err != nil {
		return err
	}
	changed := map[string]*v1alpha1.JwtConsumer{}
	err = selection.Each(e.Out, chosen, func(c selection.Chosen) (string, error) {
		consumer, _ := c.Resource.(*v1alpha1.JwtConsumer)
		after, err := o.change(ctx, e, kube, consumer)
		if err != nil {
			return "", err
		}
		changed[selection.Path(c)] = after
		return o.requested(after), nil
	})
	if !o.wait || len(changed) == 0 {
		return err
	}
	deadline := time.Now().Add(o.timeout)
	return errors.Join(err, selection.Each(e.Out, chosen, func(c selection.Chosen) (string, error) {
		after, there := changed[selection.Path(c)]
		if !there {
			return "", nil // it failed, and was told
		}
		return o.follow(ctx, kube, after, deadline)
	}))
}

// change sets spec.revoked.
func (o *options) change(
	ctx context.Context, e *env.Env, kube client.Client, consumer *v1alpha1.JwtConsumer,
) (*v1alpha1.JwtConsumer, error) {
	if consumer.Spec.Suspend {
		return nil, fmt.Errorf("JwtConsumer %s is suspended: its credentials stay in Kong until spec.suspend is false",
			selection.Path(consumer))
	}
	changed := consumer.DeepCopy()
	changed.Spec.Revoked = !o.undo
	if err := kube.Patch(ctx, changed, client.MergeFrom(consumer), client.FieldOwner(env.FieldManager)); err != nil {
		return nil, fmt.Errorf("change JwtConsumer %s: %w", selection.Path(consumer), err)
	}
	if by := appliedBy(consumer); by != "" {
		_, _ = fmt.Fprintf(e.ErrOut, "warning: %s applies JwtConsumer %s, and puts spec.revoked back to what its source says; "+
			"change it there too\n", by, selection.Path(consumer))
	}
	return changed, nil
}

// requested says what a change of the spec comes to: nothing yet, in Kong.
func (o *options) requested(after *v1alpha1.JwtConsumer) string {
	ready := follow.Ready(after)
	acted := after.Status.ObservedGeneration >= after.Generation && ready.Reason == v1alpha1.ReasonRevoked
	why := ""
	if ready.Status != metav1.ConditionTrue {
		why = " (" + follow.Said(ready) + ")"
	}
	switch {
	case o.undo:
		return "the end of the revocation is requested; Kong refuses its tokens until the operator has acted" + why
	case acted && ready.Status == metav1.ConditionTrue:
		return "is revoked already"
	default:
		return "revocation requested; Kong accepts its tokens until the operator has acted" + why
	}
}

// confirm asks the person at the terminal to type the name, or the number where several are meant.
func (o *options) confirm(e *env.Env, chosen []selection.Chosen) error {
	if o.yes || o.undo {
		return nil
	}
	if !e.Interactive() {
		return errors.New("there is nobody to ask; give --yes to revoke without asking")
	}
	expected, ask := chosen[0].GetName(), ""
	if len(chosen) == 1 {
		consumer, _ := chosen[0].Resource.(*v1alpha1.JwtConsumer)
		ask = fmt.Sprintf("Every token of JwtConsumer %s (%s) is refused from now on.\nType its name to revoke it: ",
			selection.Path(consumer), output.Line(output.OrNone(consumer.Status.Username)))
	} else {
		expected = fmt.Sprint(len(chosen))
		var names []string
		for _, c := range chosen {
			names = append(names, selection.Path(c))
		}
		ask = fmt.Sprintf("Every token of these %d JwtConsumers is refused from now on: %s.\nType their number to revoke them: ",
			len(chosen), strings.Join(names, ", "))
	}
	_, _ = fmt.Fprint(e.ErrOut, ask)
	answer, err := bufio.NewReader(e.In).ReadString('\n')
	if err != nil && answer == "" {
		return errors.New("nothing was typed; nothing was changed")
	}
	if strings.TrimSpace(answer) != expected {
		return fmt.Errorf("what was typed is not %s; nothing was changed", expected)
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
func (o *options) follow(
	ctx context.Context, kube client.Reader, changed *v1alpha1.JwtConsumer, deadline time.Time,
) (string, error) {
	done := "revoked: Kong refuses its tokens"
	late := fmt.Sprintf("JwtConsumer %s: the operator has not finished in time, and Kong may accept its tokens", selection.Path(changed))
	if o.undo {
		done = "no longer revoked: its credentials are in Kong"
		late = fmt.Sprintf("JwtConsumer %s: the operator has not finished in time", selection.Path(changed))
	}
	err := follow.Until(ctx, kube, changed, deadline, late,
		func(consumer *v1alpha1.JwtConsumer, ready *metav1.Condition) (bool, error) {
			return consumer.Status.ObservedGeneration >= changed.Generation && ready.Status == metav1.ConditionTrue &&
				(ready.Reason == v1alpha1.ReasonRevoked) == !o.undo, nil
		})
	if err != nil {
		return "", err
	}
	return done, nil
}
