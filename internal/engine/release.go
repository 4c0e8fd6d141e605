package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/backend"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/plan"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// Delete takes everything of an owner out of Kong. It is done when it returns nil; nothing is remembered of the owner
// then. Errors are as Sync's. What others hung on an entity stops it with a *status.StalledError (checkChildren): Kong
// would take it along without a word.
func (e *Engine) Delete(ctx context.Context, owner desired.Owner) error {
	e.drifts.Forget(owner) // it goes, whatever somebody made of it
	_, err := e.sync(ctx, &syncRun{rooms: e.rooms, set: desired.Set{Owner: owner}, withdraws: true})
	if err == nil {
		e.forgetOwner(owner)
	}
	return err
}

// Orphan takes this operator's tags off everything that an owner has in Kong, and leaves it there. It is done when it
// returns nil; nothing is remembered of the owner then. Errors are as Sync's. A crash half way leaves some entities
// with tags: the finalizer is still there, and the next call goes on with those.
func (e *Engine) Orphan(ctx context.Context, owner desired.Owner) error {
	if err := e.reachable(owner); err != nil {
		return err
	}
	visit, err := e.admission.enter(ctx, owner)
	if err != nil {
		return err
	}
	defer visit.leave()
	if err := visit.takeSlot(true); err != nil {
		return err
	}
	for _, held := range e.observed.Of(owner) {
		if err := e.untag(ctx, held); err != nil {
			return e.outcome(owner, entityField(held), backend.Name(held.Kind, held.Part), err)
		}
	}
	if e.link.current().Pending(owner) {
		return waitForPush()
	}
	e.monitor.forget(owner)
	e.forgetOwner(owner)
	return nil
}

// untag takes the tags off one entity. The user's own stay.
func (r *rooms) untag(ctx context.Context, e plan.Entry) error {
	defer r.observed.Sending(e.ID)()
	entity, err := r.link.current().Get(ctx, e.Kind, e.ID)
	if err == nil {
		tags := desired.WithoutOwnership(entity.Fields.Tags())
		_, err = r.link.current().Retag(ctx, e.Kind, e.ConsumerID, e.ID, tags)
	}
	if err != nil && !kong.IsNotFound(err) {
		return err
	}
	r.follow(r.observed.RecordUntagged(e))
	return nil
}

// Revoke takes every JWT credential of an owner out of Kong, and leaves all else as it is. Errors are as Sync's. It
// needs neither the spec nor a Secret, and the gates hold back no credential: it is what a revocation begins with.
func (e *Engine) Revoke(ctx context.Context, owner desired.Owner) (Result, error) {
	return e.withdraw(ctx, owner, func(held plan.Entry) bool { return held.Kind == kong.KindJWT })
}

// RemoveAccess takes the JWT credentials and groups of an owner out of Kong whose parts are not kept, and leaves all
// else as it is. Errors are as Sync's.
func (e *Engine) RemoveAccess(ctx context.Context, owner desired.Owner, keeps func(part string) bool) (Result, error) {
	return e.withdraw(ctx, owner, func(held plan.Entry) bool {
		return (held.Kind == kong.KindJWT || held.Kind == kong.KindACL) && !keeps(held.Part)
	})
}

// RemoveRoutes takes the routes of an owner out of Kong, and what is on them, and leaves all else as it is. Errors are
// as Sync's.
func (e *Engine) RemoveRoutes(ctx context.Context, owner desired.Owner) (Result, error) {
	routes := map[string]bool{}
	for _, entry := range e.observed.Of(owner) {
		if entry.Kind == kong.KindRoute {
			routes[entry.ID] = true
		}
	}
	return e.withdraw(ctx, owner, func(held plan.Entry) bool {
		return routes[held.ID] || held.Kind == kong.KindPlugin && routes[held.Route]
	})
}

// NarrowAccess shuts out of a service whom its plugin for access in Kong lets in and the wanted one does not, and
// leaves all else as it is: nobody is let in. access is of desired.BuildAccess. Errors are as Sync's.
func (e *Engine) NarrowAccess(ctx context.Context, access desired.Set) (Result, error) {
	held := e.observed.Of(access.Owner)
	if len(access.Entities) != 1 || len(held) == 0 {
		return Result{}, nil // everybody may call, or there is nothing to call
	}
	wanted := access.Entities[0]
	id := e.observed.Actual(wanted.ID)
	if e.knows(id) {
		now, err := e.link.current().Get(ctx, kong.KindPlugin, id)
		if err != nil {
			return Result{}, err
		}
		fields, narrower := desired.NarrowACL(wanted.Fields, now.Fields)
		if !narrower {
			return Result{}, nil
		}
		wanted.Fields = fields
	}
	set := desired.Set{Owner: access.Owner, Attach: access.Attach, Entities: []kong.Entity{wanted}}
	for _, entry := range held {
		if entry.ID != id {
			set.Keep = append(set.Keep, entry.ID)
		}
	}
	return e.sync(ctx, &syncRun{rooms: e.rooms, set: set, withdraws: true})
}

