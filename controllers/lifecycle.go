package controllers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// subject is a namespaced resource whose entities live on a gateway, as the life that both such kinds share needs it.
type subject struct {
	object  client.Object
	owner   desired.Owner
	gateway string
	// held is status.gateway: where its entities are.
	held    *string
	suspend bool
	retain  bool
	// refused is why the spec cannot be worked on at all, whatever the gateway: nothing is begun then.
	refused error
	// letGo releases what the resource has in Kubernetes when it is retained.
	letGo func(context.Context) error
}

// staleRead is how long the cache gets to catch up with what was written.
const staleRead = 100 * time.Millisecond

// errReleased says that the resource is gone and has no status to write any more.
var errReleased = errors.New("released")

// live leads a resource through its life: deletion, suspension, its gateway, a move to another, its finalizer; then program.
func (o Options) live(ctx context.Context, s subject, program func(context.Context, target) error) error {
	if !s.object.GetDeletionTimestamp().IsZero() {
		return o.release(ctx, s)
	}
	if s.suspend {
		return status.Stalled(v1alpha1.ReasonSuspended, "spec.suspend is true: nothing is changed until it is false")
	}
	if s.refused != nil {
		return s.refused
	}
	to, err := o.resolve(ctx, s.object.GetNamespace(), s.gateway)
	if err != nil {
		return err
	}
	if *s.held != "" && *s.held != s.gateway {
		if err := o.leave(ctx, s, *s.held); err != nil {
			return err
		}
		*s.held = ""
	}
	// Secrets are not read, and nothing is begun, for a gateway that takes nothing now.
	if err := to.engine.Usable(s.owner); err != nil {
		return err
	}
	if err := o.addFinalizer(ctx, s.object); err != nil {
		return err
	}
	to.engine.CheckFor(s.owner, s.object.GetAnnotations()[v1alpha1.AnnotationReconcile])
	*s.held = s.gateway
	return program(ctx, to)
}

// release takes a deleted resource out of Kong and lets it go.
func (o Options) release(ctx context.Context, s subject) error {
	if !controllerutil.ContainsFinalizer(s.object, v1alpha1.Finalizer) {
		return errReleased
	}
	if s.suspend {
		return status.Stalled(v1alpha1.ReasonSuspended, "spec.suspend is true: the resource is deleted once it is false")
	}
	held := *s.held
	if held == "" {
		held = s.gateway
	}
	if err := o.leave(ctx, s, held); err != nil {
		return err
	}
	if s.retain {
		if err := s.letGo(ctx); err != nil {
			return err
		}
	}
	if err := o.removeFinalizer(ctx, s.object); err != nil {
		return err
	}
	return errReleased
}

// leave takes a resource's entities out of a gateway, or our tags off them. A gateway that is gone keeps them: that is said.
func (o Options) leave(ctx context.Context, s subject, name string) error {
	var object v1alpha1.KongGateway
	if err := o.Client.Get(ctx, client.ObjectKey{Name: name}, &object); err != nil {
		if apierrors.IsNotFound(err) {
			o.event(s.object, corev1.EventTypeWarning, v1alpha1.EventGatewayGone, "Release",
				"KongGateway "+name+" is gone: what this resource had in its Kong stays there. Look for the tag kongjwt-owner:"+
					s.owner.Kind+":"+s.owner.Namespace+":"+s.owner.Name)
			return nil
		}
		return fmt.Errorf("get KongGateway %s: %w", name, err)
	}
	engine, found := o.Gateways.Get(name)
	if !found || object.Spec.Suspend {
		if _, err := o.engine(&object); err != nil && found {
			return err
		}
		return status.Wait(0, v1alpha1.ReasonGatewayNotReady, "waiting for KongGateway %s to take this resource out of Kong", name)
	}
	if err := engine.Release(ctx, s.owner, s.retain); err != nil {
		return err
	}
	log.FromContext(ctx).Info("Released from Kong", "gateway", name, "retain", s.retain)
	return nil
}

func (o Options) addFinalizer(ctx context.Context, object client.Object) error {
	if !controllerutil.AddFinalizer(object, v1alpha1.Finalizer) {
		return nil
	}
	return o.patchFinalizers(ctx, object)
}

