package consumer

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/controllers/lifecycle"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/resolve"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// kongSync brings Kong to what the spec, the state and the key sets want.
type kongSync struct {
	*subject
	sources   *sources
	revisions *revisions
	keySets   *keySets
	// input is what the entities are made of. It stays from round to round but for its credentials, which
	// wantCredentials lists anew.
	input desired.ConsumerInput
	// keep are the ids of credentials whose material cannot be read now.
	keep []string
	// arriving are the ids of what a credential has now, by its name: what an issuer gave stays until that is in
	// Kong.
	arriving map[string][]string
	// renamed are the parts of credentials that the spec calls otherwise now.
	renamed map[string]bool
	// clash says which credentials are left out, since another has their key.
	clash error
	// refused says what policy forbids of a consumer that is in Kong: that stays as it is, and the rest goes on.
	refused error
	// unsupported says what is left out, since this Kong does not take it.
	unsupported error
	// result of the last Sync.
	result engine.Result
}

// readConfigs reads the Secrets of spec.plugins. One that somebody has to repair stops its plugin alone. Any other
// error means that it is not known what they hold, and ends the reconcile.
func (k *kongSync) readConfigs(ctx context.Context) (err error) {
	k.input.Configs, err = k.Inputs.PluginConfigs(ctx, k.consumer)
	var stalled *status.StalledError
	if errors.As(err, &stalled) {
		k.input.Unread, err = err, nil
	}
	return err
}

// build makes the entities that shall be in Kong now, or says what forbids them. What is wrong with a plugin, or with
// a credential, holds up nothing of a consumer that is in Kong already: without the plugin it is no more exposed than
// it is. One that is not waits: its plugins may be what protects others from it. The error is a *status.StalledError
// that is to stop the reconcile. What goes on in spite of one is in refused.
func (k *kongSync) build() (desired.Set, error) {
	k.reportIdentity()
	k.wantCredentials()
	k.distinctKeys()
	k.input.Kong = k.gateway.Engine.Capabilities()
	set, err := desired.BuildConsumer(k.gateway.Scope, k.gateway.Policy, k.input)
	// Also where there is an error: the set is sent for a consumer that is in Kong.
	set.Keep = append(set.Keep, k.keep...)
	k.refused = nil
	if inKong, _ := k.gateway.Engine.Standing(k.consumer.Status.ConsumerID); inKong && len(set.Entities) > 0 {
		k.refused, err = err, nil
	}
	return set, err
}

// apply brings Kong to what was built. The error is Engine.Sync's. result says how far it came, whatever the error.
func (k *kongSync) apply(ctx context.Context, set desired.Set) (err error) {
	k.result, err = k.gateway.Engine.Sync(ctx, set, engine.SyncOptions{
		// Of two consumers that want one key which nobody holds, the older gets it, on every replica and after
		// every restart.
		Older: resolve.OlderWith(ctx, k.Client, k.consumer, func(other *v1alpha1.JwtConsumer) []desired.UniqueKey {
			return desired.ConsumerClaims(k.gateway.Policy, other)
		}),
		Drifted:  lifecycle.KnownDrift(k.consumer),
		TakeOver: k.consumer.Annotations[v1alpha1.AnnotationTakeOver],
		KeyInSecret: func(name string) bool {
			return slices.ContainsFunc(k.consumer.Spec.Credentials, func(c v1alpha1.Credential) bool {
				return c.Name == name && keyInSecret(c)
			})
		},
	})
	// Nothing in Kubernetes changes when Kong is upgraded: the engine wakes the owner then.
	if k.unsupported = k.input.Unsupported(k.gateway.Scope.Gateway); k.unsupported != nil {
		k.gateway.Engine.AwaitUpgrade(set.Owner)
	}
	k.ReportDrift(k.consumer, k.gateway.Scope.Gateway, k.result)
	k.reportIdentity() // what was adopted has an id of its own
	return err
}

