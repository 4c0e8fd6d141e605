package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/arbiter"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/plan"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/rivals"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// reserve checks that nobody else holds the new unique keys of an entity, and keeps others from them until unreserve.
// An error is a refusal, or that Kong could not be asked; nothing is reserved then. The order inside is the one that
// arbiter.Reserve asks for: what another owner frees between two of these steps would be missed in any other.
func (r *syncRun) reserve(ctx context.Context, w plan.Wanted, keys []desired.UniqueKey) error {
	if len(keys) == 0 {
		return nil
	}
	var foreign map[desired.UniqueKey][]kong.Entity
	if w.Kind == kong.KindRoute {
		var err error
		if foreign, err = r.foreign.list(ctx, r.rooms); err != nil {
			return err
		}
	}
	r.turn.Wait(keys)
	if by, key, ok := r.arbiter.Reserve(w.ID, w.Owner, keys); !ok {
		refusal := r.refuse(w, key, by.String())
		r.turn.Got(keys)
		return refusal
	}
	for _, key := range keys {
		holder := r.holder(key, w, foreign)
		if holder == "" && r.options.Older != nil {
			if older, found := r.options.Older(key); found {
				holder = older.String() + ", which is older"
			}
		}
		if holder != "" {
			refusal := r.refuse(w, key, holder)
			r.turn.Got(keys)
			r.arbiter.Unreserve(w.ID, keys, true)
			return refusal
		}
	}
	r.turn.Got(keys)
	return nil
}

// unreserve ends a reservation. taken says that Kong named another holder, so that nobody whom it kept away could have
// the keys either.
func (r *syncRun) unreserve(w plan.Wanted, keys []desired.UniqueKey, taken bool) {
	if len(keys) == 0 {
		return
	}
	held, found := r.observed.Get(w.ID)
	missed := slices.ContainsFunc(keys, func(k desired.UniqueKey) bool {
		return !found || !slices.Contains(held.Keys, k)
	})
	r.arbiter.Unreserve(w.ID, keys, missed && !taken)
}

// holder names who holds a key: another owner's entity, or a route that is not this operator's.
func (r *syncRun) holder(key desired.UniqueKey, w plan.Wanted, foreign map[desired.UniqueKey][]kong.Entity) string {
	if held, found := r.observed.Holder(key, w.ID); found && held.Owner != w.Owner {
		// It may have got the key, or never have. Two that are uncertain, and each hold what the other wants,
		// would else wait for each other until the next listing.
		if held.Uncertain {
			r.relist()
		}
		return held.Owner.String()
	}
	if key.Kind != desired.UniqueRoute {
		return "" // Kong itself says so
	}
	for _, e := range foreign[withoutMethods(key)] {
		if r.find().adoptable(e, w) && sameMatch(e, w) {
			continue // adopt has the last word
		}
		if _, known := r.observed.Get(e.ID); !known && e.ID != w.ID && arbiter.Holds(desired.UniqueKeys(e), key) {
			return r.describeForeign(e)
		}
	}
	return ""
}

// adoptionRemedy ends a message about a holder. It advises nobody to delete what belongs to somebody else: a foreign
// jwt plugin, say, may be all that protects a route.
const adoptionRemedy = "what nobody manages is taken over where the KongGateway has spec.adoption: Unowned."

// refuse says that a key is held. The owner waits for it.
func (r *syncRun) refuse(w plan.Wanted, key desired.UniqueKey, holder string) error {
	r.turn.Refused(key)
	stalled := status.Stalled(v1alpha1.ReasonConflict, "%s: %s is held by %s. Choose another; "+adoptionRemedy,
		KeyField(key.Kind), r.nameOf(w, key), holder)
	if key.Kind == desired.UniqueHost {
		stalled = status.Stalled(v1alpha1.ReasonConflict,
			"%s: %s is held by %s, of another namespace. Choose another, set hosts in routes that have none, "+
				"or ask for policy.routes.", KeyField(key.Kind), key, holder)
	}
	stalled.RetryAfter = r.arbiter.Retry(r.set.Owner)
	return stalled
}

// nameOf names a unique key for a message. One that a Secret holds is not shown.
func (r *syncRun) nameOf(w plan.Wanted, key desired.UniqueKey) string {
	name, isCredential := desired.CredentialOf(w.Part)
	if isCredential && r.options.KeyInSecret != nil && r.options.KeyInSecret(name) {
		return "the key that the Secret of credential " + name + " has"
	}
	return key.String()
}

