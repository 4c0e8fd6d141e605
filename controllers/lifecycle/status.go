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
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/resolve"
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

// cacheDelay is how long the cache gets to catch up with what was written. Sooner, the same old read would lead to the
// same conflict.
const cacheDelay = 100 * time.Millisecond

// WriteStatus writes the status once, only if it differs, with an event on a transition, and says when to look again.
// It is the one place that writes a status. The conditions follow kstatus (sigs.k8s.io/cli-utils, pkg/kstatus), by
// status.Apply: Flux waits by its rules.
func (l *Lifecycle) WriteStatus(ctx context.Context, out Outcome) (ctrl.Result, error) {
	if errors.Is(out.Err, ErrReleased) {
		l.unanswered.forget(out.Object)
		return ctrl.Result{}, nil
	}
	var wait *status.WaitError
	var stalled *status.StalledError
	// A quiet wait says that nothing was found out. A write for it would be one for each resource at every start
	// of the operator, and another to take it back.
	after, failure := status.Next(out.Err)
	if errors.As(out.Err, &wait) && wait.Quiet && !errors.As(out.Err, &stalled) && failure == nil {
		return ctrl.Result{RequeueAfter: after}, nil
	}
	conditions, generation := out.Object.GetConditions(), out.Object.GetGeneration()
	former := slices.Clone(*conditions)
	look, overdue := l.overdue(out.Object, former)
	out.Err = joined(overdue, out.Err)
	// Also where the reconcile failed: the conditions below are about this generation of the spec.
	*out.Object.GetObservedGeneration() = generation
	status.Apply(conditions, generation, out.Message, out.Err)
	if out.Err == nil && out.Reason != "" {
		status.Explain(conditions, v1alpha1.ConditionReady, out.Reason)
	}
	// Semantic: times that differ in their zone alone are equal, and an empty list is one that is not there.
	differs := !apiequality.Semantic.DeepEqual(out.Before.GetStatus(), out.Object.GetStatus())
	if differs || l.unanswered.has(out.Object) {
		conflict, err := l.patchStatus(ctx, out)
		switch {
		case err != nil:
			return ctrl.Result{}, err
		case conflict:
			// Nothing is announced: what was decided rests on a read that was too old.
			return ctrl.Result{RequeueAfter: cacheDelay}, nil
		}
		l.announce(ctx, out, former)
	}
	// After the write: an error that is returned before it would leave the status of the attempt before.
	if failure != nil {
		return ctrl.Result{}, failure // it backs off
	}
	result := ctrl.Result{RequeueAfter: status.Sooner(after, look)}
	// What comes back because time has passed goes behind what was changed: thousands may be due at once.
	if !IsUrgent(out.Object) {
		result.Priority = new(LaterPriority)
	}
	return result, nil
}

// LaterPriority goes behind what was changed in Kubernetes, and before what an informer listed when it started, which
// comes in any order: a request that is in the queue already takes its place among those that are added now.
const LaterPriority = handler.LowPriority + 1

// IsUrgent says whether access may have to be taken away: the resource is being deleted, its spec was changed since it
// was looked at, or Kong still accepts what was taken away. Of one that nobody has looked at yet nothing is in Kong.
func IsUrgent(object v1alpha1.Resource) bool {
	observed := *object.GetObservedGeneration()
	return !object.GetDeletionTimestamp().IsZero() || observed != 0 && observed != object.GetGeneration() ||
		apimeta.IsStatusConditionTrue(*object.GetConditions(), v1alpha1.ConditionRevocationPending)
}

// overdue says whether Kong still accepts what was taken away from a resource, whatever else is wrong with it.
func (l *Lifecycle) overdue(object v1alpha1.Resource, former []metav1.Condition) (look time.Duration, overdue error) {
	user, is := object.(v1alpha1.GatewayUser)
	if !is || *user.GetProgrammedGateway() == "" {
		return 0, nil
	}
	said := apimeta.FindStatusCondition(former, v1alpha1.ConditionRevocationPending)
	engine, running := l.Gateways.Engines.Get(*user.GetProgrammedGateway())
	if running {
		look, overdue = engine.Overdue(resolve.OwnerOf(user), said != nil)
	}
	if said != nil && overdue == nil && (look > 0 || !running) { // after a restart it is not known to be otherwise
		overdue = status.Wait(look, said.Reason, "%s", said.Message)
	}
	return look, overdue
}

// joined puts what is overdue before what else is waited for. What waits already for that says more.
func joined(overdue, err error) error {
	var wait *status.WaitError
	if overdue == nil || errors.As(err, &wait) && wait.Reason == v1alpha1.ReasonRevocationPending {
		return err
	}
	return errors.Join(overdue, err)
}

// patchStatus writes the status under the version that was read: a stale read would else write a former status again.
// Where nothing differs, this asks whether what was read is there. conflict is true also for a resource that is gone:
// the next read finds that, and nothing is left to do.
func (l *Lifecycle) patchStatus(ctx context.Context, out Outcome) (conflict bool, err error) {
	before := out.Before.DeepCopyObject().(client.Object)
	// A finalizer that this reconcile patched has moved the version on. The lock is on that version, or it would
	// never hold.
	before.SetResourceVersion(out.Object.GetResourceVersion())
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	err = l.Client.Status().Patch(ctx, out.Object, patch, client.FieldOwner(v1alpha1.ManagedBy))
	if apierrors.IsConflict(err) {
		return true, nil
	}
	// A conflict is an answer, and so is NotFound: nothing was written. Of any other error it is not known.
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
	pending := apimeta.FindStatusCondition(conditions, v1alpha1.ConditionRevocationPending)
	if pending != nil && ready.Reason != pending.Reason && !apimeta.IsStatusConditionTrue(former, pending.Type) {
		log.FromContext(ctx).Info("A revocation is pending", "message", pending.Message)
		l.Event(out.Object, corev1.EventTypeWarning, pending.Reason, "Reconcile", pending.Message)
	}
	stalls := apimeta.IsStatusConditionTrue(conditions, v1alpha1.ConditionStalled)
	begins := stalls && (!apimeta.IsStatusConditionTrue(former, v1alpha1.ConditionStalled) ||
		namesAnotherField(ready.Message, before.Message))
	if ready.Status == before.Status && ready.Reason == before.Reason && !begins {
		return
	}
	kind := corev1.EventTypeNormal
	// Both mean that somebody gets in who should not: a route without its plugins, or a credential that was
	// revoked and that an ingress controller has not taken out yet.
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

// namesAnotherField says whether a message names a field that the former one does not. Other words that differ, such
// as an error's of the network, are no news.
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
