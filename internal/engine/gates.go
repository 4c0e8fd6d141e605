package engine

import (
	"slices"
	"strings"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/plan"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// The gates here see to it that no route is ever reachable unprotected; see package propagation for why the order of
// writes is not enough.

func isReservedGroup(group string) bool { return strings.HasPrefix(group, desired.ReservedGroupPrefix) }

// gate says whether an op may be done now. The error is a *heldBackError where it has to wait.
func (r *syncRun) gate(o plan.Op) error {
	wait := r.waitForRows(o)
	if wait == nil {
		wait = r.propagationGate(o)
	}
	if wait == nil {
		return nil // a *status.WaitError that is nil is no nil error
	}
	return &heldBackError{wait}
}

func (r *syncRun) propagationGate(o plan.Op) *status.WaitError {
	switch {
	case o.Swap:
		return nil
	case o.Verb == plan.Put && o.Create && o.Target.Kind == kong.KindRoute:
		return r.gateRoute(o.Target)
	case o.Verb == plan.Put:
		return r.gateMove(o.Target)
	case o.Target.Guards():
		return r.gateRemoval(o.Target.Service, "plugin "+o.Target.Plugin)
	case o.Target.Kind == kong.KindService:
		return r.gateRemoval(o.Target.ID, "service and its plugins")
	}
	return nil
}

// gateRoute lets a new route in once all plugins of its service have been there, as they are now, for the propagation
// delay.
func (r *syncRun) gateRoute(route plan.Wanted) *status.WaitError {
	var longest time.Duration
	var waitsFor []string
	for _, w := range r.want {
		if !w.Guards() || w.Service != route.Service {
			continue
		}
		remaining := time.Second
		if held, found := r.observed.Get(w.ID); found && !held.Uncertain {
			remaining = r.clocks.Remaining(held.Since)
		}
		if remaining > 0 {
			longest = max(longest, remaining)
			waitsFor = append(waitsFor, w.Plugin)
		}
	}
	if longest == 0 {
		return nil
	}
	slices.Sort(waitsFor)
	return status.Wait(longest, v1alpha1.ReasonProgressing,
		"waiting until every Kong worker runs the plugins %s before routes are opened (propagation delay %s)",
		strings.Join(waitsFor, ", "), r.clocks.Delay())
}

// gateMove lets a plugin that protects a service of this operator's leave it as if it went.
func (r *syncRun) gateMove(to plan.Wanted) *status.WaitError {
	held, found := r.observed.Get(to.ID)
	if !found || !to.MovesFrom(held) {
		return nil
	}
	if _, there := r.observed.Get(held.Service); !there {
		return nil
	}
	return r.gateRemoval(held.Service, "plugin "+held.Plugin)
}

// gateRemoval lets a plugin or the service go once no worker can have a former route of the service any more.
func (r *syncRun) gateRemoval(service, what string) *status.WaitError {
	remaining := r.clocks.RoutesRemaining(service)
	if remaining == 0 {
		return nil
	}
	return status.Wait(remaining, v1alpha1.ReasonProgressing,
		"waiting until no Kong worker has the former routes any more before the %s goes (propagation delay %s)",
		what, r.clocks.Delay())
}

const (
	// rowPoll is how often missing rows are looked for, beside being told.
	rowPoll = 2 * time.Second
	// rowsLatest is how long an acl plugin waits for rows.
	rowsLatest = 30 * time.Second
)

// rowKey stands for an acl row that owners wait for.
func rowKey(id string) desired.UniqueKey { return desired.UniqueKey{Kind: "acl row", Value: id} }

// waitForRows holds an acl plugin that begins to allow a group back until the rows that it asks for are in Kong, so that
// no consumer that may call is refused meanwhile. It does so for a while only: what restricts access is not put off by a
// consumer that never gets its row.
func (r *syncRun) waitForRows(o plan.Op) *status.WaitError {
	if o.Verb != plan.Put || o.Target.Plugin != plan.PluginACL {
		return nil
	}
	held, _ := r.observed.Get(o.Target.ID)
	owner := r.set.Owner
	missing := 0
	for _, row := range r.set.Requires {
		id := r.scope.ACLID(row.ConsumerID, row.Group)
		if slices.Contains(held.Groups, row.Group) || !slices.Contains(o.Target.Groups, row.Group) {
			continue
		}
		r.turn.Wait([]desired.UniqueKey{rowKey(id)})
		if _, there := r.observed.GetGiven(id); !there {
			missing++
		}
	}
	if missing == 0 {
		return nil
	}
	now := r.about.options.Now()
	if now.Sub(r.memory.waitsForRows(owner, now)) >= rowsLatest {
		r.log.Info("Consumers have not got their group in time; the acl plugin goes in without them",
			"owner", owner.String(), "missing", missing)
		return nil
	}
	return status.Wait(rowPoll, v1alpha1.ReasonProgressing,
		"waiting for %d consumers that spec.access names to get their group", missing)
}
