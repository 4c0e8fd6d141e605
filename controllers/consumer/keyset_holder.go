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

// followedBy finds the consumer whose the keys of a set are, where they are not this one's: all of them, and those
// that the issuer has yet to make. Else two consumers would each hold some, and neither ever all.
//
// They are the consumer's that has one of them in Kong, the same key under the same kid: the set is the one that it
// follows, whatever address it has there. Of two that do, they are the one's that has the set for longer: a single key
// that somebody published before, or took by looking first, takes no set from its follower.
func (r *keySets) followedBy(ctx context.Context, set *keySet) (holder desired.Owner, taken bool) {
	for _, held := range set.decision.Held {
		if _, own := r.gateway.Engine.CredentialPart(r.owner(), held.ID); own {
			continue
		}
		owner, part, found := r.gateway.Engine.PublicKeyHolder(ctx, held.ID, held.PublicKeyPEM)
		if !found || !desired.IsKeySetPart(part) {
			continue
		}
		other, follows := r.follower(ctx, owner)
		// By the entity: its consumer may have another credential with such a kid, which Kong does not have.
		key := r.statusOf(other, desired.CredentialID(r.gateway.Scope, owner, part))
		if follows && key.State != v1alpha1.CredentialRetiring && (set.since.IsZero() || r.isBefore(other, key, set.since)) {
			return owner, true
		}
	}
	return desired.Owner{}, false
}

// dated says since when this consumer has a set, and gives what is to be kept of it. The date outlives the keys of
// then: an issuer replaces them all in time, and somebody who took a single one meanwhile would be before those that
// came later. It is of what was read at one address, so that nobody brings the date of one issuer along to another.
func (r *keySets) dated(kept jwks.Kept, address string, set *keySet) jwks.Kept {
	set.since = r.inKongSince(kept)
	kept.Held = set.decision.Held
	switch {
	case r.consumer.Spec.Revoked:
		kept.Since = time.Time{}
	case kept.URL != address && set.view.Current:
		kept.URL, kept.Since = address, time.Time{}
		set.since = r.inKongSince(kept)
		kept.Since = set.since
	case kept.Since.IsZero() && set.decision.Changed: // else the keys show it, without a write
		kept.Since = set.since
	}
	return kept
}

// inKongSince is since when this consumer has keys of a set in Kong; zero where it has none there. Where that is
// not kept, the keys that the issuer still has show it.
func (r *keySets) inKongSince(kept jwks.Kept) (since time.Time) {
	var first time.Time
	for _, held := range kept.Held {
		part, found := r.gateway.Engine.CredentialPart(r.owner(), held.ID)
		if !found || part != desired.KeySetPart(kept.Part, held.ID) {
			continue
		}
		since = kept.Since
		if !held.Leaving() && (first.IsZero() || held.Since.Before(first)) {
			first = held.Since
		}
	}
	if since.IsZero() {
		return first
	}
	return since
}

// statusOf is what the status of another consumer says of an entity in Kong; zero where it does not tell of it yet.
// One that is Retiring is on its way out of Kong, of an issuer that its consumer has left.
func (r *keySets) statusOf(other *v1alpha1.JwtConsumer, id string) (key v1alpha1.CredentialStatus) {
	id = r.gateway.Engine.ActualID(id)
	for _, s := range other.Status.Credentials {
		if s.KongID == id {
			return s
		}
	}
	return key
}

// isBefore says whether another consumer has seen a key before a time; of two that began within the same second, the
// older one has. What its status does not tell yet was not before.
func (r *keySets) isBefore(other *v1alpha1.JwtConsumer, key v1alpha1.CredentialStatus, since time.Time) bool {
	if key.IssueTime == nil {
		return false
	}
	seen, since := key.IssueTime.Truncate(time.Second), since.Truncate(time.Second)
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
