// Package reconcile is kubectl kongjwt reconcile, suspend and resume: when the operator looks at resources.
package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/complete"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/follow"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/selection"
)

type options struct {
	selection selection.Flags
	wait      bool
	timeout   time.Duration
	// patch is what is written to a resource (JSON merge patch, RFC 7396); asked and done say it in words.
	patch       func(now time.Time) string
	asked, done string
}

// Command returns reconcile.
func Command(e *env.Env) *cobra.Command {
	o := options{patch: request, asked: "a look is requested", done: "is Ready"}
	cmd := o.command(e, &cobra.Command{
		Use:   "reconcile (KIND/NAME... | KIND -l SELECTOR | KIND --all)",
		Short: "Have the operator look at resources again, now",
		Long: `Have the operator compare resources with Kong again, now: after something outside of Kubernetes was put right.

KIND is jwtconsumer, jwtprotectedservice, jwttoken or konggateway, or kubectl's short name of it.`,
		Example: `  kubectl kongjwt reconcile jwtconsumer/john --wait
  kubectl kongjwt reconcile jwtps/orders jwtps/stock -n team-a
  kubectl kongjwt reconcile jwtps --all -A
  kubectl kongjwt reconcile kgw/default`,
	})
	cmd.Flags().BoolVar(&o.wait, "wait", false, "Wait until they are Ready")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 2*time.Minute, "How long to wait")
	return cmd
}

// Suspend returns suspend.
func Suspend(e *env.Env) *cobra.Command {
	o := options{patch: suspend(true), asked: "is suspended: Kong keeps what it has, and nothing is changed there"}
	return o.command(e, &cobra.Command{
		Use:   "suspend (KIND/NAME... | KIND -l SELECTOR | KIND --all)",
		Short: "Have the operator leave resources alone",
		Long: `Set spec.suspend of resources: the operator leaves them, and what Kong has of them, alone.

What applies a resource from Git puts spec.suspend back as it is there.`,
		Example: `  kubectl kongjwt suspend jwtps/orders
  kubectl kongjwt suspend kgw/default`,
	})
}

// Resume returns resume.
func Resume(e *env.Env) *cobra.Command {
	o := options{patch: suspend(false), asked: "is resumed", done: "is Ready"}
	cmd := o.command(e, &cobra.Command{
		Use:   "resume (KIND/NAME... | KIND -l SELECTOR | KIND --all)",
		Short: "Have the operator take suspended resources up again",
		Long:  `Set spec.suspend of resources to false: the operator brings Kong to what they say now.`,
		Example: `  kubectl kongjwt resume jwtps/orders --wait
  kubectl kongjwt resume jwtc --all -A`,
	})
	cmd.Flags().BoolVar(&o.wait, "wait", false, "Wait until they are Ready")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 2*time.Minute, "How long to wait")
	return cmd
}

func (o *options) command(e *env.Env, cmd *cobra.Command) *cobra.Command {
	cmd.ValidArgsFunction = complete.Resources(e)
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), e, args) }
	o.selection.Add(cmd, "", false)
	return cmd
}

// request asks by the annotation: any new value counts.
func request(now time.Time) string {
	return fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.AnnotationReconcile, now.UTC().Format(time.RFC3339Nano))
}

func suspend(on bool) func(time.Time) string {
	return func(time.Time) string { return fmt.Sprintf(`{"spec":{"suspend":%t}}`, on) }
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
	changed := map[string]v1alpha1.Resource{}
	err = selection.Each(e.Out, chosen, func(c selection.Chosen) (string, error) {
		after, err := o.write(ctx, e, kube, c.Resource)
		if err != nil {
			return "", err
		}
		changed[selection.ID(c)+c.GetNamespace()] = after
		return o.asked, nil
	})
	if !o.wait || len(changed) == 0 {
		return err
	}
	deadline := time.Now().Add(o.timeout)
	return errors.Join(err, selection.Each(e.Out, chosen, func(c selection.Chosen) (string, error) {
		after, there := changed[selection.ID(c)+c.GetNamespace()]
		if !there {
			return "", nil // it failed, and was told
		}
		return o.follow(ctx, kube, after, deadline)
	}))
}

func (o *options) write(
	ctx context.Context, e *env.Env, kube client.Client, resource v1alpha1.Resource,
) (v1alpha1.Resource, error) {
	after, _ := resource.DeepCopyObject().(v1alpha1.Resource)
	object, _ := after.(client.Object)
	patch := client.RawPatch(types.MergePatchType, []byte(o.patch(e.Clock.Now())))
	if err := kube.Patch(ctx, object, patch, client.FieldOwner(env.FieldManager)); err != nil {
		return nil, fmt.Errorf("change %s %s: %w", resource.KindName(), selection.Path(resource), err)
	}
	return after, nil
}

// follow waits until the operator has seen the change, where one of the spec was made, and the resource is Ready.
func (o *options) follow(
	ctx context.Context, kube client.Reader, changed v1alpha1.Resource, deadline time.Time,
) (string, error) {
	late := fmt.Sprintf("%s %s is not Ready in time", changed.KindName(), selection.Path(changed))
	err := follow.Until(ctx, kube, changed, deadline, late, func(r v1alpha1.Resource, ready *metav1.Condition) (bool, error) {
		return *r.GetObservedGeneration() >= changed.GetGeneration() && ready.Status == metav1.ConditionTrue && !r.IsSuspended(), nil
	})
	if err != nil {
		return "", err
	}
	return o.done, nil
}