// withdraw takes some of an owner's entities out of Kong, and leaves all else as it is. All that does not go is in
// Set.Keep, which plans leave alone. Where nothing goes, nothing is asked.
func (e *Engine) withdraw(ctx context.Context, owner desired.Owner, goes func(plan.Entry) bool) (Result, error) {
	var kept []string
	held := e.observed.Of(owner)
	for _, entry := range held {
		if !goes(entry) {
			kept = append(kept, entry.ID)
		}
	}
	if len(kept) == len(held) {
		return Result{}, nil
	}
	set := desired.Set{Owner: owner, Keep: kept}
	return e.sync(ctx, &syncRun{rooms: e.rooms, set: set, withdraws: true})
}

// Prune takes everything of an owner whose resource is gone out of Kong: what is exposed is closed first, as ever. It
// says how many entities went. Errors are as Sync's.
func (e *Engine) Prune(ctx context.Context, owner desired.Owner) (entities int, err error) {
	before := e.observed.Of(owner)
	err = e.Delete(ctx, owner)
	for _, entry := range before {
		if e.knows(entry.ID) {
			continue
		}
		entities++
		if e.options.Pruned != nil {
			e.options.Pruned(e.scope.Gateway, entry.Kind)
		}
	}
	if entities > 0 {
		e.log.Info("Pruned from Kong what belongs to a resource that is gone",
			"owner", owner.String(), "entities", entities)
	}
	return entities, err
}

// Orphans tells whose resources are gone. An owner is confirmed when gone said so at two listings of Kong, and in
// between whenever it was asked. An error is that of gone: nothing is concluded then, and every owner is asked again.
func (e *Engine) Orphans(gone func(desired.Owner) (bool, error), maxPercent int) (Orphans, error) {
	held := e.observed.Owners()
	suspects, listing := e.orphans.Suspects(held)
	missing := map[desired.Owner]bool{}
	for _, owner := range suspects {
		is, err := gone(owner)
		if err != nil {
			return Orphans{}, err
		}
		missing[owner] = is
	}
	return e.orphans.Judge(listing, held, missing, maxPercent), nil
}

// childKinds are what is looked for before an entity goes. A route goes at once, whatever belongs to it: what is
// exposed is closed first.
var childKinds = map[kong.Kind][]kong.Kind{
	kong.KindConsumer: {
		kong.KindJWT, kong.KindACL, kong.KindPlugin,
		kong.KindKeyAuth, kong.KindBasicAuth, kong.KindHMACAuth, kong.KindOAuth2,
	},
	kong.KindService: {kong.KindRoute, kong.KindPlugin},
}

// checkChildren looks what others added to an entity that is to go: Kong would take it along, or refuse.
func (r *rooms) checkChildren(ctx context.Context, o plan.Op) error {
	parent := o.Target.Entry
	if o.Swap {
		return nil
	}
	var strangers []string
	leftover := false
	for _, kind := range childKinds[parent.Kind] {
		if !r.link.describe().Capabilities.HasKind(kind) {
			continue
		}
		for child, err := range r.link.current().Children(ctx, parent.Kind, parent.ID, kind) {
			if kong.IsNotFound(err) && slices.Contains(kong.Kinds(), kind) {
				return nil // the parent is gone already
			}
			if kong.IsNotFound(err) {
				break // this Kong has no such plugin
			}
			if err != nil {
				return err
			}
			if stranger, found := r.stranger(child, parent); found {
				strangers = append(strangers, stranger)
			} else if r.takeIn(child, parent) {
				leftover = true
			}
		}
	}
	if len(strangers) > 0 {
		stalled := status.Stalled(v1alpha1.ReasonConflict, "spec.deletionPolicy: the %s is not deleted from Kong: others hung on it %s, "+
			"which would go along. Have their owners take them out, or set it to Retain.",
			parent.Kind.Singular(), strings.Join(strangers, ", "))
		stalled.RetryAfter = r.arbiter.Retry(parent.Owner)
		return stalled
	}
	if leftover {
		return errReplan
	}
	return nil
}

// stranger names a child that is not the parent's owner's.
func (r *rooms) stranger(child kong.Entity, parent plan.Entry) (name string, found bool) {
	known, isKnown := r.observed.Get(child.ID)
	ownership, tagged := desired.ParseTags(child.Fields.Tags())
	switch {
	case tagged && ownership.Scope == r.scope && ownership.Owner == parent.Owner:
		return "", false
	case !tagged && isKnown && known.Owner == parent.Owner:
		return "", false // somebody took the tags off
	}
	name = child.Kind.Singular() + " " + child.ID
	if text := child.Fields.Text("name"); text != "" {
		name = fmt.Sprintf("%s %s (%s)", child.Kind.Singular(), text, child.ID)
	}
	if tagged {
		name += " of " + ownership.Owner.String()
	}
	return name, true
}

// takeIn records a child that was not known and that Kong would not take along. Kong refuses to delete a service that
// has routes; the plan takes out the route first once it is known.
func (r *rooms) takeIn(child kong.Entity, parent plan.Entry) bool {
	if r.knows(child.ID) || child.Kind != kong.KindRoute {
		return false
	}
	ownership, _ := desired.ParseTags(child.Fields.Tags())
	r.recordFound(child, parent.Owner, ownership.Part)
	return true
}
