package token

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/index"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// flagTTL says which services refuse the token for a while after it is signed: Kong refuses an exp that is further
// away than jwt.maximumExpiration. The jwt plugin answers 401 "exceeds maximum allowed expiration" then
// (kong/plugins/jwt/jwt_parser.lua, check_maximum_expiration). The condition TTLTooLong warns of it and stands beside
// Ready: other services may take the token.
func (r *reconciliation) flagTTL(ctx context.Context) error {
	var list v1alpha1.JwtProtectedServiceList
	if err := r.Client.List(ctx, &list, client.MatchingFields{index.Expiration: r.consumer.Spec.GatewayRef.Name}); err != nil {
		return fmt.Errorf("list the services with jwt.maximumExpiration: %w", err)
	}
	ttl := r.token.Spec.TTL.Or(defaultTTL)
	least := ttl
	var refusing []string
	for i := range list.Items {
		service := &list.Items[i]
		bound := desired.MaximumExpiration(service)
		if bound < ttl && service.DeletionTimestamp.IsZero() && reads(service, &r.consumer) {
			refusing = append(refusing, fmt.Sprintf("%s/%s (%s)", service.Namespace, service.Name, v1alpha1.NewDuration(bound)))
			least = min(least, bound)
		}
	}
	message := ""
	if len(refusing) > 0 {
		slices.Sort(refusing)
		message = fmt.Sprintf("spec.ttl %s is beyond jwt.maximumExpiration of JwtProtectedService %s: Kong refuses the token there until less is left of it; set ttl to %s or less",
			v1alpha1.NewDuration(ttl), strings.Join(refusing, ", "), v1alpha1.NewDuration(least))
	}
	status.Flag(&r.token.Status.Conditions, r.token.Generation, v1alpha1.ConditionTTLTooLong, v1alpha1.ReasonMaximumExpiration, message)
	return nil
}

// reads says whether a service is one that a consumer's tokens are for: it lets the consumer in by name or group, or
// it lets everybody in and is of the consumer's namespace. A gateway's other services that let everybody in may have
// nothing to do with it.
func reads(service *v1alpha1.JwtProtectedService, consumer *v1alpha1.JwtConsumer) bool {
	access := service.Spec.Access
	if access == nil || access.From == v1alpha1.AccessFromAnyNamespace {
		return service.Namespace == consumer.Namespace
	}
	if slices.ContainsFunc(access.Groups, func(group string) bool { return slices.Contains(consumer.Spec.Groups, group) }) {
		return true
	}
	named, err := desired.NamesConsumer(service, consumer)
	return err == nil && named
}

// expirationChanged says whether a service's change may matter to what is said of tokens. A deletion passes by its
// timestamp, since a service that is being deleted refuses nothing.
func expirationChanged(before, after *v1alpha1.JwtProtectedService) bool {
	return (desired.MaximumExpiration(before) > 0 || desired.MaximumExpiration(after) > 0) &&
		(desired.MaximumExpiration(before) != desired.MaximumExpiration(after) || before.Spec.GatewayRef != after.Spec.GatewayRef ||
			before.DeletionTimestamp.IsZero() != after.DeletionTimestamp.IsZero() ||
			!apiequality.Semantic.DeepEqual(before.Spec.Access, after.Spec.Access))
}

// tokensForService enqueues the tokens that a changed service may be for.
func (r *Reconciler) tokensForService() handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, object client.Object) []reconcile.Request {
		service, ok := object.(*v1alpha1.JwtProtectedService)
		if !ok || desired.MaximumExpiration(service) == 0 {
			return nil
		}
		found, err := r.tokensFor(ctx, service)
		if err != nil {
			log.FromContext(ctx).Error(err, "Cannot look up the tokens of a service", "namespace", service.Namespace, "name", service.Name)
		}
		return found
	})
}

// tokensFor are the tokens of a service's callers: those of its namespace, or of the consumers that access names.
func (r *Reconciler) tokensFor(ctx context.Context, service *v1alpha1.JwtProtectedService) ([]reconcile.Request, error) {
	access := service.Spec.Access
	if access == nil || access.From != "" {
		var own v1alpha1.JwtTokenList
		err := r.Client.List(ctx, &own, client.InNamespace(service.Namespace))
		return index.Requests(&own), err
	}
	named, err := r.inputs.NamedConsumers(ctx, service)
	if err != nil {
		return nil, err
	}
	if len(access.Groups) > 0 {
		var members v1alpha1.JwtConsumerList
		if err := r.Client.List(ctx, &members, client.MatchingFields{index.Gateway: service.Spec.GatewayRef.Name}); err != nil {
			return nil, err
		}
		named = append(named, slices.DeleteFunc(members.Items, func(c v1alpha1.JwtConsumer) bool { return !reads(service, &c) })...)
	}
	return r.tokensOf(ctx, index.Requests(&v1alpha1.JwtConsumerList{Items: named})), nil
}

// tokensOfSecret enqueues the tokens that a changed Secret concerns: the one that is in it, and those that are signed
// with what is in it.
func (r *Reconciler) tokensOfSecret() handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, secret client.Object) []reconcile.Request {
		published := index.Find(ctx, r.Client, v1alpha1.KindJwtToken, index.Secret, secret.GetNamespace(), secret.GetName())
		return append(published, r.tokensOf(ctx, index.Find(ctx, r.Client, v1alpha1.KindJwtConsumer, index.Secret, secret.GetNamespace(), secret.GetName()))...)
	})
}

// tokensOf lists the tokens of consumers.
func (r *Reconciler) tokensOf(ctx context.Context, consumers []reconcile.Request) []reconcile.Request {
	var found []reconcile.Request
	for _, consumer := range consumers {
		found = append(found, index.Find(ctx, r.Client, v1alpha1.KindJwtToken, index.Consumer, "", consumer.String())...)
	}
	return found
}
