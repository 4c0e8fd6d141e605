package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// reservation is a claim that is on its way into Kong.
type reservation struct {
	claim desired.UniqueKey
	owner desired.Owner
}

func isConflict(err error) bool {
	var conflict *kong.ConflictError
	return errors.As(err, &conflict)
}

// ambiguous says that a request may have been done all the same.
func ambiguous(err error) bool {
	var unavailable *kong.UnavailableError
	return errors.As(err, &unavailable) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// reserve checks that nobody else holds what an entity newly claims, and keeps others from it until free is called: with true where Kong said that somebody
// else holds it, so that nobody who waits could have it either.
func (g *Engine) reserve(ctx context.Context, run *syncRun, w wanted) (free func(held bool), err error) {
	newly := g.newUniqueKeys(w)
	if len(newly) == 0 {
		return func(bool) {}, nil
	}
	var foreign map[lookupKey][]kong.Entity
	if w.kind == kong.KindRoute {
		if foreign, err = g.foreign.list(ctx, g); err != nil {
			return nil, err
		}
	}
	g.mu.Lock()
	for _, claim := range newly {
		if holder := g.holder(claim, w, foreign); holder != "" {
			err = g.refuse(run.set.Owner, claim, holder)
			g.mu.Unlock()
			return nil, err
		}
	}
	for _, claim := range newly {
		key := keyOf(claim)
		if g.reserved[key] == nil {
			g.reserved[key] = map[string]reservation{}
		}
		g.reserved[key][w.id] = reservation{claim, run.set.Owner}
	}
	g.mu.Unlock()
	free = func(held bool) { g.unreserve(w, newly, held) }
	if err := g.yield(run, newly); err != nil {
		free(false)
		return nil, err
	}
	return free, nil
}

// newUniqueKeys are the claims of an entity that it does not hold in Kong yet.
func (g *Engine) newUniqueKeys(w wanted) []desired.UniqueKey {
	g.mu.Lock()
	defer g.mu.Unlock()
	held := g.mirror.entries[w.id]
	if held == nil || held.unknown {
		return w.claims
	}
	return slices.DeleteFunc(slices.Clone(w.claims), func(c desired.UniqueKey) bool { return slices.Contains(held.claims, c) })
}

func (g *Engine) unreserve(w wanted, claims []desired.UniqueKey, held bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	entry := g.mirror.entries[w.id]
	for _, claim := range claims {
		key := keyOf(claim)
		delete(g.reserved[key], w.id)
		if len(g.reserved[key]) == 0 {
			delete(g.reserved, key)
		}
		if !held && (entry == nil || !slices.Contains(entry.claims, claim)) {
			g.wakeOthers(claimWait(key), w.owner) // it did not get it; another may
		}
	}
}

// holder names who holds a claim: one of ours, one on its way, or a route of somebody else's. The caller holds the lock.
func (g *Engine) holder(claim desired.UniqueKey, w wanted, foreign map[lookupKey][]kong.Entity) string {
	if held := g.mirror.holder(claim, w.id); held != nil && held.owner != w.owner {
		return held.owner.String()
	}
	for id, r := range g.reserved[keyOf(claim)] {
		if id != w.id && r.owner != w.owner && r.claim.Overlaps(claim) {
			return r.owner.String()
		}
	}
	if claim.Kind != desired.UniqueRoute {
		return "" // Kong itself says so
	}
	for _, e := range foreign[keyOf(claim)] {
		if g.adoptable(e, w) && sameMatch(e, w) {
			continue // adopt has the last word
		}
		if g.mirror.entries[e.ID] == nil && e.ID != w.id && slices.ContainsFunc(desired.UniqueKeys(e), claim.Overlaps) {
			return g.describeForeign(e)
		}
	}
	return ""
}

// yield lets an older resource go first where nobody holds a claim.
func (g *Engine) yield(run *syncRun, claims []desired.UniqueKey) error {
	if run.options.Older == nil {
		return nil
	}
	for _, claim := range claims {
		if older, found := run.options.Older(claim); found {
			g.mu.Lock()
			defer g.mu.Unlock()
			return g.refuse(run.set.Owner, claim, older.String()+", which is older")
		}
	}
	return nil
}

// refuse says that a claim is held, and notes the owner to be woken when it is free. The caller holds the lock.
func (g *Engine) refuse(owner desired.Owner, claim desired.UniqueKey, holder string) error {
	g.await(claimWait(keyOf(claim)), owner)
	stalled := status.Stalled(v1alpha1.ReasonConflict, "%s is held by %s; choose another, or delete that one", claim, holder)
	stalled.RetryAfter = g.backOff(owner)
	return stalled
}

// firstRetry is the pause after a first conflict; it doubles up to the drift interval. Somebody else's entities free themselves without a word.
const firstRetry = 5 * time.Second

func (g *Engine) backOff(owner desired.Owner) time.Duration {
	pause := firstRetry << min(g.attempts[owner], 10)
	g.attempts[owner]++
	return min(pause, max(g.settings.DriftInterval, firstRetry))
}

// conflict names who holds what Kong would not give a second time.
func (g *Engine) conflict(ctx context.Context, run *syncRun, w wanted, cause error) error {
	for _, claim := range g.newUniqueKeys(w) {
		holder, found, err := g.lookUp(ctx, claim)
		if err != nil {
			return err
		}
		if !found || holder.ID == w.id || !slices.ContainsFunc(desired.UniqueKeys(holder), claim.Overlaps) {
			continue
		}
		if ownership, ours := desired.ParseTags(holder.Fields.Tags()); ours && ownership.Scope == g.scope && ownership.Owner == w.owner {
			// A leftover of this very owner, unknown to the mirror: the next plan takes it out first.
			sum := g.sum(holder)
			g.note(describe(holder, ownership.Owner, ownership.Part, sum), sum)
			return errReplan
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.refuse(run.set.Owner, claim, g.describeForeign(holder))
	}
	return g.unnamedConflict(ctx, run, w, cause)
}

// unnamedConflict is about what no claim stands for: a plugin of the same name on the same parent, a group of the same name.
func (g *Engine) unnamedConflict(ctx context.Context, run *syncRun, w wanted, cause error) error {
	var conflict *kong.ConflictError
	errors.As(cause, &conflict)
	rival := ""
	if parents := w.parents(); len(parents) > 0 && (w.kind == kong.KindPlugin || w.kind == kong.KindACL) {
		for child, err := range g.api.ListChildren(ctx, parentKind(w.entry), parents[0], w.kind) {
			if err != nil {
				return err
			}
			other := describe(child, desired.Owner{}, "", hash{})
			if child.ID == w.id || !slices.Equal(other.unique(), w.unique()) {
				continue
			}
			if ownership, ours := desired.ParseTags(child.Fields.Tags()); ours && ownership.Scope == g.scope && ownership.Owner == w.owner {
				sum := g.sum(child)
				g.note(describe(child, ownership.Owner, ownership.Part, sum), sum)
				return errReplan
			}
			rival = g.describeForeign(child)
		}
	}
	if rival == "" {
		rival = "something in Kong that this operator does not manage"
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	stalled := status.Stalled(v1alpha1.ReasonConflict, "Kong takes no second %s with the same %s: that of %s is there already; delete it, or leave it out here",
		w.kind.Singular(), strings.Join(conflict.Fields, ", "), rival)
	stalled.RetryAfter = g.backOff(run.set.Owner)
	return stalled
}

// parentKind is the kind of the first of an entry's parents.
func parentKind(e entry) kong.Kind {
	switch {
	case e.consumerID != "" || e.consumer != "":
		return kong.KindConsumer
	case e.service != "":
		return kong.KindService
	}
	return kong.KindRoute
}

// lookUp finds the entity in Kong that holds a claim.
func (g *Engine) lookUp(ctx context.Context, claim desired.UniqueKey) (holder kong.Entity, found bool, err error) {
	kind := map[desired.UniqueKind]kong.Kind{
		desired.UniqueUsername: kong.KindConsumer, desired.UniqueCredentialKey: kong.KindJWT,
		desired.UniqueServiceName: kong.KindService, desired.UniqueRouteName: kong.KindRoute,
	}[claim.Kind]
	switch {
	case claim.Kind == desired.UniqueCustomID:
		return g.api.ConsumerByCustomID(ctx, claim.Value)
	case kind == "":
		return kong.Entity{}, false, nil
	}
	holder, err = g.api.Get(ctx, kind, claim.Value)
	if isNotFound(err) {
		return kong.Entity{}, false, nil
	}
	return holder, err == nil, err
}

// describeForeign says whose an entity is.
func (g *Engine) describeForeign(e kong.Entity) string {
	ownership, ours := desired.ParseTags(e.Fields.Tags())
	switch {
	case !ours:
		name := e.ID
		for _, field := range []string{"name", "username"} {
			if text := e.Fields.Text(field); text != "" {
				name = text + " (" + e.ID + ")"
			}
		}
		return fmt.Sprintf("%s %s in Kong, which this operator does not manage", e.Kind.Singular(), name)
	case ownership.Scope.Installation != g.scope.Installation:
		return fmt.Sprintf("%s of another installation of this operator (%s)", ownership.Owner, ownership.Scope.Installation)
	case ownership.Scope.Gateway != g.scope.Gateway:
		return fmt.Sprintf("%s by KongGateway %s, which is the same Kong", ownership.Owner, ownership.Scope.Gateway)
	default:
		return ownership.Owner.String()
	}
}

// foreignRoutes keeps a listing of all routes for a moment: Kong takes two routes that match the same requests, so it has to be looked.
type foreignRoutes struct {
	mu     sync.Mutex
	at     time.Time
	routes map[lookupKey][]kong.Entity
}

// routesAge is how long a listing of all routes serves.
const routesAge = 2 * time.Second

func (f *foreignRoutes) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.routes = nil
}

func (f *foreignRoutes) list(ctx context.Context, g *Engine) (map[lookupKey][]kong.Entity, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := g.options.Now()
	if f.routes != nil && now.Sub(f.at) < routesAge && !now.Before(f.at) {
		return f.routes, nil
	}
	routes := map[lookupKey][]kong.Entity{}
	for e, err := range g.api.List(ctx, kong.KindRoute, kong.ListOptions{}) {
		if err != nil {
			return nil, fmt.Errorf("list all routes: %w", err)
		}
		if ownership, ours := desired.ParseTags(e.Fields.Tags()); ours && ownership.Scope == g.scope {
			continue // the mirror knows them better
		}
		for _, claim := range desired.UniqueKeys(e) {
			if claim.Kind == desired.UniqueRoute {
				routes[keyOf(claim)] = append(routes[keyOf(claim)], e)
			}
		}
	}
	f.at, f.routes = now, routes
	return routes, nil
}
