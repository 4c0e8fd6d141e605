package engine

import (
	"context"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// Change is what somebody else did to an entity of ours.
type Change string

const (
	// Changed entities have fields that are not as they were.
	Changed Change = "Changed"
	// Deleted entities are gone, or have lost our tags.
	Deleted Change = "Deleted"
	// Appeared entities carry our tags, and were not made by us.
	Appeared Change = "Appeared"
)

// Drift is an entity that somebody else changed in Kong.
type Drift struct {
	Kind kong.Kind
	// Name is the plugin's name, or what the entity is for its owner, such as "route:web".
	Name string
	// ID is the one that the operator gives, whatever it is in Kong.
	ID     string
	Change Change
	// Fields that differ from what is wanted, such as "config.key_claim_name": names, and never a value.
	Fields []string
	// Corrected says that it was put back. Else it was left.
	Corrected bool
}

// drift is what is remembered of one until it is over.
type drift struct {
	// was is the entity as it was before; for one that appeared, as it is.
	was    entry
	change Change
	// fields are asked for once.
	fields []string
	asked  bool
	// rebased says that the hash of what it was means nothing any more: Kong's schemas have changed.
	rebased bool
}

// over says whether a further change undoes the one before.
func (d *drift) over(e entry, change Change) bool {
	if d.change == Appeared {
		return change == Deleted
	}
	return change != Deleted && d.was.hash == e.hash
}

// drifted says that somebody else changed an entity: as it is now, or was. The caller holds the lock.
func (g *Engine) drifted(e entry, was *entry, change Change) {
	if g.options.InScope != nil && !g.options.InScope(e.owner) {
		return
	}
	if was == nil {
		was = &e
	}
	if former := g.drifts[e.id]; former != nil {
		if former.over(e, change) {
			delete(g.drifts, e.id)
			g.log.Info("Kong is as it was again", "kind", e.kind.Singular(), "plugin", e.plugin, "owner", e.owner.String(), "part", e.part)
			g.wake(e.owner, EventDrift)
			return
		}
		was = &former.was
		switch {
		case former.change == Appeared:
			change = Appeared
		case change == Appeared:
			change = Changed // it had been deleted
		}
	}
	g.drifts[e.id] = &drift{was: *was, change: change}
	g.log.Info("Kong was changed by somebody else", "kind", e.kind.Singular(), "plugin", e.plugin, "owner", e.owner.String(), "part", e.part,
		"how", strings.ToLower(string(change)), "policy", g.driftPolicy())
	if g.options.Drifted != nil {
		g.options.Drifted(g.scope.Gateway, e.kind)
	}
	g.wake(e.owner, EventDrift)
}

func (g *Engine) driftPolicy() string {
	if g.settings.ReportDrift {
		return "Report"
	}
	return "Correct"
}

// leave takes out of a plan what somebody else changed, where that is to be reported and what is wanted of it is as it was. The caller holds the lock.
func (g *Engine) leave(run *syncRun, current []entry, want []wanted) ([]entry, []wanted) {
	run.left = map[string]bool{}
	if !g.settings.ReportDrift {
		return current, want
	}
	for _, w := range want {
		if g.leaves(run, w) {
			run.left[w.id] = true
		}
	}
	for _, e := range current {
		if d := g.drifts[e.id]; d != nil && d.change == Appeared {
			run.left[e.id] = true
		}
	}
	// What would hang on something that was deleted has to wait for it.
	for grown := true; grown; {
		grown = false
		for _, w := range want {
			if !run.left[w.id] && slices.ContainsFunc(w.parents(), func(id string) bool { return run.left[id] && g.mirror.entries[id] == nil }) {
				run.left[w.id], grown = true, true
			}
		}
	}
	current = slices.DeleteFunc(current, func(e entry) bool { return run.left[e.id] })
	return current, slices.DeleteFunc(want, func(w wanted) bool { return run.left[w.id] })
}

// leaves says whether one entity was changed by somebody else, and is wanted as it was before. The caller holds the lock.
func (g *Engine) leaves(run *syncRun, w wanted) bool {
	held := g.mirror.entries[w.id]
	if held != nil && held.is(w.hash) {
		delete(g.drifts, w.id)
		return false
	}
	d := g.drifts[w.id]
	if d == nil && slices.Contains(run.options.Drifted, g.mirror.given(w.entry)) {
		// Another process left it. What it was then is not known any more: it is taken to have been what is wanted.
		d = &drift{was: w.entry, change: Changed}
		if held == nil {
			d.change = Deleted
		}
		g.drifts[w.id] = d
	}
	if d != nil && d.rebased {
		d.was.hash, d.rebased = w.hash, false // nothing was wanted anew meanwhile, as far as can be known
	}
	return d != nil && d.change != Appeared && d.was.is(w.hash)
}

// driftOf tells of an op whether it is about something that somebody else changed, before it is done.
func (g *Engine) driftOf(ctx context.Context, o op) (Drift, bool) {
	g.mu.Lock()
	d := g.drifts[o.target.id]
	g.mu.Unlock()
	if d == nil {
		return Drift{}, false
	}
	return g.describeDrift(ctx, o.target, d), true
}

// tellLeft tells of what a plan left as somebody else made it.
func (g *Engine) tellLeft(ctx context.Context, run *syncRun) {
	for _, id := range slices.Sorted(maps.Keys(run.left)) {
		g.mu.Lock()
		d := g.drifts[id]
		g.mu.Unlock()
		if d == nil {
			continue // it hangs on something that was deleted
		}
		target, wants := run.want[id]
		if !wants {
			target = wanted{entry: d.was}
		}
		run.result.Drifts = append(run.result.Drifts, g.describeDrift(ctx, target, d))
	}
}

// describeDrift names what differs. Kong is asked for the entity as it is, once; where it does not answer, no field is named.
func (g *Engine) describeDrift(ctx context.Context, w wanted, d *drift) Drift {
	g.mu.Lock()
	asked, fields := d.asked || d.change != Changed || w.entity.Fields == nil, d.fields
	told := Drift{Kind: w.kind, Name: w.part, ID: g.mirror.given(w.entry), Change: d.change}
	g.mu.Unlock()
	if w.plugin != "" {
		told.Name = w.plugin
	}
	if !asked {
		if is, err := g.api.Get(ctx, w.kind, w.id); err == nil {
			fields = differing(kong.Canonical(is, g.schemas.get), kong.Canonical(w.entity, g.schemas.get))
		}
		g.mu.Lock()
		d.fields, d.asked = fields, true
		g.mu.Unlock()
	}
	told.Fields = fields
	return told
}

// differing names the fields in which two canonical forms differ, those of a configuration one by one.
func differing(a, b []byte) []string {
	var one, other map[string]any
	if json.Unmarshal(a, &one) != nil || json.Unmarshal(b, &other) != nil {
		return nil
	}
	var fields []string
	for name := range union(one, other) {
		if reflect.DeepEqual(one[name], other[name]) {
			continue
		}
		inOne, oneNested := one[name].(map[string]any)
		inOther, otherNested := other[name].(map[string]any)
		if name != "config" || !oneNested || !otherNested {
			fields = append(fields, name)
			continue
		}
		for inner := range union(inOne, inOther) {
			if !reflect.DeepEqual(inOne[inner], inOther[inner]) {
				fields = append(fields, name+"."+inner)
			}
		}
	}
	slices.Sort(fields)
	return fields
}

func union(a, b map[string]any) map[string]any {
	both := maps.Clone(a)
	if both == nil {
		both = map[string]any{}
	}
	maps.Copy(both, b)
	return both
}

// forgetDrift forgets what was remembered of an owner's entities. The caller holds the lock.
func (g *Engine) forgetDrift(owner desired.Owner) {
	delete(g.restored, owner)
	maps.DeleteFunc(g.drifts, func(_ string, d *drift) bool { return d.was.owner == owner })
}
