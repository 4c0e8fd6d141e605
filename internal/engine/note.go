package engine

import (
	"slices"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// inFlight says that a request about an entity is under way: a listing does not judge it meanwhile.
func (g *Engine) inFlight(id string) (landed func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.flying[id]++
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.flying[id]--; g.flying[id] == 0 {
			delete(g.flying, id)
		}
	}
}

// note puts what was written into the mirror. shown is the hash of Kong's answer: what Kong fills in itself is no drift.
func (g *Engine) note(e entry, shown hash) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if shown != e.hash {
		g.log.V(1).Info("Kong fills in what was not sent", "kind", e.kind.Singular(), "owner", e.owner.String(), "part", e.part)
		e.sent, e.hash = e.hash, shown
	}
	g.writes++
	e.stamp, e.since = g.writes, g.options.Now()
	former := g.mirror.entries[e.id]
	freed := g.mirror.set(e)
	delete(g.deleted, e.id)
	delete(g.drifts, e.id)
	g.release(freed)
	switch {
	case e.kind == kong.KindACL:
		g.wakeWaiting(rowKey(g.mirror.given(e)))
	case e.plugin == pluginACL && former != nil:
		g.wakeDropped(*former)
	}
}

// noteGone takes an entity out of the mirror that is gone from Kong, and what Kong took along.
func (g *Engine) noteGone(e entry) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.writes++
	for _, child := range g.mirror.of(e.owner) {
		if slices.Contains(child.parents(), e.id) {
			g.forget(child)
			delete(g.drifts, child.id)
		}
	}
	g.forget(e)
	delete(g.drifts, e.id)
}

// doubt notes that a write may have been done or not.
func (g *Engine) doubt(e entry) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.writes++
	if held := g.mirror.entries[e.id]; held != nil {
		// It holds what it held, or what it was to hold.
		for _, claim := range held.claims {
			if !slices.Contains(e.claims, claim) {
				e.claims = append(slices.Clone(e.claims), claim)
			}
		}
	}
	e.stamp, e.unknown, e.since = g.writes, true, g.options.Now()
	g.mirror.set(e)
}

// forget takes an entity out of the mirror, and wakes who waited for what it held. The caller holds the lock.
func (g *Engine) forget(e entry) {
	g.deleted[e.id] = g.writes
	switch e.kind {
	case kong.KindRoute:
		g.routeGone[e.service] = g.options.Now()
	case kong.KindJWT:
		g.credentialGone[e.owner] = g.options.Now()
	}
	if g.mirror.entries[e.id] == nil {
		return
	}
	g.release(g.mirror.remove(e.id))
	if e.plugin == pluginACL {
		g.wakeDropped(e)
	}
}

// forgetParents takes out of the mirror what Kong says is not there, so that the next plan makes it anew.
func (g *Engine) forgetParents(w wanted) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, id := range w.parents() {
		held := g.mirror.entries[id]
		if held == nil {
			continue
		}
		for _, child := range g.mirror.of(held.owner) {
			if child.id == id || slices.Contains(child.parents(), id) {
				g.forget(child)
			}
		}
	}
}

// wakeDropped wakes the consumers that keep a row only as long as an acl plugin allows its group. The caller holds the lock.
func (g *Engine) wakeDropped(former entry) {
	for _, group := range former.groups {
		if !isReservedGroup(group) || len(g.mirror.allowing[group]) > 0 {
			continue
		}
		for _, row := range g.mirror.byGroup[group] {
			g.wake(row.owner, EventFreed)
		}
	}
}

// release wakes the owners that waited for claims. The caller holds the lock.
func (g *Engine) release(freed []desired.UniqueKey) {
	for _, claim := range freed {
		g.wakeWaiting(claimWait(keyOf(claim)))
	}
}

func (g *Engine) wakeWaiting(key waitKey) {
	for owner := range g.waiting[key] {
		g.wake(owner, EventFreed)
	}
	delete(g.waiting, key)
}

// wakeOthers wakes who waits, but for one that has just been refused: it would be refused again, and again. The caller holds the lock.
func (g *Engine) wakeOthers(key waitKey, refused desired.Owner) {
	waits := g.waiting[key][refused]
	delete(g.waiting[key], refused)
	g.wakeWaiting(key)
	if waits {
		g.await(key, refused)
	}
}

// await notes an owner to be woken. The caller holds the lock.
func (g *Engine) await(key waitKey, owner desired.Owner) {
	if g.waiting[key] == nil {
		g.waiting[key] = map[desired.Owner]bool{}
	}
	g.waiting[key][owner] = true
}