// reportIdentity reports what the consumer is called in Kong, also where Kong was not reached: both are computed.
func (k *kongSync) reportIdentity() {
	id := desired.ConsumerID(k.gateway.Scope, k.consumer.Namespace, k.consumer.Name)
	k.consumer.Status.Username = desired.Username(k.consumer)
	k.consumer.Status.ConsumerID = k.gateway.Engine.ActualID(id)
}

// wantCredentials lists what shall be in Kong now. A credential is in one of four ways in Kong, and is listed by them:
// keys of an issuer; kept as it is, where there is no material now; in place, under the one entity that its Secret's
// content replaces; or as revisions, each with an entity of its own.
func (k *kongSync) wantCredentials() {
	k.input.Credentials, k.keep, k.arriving, k.renamed = nil, nil, map[string][]string{}, map[string]bool{}
	var serving []string // the names of credentials whose former keys of an issuer stay
	var weak []string
	noteWeakness := func(name string, material credential.Material) {
		if weakness := material.Weakness(); weakness != "" {
			weak = append(weak, "credential "+name+": "+weakness)
		}
	}
	for _, c := range k.sources.credentials {
		name := c.spec.Name
		// Keys of an issuer, and the revisions that the credential had before it followed one.
		if c.spec.JWKS != nil {
			if k.keySets.awaitsIssuer(name) {
				k.keepInKong(name)
				serving = append(serving, name)
			} else if k.revisions.unread {
				k.keepSlots(name) // what it was before it followed the issuer
			}
			k.input.Credentials = append(k.input.Credentials, k.keySets.wanted(c)...)
			k.wantRevisions(c, desired.Credential{Field: c.field})
			continue
		}
		entity := desired.Credential{
			Field: c.field, Part: k.partOf(name, c.material.Key), TenantKey: choosesKey(c.spec), Material: c.material,
		}
		state := k.revisions.of(name)
		if _, active := state.Active(); c.missing && !active {
			// What another source gave, an issuer say, serves on until there is something else.
			k.keepInKong(name)
			serving = append(serving, name)
			k.wantRevisions(c, entity)
			continue
		}
		// In place: Kong holds one key of it, and a changed Secret is valid the moment that Kong takes it.
		if !c.stateful {
			noteWeakness(name, c.material)
			if !k.consumer.Spec.Revoked {
				k.input.Credentials = append(k.input.Credentials, entity)
			}
			k.arriving[name] = []string{desired.CredentialID(k.gateway.Scope, k.owner(), entity.Part)}
			continue
		}
		k.arriving[name] = k.wantRevisions(c, entity)
		if active, found := state.Active(); found {
			noteWeakness(name, active.Material)
		}
	}
	k.keepServing(serving)
	// RFC 7518 section 3.2 says how long a secret has to be.
	status.Flag(&k.consumer.Status.Conditions, k.consumer.Generation,
		v1alpha1.ConditionWeakSecret, v1alpha1.ReasonShortSecret, strings.Join(weak, "; "))
}

// keepServing leaves the keys of issuers that credentials followed before in Kong, until what these have now is there:
// what is taken away goes first, and an operator that is killed then would leave nothing. Of a revoked consumer
// nothing is kept. Once one of the ids that shall replace them is in Kong, the keys are out of Keep and leave with the
// next Sync: hasArrived asks for that round.
func (k *kongSync) keepServing(serving []string) {
	if k.consumer.Spec.Revoked {
		return
	}
	keys := map[string]bool{}
	for _, c := range k.input.Credentials {
		keys[c.Material.Key] = true
	}
	for name, ids := range k.arriving {
		if slices.ContainsFunc(ids, k.holds) || len(k.keySets.serving(name, keys)) == 0 {
			delete(k.arriving, name)
			continue
		}
		serving = append(serving, name)
	}
	for _, name := range serving {
		k.keep = append(k.keep, k.keySets.serving(name, keys)...)
	}
}

// hasArrived says whether anything is in Kong now that an issuer's keys stayed there for.
func (k *kongSync) hasArrived() bool {
	for _, ids := range k.arriving {
		if slices.ContainsFunc(ids, k.holds) {
			return true
		}
	}
	return false
}