// conflict names who holds what Kong would not give a second time. cause is Kong's 409, which names fields and no
// holder. errReplan says that the holder was the owner itself.
func (r *syncRun) conflict(ctx context.Context, w plan.Wanted, cause error) error {
	for _, key := range r.observed.NewKeys(w) {
		holder, found, err := r.find().lookUp(ctx, key)
		if err != nil {
			return err
		}
		if !found || holder.ID == w.ID {
			continue
		}
		ownership, ours := r.ownership(holder)
		switch {
		case ours && ownership.Owner == w.Owner && slices.Contains(r.keep, holder.ID):
			stalled := status.Stalled(v1alpha1.ReasonConflict,
				"%s: %s is held by %s of the same resource, which stays because its Secret cannot be read. "+
					"Restore that Secret, or choose another key.", KeyField(key.Kind), r.nameOf(w, key), ownership.Part)
			stalled.RetryAfter = r.arbiter.Retry(w.Owner)
			return stalled
		case ours && ownership.Owner == w.Owner:
			r.recordFound(holder, w.Owner, ownership.Part)
			return errReplan // a leftover of this very owner: the next plan takes it out first
		}
		return r.refuse(w, key, r.describeForeign(holder))
	}
	return r.unnamedConflict(ctx, w, cause)
}

// unnamedConflict is about what no unique key stands for: a plugin of the same name on the same parent, a group of the
// same name.
func (r *syncRun) unnamedConflict(ctx context.Context, w plan.Wanted, cause error) error {
	var conflict *kong.ConflictError
	errors.As(cause, &conflict)
	rival := ""
	if parents := w.Parents(); len(parents) > 0 && (w.Kind == kong.KindPlugin || w.Kind == kong.KindACL) {
		for child, err := range r.link.current().Children(ctx, w.ParentKind(), parents[0], w.Kind) {
			if err != nil {
				return err
			}
			other := plan.Describe(child, desired.Owner{}, "", plan.Hash{})
			if child.ID == w.ID || !slices.Equal(other.UniqueValues(), w.UniqueValues()) {
				continue
			}
			if ownership, ours := r.ownership(child); ours && ownership.Owner == w.Owner {
				r.recordFound(child, w.Owner, ownership.Part)
				return errReplan
			}
			rival = r.describeForeign(child)
		}
	}
	if rival == "" {
		rival = "something in Kong that this operator does not manage"
	}
	stalled := status.Stalled(v1alpha1.ReasonConflict,
		"%s: Kong takes no second %s with the same %s (%s has it). Leave it out here; "+adoptionRemedy,
		entityField(w.Entry), w.Kind.Singular(), strings.Join(conflict.Fields, ", "), rival)
	stalled.RetryAfter = r.arbiter.Retry(r.set.Owner)
	return stalled
}

// ownership is what the tags of an entity say, where it is of this installation and gateway.
func (r *rooms) ownership(e kong.Entity) (desired.Ownership, bool) {
	ownership, tagged := desired.ParseTags(e.Fields.Tags())
	return ownership, tagged && ownership.Scope == r.scope
}

// describeForeign says whose an entity is.
func (r *rooms) describeForeign(e kong.Entity) string {
	ownership, tagged := desired.ParseTags(e.Fields.Tags())
	switch {
	case !tagged:
		name := e.ID
		for _, field := range []string{"name", "username"} {
			if text := e.Fields.Text(field); text != "" {
				name = text + " (" + e.ID + ")"
			}
		}
		return fmt.Sprintf("%s %s in Kong, which this operator does not manage", e.Kind.Singular(), name)
	case ownership.Scope.Installation != r.scope.Installation:
		return fmt.Sprintf("%s of another installation of this operator (%s)",
			ownership.Owner, ownership.Scope.Installation)
	case ownership.Scope.Gateway != r.scope.Gateway:
		return fmt.Sprintf("%s by KongGateway %s, which is the same Kong", ownership.Owner, ownership.Scope.Gateway)
	}
	return ownership.Owner.String()
}

