package engine

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// SyncOptions are what Sync asks of its caller.
type SyncOptions struct {
	// Older finds a resource that was created earlier and claims the same. It is asked where nobody holds the claim in Kong.
	Older func(desired.UniqueKey) (desired.Owner, bool)
	// Drifted are the ids of what another process left as somebody else made it, where that is to be reported.
	Drifted []string
}

// Result says what a Sync did.
type Result struct {
	// Writes is the number of requests that changed something in Kong.
	Writes int
	// Applied says that the plan was gone through to its end, though some of it may have been refused or has to wait. What is on its way into a configuration is
	// not: Kong holds nothing of it yet.
	Applied bool
	// Undone are the ids of the entities that were refused or have to wait. Kong does not hold them as they are wanted.
	Undone map[string]bool
	// Drifts are what somebody else had changed in Kong, and what became of it.
	Drifts []Drift
}

// Sync brings Kong to what an owner wants: nothing is sent where nothing differs. It does not sleep: a *status.WaitError says when to go on, a
// *status.StalledError that somebody has to change something. Whatever does not depend on what waits or is refused is done all the same.
func (g *Engine) Sync(ctx context.Context, set desired.Set, options SyncOptions) (Result, error) {
	run := &syncRun{set: set, options: options}
	done, err := g.enter(ctx, set.Owner)
	if err != nil {
		return run.result, err
	}
	defer done()
	run.result.Drifts = g.takeRestored(set.Owner)
	g.detach(set.Owner, set.Attach)
	for _, e := range set.Entities {
		if err := g.schemas.load(ctx, e); err != nil {
			return run.result, g.outcome(set.Owner, "plugin "+e.Fields.Text("name"), err)
		}
	}
	return run.result, g.settle(ctx, run)
}

// settle plans and applies, and plans once more where Kong turned out to hold something else than the mirror said.
func (g *Engine) settle(ctx context.Context, run *syncRun) error {
	for plans := 0; plans < plansAtOnce; plans++ {
		err := g.locate(ctx, run)
		if err == nil {
			err = g.refused(run)
		}
		if err == nil {
			err = g.apply(ctx, run)
		}
		if errors.Is(err, errAdopted) {
			plans-- // each is adopted once: there is an end to it
			continue
		}
		if errors.Is(err, errReplan) {
			continue
		}
		if pushing := g.inPush(run.set.Owner); pushing != nil {
			run.result.Applied = false // the push wakes the owner
			if err == nil {
				err = pushing
			}
		}
		if err == nil {
			g.succeeded(run.set.Owner)
		}
		return err
	}
	return status.Wait(jitter(time.Second), v1alpha1.ReasonProgressing, "Kong is being changed by somebody else; looking again")
}

// plansAtOnce is how often a plan is made anew before others get their turn.
const plansAtOnce = 3

// succeeded forgets what went wrong before.
func (g *Engine) succeeded(owner desired.Owner) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.attempts, owner)
	delete(g.absent, owner)
	delete(g.rejected, owner)
	delete(g.patience, owner)
}

// busyPause is how long an owner stays away from a gateway whose slots are all taken.
const busyPause = 200 * time.Millisecond

// enter takes a slot for an owner, where the gateway can be used. An owner has one at a time.
func (g *Engine) enter(ctx context.Context, owner desired.Owner) (done func(), err error) {
	if err := g.Usable(owner); err != nil {
		return nil, err
	}
	// No worker waits here: those of other gateways would run out of workers.
	busy := status.Wait(jitter(busyPause), v1alpha1.ReasonProgressing, "KongGateway %s is busy", g.scope.Gateway)
	busy.Quiet = true
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	select {
	case g.slots <- struct{}{}:
	default:
		return nil, busy
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.entered[owner] {
		<-g.slots
		return nil, busy
	}
	g.entered[owner] = true
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.entered, owner)
		<-g.slots
	}, nil
}

// Usable says whether the gateway can be written to now: the error is a *status.WaitError where it cannot. Who comes while it is away is woken
// when it is back, or when it is known why it does not come.
func (g *Engine) Usable(owner desired.Owner) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.stopped:
		wait := status.Wait(time.Second, v1alpha1.ReasonGatewayNotReady, "KongGateway %s changed; looking again", g.scope.Gateway)
		wait.Quiet = true
		return wait
	default:
	}
	if g.state.Ready {
		return nil
	}
	g.absent[owner] = true
	wait := status.Wait(0, v1alpha1.ReasonKongUnreachable, "KongGateway %s: %s", g.scope.Gateway, g.state.Message)
	if g.state.Reason == v1alpha1.ReasonProgressing {
		wait.Reason, wait.Quiet = v1alpha1.ReasonGatewayNotReady, true
	}
	return wait
}

func (g *Engine) plan(run *syncRun) []op {
	g.mu.Lock()
	defer g.mu.Unlock()
	current := slices.DeleteFunc(g.mirror.of(run.set.Owner), func(e entry) bool { return slices.Contains(run.keep, e.id) })
	want := make([]wanted, 0, len(run.want))
	for _, w := range run.want {
		want = append(want, w)
	}
	return diff(g.leave(run, current, want))
}
