package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// errReplan says that Kong holds something else than the mirror said, and that the mirror knows by now.
var errReplan = errors.New("kong holds something else than was known")

// syncRun is one owner's way into Kong.
type syncRun struct {
	set     desired.Set
	options SyncOptions
	// want is by the ids in Kong, and so is keep.
	want   map[string]wanted
	keep   []string
	result Result

	// blocked are the ids whose op was refused, or has to wait.
	blocked map[string]bool
	// left are the ids of what somebody else changed and that is left as it is.
	left    map[string]bool
	refused *status.StalledError
	waiting *status.WaitError
}

// apply plans and sends, op by op. What is refused, or has to wait at a gate, holds back what depends on it and nothing else.
func (g *Engine) apply(ctx context.Context, run *syncRun) error {
	run.blocked, run.refused, run.waiting = map[string]bool{}, nil, nil
	for _, o := range g.plan(run) {
		if run.holdsBack(o) {
			run.blocked[o.target.id] = true
			continue
		}
		err := g.adoptOpen(ctx, run, o)
		if err == nil {
			err = g.pass(o, run)
		}
		if err == nil {
			err = g.correct(ctx, run, o)
		}
		if err = run.take(o, err); err != nil {
			return err
		}
	}
	g.tellLeft(ctx, run)
	maps.Copy(run.blocked, run.left)
	run.result.Applied, run.result.Undone = true, g.given(run.blocked)
	return run.verdict()
}

// pass says whether the gates are open for an op.
func (g *Engine) pass(o op, run *syncRun) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.requires(o, run); err != nil {
		return &heldBackError{err}
	}
	if err := g.gate(o, run.want); err != nil {
		return &heldBackError{err}
	}
	return nil
}

// heldBackError is the wait of one op, not of the whole run.
type heldBackError struct{ wait *status.WaitError }

func (e *heldBackError) Error() string { return e.wait.Error() }

// holdsBack says whether an op depends on one that was not done.
func (r *syncRun) holdsBack(o op) bool {
	if len(r.blocked) == 0 {
		return false
	}
	depends := slices.Concat(o.needs, o.target.parents())
	switch {
	case slices.ContainsFunc(depends, func(id string) bool { return r.blocked[id] }):
		return true
	case o.verb == remove:
		// Access that was taken away goes all the same. What protects stays while something is refused.
		return r.refused != nil && (o.target.kind == kong.KindPlugin || o.target.kind == kong.KindService || o.target.kind == kong.KindConsumer)
	case o.target.kind == kong.KindRoute && o.create:
		for id := range r.blocked {
			if guard := r.want[id]; guard.guards() && guard.service == o.target.service {
				return true
			}
		}
	}
	return false
}

// take notes what came of an op. An error ends the run.
func (r *syncRun) take(o op, err error) error {
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
	default:
		return err
	}
	r.blocked[o.target.id] = true
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

// correct does one op, and tells where that puts back what somebody else changed.
func (g *Engine) correct(ctx context.Context, run *syncRun, o op) error {
	drift, drifted := g.driftOf(ctx, o)
	if err := g.send(ctx, run, o); err != nil || !drifted {
		return err
	}
	drift.Corrected = true
	run.result.Drifts = append(run.result.Drifts, drift)
	return nil
}

// send does one op and notes what came of it.
func (g *Engine) send(ctx context.Context, run *syncRun, o op) error {
	what := fmt.Sprintf("%s %s", o.target.kind.Singular(), o.target.part)
	var err error
	if o.verb == put {
		err = g.put(ctx, run, o.target)
	} else {
		err = g.delete(ctx, o)
	}
	if err != nil {
		return g.outcome(run.set.Owner, what, err)
	}
	run.result.Writes++
	g.log.V(1).Info("Wrote to Kong", "verb", string(o.verb), "kind", o.target.kind.Singular(), "owner", run.set.Owner.String(), "part", o.target.part)
	return nil
}

// put writes one entity, if nobody else holds what it claims.
func (g *Engine) put(ctx context.Context, run *syncRun, w wanted) error {
	free, err := g.reserve(ctx, run, w)
	if err != nil {
		return g.surrender(ctx, run, w, err)
	}
	held := false
	defer func() { free(held) }()
	defer g.inFlight(w.id)()
	if g.mayBeThere(w) {
		if err := g.adopt(ctx, run, w); err != nil {
			return err
		}
	}
	answer, err := g.api.Put(ctx, w.entity)
	switch {
	case err == nil:
		g.note(w.entry, g.sum(answer))
		return nil
	case isConflict(err):
		held = true
		if err := g.adopt(ctx, run, w); err != nil {
			return err
		}
		return g.surrender(ctx, run, w, g.conflict(ctx, run, w, err))
	case isParentMissing(err):
		g.forgetParents(w)
		g.forgetTarget(run.set.Attach)
		return errReplan
	case ambiguous(err):
		g.doubt(w.entry)
	}
	return err
}

// delete takes one entity out of Kong, and out of the mirror what Kong takes along with it.
func (g *Engine) delete(ctx context.Context, o op) error {
	if err := g.checkChildren(ctx, o); err != nil {
		return err
	}
	e := o.target.entry
	defer g.inFlight(e.id)()
	if err := g.api.Delete(ctx, e.kind, e.consumerID, e.id); err != nil && !isNotFound(err) {
		if ambiguous(err) {
			g.doubt(e)
		}
		if isParentMissing(err) {
			return errReplan // something was hung on it a moment ago, and Kong does not let it go
		}
		return err
	}
	g.noteGone(e)
	return nil
}
