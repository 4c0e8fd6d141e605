package engine

import (
	"maps"
	"slices"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/plan"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// reduced says what is left of an entity that gives up what others wait for: nil where nothing is.
func (r *syncRun) reduced(w plan.Wanted) (held plan.Entry, rest *kong.Entity, found bool) {
	held, known := r.observed.Get(w.ID)
	if !known || held.Uncertain {
		return plan.Entry{}, nil, false
	}
	var former, kept []desired.UniqueKey
	for _, key := range held.Keys {
		if slices.Contains(w.Keys, key) {
			kept = append(kept, key)
		} else {
			former = append(former, key)
		}
	}
	awaited := func(k desired.UniqueKey) bool { return r.arbiter.Awaited(k, w.Owner) }
	if !slices.ContainsFunc(former, awaited) {
		return plan.Entry{}, nil, false
	}
	if w.Kind == kong.KindJWT || movesAway(w.Keys, kept) {
		// What of a route is still wanted is not given up for what is not.
		keepsRoute := slices.ContainsFunc(kept, func(k desired.UniqueKey) bool { return k.Kind == desired.UniqueRoute })
		return held, nil, w.Kind == kong.KindJWT || !keepsRoute
	}
	return held, unnamed(w.Entity, kept), true
}

// movesAway says whether a route is to match other requests than it does.
func movesAway(wanted, kept []desired.UniqueKey) bool {
	return slices.ContainsFunc(wanted, func(k desired.UniqueKey) bool {
		return k.Kind == desired.UniqueRoute && !slices.Contains(kept, k)
	})
}

// unnamed is an entity without those of its names that it does not hold. A consumer has to have one.
func unnamed(e kong.Entity, kept []desired.UniqueKey) *kong.Entity {
	e.Fields = maps.Clone(e.Fields)
	holds := func(kind desired.UniqueKind) bool {
		return slices.ContainsFunc(kept, func(k desired.UniqueKey) bool { return k.Kind == kind })
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
