package consumer

import (
	"context"
	"slices"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/jwks"
	"github.com/kongjwt/kong-jwt-operator/internal/resolve"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// lookForIssuer is the pause until it is looked again whether another consumer still follows an issuer.
const lookForIssuer = 10 * time.Second

// followedBy finds the consumer whose the keys of an issuer are, where they are not this one's: all of them, and those
// that the issuer has yet to make. Else two consumers would each hold some, and neither ever all.
//
// The keys are those of the consumer that holds some of them in Kong; of two that do, which began at once, the older
// one's. One that holds none, since it cannot read the set, say, keeps nobody from it.
func (r *keySets) followedBy(ctx context.Context, set *keySet, url string) (holder desired.Owner, taken bool) {
	holds := func(owner desired.Owner) bool {
		return slices.ContainsFunc(set.decision.Held, func(held jwks.Held) bool {
			_, found := r.gateway.Engine.CredentialPart(owner, held.ID)
			return found
		})
	}
	own := holds(r.owner())
	rivals := resolve.Rivals(ctx, r.Client, r.consumer, desired.IssuerKey(url), func(other *v1alpha1.JwtConsumer) []desired.UniqueKey {
		rules, admitted := r.policyFor(other.Namespace)
		if !admitted || rules.Check(url) != nil {
			return nil
		}
		return desired.ConsumerClaims(r.gateway.Policy, other)
	})
	// Two that both hold keys have begun at once, each before it saw the other. The younger lets go, so that one of
	// them gets all.
	for _, rival := range rivals {
		if holds(rival.Owner) && (!own || rival.Older) {
			return rival.Owner, true
		}
	}
	if own {
		return desired.Owner{}, false
	}
	return r.heldBy(ctx, set)
}

// heldBy finds the consumer that has a key of a set in Kong, the same key under the same kid: the set is the one that
// it follows, whatever address it has there: with a query, by the issuer's name, through another server. Those that
// have left the set count too, since the issuer may replace all at once.
func (r *keySets) heldBy(ctx context.Context, set *keySet) (holder desired.Owner, found bool) {
	for _, held := range set.decision.Held {
		owner, part, found := r.gateway.Engine.PublicKeyHolder(ctx, held.ID, held.PublicKeyPEM)
		if found && owner != r.owner() && desired.IsKeySetPart(part) && r.stillFollows(ctx, owner, held.ID) {
			return owner, true
		}
	}
	return desired.Owner{}, false
}

// stillFollows says whether a consumer is on this gateway, follows an issuer as policy lets it, and has a key for good:
// of an issuer that it has left, the keys are to go.
func (r *keySets) stillFollows(ctx context.Context, owner desired.Owner, kid string) bool {
	var other v1alpha1.JwtConsumer
	if err := r.Client.Get(ctx, client.ObjectKey{Namespace: owner.Namespace, Name: owner.Name}, &other); err != nil {
		return false // gone, and its keys with it
	}
	rules, admitted := r.policyFor(other.Namespace)
	if !admitted || other.GatewayName() != r.consumer.GatewayName() || desired.CheckConsumer(r.gateway.Policy, &other) != nil {
		return false
	}
	leaving := slices.ContainsFunc(other.Status.Credentials, func(s v1alpha1.CredentialStatus) bool {
		return s.Key == kid && s.State == v1alpha1.CredentialRetiring
	})
	return !leaving && slices.ContainsFunc(other.Spec.Credentials, func(c v1alpha1.Credential) bool {
		return c.JWKS != nil && rules.Check(c.JWKS.Address()) == nil
	})
}

// leaveTo leaves the keys of a set to the consumer whose they are. All of the set's keys are shadowed, and wanted
// leaves them out: those that this consumer holds leave Kong with the next Sync, and the holder gets them.
func (r *keySets) leaveTo(holder desired.Owner, set *keySet) error {
	for _, held := range set.decision.Held {
		set.shadowed[held.ID] = true
	}
	stalled := status.Stalled(v1alpha1.ReasonConflict,
		"%s: Kong keeps one credential a key, and the keys of this issuer are another consumer's (%s). "+
			"Let its callers be that consumer, or follow an issuer of their own.", set.field, holder)
	stalled.RetryAfter = lookForIssuer
	return stalled
}
