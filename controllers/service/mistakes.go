package service

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/mistakes"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// reportMistakes says by conditions what Kong takes and what does not do what its author means. They have no say in
// Ready: everything is in Kong as the spec says. The error is that something could not be looked up, and not a
// mistake.
func (r *reconciliation) reportMistakes(ctx context.Context) error {
	access, err := r.inputs.MistakenAccess(ctx, r.service, r.gateway.Engine.HasConsumer)
	if err != nil {
		return err
	}
	conditions, generation := &r.service.Status.Conditions, r.service.Generation
	status.Flag(conditions, generation, v1alpha1.ConditionAccessIncomplete, v1alpha1.ReasonNamesNobody, summary(access))
	status.Flag(conditions, generation, v1alpha1.ConditionRoutesIncomplete, v1alpha1.ReasonMatchesNothing, summary(mistakes.Routes(&r.service.Spec)))
	return nil
}

// summary is the first of several mistakes, and how many there are beside it.
func summary(found []mistakes.Mistake) string {
	switch len(found) {
	case 0:
		return ""
	case 1:
		return found[0].Message
	}
	return fmt.Sprintf("%s (and %d more like this; kubectl kongjwt lint lists them)", found[0].Message, len(found)-1)
}

// servicesMissing enqueues the services for which the coming, a change or the going of a consumer makes a difference
// to what they name.
func (r *Reconciler) servicesMissing() handler.EventHandler {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	enqueue := func(ctx context.Context, q queue, consumer client.Object, came bool) {
		typed, ok := consumer.(*v1alpha1.JwtConsumer)
		if !ok {
			return
		}
		keys, err := r.inputs.ServicesMissing(ctx, typed, came)
		if err != nil {
			log.FromContext(ctx).Error(err, "Cannot look up the services that name a consumer")
		}
		for _, key := range keys {
			q.Add(reconcile.Request{NamespacedName: key})
		}
	}
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q queue) { enqueue(ctx, q, e.Object, true) },
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queue) {
			// An update is a going of what it named before and a coming of what it names.
			enqueue(ctx, q, e.ObjectOld, false)
			enqueue(ctx, q, e.ObjectNew, true)
		},
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q queue) { enqueue(ctx, q, e.Object, false) },
	}
}

// namesChanged says whether something of a consumer changed that services name.
func namesChanged(before, after *v1alpha1.JwtConsumer) bool {
	return before.GatewayName() != after.GatewayName() || before.Spec.Username != after.Spec.Username ||
		!sets.New(before.Spec.Groups...).Equal(sets.New(after.Spec.Groups...))
}
