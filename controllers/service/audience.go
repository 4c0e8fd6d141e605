package service

import (
	"context"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// checkAudience says whether tokens pass whatever they were issued for, and refuses that where policy does. Keys of an
// issuer verify each token that the issuer signs, also those for other audiences (RFC 7519 section 4.1.3), and Kong's
// jwt plugin looks at no aud. The condition AnyAudience warns of that.
func (r *reconciliation) checkAudience(ctx context.Context) error {
	following, err := r.inputs.Following(ctx, r.service)
	if err != nil {
		return err
	}
	warning, err := r.gateway.Policy.AnyAudience(r.service, following)
	status.Flag(&r.service.Status.Conditions, r.service.Generation,
		v1alpha1.ConditionAnyAudience, v1alpha1.ReasonNoAudience, warning)
	return err
}

// servicesForAnyAudience enqueues the services that a consumer which follows an issuer, or did, may have to do with.
func (r *Reconciler) servicesForAnyAudience() handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, consumer client.Object) (found []reconcile.Request) {
		services, err := r.inputs.ServicesForAnyAudience(ctx, consumer)
		if err != nil {
			log.FromContext(ctx).Error(err, "Cannot look up the services that take tokens for any audience")
		}
		for _, key := range services {
			found = append(found, reconcile.Request{NamespacedName: key})
		}
		return found
	})
}

// audienceChanged says whether a consumer's change may matter to the services that take tokens for any audience.
func audienceChanged(before, after *v1alpha1.JwtConsumer) bool {
	return desired.FollowsIssuer(before) != desired.FollowsIssuer(after) || consumerChanged(before, after) ||
		!slices.Equal(before.Spec.Groups, after.Spec.Groups)
}