func (o Options) removeFinalizer(ctx context.Context, object client.Object) error {
	if !controllerutil.RemoveFinalizer(object, v1alpha1.Finalizer) {
		return nil
	}
	return client.IgnoreNotFound(o.patchFinalizers(ctx, object))
}

// patchFinalizers patches the finalizers alone, under the version that was read: their list is replaced whole. The answer goes into a copy, so that what a
// phase has already put into the status is not lost.
func (o Options) patchFinalizers(ctx context.Context, object client.Object) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"finalizers": object.GetFinalizers(), "resourceVersion": object.GetResourceVersion(),
	}})
	if err != nil {
		return fmt.Errorf("patch finalizers: %w", err)
	}
	patched := object.DeepCopyObject().(client.Object)
	if err := o.Client.Patch(ctx, patched, client.RawPatch(types.MergePatchType, patch), client.FieldOwner(v1alpha1.ManagedBy)); err != nil {
		return fmt.Errorf("patch finalizers: %w", err)
	}
	object.SetResourceVersion(patched.GetResourceVersion())
	return nil
}

// outcome is what a reconcile came to.
type outcome struct {
	before, object client.Object
	conditions     *[]metav1.Condition
	observed       *int64
	// changed compares the two statuses.
	changed func() bool
	// message of Ready where err is nil, and its reason where that is not Succeeded.
	message, reason string
	err             error
}

// record writes the status once, only if it differs, with an event on a transition, and says when to look again.
func (o Options) record(ctx context.Context, out outcome) (ctrl.Result, error) {
	if errors.Is(out.err, errReleased) {
		return ctrl.Result{}, nil
	}
	generation := out.object.GetGeneration()
	var wait *status.WaitError
	if errors.As(out.err, &wait) && wait.Quiet {
		return ctrl.Result{RequeueAfter: wait.After}, nil
	}
	former := readyCondition(*out.conditions)
	*out.observed = generation
	status.Apply(out.conditions, generation, out.message, out.err)
	if out.err == nil && out.reason != "" {
		status.Explain(out.conditions, v1alpha1.ConditionReady, out.reason)
	}
	if out.changed() || o.unsure.of(out.object) {
		// Under the version that was read: a stale read would else write a former status again. Where nothing differs, this asks whether what was read is there.
		out.before.SetResourceVersion(out.object.GetResourceVersion())
		patch := client.MergeFromWithOptions(out.before, client.MergeFromWithOptimisticLock{})
		err := o.Client.Status().Patch(ctx, out.object, patch, client.FieldOwner(v1alpha1.ManagedBy))
		if apierrors.IsConflict(err) {
			return ctrl.Result{RequeueAfter: staleRead}, nil
		}
		o.unsure.note(out.object, client.IgnoreNotFound(err) != nil)
		if err != nil {
			return ctrl.Result{}, client.IgnoreNotFound(fmt.Errorf("patch status: %w", err))
		}
		o.announce(ctx, out, former)
	}
	after, err := status.Next(out.err)
	return ctrl.Result{RequeueAfter: after}, err
}

// announce logs and records an event where Ready's reason changed.
func (o Options) announce(ctx context.Context, out outcome, former metav1.Condition) {
	ready := readyCondition(*out.conditions)
	if ready.Status == former.Status && ready.Reason == former.Reason {
		return
	}
	kind := corev1.EventTypeNormal
	if ready.Status != metav1.ConditionTrue && apimeta.IsStatusConditionTrue(*out.conditions, v1alpha1.ConditionStalled) {
		kind = corev1.EventTypeWarning
	}
	log.FromContext(ctx).Info("Ready changed", "ready", ready.Status, "reason", ready.Reason, "message", ready.Message)
	o.event(out.object, kind, ready.Reason, "Reconcile", ready.Message)
}

func readyCondition(conditions []metav1.Condition) metav1.Condition {
	if ready := apimeta.FindStatusCondition(conditions, v1alpha1.ConditionReady); ready != nil {
		return *ready
	}
	return metav1.Condition{}
}
