package engine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// In database mode each Kong worker rebuilds its router and its plugins by separate timers, so that the order of writes is not enough: a new route can be
// served before its plugin runs, and a deleted plugin can stop before its route does. Hence the waits here: nothing of ours is ever reachable unprotected.

const pluginACL = "acl"

func isReservedGroup(group string) bool { return strings.HasPrefix(group, desired.ReservedGroupPrefix) }

// gate says how long an op has to wait. The caller holds the lock.
func (g *Engine) gate(o op, want map[string]wanted) *status.WaitError {
	switch {
	case o.swap:
		return nil
	case o.verb == put && o.create && o.target.kind == kong.KindRoute:
		return g.gateRoute(o.target, want)
	case o.verb == put:
		return g.gateMove(o.target)
	case o.verb == remove && o.target.guards():
		return g.gateRemoval(o.target.service, "plugin "+o.target.plugin)
	case o.verb == remove && o.target.kind == kong.KindService:
		return g.gateRemoval(o.target.id, "service and its plugins")
	}
	return nil
}

// gateRoute lets a new route in once all plugins of its service have stood, as they are now, for the propagation delay.
func (g *Engine) gateRoute(route wanted, want map[string]wanted) *status.WaitError {
	var longest time.Duration
	var waitsFor []string
	for _, w := range want {
		if !w.guards() || w.service != route.service {
			continue
		}
		rest := time.Second
		if held := g.mirror.entries[w.id]; held != nil && !held.unknown {
			rest = g.rest(held.since)
		}
		if rest > 0 {
			longest = max(longest, rest)
			waitsFor = append(waitsFor, w.plugin)
		}
	}
	if longest == 0 {
		return nil
	}
	slices.Sort(waitsFor)
	return status.Wait(longest, v1alpha1.ReasonProgressing, "waiting until every Kong worker runs the plugins %s before routes are opened (propagation delay %s)",
		strings.Join(waitsFor, ", "), g.state.PropagationDelay)
}

// gateMove lets a plugin that protects a service of ours leave it as if it went.
func (g *Engine) gateMove(to wanted) *status.WaitError {
	held := g.mirror.entries[to.id]
	if held == nil || !held.leaves(to.entry) || g.mirror.entries[held.service] == nil {
		return nil
	}
	return g.gateRemoval(held.service, "plugin "+held.plugin)
}

// gateRemoval lets a plugin or the service go once no worker can have a former route of the service any more.
func (g *Engine) gateRemoval(service, what string) *status.WaitError {
	gone := g.routeGone[service]
	if gone.Before(g.filled) {
		gone = g.filled // a route may have gone just before this process looked for the first time
	}
	if rest := g.rest(gone); rest > 0 {
		return status.Wait(rest, v1alpha1.ReasonProgressing, "waiting until no Kong worker has the former routes any more before the %s goes (propagation delay %s)",
			what, g.state.PropagationDelay)
	}
	return nil
}

// rest is what is left of the propagation delay since a moment. A clock that was set back begins it anew.
func (g *Engine) rest(since time.Time) time.Duration {
	passed := max(g.options.Now().Sub(since), 0)
	return max(g.state.PropagationDelay-passed, 0)
}

// requires holds an acl plugin that begins to allow a group back until the rows that it asks for are in Kong, so that nobody who may call is refused
// meanwhile. It does so for a while only: what restricts access is not put off by a consumer that never gets its row. The caller holds the lock.
func (g *Engine) requires(o op, run *syncRun) *status.WaitError {
	if o.verb != put || o.target.plugin != pluginACL {
		return nil
	}
	var allowed []string
	if held := g.mirror.entries[o.target.id]; held != nil {
		allowed = held.groups
	}
	owner := run.set.Owner
	missing := 0
	for _, row := range run.set.Requires {
		id := g.scope.ACLID(row.ConsumerID, row.Group)
		if slices.Contains(allowed, row.Group) || !slices.Contains(o.target.groups, row.Group) || g.mirror.entries[g.mirror.actual(id)] != nil {
			continue
		}
		missing++
		g.await(rowKey(id), owner)
	}
	if missing == 0 {
		return nil
	}
	now := g.options.Now()
	began, waited := g.patience[owner]
	if !waited || now.Before(began) {
		g.patience[owner], began = now, now
	}
	if now.Sub(began) >= rowPatience {
		g.log.Info("Consumers have not got their group in time; the acl plugin goes in without them", "owner", owner.String(), "missing", missing)
		return nil
	}
	return status.Wait(rowPoll, v1alpha1.ReasonProgressing, "waiting for %d consumers that spec.access names to get their group", missing)
}

const (
	// rowPoll is how often missing rows are looked for, beside being told.
	rowPoll = 2 * time.Second
	// rowPatience is how long an acl plugin waits for rows.
	rowPatience = 30 * time.Second
)

// waitKey is something that owners wait for: a claim to become free, or an acl row to be there.
type waitKey string

func rowKey(id string) waitKey { return waitKey("row " + id) }

func claimWait(key lookupKey) waitKey {
	return waitKey(fmt.Sprintf("claim %s %s", key.kind, key.value))
}
