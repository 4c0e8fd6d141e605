package gateway

import (
	"context"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// Standing says whether Kong is known to hold an entity of ours, and how long it takes until every worker of every node has to know it as it is now: zero where
// the propagation delay has passed since Kong acknowledged it, or since this process first saw it.
func (g *Gateway) Standing(id string) (held bool, rest time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	entry := g.mirror.entries[g.mirror.actual(id)]
	if entry == nil || entry.unknown {
		return false, 0
	}
	return true, g.rest(entry.since)
}

// Withdraw takes every JWT credential of an owner out of Kong, and leaves all else as it is. Errors are as Sync's.
func (g *Gateway) Withdraw(ctx context.Context, owner desired.Owner) (Result, error) {
	return g.Sync(ctx, desired.Set{Owner: owner, Keep: g.allBut(owner, kong.KindJWT)}, SyncOptions{})
}

func (g *Gateway) allBut(owner desired.Owner, kind kong.Kind) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var ids []string
	for _, e := range g.mirror.of(owner) {
		if e.kind != kind {
			ids = append(ids, e.id)
		}
	}
	return ids
}

// Withdrawn says how long it takes until no worker of any node can know a former credential of an owner any more.
func (g *Gateway) Withdrawn(owner desired.Owner) (rest time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	gone := g.credentialGone[owner]
	if gone.Before(g.filled) {
		gone = g.filled // one may have gone just before this process looked for the first time
	}
	return g.rest(gone)
}
