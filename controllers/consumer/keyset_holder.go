package consumer

import (
	"context"
	"slices"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/resolve"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// lookForIssuer is the pause until it is looked again whether another consumer still follows an issuer.
const lookForIssuer = 10 * time.Second

// followedBy finds the consumer whose the keys of a set are, where they are not this one's: all of them, and those that
// the issuer has yet to make. Else two consumers would each hold some, and neither ever all.
//
// They are the consumer's that has one of them in Kong, the same key under the same kid: the set is the one that it
// follows, whatever address it has there. Of two that do, they are the one's that has seen one of them first: a single
// key that somebody published before, or took by looking first, takes no set from its follower.
func (r *keySets) followedBy(ctx context.Context, set *keySet) (holder desired.Owner, taken bool) {
	since := r.heldSince(set)
	for _, held := range set.decision.Held {
		if _, own := r.gateway.Engine.CredentialPart(r.owner(), held.ID); own {
			continue
		}
		owner, part, found := r.gateway.Engine.PublicKeyHolder(ctx, held.ID, held.PublicKeyPEM)
		if !found || !desired.IsKeySetPart(part) {
			continue
		}
		other, follows := r.follower(ctx, owner)
		if follows && !retires(other, held.ID) && (since.IsZero() || r.isBefore(other, held.ID, since)) {
			return owner, true
		}
	}
	return desired.Owner{}, false
}

// heldSince is when the first key of a set that this consumer has in Kong was seen; zero where it has none there.
func (r *keySets) heldSince(set *keySet) (first time.Time) {
	for _, held := range set.decision.Held {
		part, found := r.gateway.Engine.CredentialPart(r.owner(), held.ID)
		if found && part == desired.KeySetPart(set.part, held.ID) && (first.IsZero() || held.Since.Before(first)) {
			first = held.Since
		}
	}
	return first
}

// isBefore says whether another consumer has seen a key before a time; of two that began within the same second, the
// older one has. What its status does not tell yet was not before.
func (r *keySets) isBefore(other *v1alpha1.JwtConsumer, kid string, since time.Time) bool {
	i := slices.IndexFunc(other.Status.Credentials, func(s v1alpha1.CredentialStatus) bool { return s.Key == kid && s.IssueTime != nil })
	if i < 0 {
		return false
	}
	seen, since := other.Status.Credentials[i].IssueTime.Truncate(time.Second), since.Truncate(time.Second)
	return seen.Before(since) || seen.Equal(since) && resolve.Precedes(other, r.consumer)
}

// follower reads a consumer; follows says that it is on this gateway, and follows an issuer as policy lets it. What
// else policy says of it does not matter: the tokens of an issuer are not to become another consumer's by that.
func (r *keySets) follower(ctx context.Context, owner desired.Owner) (other *v1alpha1.JwtConsumer, follows bool) {
	other = &v1alpha1.JwtConsumer{}
	if err := r.Client.Get(ctx, client.ObjectKey{Namespace: owner.Namespace, Name: owner.Name}, other); err != nil {
		return other, false // gone, and its keys with it
	}
	rules, admitted := r.policyFor(other.Namespace)
	return other, admitted && other.GatewayName() == r.consumer.GatewayName() &&
		slices.ContainsFunc(other.Spec.Credentials, func(c v1alpha1.Credential) bool {
			return c.JWKS != nil && rules.Check(c.JWKS.Address()) == nil
		})
}

// retires says whether a key is on its way out of Kong: of an issuer that its consumer has left.
func retires(consumer *v1alpha1.JwtConsumer, kid string) bool {
	return slices.ContainsFunc(consumer.Status.Credentials, func(s v1alpha1.CredentialStatus) bool {
		return s.Key == kid && s.State == v1alpha1.CredentialRetiring
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
