package engine

import (
	"context"
	"fmt"
	"maps"

	"github.com/kongjwt/kong-jwt-operator/internal/backend"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/plan"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// errAdopted says that an entity in Kong became this operator's: the plan is made anew, with its id.
var errAdopted = fmt.Errorf("an entity was adopted: %w", errReplan)

// locate finds the ids that what an owner wants has in Kong, and writes them into every reference. An entity that was
// adopted has the id that somebody else gave it, and what refers to it has to use that one. The ids are found in
// observed, so that this costs a request only for spec.attachTo.
func (r *syncRun) locate(ctx context.Context) error {
	attached := desired.AttachedID
	if r.set.Attach != nil {
		id, err := r.target(ctx, r.set.Owner, *r.set.Attach)
		if err != nil {
			return r.outcome(r.set.Owner, "spec.attachTo", r.set.Attach.String(), err)
		}
		attached = id
	}
	ids := r.observed.ActualIDs(r.set.Entities)
	ids[desired.AttachedID] = attached
	r.want = make(map[string]plan.Wanted, len(r.set.Entities))
	for _, e := range r.set.Entities {
		ownership, _ := desired.ParseTags(e.Fields.Tags())
		e = relocate(e, ids)
		r.want[e.ID] = plan.Wanted{Entry: plan.Describe(e, r.set.Owner, ownership.Part, r.sum(e)), Entity: e}
	}
	for _, id := range r.set.Keep {
		r.keep = append(r.keep, r.observed.Actual(id))
	}
	return nil
}

// relocate gives an entity its id in Kong, and those of what it refers to. It changes a copy: the caller's set is used
// again by the next plan.
func relocate(e kong.Entity, ids map[string]string) kong.Entity {
	move := func(id string) string {
		if actual, found := ids[id]; found {
			return actual
		}
		return id
	}
	e.ID, e.ConsumerID = move(e.ID), move(e.ConsumerID)
	e.Fields = maps.Clone(e.Fields)
	for _, field := range []string{"service", "route", "consumer"} {
		if id := e.Fields.Ref(field); id != "" {
			e.Fields[field] = map[string]any{"id": move(id)}
		}
	}
	return e
}

// find looks for what somebody else has in Kong.
func (r *rooms) find() finder { return finder{r} }

// adopts says whether what no tags claim may be taken over: where nothing but this operator writes, there is none.
func (r *rooms) adopts() bool { return r.settings.Adopt && !r.link.describe().Exclusive }

// adoptOpen adopts a route before the gates are asked: it is open already, and tags open nothing. reserve comes first
// here too, so that no other owner of this process adopts the same route meanwhile.
func (r *syncRun) adoptOpen(ctx context.Context, o plan.Op) error {
	if !r.adopts() || o.Verb != plan.Put || o.Target.Kind != kong.KindRoute || r.knows(o.Target.ID) {
		return nil
	}
	keys := r.observed.NewKeys(o.Target)
	err := r.reserve(ctx, o.Target, keys)
	if err == nil {
		defer r.unreserve(o.Target, keys, false)
		err = r.adopt(ctx, o.Target)
	}
	return r.outcome(r.set.Owner, "spec.routes", backend.Name(kong.KindRoute, o.Target.Part), err)
}

// adopt takes over what is in the place of something that is to be created, where no tags claim it: it writes tags and
// nothing else. It gives errAdopted then, and nil where there is nothing to adopt.
func (r *syncRun) adopt(ctx context.Context, w plan.Wanted) error {
	if !r.adopts() || r.knows(w.ID) {
		return nil
	}
	found, err := r.find().inPlaceOf(ctx, w)
	if err != nil || len(found) == 0 {
		return err
	}
	if len(found) > 1 {
		return r.find().ambiguous(w, found)
	}
	for _, e := range found {
		if ownership, ours := r.ownership(e); ours && ownership.Owner == w.Owner && ownership.Part == w.Part {
			// An earlier adoption whose answer was lost.
			r.recordFound(e, w.Owner, w.Part)
			return errAdopted
		}
		if !r.find().adoptable(e, w) {
			return nil // Kong's refusal, or the next look at its routes, names the holder
		}
		return r.tag(ctx, w, e)
	}
	return nil
}

// tag puts the owner's tags on an entity. A PATCH of tags changes neither content nor what Kong does with the entity.
// Where the answer is lost, the next look finds the tags (adopt).
func (r *syncRun) tag(ctx context.Context, w plan.Wanted, e kong.Entity) error {
	defer r.observed.Sending(e.ID)()
	answer, err := r.link.current().Retag(ctx, e.Kind, e.ConsumerID, e.ID, w.Entity.Fields.Tags())
	if kong.IsNotFound(err) {
		r.foreign.forget()
		return errReplan
	}
	if err != nil {
		return err
	}
	r.result.Writes++
	r.recordFound(answer, w.Owner, w.Part)
	r.foreign.forget()
	r.log.Info("Adopted what nobody claimed",
		"kind", e.Kind.Singular(), "id", e.ID, "owner", w.Owner.String(), "part", w.Part)
	return errAdopted
}

// knows says whether Kong is known to hold an entity of this operator's.
func (r *rooms) knows(id string) bool {
	_, known := r.observed.Get(id)
	return known
}

// sameMatch says whether a route matches the very requests that a wanted one does.
func sameMatch(e kong.Entity, w plan.Wanted) bool {
	matches := func(keys []desired.UniqueKey) map[desired.UniqueKey]bool {
		set := map[desired.UniqueKey]bool{}
		for _, key := range keys {
			if key.Kind == desired.UniqueRoute {
				set[key] = true
			}
		}
		return set
	}
	return maps.Equal(matches(desired.UniqueKeys(e)), matches(w.Keys))
}
