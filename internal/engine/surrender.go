package engine

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// surrender lets go of what an entity holds, shall not hold any more and others wait for, where it is refused what it shall hold instead: two resources that
// change names, keys or paths would else wait for each other for ever. What nobody waits for stays. The error is the refusal, or what went wrong.
func (g *Engine) surrender(ctx context.Context, run *syncRun, w wanted, refusal error) error {
	var stalled *status.StalledError
	if !errors.As(refusal, &stalled) || stalled.Reason != v1alpha1.ReasonConflict {
		return refusal
	}
	held, reduced, found := g.surrenders(w)
	if !found {
		return refusal
	}
	g.log.Info("Letting go of what others wait for", "kind", w.kind.Singular(), "owner", w.owner.String(), "part", w.part)
	run.result.Writes++
	if reduced == nil {
		return errors.Join(g.delete(ctx, op{verb: remove, swap: true, target: wanted{entry: held}}), refusal)
	}
	defer g.inFlight(w.id)()
	answer, err := g.api.Put(ctx, *reduced)
	if err != nil {
		if ambiguous(err) {
			g.doubt(w.entry)
		}
		return err
	}
	sum := g.sum(answer)
	g.note(describe(answer, w.owner, w.part, sum), sum)
	return refusal
}

// surrenders says what of an entity is to be let go: reduced is what is left of it, nil where nothing is.
func (g *Engine) surrenders(w wanted) (held entry, reduced *kong.Entity, found bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	known := g.mirror.entries[w.id]
	if known == nil || known.unknown {
		return entry{}, nil, false
	}
	var former, kept []desired.UniqueKey
	for _, claim := range known.claims {
		if slices.Contains(w.claims, claim) {
			kept = append(kept, claim)
		} else {
			former = append(former, claim)
		}
	}
	if !slices.ContainsFunc(former, func(c desired.UniqueKey) bool { return g.awaited(c, w.owner) }) {
		return entry{}, nil, false
	}
	if w.kind == kong.KindJWT || movesAway(w.claims, kept) {
		// What of a route is still wanted is not given up for what is not.
		return *known, nil, w.kind == kong.KindJWT || !slices.ContainsFunc(kept, func(c desired.UniqueKey) bool { return c.Kind == desired.UniqueRoute })
	}
	return *known, unnamed(w.entity, kept), true
}

// movesAway says whether a route is to match other requests than it does.
func movesAway(wanted, kept []desired.UniqueKey) bool {
	return slices.ContainsFunc(wanted, func(c desired.UniqueKey) bool { return c.Kind == desired.UniqueRoute && !slices.Contains(kept, c) })
}

// awaited says whether somebody else waits for a claim. The caller holds the lock.
func (g *Engine) awaited(claim desired.UniqueKey, by desired.Owner) bool {
	for owner := range g.waiting[claimWait(keyOf(claim))] {
		if owner != by {
			return true
		}
	}
	return false
}

// unnamed is an entity without those of its names that it does not hold. A consumer has to have one.
func unnamed(e kong.Entity, kept []desired.UniqueKey) *kong.Entity {
	e.Fields = maps.Clone(e.Fields)
	holds := func(kind desired.UniqueKind) bool {
		return slices.ContainsFunc(kept, func(c desired.UniqueKey) bool { return c.Kind == kind })
	}
	if e.Kind != kong.KindConsumer {
		delete(e.Fields, "name")
		return &e
	}
	if !holds(desired.UniqueUsername) {
		e.Fields["username"] = "kongjwt-waits-for-a-name-" + e.ID
	}
	if !holds(desired.UniqueCustomID) {
		delete(e.Fields, "custom_id")
	}
	return &e
}
