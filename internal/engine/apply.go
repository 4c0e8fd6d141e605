package engine

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/observed"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/plan"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// errReplan says that Kong holds something else than was known, and that it is known by now.
var errReplan = errors.New("kong holds something else than was known")

// apply plans and sends, op by op. What is refused, or has to wait at a gate, holds back what depends on it and
// nothing else. Where Kong fails, access that is taken away goes all the same. It ends early where Kong turns out to
// hold something else (errReplan), and where a second op fails.
func (r *syncRun) apply(ctx context.Context) error {
	if err := r.checkRival(ctx); err != nil {
		return err
	}
	ops := r.plan()
	if len(ops) > 0 || len(r.left) > 0 {
		if err := r.visit.takeSlot(r.withdraws); err != nil {
			return err
		}
	}
	// Ops go one after another. Those of different owners go side by side, bounded by admission.
	for _, o := range ops {
		if r.holdsBack(o) {
			r.blocked[o.Target.ID] = true
			continue
		}
		// Adoption, then the gates, then the write: a route that is adopted is open already, and waiting would
		// not close it.
		err := r.adoptOpen(ctx, o)
		if err == nil {
			err = gates{r.rooms, r.want}.pass(o)
		}
		if err == nil {
			err = r.correct(ctx, o)
		}
		if err := r.take(o, err); err != nil {
			return err
		}
	}
	if r.failed != nil {
		return r.failed
	}
	r.reportLeft(ctx)
	maps.Copy(r.blocked, r.left)
	r.result.Applied, r.result.Undone = true, r.observed.GivenIDs(r.blocked)
	return r.verdict()
}

// plan compares what the owner has in Kong with what it wants.
func (r *syncRun) plan() []plan.Op {
	current := slices.DeleteFunc(r.observed.Of(r.set.Owner), func(e plan.Entry) bool {
		return slices.Contains(r.keep, e.ID)
	})
	want := slices.Collect(maps.Values(r.want))
	if r.settings.ReportDrift {
		r.leave(current, want)
		isLeft := func(id string) bool { return r.left[id] }
		current = slices.DeleteFunc(current, func(e plan.Entry) bool { return isLeft(e.ID) })
		want = slices.DeleteFunc(want, func(w plan.Wanted) bool { return isLeft(w.ID) })
	}
	return plan.Diff(current, want)
}

// leave finds what somebody else changed and what is to stay so: what is wanted of it is as it was. It is called under
// the policy Report only: else what drifted is written like any other difference.
func (r *syncRun) leave(current []plan.Entry, want []plan.Wanted) {
	for _, w := range want {
		var held *plan.Entry
		if e, found := r.observed.Get(w.ID); found {
			held = &e
		}
		remembered := slices.Contains(r.options.Drifted, r.observed.Given(w.Entry))
		if r.drifts.Leaves(w, held, remembered) {
			r.left[w.ID] = true
		}
	}
	for _, e := range current {
		d, drifted := r.drifts.Get(e.ID)
		if drifted && d.Change == observed.Appeared && (!r.withdraws || !plan.TakesAccess(e.Kind)) {
			r.left[e.ID] = true
		}
	}
	// What would belong to something that was deleted has to wait for it.
	isLeftAndGone := func(id string) bool {
		_, there := r.observed.Get(id)
		return r.left[id] && !there
	}
	for grown := true; grown; {
		grown = false
		for _, w := range want {
			if !r.left[w.ID] && slices.ContainsFunc(w.Parents(), isLeftAndGone) {
				r.left[w.ID], grown = true, true
			}
		}
	}
}

// heldBackError is the wait of one op, not of the whole run.
type heldBackError struct{ wait *status.WaitError }

func (e *heldBackError) Error() string { return e.wait.Error() }

// holdsBack says whether an op depends on one that was not done. What takes access away depends on nothing: no failure
// of another entity may keep a credential, a group or a route in Kong. Everything else waits for what it needs
// (Op.Needs, parents).
func (a *attempt) holdsBack(o plan.Op) bool {
	takesAccess := o.Verb == plan.Delete && !o.Swap && plan.TakesAccess(o.Target.Kind)
	if a.failed != nil && !takesAccess {
		return true
	}
	if len(a.blocked) == 0 {
		return false
	}
	depends := slices.Concat(o.Needs, o.Target.Parents())
	switch {
	case takesAccess:
		return false
	case slices.ContainsFunc(depends, func(id string) bool { return a.blocked[id] }):
		return true
	case o.Verb == plan.Delete:
		// What protects stays while something is refused.
		protects := o.Target.Kind == kong.KindPlugin || o.Target.Kind == kong.KindService ||
			o.Target.Kind == kong.KindConsumer
		return a.refused != nil && protects
	// A new route waits for each guard of its service that was not written: without one of them it would be open.
	case o.Target.Kind == kong.KindRoute && o.Create:
		for id := range a.blocked {
			if guard := a.want[id]; guard.Guards() && guard.Service == o.Target.Service {
				return true
			}
		}
	}
	return false
}

