package gateway

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/index"
	"github.com/kongjwt/kong-jwt-operator/internal/probe"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// claimsChanged says whether a service has claims checked, and did not before, or the other way round.
func claimsChanged(before, after *v1alpha1.JwtProtectedService) bool {
	return (before.Spec.Claims == nil) != (after.Spec.Claims == nil) || before.Spec.GatewayRef != after.Spec.GatewayRef
}

// gatewaysWithClaims enqueues the gateway of a service that has claims checked, or had: its data planes are asked.
func gatewaysWithClaims() handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(_ context.Context, object client.Object) []reconcile.Request {
		service, ok := object.(*v1alpha1.JwtProtectedService)
		if !ok || service.Spec.Claims == nil {
			return nil
		}
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: service.Spec.GatewayRef.Name}}}
	})
}

// askDataPlanes keeps the routes that data planes are asked by, and asks whether they check claims, where a service
// wants that. again is when to ask next. The order matters: the route first, and a question only after the route has
// stood for the propagation delay.
func (r *Reconciler) askDataPlanes(
	ctx context.Context, object *v1alpha1.KongGateway, running engine.Programmer,
) (again time.Duration, err error) {
	planes, asks := r.planes.get(object.Name)
	claims := asks && desired.RunsClaims(running.Capabilities())
	if claims {
		if claims, err = r.wantsClaims(ctx, object); err != nil {
			return 0, err
		}
	}
	if err := r.programProbe(ctx, object, running, claims); err != nil {
		return 0, err
	}
	if !claims {
		apimeta.RemoveStatusCondition(&object.Status.Conditions, v1alpha1.ConditionClaimsChecked)
		return 0, nil
	}
	// A request that the route does not match yet could reach somebody else's.
	held, rest := running.Standing(desired.ClaimsProbeRouteID(running.Scope()))
	if !held || rest > 0 {
		r.reportClaims(object, probe.Unsure, "the route that data planes are asked by is not on all of them yet")
		return max(rest, time.Second), nil
	}
	// The look goes on in the background after this reconcile has ended.
	conclusion, message, again := planes.claims.Look(context.WithoutCancel(ctx))
	r.reportClaims(object, conclusion, message)
	return again, nil
}

// wantsClaims says whether a service of a gateway has claims checked. One that another process works on is not in this
// one's cache: where there are others, what one of them asked for stays.
func (r *Reconciler) wantsClaims(ctx context.Context, object *v1alpha1.KongGateway) (wants bool, err error) {
	asked := apimeta.FindStatusCondition(object.Status.Conditions, v1alpha1.ConditionClaimsChecked) != nil
	if asked && r.Live != nil {
		return true, nil
	}
	gateway := object.Name
	err = index.ForEach(ctx, r.Client, v1alpha1.KindJwtProtectedService, index.Gateway, "", gateway, func(resource v1alpha1.Resource) {
		service, ok := resource.(*v1alpha1.JwtProtectedService)
		wants = wants || ok && service.Spec.Claims != nil
	})
	if err != nil {
		return false, fmt.Errorf("list the services of KongGateway %s: %w", gateway, err)
	}
	return wants, nil
}

// reportClaims writes the condition ClaimsChecked, with an event where a data plane turned out not to check claims.
// What was known stays while the data planes are asked anew, as after a restart.
func (r *Reconciler) reportClaims(object *v1alpha1.KongGateway, conclusion probe.Conclusion, message string) {
	conditions := &object.Status.Conditions
	former := apimeta.FindStatusCondition(*conditions, v1alpha1.ConditionClaimsChecked)
	condition := metav1.Condition{
		Type: v1alpha1.ConditionClaimsChecked, Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonAwaitingDataPlane,
		ObservedGeneration: object.Generation, Message: message,
	}
	switch conclusion {
	case probe.Confirmed:
		condition.Status, condition.Reason = metav1.ConditionTrue, v1alpha1.ReasonSucceeded
		condition.Message = "Every data plane checks claims: " + message
	case probe.Contradicted:
		condition.Status = metav1.ConditionFalse
	default:
		if former != nil && former.Status != metav1.ConditionUnknown && former.ObservedGeneration == object.Generation {
			return
		}
	}
	if status.Set(conditions, condition) && condition.Status == metav1.ConditionFalse {
		r.Event(object, corev1.EventTypeWarning, v1alpha1.EventClaimsNotChecked, "AskDataPlanes", condition.Message)
	}
}