// wantRevisions adds the revisions of a credential that shall be in Kong now, and gives the ids of those that do not
// retire. Retiring revisions are sent too: they are valid until their overlap ends. They replace nothing, though, so
// that what an issuer gave does not make room for them.
func (k *kongSync) wantRevisions(c resolvedCredential, entity desired.Credential) (current []string) {
	for _, revision := range k.revisions.outcome(c.spec.Name).Kong {
		entity.Part, entity.Material = desired.CredentialPart(revision.Slot), revision.Material
		// Where two credentials have one key, the one that is in use keeps it (desired.DistinctKeys).
		entity.Pending = revision.State == v1alpha1.CredentialPending
		k.input.Credentials = append(k.input.Credentials, entity)
		if revision.State != v1alpha1.CredentialRetiring {
			current = append(current, k.credentialID(revision.Slot))
		}
	}
	return current
}

// distinctKeys leaves out what another credential of the consumer has the key of. Kong would refuse the second with
// 409, and could name no field of the spec. clash does.
func (k *kongSync) distinctKeys() {
	for i := range k.input.Credentials {
		c := &k.input.Credentials[i]
		part, held := k.gateway.Engine.CredentialPart(k.owner(), c.Material.Key)
		c.Held = held && part == c.Part
	}
	k.input.Credentials, k.clash = desired.DistinctKeys(k.input.Credentials)
}

// partOf is the part of a credential without revisions. One that the spec called otherwise before keeps its entity: to
// delete it, and make another with its key, would have its callers refused in between. A slot that the state knows is
// a revision's, and not free to be taken over. The answer counts as a rename until the round ends, and keepSlots and
// removeWithdrawn spare the entity.
func (k *kongSync) partOf(name, key string) string {
	held, found := k.gateway.Engine.CredentialPart(k.owner(), key)
	if slot, ok := desired.CredentialSlot(held); found && ok && key != "" && !k.hasCredential(slot.Credential) && !k.revisions.state.Known(slot) {
		k.renamed[held] = true
		return held
	}
	return desired.CredentialPart(credential.Slot{Credential: name})
}

// keepInKong leaves what Kong holds of a credential as it is, whatever source it is from. Revisions that the state
// knows are not kept: they go when the state says so. The two loops are there for what partOf notes: the entity may
// still have the name that the spec gave it before.
func (k *kongSync) keepInKong(name string) {
	if k.consumer.Spec.Revoked {
		return
	}
	for _, s := range k.former {
		if s.Name == name && s.Revision == 0 {
			k.partOf(name, s.Key)
		}
	}
	for _, c := range k.consumer.Spec.Credentials {
		if c.Name == name && c.SecretRef != nil && !keyInSecret(c) {
			k.partOf(name, resolve.CredentialKey(k.consumer, c))
		}
	}
	k.keepSlots(name)
}

// keepSlots leaves what Kong holds of a credential, but for an issuer's keys, and that the state does not know.
func (k *kongSync) keepSlots(name string) {
	if k.consumer.Spec.Revoked {
		return
	}
	k.keep = append(k.keep, k.gateway.Engine.CredentialIDs(k.owner(), func(part string) bool {
		slot, isSlot := desired.CredentialSlot(part)
		return k.renamed[part] || isSlot && slot.Credential == name && !k.revisions.state.Known(slot)
	})...)
}

// holds says whether Kong holds an entity of ours as it is wanted, as far as the last Sync knows. An entity that is in
// Kong with former content is not held: result.Undone has it. Neither is one whose write was not answered
// (Engine.Standing).
func (k *kongSync) holds(id string) bool {
	held, _ := k.gateway.Engine.Standing(id)
	return held && !k.result.Undone[id]
}

// wantsRevision says whether a revision is among what shall be in Kong.
func wantsRevision(wanted []credential.Revision, revision credential.Revision) bool {
	return slices.ContainsFunc(wanted, func(w credential.Revision) bool { return w.Number == revision.Number })
}
