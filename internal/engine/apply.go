package engine

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/kongjwt/kong-jwt-operator/internal/engine/observed"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/plan"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// errReplan says that Kong holds something else than was known, and that it is known by now.
var errReplan = errors.New("kong holds something else than was known")

// apply plans and sends, op by op. What is refused, or has to wait at a gate, holds back what depends on it and nothing
// else. Where Kong fails, access that is taken away goes all the same.
func (r *syncRun) apply(ctx context.Context) error {
	if err := r.checkRival(ctx); err != nil {
		return err
	}
	for _, o := range r.plan() {
		if r.holdsBack(o) {
			r.blocked[o.Target.ID] = true
			continue
		}
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

// leave finds what somebody else changed and what is to stay so: what is wanted of it is as it was.
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

// holdsBack says whether an op depends on one that was not done.
func (r *syncRun) holdsBack(o plan.Op) bool {
	takesAccess := o.Verb == plan.Delete && !o.Swap && plan.TakesAccess(o.Target.Kind)
	if r.failed != nil && !takesAccess {
		return true
	}
	if len(r.blocked) == 0 {
		return false
	}
	depends := slices.Concat(o.Needs, o.Target.Parents())
	switch {
	case takesAccess:
		return false
	case slices.ContainsFunc(depends, func(id string) bool { return r.blocked[id] }):
		return true
	case o.Verb == plan.Delete:
		// What protects stays while something is refused.
		protects := o.Target.Kind == kong.KindPlugin || o.Target.Kind == kong.KindService ||
			o.Target.Kind == kong.KindConsumer
		return r.refused != nil && protects
	case o.Target.Kind == kong.KindRoute && o.Create:
		for id := range r.blocked {
			if guard := r.want[id]; guard.Guards() && guard.Service == o.Target.Service {
				return true
			}
		}
	}
	return false
}

// take records what came of an op. An error ends the run.
func (r *syncRun) take(o plan.Op, err error) error {
	var heldBack *heldBackError
	var stalled *status.StalledError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &heldBack):
		if r.waiting == nil || heldBack.wait.After < r.waiting.After {
			r.waiting = heldBack.wait
		}
	case errors.As(err, &stalled):
		if r.refused == nil {
			r.refused = stalled
		}
	case errors.Is(err, errReplan) || r.failed != nil:
		return errors.Join(r.failed, err)
	default:
		r.failed = err
	}
	r.blocked[o.Target.ID] = true
	return nil
}

// verdict is what the whole run came to.
func (r *syncRun) verdict() error {
	switch {
	case r.refused != nil:
		if r.waiting != nil {
			r.refused.RetryAfter = status.Sooner(r.refused.RetryAfter, r.waiting.After)
		}
		return r.refused
	case r.waiting != nil:
		return r.waiting
	}
	return nil
}
