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

// gate says whether an op may be done now. The error is a *heldBackError where it has to wait.
func (r *syncRun) gate(o plan.Op) error {
	if wait := r.propagationGate(o); wait != nil {
		return &heldBackError{wait}
	}
	return nil // a *status.WaitError that is nil is no nil error
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
