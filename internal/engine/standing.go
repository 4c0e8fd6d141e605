package engine

import (
	"context"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// Standing says whether Kong is known to hold an entity of ours, and how long it takes until every worker of every node has to know it as it is now: zero where
// the propagation delay has passed since Kong acknowledged it, or since this process first saw it.
func (g *Engine) Standing(id string) (held bool, rest time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	entry := g.mirror.entries[g.mirror.actual(id)]
	if entry == nil || entry.unknown {
		return false, 0
	}
	return true, g.rest(entry.since)
}

// Credential reads a credential of ours in Kong; found is false where Kong holds none of that id.
func (g *Engine) Credential(ctx context.Context, id string) (e kong.Entity, found bool, err error) {
	actual := g.ActualID(id)
	if !g.knows(actual) {
		return kong.Entity{}, false, nil
	}
	e, err = g.api.Get(ctx, kong.KindJWT, actual)
	if isNotFound(err) {
		return kong.Entity{}, false, nil
	}
	return e, err == nil, err
}

// CredentialIDs lists the ids, as the operator gives them, of an owner's credentials in Kong whose parts are wanted.
func (g *Engine) CredentialIDs(owner desired.Owner, wanted func(part string) bool) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var ids []string
	for _, e := range g.mirror.of(owner) {
		if e.kind == kong.KindJWT && wanted(e.part) {
			ids = append(ids, g.mirror.given(e))
		}
	}
	return ids
}

// Withdraw takes every JWT credential of an owner out of Kong, and leaves all else as it is. Errors are as Sync's.
func (g *Engine) Withdraw(ctx context.Context, owner desired.Owner) (Result, error) {
	return g.drop(ctx, owner, func(e entry) bool { return e.kind == kong.KindJWT })
}

// Shed takes the JWT credentials and groups of an owner out of Kong that keeps does not want, by their parts, and leaves all else as it is. Errors are as Sync's.
func (g *Engine) Shed(ctx context.Context, owner desired.Owner, keeps func(part string) bool) (Result, error) {
	return g.drop(ctx, owner, func(e entry) bool { return (e.kind == kong.KindJWT || e.kind == kong.KindACL) && !keeps(e.part) })
}

func (g *Engine) drop(ctx context.Context, owner desired.Owner, goes func(entry) bool) (Result, error) {
	g.mu.Lock()
	var kept []string
	held := g.mirror.of(owner)
	for _, e := range held {
		if !goes(e) {
			kept = append(kept, e.id)
		}
	}
	g.mu.Unlock()
	if len(kept) == len(held) {
		return Result{}, nil
	}
	return g.Sync(ctx, desired.Set{Owner: owner, Keep: kept}, SyncOptions{})
}

// Withdrawn says how long it takes until no worker of any node can know a former credential of an owner any more.
func (g *Engine) Withdrawn(owner desired.Owner) (rest time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	gone := g.credentialGone[owner]
	if gone.Before(g.filled) {
		gone = g.filled // one may have gone just before this process looked for the first time
	}
	return g.rest(gone)
}