// take records what came of an op. An error ends the run. The soonest of the waits counts, and the first of the
// refusals is what the owner is told.
func (a *attempt) take(o plan.Op, err error) error {
	var heldBack *heldBackError
	var stalled *status.StalledError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &heldBack):
		if a.waiting == nil || heldBack.wait.After < a.waiting.After {
			a.waiting = heldBack.wait
		}
	case errors.As(err, &stalled):
		if a.refused == nil {
			a.refused = stalled
		}
	case errors.Is(err, errReplan) || a.failed != nil:
		return errors.Join(a.failed, err)
	default:
		a.failed = err
	}
	a.blocked[o.Target.ID] = true
	return nil
}

// verdict is what the whole run came to.
func (a *attempt) verdict() error {
	switch {
	case a.refused != nil:
		if a.waiting != nil {
			a.refused.RetryAfter = status.Sooner(a.refused.RetryAfter, a.waiting.After)
		}
		return a.refused
	case a.waiting != nil:
		return a.waiting
	}
	return nil
}

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

// wait says how long an op has to wait; nil where it may be done now. A put of what is in Kong already changes its
// content only, unless it moves.
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
		// A guard that is not in Kong yet, or that is uncertain, has no time of its own: it is looked at again
		// in a second.
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

// ofRemoval lets a plugin or the service go once no worker can have a former route of the service any more. It counts
// from the last route that left, by this process or by a listing, and at the earliest from the first listing: a route
// that a former process took out a moment before is not known.
func (g gates) ofRemoval(service, what string) *status.WaitError {
	remaining := g.clocks.RoutesRemaining(service)
	if remaining == 0 {
		return nil
	}
	return status.Wait(remaining, v1alpha1.ReasonProgressing,
		"waiting until no Kong worker has the former routes any more before the %s goes (propagation delay %s)",
		what, g.clocks.Delay())
}

// reduced says what is left of an entity that gives up what others wait for: nil where nothing is. found is false
// where nobody waits for anything that it holds, or where giving it up would take a route away that is still wanted.
func (r *syncRun) reduced(w plan.Wanted) (held plan.Entry, rest *kong.Entity, found bool) {
	held, known := r.observed.Get(w.ID)
	if !known || held.Uncertain {
		return plan.Entry{}, nil, false
	}
	var former, kept []desired.UniqueKey
	for _, key := range held.Keys {
		if slices.Contains(w.Keys, key) {
			kept = append(kept, key)
		} else {
			former = append(former, key)
		}
	}
	awaited := func(k desired.UniqueKey) bool { return r.arbiter.Awaited(k, w.Owner) }
	if !slices.ContainsFunc(former, awaited) {
		return plan.Entry{}, nil, false
	}
	if w.Kind == kong.KindJWT || movesAway(w.Keys, kept) {
		// What of a route is still wanted is not given up for what is not.
		keepsRoute := slices.ContainsFunc(kept, func(k desired.UniqueKey) bool { return k.Kind == desired.UniqueRoute })
		return held, nil, w.Kind == kong.KindJWT || !keepsRoute
	}
	return held, unnamed(w.Entity, kept), true
}

// movesAway says whether a route is to match other requests than it does.
func movesAway(wanted, kept []desired.UniqueKey) bool {
	return slices.ContainsFunc(wanted, func(k desired.UniqueKey) bool {
		return k.Kind == desired.UniqueRoute && !slices.Contains(kept, k)
	})
}

// unnamed is an entity without those of its names that it does not hold. A consumer has to have one.
func unnamed(e kong.Entity, kept []desired.UniqueKey) *kong.Entity {
	e.Fields = maps.Clone(e.Fields)
	holds := func(kind desired.UniqueKind) bool {
		return slices.ContainsFunc(kept, func(k desired.UniqueKey) bool { return k.Kind == kind })
	}
	if e.Kind != kong.KindConsumer {
		delete(e.Fields, "name")
		return &e
	}
	// Kong wants username or custom_id (kong/db/schema/entities/consumers.lua, at_least_one_of), and the id makes
	// this one unique.
	if !holds(desired.UniqueUsername) {
		e.Fields["username"] = "kongjwt-waits-for-a-name-" + e.ID
	}
	if !holds(desired.UniqueCustomID) {
		delete(e.Fields, "custom_id")
	}
	return &e
}
