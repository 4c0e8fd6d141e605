package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// errAdopted says that an entity in Kong became ours: the plan is made anew, with its id.
var errAdopted = fmt.Errorf("an entity was adopted: %w", errReplan)

// locate finds the ids that what an owner wants has in Kong, and writes them into every reference.
func (g *Engine) locate(ctx context.Context, run *syncRun) error {
	attached := desired.AttachedID
	if run.set.Attach != nil {
		id, err := g.target(ctx, run.set.Owner, *run.set.Attach)
		if err != nil {
			return g.outcome(run.set.Owner, run.set.Attach.String(), err)
		}
		attached = id
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	ids := g.mirror.ids(run.set.Entities)
	ids[desired.AttachedID] = attached
	run.want = make(map[string]wanted, len(run.set.Entities))
	for _, e := range run.set.Entities {
		ownership, _ := desired.ParseTags(e.Fields.Tags())
		e = relocate(e, ids)
		run.want[e.ID] = wanted{entry: describe(e, run.set.Owner, ownership.Part, g.sum(e)), entity: e}
	}
	run.keep = nil
	for _, id := range run.set.Keep {
		run.keep = append(run.keep, g.mirror.actual(id))
	}
	return nil
}

// ids gives the ids in Kong of entities, by those that the operator gives them.
func (m *mirror) ids(entities []kong.Entity) map[string]string {
	ids := make(map[string]string, len(entities)+1)
	for _, e := range entities {
		ids[e.ID] = m.actual(e.ID)
	}
	return ids
}

// given gives the ids that the operator gives to what has these in Kong: callers know no others.
func (g *Engine) given(actual map[string]bool) map[string]bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	ids := make(map[string]bool, len(actual))
	for id := range actual {
		if e := g.mirror.entries[id]; e != nil {
			id = g.mirror.given(*e)
		}
		ids[id] = true
	}
	return ids
}

// relocate gives an entity its id in Kong, and those of what it refers to.
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

