package engine

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
)

// PruneFloor is how many entities may always be pruned, however small a part of the gateway's they would have to be: a percentage of few entities says nothing.
const PruneFloor = 10

// Orphans are the owners whose resource is gone while Kong still has entities of theirs.
type Orphans struct {
	// Confirmed were gone at an earlier listing of Kong too, by their names.
	Confirmed []desired.Owner
	// Entities is how many entities all orphans have, those included that were seen for the first time, of the Total that the gateway has.
	Entities, Total int
	// Limit is how many entities may go at once.
	Limit int
}

// TooMany says that more would go than may at once. It looks like a mistake then, and nothing may go.
func (o Orphans) TooMany() bool { return o.Entities > o.Limit }

// missing remembers at which listing an owner's resource was first seen to be gone.
type missing map[desired.Owner]uint64

// judge says which owners of what is held are orphans, at a listing: gone tells whether a resource is.
func (m missing) judge(listing uint64, held map[desired.Owner]int, gone map[desired.Owner]bool, maxPercent int) Orphans {
	var found Orphans
	for owner := range m {
		if !gone[owner] || held[owner] == 0 {
			delete(m, owner)
		}
	}
	for owner, entities := range held {
		found.Total += entities
		if !gone[owner] {
			continue
		}
		found.Entities += entities
		first, known := m[owner]
		if !known {
			m[owner] = listing
		} else if first < listing {
			found.Confirmed = append(found.Confirmed, owner)
		}
	}
	slices.SortFunc(found.Confirmed, func(a, b desired.Owner) int { return cmp.Compare(a.String(), b.String()) })
	found.Limit = max(PruneFloor, found.Total*maxPercent/100)
	return found
}

// Orphans tells whose resources are gone. An owner is confirmed when gone said so at two listings of Kong, and in between whenever it was asked. After a
// listing gone is asked of every owner, and until the next one of those only that were gone then: a heartbeat is not to cost a look at each resource.
// An error is gone's; nothing is concluded then, and every owner is asked again.
func (g *Engine) Orphans(gone func(desired.Owner) (bool, error), maxPercent int) (Orphans, error) {
	held, listing, suspects := g.holdings()
	missing := map[desired.Owner]bool{}
	for _, owner := range suspects {
		is, err := gone(owner)
		if err != nil {
			return Orphans{}, err
		}
		missing[owner] = is
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.judged = listing
	return g.missing.judge(listing, held, missing, maxPercent), nil
}

// holdings counts the entities of each owner, and the listings of Kong so far, and says which owners may be gone.
func (g *Engine) holdings() (held map[desired.Owner]int, listing uint64, suspects []desired.Owner) {
	g.mu.Lock()
	defer g.mu.Unlock()
	held = make(map[desired.Owner]int, len(g.mirror.byOwner))
	for owner, entries := range g.mirror.byOwner {
		held[owner] = len(entries)
	}
	if g.judged < g.listings {
		return held, g.listings, slices.Collect(maps.Keys(held))
	}
	return held, g.listings, slices.Collect(maps.Keys(g.missing))
}

// Prune takes everything of an owner whose resource is gone out of Kong: what is exposed is closed first, as ever. It says how many entities went.
// Errors are as Release's.
func (g *Engine) Prune(ctx context.Context, owner desired.Owner) (entities int, err error) {
	g.mu.Lock()
	before := g.mirror.of(owner)
	g.mu.Unlock()
	err = g.Release(ctx, owner, false)
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, e := range before {
		if g.mirror.entries[e.id] != nil {
			continue
		}
		entities++
		if g.options.Pruned != nil {
			g.options.Pruned(g.scope.Gateway, e.kind)
		}
	}
	if entities > 0 {
		g.log.Info("Pruned from Kong what belongs to a resource that is gone", "owner", owner.String(), "entities", entities)
	}
	return entities, err
}

// listed notes that Kong was listed, and has the gateway look whose resources are gone.
func (g *Engine) listed() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.listings++
	g.queue.add(Event{Gateway: g.scope.Gateway, Reason: EventChanged})
}
