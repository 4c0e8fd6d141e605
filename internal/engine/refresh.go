package engine

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// CheckFor asks for a listing at once, instead of at the next drift interval: once for every new request of an owner, whatever it says. Before the first
// listing there is no need to ask.
func (g *Engine) CheckFor(owner desired.Owner, request string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if request == g.requested[owner] {
		return
	}
	if request == "" {
		delete(g.requested, owner)
		return
	}
	g.requested[owner] = request
	if !g.filled.IsZero() {
		g.relook()
	}
}

// refresh lists what Kong holds of ours and makes the mirror say the same. Owners of what differs are woken. What was written while the
// listing ran is not judged by it.
func (g *Engine) refresh(ctx context.Context, node kong.Node) error {
	rebase := g.setNode(node)
	g.mu.Lock()
	began := g.writes
	g.mu.Unlock()

	listed := make([][]entry, len(kinds))
	group, groupCtx := errgroup.WithContext(ctx)
	for i, kind := range kinds {
		group.Go(func() (err error) {
			listed[i], err = g.list(groupCtx, kind)
			return err
		})
	}
	group.Go(func() error { return g.refreshTargets(groupCtx) })
	if err := group.Wait(); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if rebase {
		for _, d := range g.drifts {
			d.rebased = true
		}
	}
	seen := map[string]bool{}
	for _, entries := range listed {
		for _, e := range entries {
			seen[e.id] = true
			g.judge(e, began, rebase)
		}
	}
	for id, held := range g.mirror.entries {
		if !seen[id] && held.stamp <= began && g.flying[id] == 0 {
			g.drifted(*held, held, Deleted)
			g.forget(*held)
		}
	}
	for id, at := range g.deleted {
		if at <= began {
			delete(g.deleted, id)
		}
	}
	for id, at := range g.routeGone {
		if g.rest(at) == 0 {
			delete(g.routeGone, id)
		}
	}
	return nil
}

// list reads all entities of a kind that carry our tags.
func (g *Engine) list(ctx context.Context, kind kong.Kind) ([]entry, error) {
	var entries []entry
	for e, err := range g.api.List(ctx, kind, kong.ListOptions{Tags: g.scope.ListTags()}) {
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", kind, err)
		}
		ownership, ours := desired.ParseTags(e.Fields.Tags())
		if !ours || ownership.Scope != g.scope {
			continue
		}
		var rejected *status.StalledError
		if err := g.schemas.load(ctx, e); err != nil && !errors.As(err, &rejected) {
			return nil, err
		}
		entries = append(entries, describe(e, ownership.Owner, ownership.Part, g.sum(e)))
	}
	return entries, nil
}

// sum hashes what of an entity is ours to say, as Kong keeps it.
func (g *Engine) sum(e kong.Entity) hash { return g.hasher.sum(kong.Canonical(e, g.schemas.get)) }

// judge holds one listed entity against the mirror. rebase says that hashes are not comparable, because the schemas changed. The caller holds the lock.
func (g *Engine) judge(listed entry, began uint64, rebase bool) {
	held := g.mirror.entries[listed.id]
	if held != nil && held.stamp > began || g.deleted[listed.id] > began || g.flying[listed.id] > 0 {
		return
	}
	listed.since = g.options.Now()
	if held == nil {
		if g.connected {
			g.drifted(listed, nil, Appeared)
		}
		g.mirror.set(listed)
		return
	}
	listed.stamp = held.stamp
	same := held.hash == listed.hash && held.owner == listed.owner && held.consumerID == listed.consumerID
	switch {
	case same && !held.unknown:
		return
	case held.unknown:
		g.wake(held.owner, EventFreed) // now it is known what came of the write
	case rebase:
		listed.since = held.since
		g.wake(held.owner, EventDrift)
	default:
		g.drifted(listed, held, Changed)
	}
	g.release(g.mirror.set(listed))
}