// mayBeThere says whether to look for somebody else's before something is created. Under a parent that is the operator's own there is hardly anything:
// there, Kong's refusal is soon enough.
func (g *Engine) mayBeThere(w wanted) bool {
	if w.kind == kong.KindConsumer || w.kind == kong.KindService {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.ContainsFunc(w.parents(), func(id string) bool {
		parent := g.mirror.entries[id]
		return parent == nil || g.mirror.given(*parent) != id
	})
}

// adoptOpen adopts a route before the gates are asked: it is open already, and tags open nothing.
func (g *Engine) adoptOpen(ctx context.Context, run *syncRun, o op) error {
	if !g.settings.Adopt || o.verb != put || o.target.kind != kong.KindRoute || g.knows(o.target.id) {
		return nil
	}
	free, err := g.reserve(ctx, run, o.target)
	if err == nil {
		defer free(false)
		err = g.adopt(ctx, run, o.target)
	}
	return g.outcome(run.set.Owner, "route "+o.target.part, err)
}

// adopt takes over what stands in the place of something that is to be created, where nobody's tags claim it: it writes these tags and nothing else.
// It gives errAdopted then, and nil where there is nothing to adopt.
func (g *Engine) adopt(ctx context.Context, run *syncRun, w wanted) error {
	if !g.settings.Adopt || g.declared.active.Load() || g.knows(w.id) {
		return nil
	}
	found, err := g.standIns(ctx, w)
	if err != nil || len(found) == 0 {
		return err
	}
	if len(found) > 1 {
		return g.ambiguousAdoption(run.set.Owner, w, found)
	}
	for _, e := range found {
		if ownership, ours := desired.ParseTags(e.Fields.Tags()); ours && ownership.Scope == g.scope && ownership.Owner == w.owner && ownership.Part == w.part {
			// An earlier adoption whose answer was lost.
			sum := g.sum(e)
			g.note(describe(e, w.owner, w.part, sum), sum)
			return errAdopted
		}
		if !g.adoptable(e, w) {
			return nil // Kong's refusal, or the next look at its routes, names the holder
		}
		return g.claim(ctx, run, w, e)
	}
	return nil
}

// claim puts the owner's tags on an entity.
func (g *Engine) claim(ctx context.Context, run *syncRun, w wanted, e kong.Entity) error {
	defer g.inFlight(e.ID)()
	answer, err := g.api.PatchTags(ctx, e.Kind, e.ConsumerID, e.ID, w.entity.Fields.Tags())
	if isNotFound(err) {
		g.foreign.forget()
		return errReplan
	}
	if err != nil {
		return err
	}
	run.result.Writes++
	sum := g.sum(answer)
	g.note(describe(answer, w.owner, w.part, sum), sum)
	g.foreign.forget()
	g.log.Info("Adopted what nobody claimed", "kind", e.Kind.Singular(), "id", e.ID, "owner", w.owner.String(), "part", w.part)
	return errAdopted
}

func (g *Engine) knows(id string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.mirror.entries[id] != nil
}

// ambiguousAdoption refuses to choose: one has the username, another the custom ID.
func (g *Engine) ambiguousAdoption(owner desired.Owner, w wanted, found map[string]kong.Entity) error {
	var names []string
	for _, id := range slices.Sorted(maps.Keys(found)) {
		names = append(names, g.describeForeign(found[id]))
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	stalled := status.Stalled(v1alpha1.ReasonConflict, "the %s cannot be adopted: what it asks for is held by several, %s; delete all but one, or ask for one's alone",
		w.kind.Singular(), strings.Join(names, " and "))
	stalled.RetryAfter = g.backOff(owner)
	return stalled
}

// standIns finds the entities in Kong that hold what a new one needs to be the only one of, by id, as they are now.
func (g *Engine) standIns(ctx context.Context, w wanted) (map[string]kong.Entity, error) {
	found := map[string]kong.Entity{}
	if w.kind == kong.KindPlugin || w.kind == kong.KindACL {
		for child, err := range g.api.ListChildren(ctx, parentKind(w.entry), w.parents()[0], w.kind) {
			if isNotFound(err) {
				return nil, nil // the put says so too, and what to do
			}
			if err != nil {
				return nil, err
			}
			other := describe(child, desired.Owner{}, "", hash{})
			if child.ID != w.id && slices.Equal(other.unique(), w.unique()) {
				found[child.ID] = child
			}
		}
		return found, nil
	}
	for _, claim := range w.claims {
		holder, there, err := g.lookUp(ctx, claim)
		if err != nil {
			return nil, err
		}
		if there && holder.ID != w.id && slices.ContainsFunc(desired.UniqueKeys(holder), claim.Overlaps) {
			found[holder.ID] = holder
		}
	}
	if w.kind != kong.KindRoute {
		return found, nil
	}
	return found, g.matching(ctx, w, found)
}

// matching adds the routes that match the very same requests.
func (g *Engine) matching(ctx context.Context, w wanted, found map[string]kong.Entity) error {
	routes, err := g.foreign.list(ctx, g)
	if err != nil {
		return err
	}
	for _, claim := range w.claims {
		for _, e := range routes[keyOf(claim)] {
			if found[e.ID].ID != "" || !sameMatch(e, w) || e.ID == w.id {
				continue
			}
			now, err := g.api.Get(ctx, kong.KindRoute, e.ID)
			if isNotFound(err) {
				continue
			}
			if err != nil {
				return err
			}
			if !g.adoptable(now, w) || !sameMatch(now, w) {
				g.foreign.forget()
				return errReplan // the listing is not true any more: who holds the route now is looked at again
			}
			found[now.ID] = now
		}
	}
	return nil
}

// adoptable says whether an entity may be taken over for another that is wanted: nobody claims it, and it stays where it is. What belongs to another
// consumer or service is not moved: that would give somebody's credential, or traffic, away.
func (g *Engine) adoptable(e kong.Entity, w wanted) bool {
	if !g.settings.Adopt || !desired.Unclaimed(e.Fields.Tags()) {
		return false
	}
	switch e.Kind {
	case kong.KindJWT, kong.KindACL:
		return e.ConsumerID == w.consumerID
	case kong.KindRoute:
		return e.Fields.Ref("service") == w.service
	}
	return true
}

// sameMatch says whether a route matches the very requests that a wanted one does.
func sameMatch(e kong.Entity, w wanted) bool {
	matches := func(claims []desired.UniqueKey) map[desired.UniqueKey]bool {
		set := map[desired.UniqueKey]bool{}
		for _, claim := range claims {
			if claim.Kind == desired.UniqueRoute {
				set[claim] = true
			}
		}
		return set
	}
	return maps.Equal(matches(desired.UniqueKeys(e)), matches(w.claims))
}
