package engine

import (
	"slices"
	"strings"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/plan"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// The gates here see to it that no route is ever reachable unprotected; see package propagation for why the order of
// writes is not enough.

// gates are those of what one owner wants.
type gates struct {
	*rooms
	want map[string]plan.Wanted
}

// pass says whether an op may be done now. The error is a *heldBackError where it has to wait.
func (g gates) pass(o plan.Op) error {
	if wait := g.wait(o); wait != nil {
		return &heldBackError{wait}
	}
	return nil // a *status.WaitError that is nil is no nil error
}

func (g gates) wait(o plan.Op) *status.WaitError {
	switch {
	case o.Swap:
		return nil
	case o.Verb == plan.Put && o.Create && o.Target.Kind == kong.KindRoute:
		return g.ofRoute(o.Target)
	case o.Verb == plan.Put:
		return g.ofMove(o.Target)
	case o.Target.Guards():
		return g.ofRemoval(o.Target.Service, "plugin "+o.Target.Plugin)
	case o.Target.Kind == kong.KindService:
		return g.ofRemoval(o.Target.ID, "service and its plugins")
	}
	return nil
}

// ofRoute lets a new route in once all plugins of its service have been there, as they are now, for the propagation
// delay.
func (g gates) ofRoute(route plan.Wanted) *status.WaitError {
	var longest time.Duration
	var waitsFor []string
	for _, w := range g.want {
		if !w.Guards() || w.Service != route.Service {
			continue
		}
		remaining := time.Second
		if held, found := g.observed.Get(w.ID); found && !held.Uncertain {
			remaining = g.clocks.Remaining(held.Since)
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
		strings.Join(waitsFor, ", "), g.clocks.Delay())
}

// ofMove lets a plugin that protects a service of this operator's leave it as if it went.
func (g gates) ofMove(to plan.Wanted) *status.WaitError {
	held, found := g.observed.Get(to.ID)
	if !found || !to.MovesFrom(held) {
		return nil
	}
	if _, there := g.observed.Get(held.Service); !there {
		return nil
	}
	return g.ofRemoval(held.Service, "plugin "+held.Plugin)
}

// ofRemoval lets a plugin or the service go once no worker can have a former route of the service any more.
func (g gates) ofRemoval(service, what string) *status.WaitError {
	remaining := g.clocks.RoutesRemaining(service)
	if remaining == 0 {
		return nil
	}
	return status.Wait(remaining, v1alpha1.ReasonProgressing,
		"waiting until no Kong worker has the former routes any more before the %s goes (propagation delay %s)",
		what, g.clocks.Delay())
}