// giveUp frees what an entity holds, shall not hold any more and others wait for, where it is refused what it shall
// hold instead: two resources that change names, keys or paths would else wait for each other for ever. What nobody
// waits for stays. The error is the refusal, or what went wrong. A crash after it leaves the entity without that name,
// or gone: the next Sync of the owner asks for what it wants again.
func (r *syncRun) giveUp(ctx context.Context, w plan.Wanted, refusal error) error {
	var stalled *status.StalledError
	if !errors.As(refusal, &stalled) || stalled.Reason != v1alpha1.ReasonConflict {
		return refusal
	}
	held, reduced, found := r.reduced(w)
	if !found {
		return refusal
	}
	r.log.Info("Giving up what others wait for", "kind", w.Kind.Singular(), "owner", w.Owner.String(), "part", w.Part)
	r.result.Writes++
	if reduced == nil {
		end := plan.Op{Verb: plan.Delete, Swap: true, Target: plan.Wanted{Entry: held}}
		return errors.Join(r.delete(ctx, end), refusal)
	}
	defer r.observed.Sending(w.ID)()
	answer, err := r.link.current().Put(ctx, *reduced)
	if err != nil {
		if ambiguous(err) {
			r.observed.RecordUncertain(plan.Put, w.Entry)
		}
		return err
	}
	r.recordFound(answer, w.Owner, w.Part)
	return refusal
}

// checkRival refuses, beside what else becomes of the run, what does not check the claims of every request. It is
// looked for once, and again at each listing. age is how old a listing may be: any will do for a program that is in
// Kong, since each listing of Kong looks again (refreshRivals).
func (r *syncRun) checkRival(ctx context.Context) error {
	owner, former := r.set.Owner, r.rivals.OfConsumers()
	defer func() {
		if r.rivals.OfConsumers() != former {
			r.changed(EventChanged)
		}
	}()
	at, program, err := r.placeOfClaims(ctx)
	if err != nil {
		return r.outcome(owner, "spec.claims", "the route", err)
	}
	if program == "" || r.link.describe().Exclusive {
		r.rivals.Forget(owner)
		return nil
	}
	age := time.Duration(0)
	if _, held := r.observed.Get(program); !held {
		age = routesAge
	}
	found, err := r.rivals.Look(r.about.options.Now(), age, func() ([]rivals.Rival, error) { return r.listRivals(ctx) })
	if err != nil {
		return r.outcome(owner, "spec.claims", "post-function", err)
	}
	rival, is := rivals.To(found, owner, at)
	r.rivals.Tell(owner, at, rival.Says)
	switch {
	case !is:
		return nil
	case rival.Answers:
		r.refused = status.Stalled(v1alpha1.ReasonConflict,
			"spec.claims: %s, which answers requests before their claims are checked. "+
				"Ask its owner to remove it there, or remove spec.claims.", rival.Says)
	default:
		r.refused = status.Stalled(v1alpha1.ReasonConflict,
			"spec.claims: %s, which Kong runs instead, so that the claims of its requests are not checked (Kong runs one "+
				"post-function for a request). Ask its owner to remove it there, or remove spec.claims.", rival.Says)
	}
	r.refused.RetryAfter = r.arbiter.Retry(owner)
	return nil
}

// placeOfClaims finds where the program that checks claims is wanted; its id is empty where it is not.
func (r *syncRun) placeOfClaims(ctx context.Context) (at rivals.Place, id string, err error) {
	for _, w := range r.want {
		if w.Plugin == desired.PluginClaims {
			at, id = rivals.Place{Service: w.Service, Route: w.Route}, w.ID
		}
	}
	if id == "" || at.Service != "" {
		return at, id, nil
	}
	if former, found := r.rivals.PlaceOf(r.set.Owner); found && former.Route == at.Route {
		return former, id, nil
	}
	route, err := r.link.current().Get(ctx, kong.KindRoute, at.Route)
	at.Service = route.Fields.Ref("service")
	return at, id, err
}

// refreshRivals looks again for what was looked for, and wakes the owners for whom it came or went.
func (m *monitor) refreshRivals(ctx context.Context) error {
	if !m.rivals.Wanted() {
		return nil
	}
	const anew = -1
	former := m.rivals.OfConsumers()
	found, err := m.rivals.Look(m.options.Now(), anew, func() ([]rivals.Rival, error) { return m.listRivals(ctx) })
	if err != nil {
		return err
	}
	if m.rivals.OfConsumers() != former {
		m.changed(EventChanged)
	}
	for _, owner := range m.rivals.Changed(found) {
		m.wake(owner, EventFreed)
	}
	return nil
}
