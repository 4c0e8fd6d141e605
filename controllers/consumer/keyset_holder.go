package consumer

import (
	"context"
	"slices"
	"time"

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
	return desired.Owner{}, false
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
