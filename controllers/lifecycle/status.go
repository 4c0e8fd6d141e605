package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// Outcome is the result of a reconcile.
type Outcome struct {
	// Before is the resource as it was read; Object is it with the status that the reconcile made.
	Before, Object v1alpha1.Resource
	// Message of Ready where Err is nil, and its reason where that is not Succeeded.
	Message, Reason string
	Err             error
}

// cacheDelay is how long the cache gets to catch up with what was written.
const cacheDelay = 100 * time.Millisecond

// WriteStatus writes the status once, only if it differs, with an event on a transition, and says when to look again.
func (l *Lifecycle) WriteStatus(ctx context.Context, out Outcome) (ctrl.Result, error) {
	if errors.Is(out.Err, ErrReleased) {
		l.unanswered.forget(out.Object)
		return ctrl.Result{}, nil
	}
	var wait *status.WaitError
	var stalled *status.StalledError
	if errors.As(out.Err, &wait) && wait.Quiet && !errors.As(out.Err, &stalled) {
		return ctrl.Result{RequeueAfter: wait.After}, nil
	}
	conditions, generation := out.Object.GetConditions(), out.Object.GetGeneration()
	former := slices.Clone(*conditions)
	*out.Object.GetObservedGeneration() = generation
	status.Apply(conditions, generation, out.Message, out.Err)
	if out.Err == nil && out.Reason != "" {
		status.Explain(conditions, v1alpha1.ConditionReady, out.Reason)
	}
	differs := !apiequality.Semantic.DeepEqual(out.Before.GetStatus(), out.Object.GetStatus())
	if differs || l.unanswered.has(out.Object) {
		conflict, err := l.patchStatus(ctx, out)
		switch {
		case err != nil:
			return ctrl.Result{}, err
		case conflict:
			return ctrl.Result{RequeueAfter: cacheDelay}, nil
		}
		l.announce(ctx, out, former)
	}
	after, err := status.Next(out.Err)
	if err != nil {
		return ctrl.Result{}, err // it backs off
	}
	return ctrl.Result{RequeueAfter: after}, nil
}

// patchStatus writes the status under the version that was read: a stale read would else write a former status again.
// Where nothing differs, this asks whether what was read is there.
func (l *Lifecycle) patchStatus(ctx context.Context, out Outcome) (conflict bool, err error) {
	before := out.Before.DeepCopyObject().(client.Object)
	before.SetResourceVersion(out.Object.GetResourceVersion())
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	err = l.Client.Status().Patch(ctx, out.Object, patch, client.FieldOwner(v1alpha1.ManagedBy))
	if apierrors.IsConflict(err) {
		return true, nil
	}
	l.unanswered.set(out.Object, client.IgnoreNotFound(err) != nil)
	if err != nil {
		return apierrors.IsNotFound(err), client.IgnoreNotFound(fmt.Errorf("patch status: %w", err))
	}
	return false, nil
}

// announce logs and records an event where Ready's reason changed, the resource stalls or has another field that is
// wrong, or it is suspended.
func (l *Lifecycle) announce(ctx context.Context, out Outcome, former []metav1.Condition) {
	conditions := *out.Object.GetConditions()
	suspended := apimeta.FindStatusCondition(conditions, v1alpha1.ConditionSuspended)
	if suspended != nil && apimeta.FindStatusCondition(former, v1alpha1.ConditionSuspended) == nil {
		log.FromContext(ctx).Info("Suspended", "message", suspended.Message)
		l.Event(out.Object, corev1.EventTypeNormal, suspended.Reason, "Reconcile", suspended.Message)
	}
	ready, before := readyCondition(conditions), readyCondition(former)
	stalls := apimeta.IsStatusConditionTrue(conditions, v1alpha1.ConditionStalled)
	begins := stalls && (!apimeta.IsStatusConditionTrue(former, v1alpha1.ConditionStalled) ||
		namesAnotherField(ready.Message, before.Message))
	if ready.Status == before.Status && ready.Reason == before.Reason && !begins {
		return
	}
	kind := corev1.EventTypeNormal
	opens := ready.Reason == v1alpha1.ReasonUnprotected ||
		apimeta.IsStatusConditionTrue(conditions, v1alpha1.ConditionRevocationPending)
	if ready.Status != metav1.ConditionTrue && (stalls || opens) {
		kind = corev1.EventTypeWarning
	}
	log.FromContext(ctx).Info("Ready changed", "ready", ready.Status, "reason", ready.Reason, "message", ready.Message)
	l.Event(out.Object, kind, ready.Reason, "Reconcile", ready.Message)
}

// field is one of a resource's, as messages name it.
var field = regexp.MustCompile(`\bspec\.[\w.\[\]-]+`)

// namesAnotherField says whether a message names a field that the former one does not. Other words that differ, such as
// an error's of the network, are no news.
func namesAnotherField(message, former string) bool {
	known := field.FindAllString(former, -1)
	return slices.ContainsFunc(field.FindAllString(message, -1), func(name string) bool { return !slices.Contains(known, name) })
}

// readyCondition is the condition Ready; empty where there is none yet.
func readyCondition(conditions []metav1.Condition) metav1.Condition {
	if ready := apimeta.FindStatusCondition(conditions, v1alpha1.ConditionReady); ready != nil {
		return *ready
	}
	return metav1.Condition{}
}
