package engine

import (
	"maps"
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// noteRestored notes what somebody else changed on a node that ran what it was given, and does not any more. One that has nothing of ours is a new one, or has
// started again.
func (g *Engine) noteRestored(s survey, base map[string]kong.Entity) {
	if !s.confirmed || len(s.ours) == 0 {
		return
	}
	ids := slices.Collect(maps.Keys(base))
	for id := range s.ours {
		if _, both := base[id]; !both {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	for _, id := range ids {
		if g.same(s.ours, base, id) {
			continue
		}
		shown, is := s.ours[id]
		given, was := base[id]
		drift := Drift{ID: id, Change: Changed, Corrected: true}
		about := given
		switch {
		case !is:
			drift.Change = Deleted
		case !was:
			drift.Change, about = Appeared, shown
		default:
			drift.Fields = differing(kong.Canonical(shown, g.schemas.get), kong.Canonical(given, g.schemas.get))
		}
		if ownership, owned := desired.ParseTags(about.Fields.Tags()); owned {
			g.tellRestored(ownership.Owner, ownership.Part, about, drift)
		}
	}
}

// same says whether an entity, as a node shows it, is the one that it was given, or is in neither.
func (g *Engine) same(shown, given map[string]kong.Entity, id string) bool {
	is, there := shown[id]
	was, sent := given[id]
	return there == sent && (!there || g.sum(is) == g.sum(was))
}

// tellRestored counts one, and keeps it until its owner looks. What several nodes have in common is told of once.
func (g *Engine) tellRestored(owner desired.Owner, part string, e kong.Entity, drift Drift) {
	drift.Kind, drift.Name = e.Kind, part
	if e.Kind == kong.KindPlugin {
		drift.Name = e.Fields.Text("name")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if slices.ContainsFunc(g.restored[owner], func(d Drift) bool { return d.ID == drift.ID }) {
		return
	}
	g.restored[owner] = append(g.restored[owner], drift)
	g.log.Info("Kong was changed by somebody else", "kind", e.Kind.Singular(), "owner", owner.String(), "part", part,
		"how", strings.ToLower(string(drift.Change)), "policy", g.driftPolicy())
	if g.options.Drifted != nil {
		g.options.Drifted(g.scope.Gateway, e.Kind)
	}
	g.wake(owner, EventDrift)
}

// takeRestored gives what an owner has not been told of.
func (g *Engine) takeRestored(owner desired.Owner) []Drift {
	g.mu.Lock()
	defer g.mu.Unlock()
	told := g.restored[owner]
	delete(g.restored, owner)
	return told
}
