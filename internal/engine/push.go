package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// A push waits until nothing was staged for pushQuiet, and for pushPatience at most: many changes make one request.
const (
	pushQuiet    = 100 * time.Millisecond
	pushPatience = time.Second
	// pushAgain is when an owner looks whether its push is through, beside being told.
	pushAgain = 5 * time.Second
)

// refusal is what a push said of an owner: it is not sent again as it is before the next drift interval.
type refusal struct {
	sum   hash
	err   *status.StalledError
	until time.Time
}

// pushing pushes what is staged, until ctx ends.
func (g *Engine) pushing(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.declared.kick:
		}
		g.debounce(ctx)
		if ctx.Err() == nil && g.ready() {
			g.push(ctx)
		}
	}
}

func (g *Engine) debounce(ctx context.Context) {
	deadline := time.After(pushPatience)
	for {
		select {
		case <-ctx.Done():
			return
		case <-deadline:
			return
		case <-g.declared.kick:
		case <-time.After(pushQuiet):
			return
		}
	}
}

// push sends what is staged. What Kong refuses is left out, and its owners are told.
func (g *Engine) push(ctx context.Context) {
	g.fleet.posting.Lock()
	defer g.fleet.posting.Unlock()
	d := g.declared
	d.mu.Lock()
	staged := maps.Clone(d.staged)
	d.mu.Unlock()
	if len(staged) == 0 {
		return
	}
	err := g.catchUp(ctx)
	if err == nil {
		err = g.attempt(ctx, staged)
	}
	if err != nil && ctx.Err() == nil {
		g.log.Info("The configuration could not be pushed; it is tried again", "error", err.Error())
		reason, message := g.unready(err)
		g.lose(reason, message)
	}
}

// attempt pushes changes. An error says that Kong could not be asked.
func (g *Engine) attempt(ctx context.Context, changes map[string]change) error {
	d := g.declared
	d.mu.Lock()
	candidate := withChanges(d.base, changes)
	d.tried = candidate
	d.mu.Unlock()
	err := g.post(ctx, candidate)
	var refused *kong.ConfigError
	var tooLarge *kong.ConfigTooLargeError
	switch {
	case err == nil:
		g.pushed(candidate, changes)
		return nil
	case errors.As(err, &refused) && len(refused.Entities) > 0:
		rest, cut := g.leaveOut(candidate, changes, refused.Entities)
		if len(rest) == 0 && !cut {
			return nil
		}
		return g.attempt(ctx, rest)
	case errors.As(err, &refused):
		return g.bisect(ctx, changes)
	case errors.As(err, &tooLarge):
		g.refuseAll(changes, status.Stalled(v1alpha1.ReasonKongRejected,
			"the configuration of KongGateway %s would have %d bytes, which is more than this Kong takes; raise nginx_admin_client_max_body_size there", g.scope.Gateway, tooLarge.Bytes))
		return nil
	}
	return err
}

// post makes every node run a configuration.
func (g *Engine) post(ctx context.Context, configuration map[string]kong.Entity) error {
	entities := sorted(configuration)
	for {
		err := g.fleet.post(ctx, entities)
		var throttled *kong.ThrottledError
		if !errors.As(err, &throttled) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(max(throttled.RetryAfter, pushQuiet)):
		}
	}
}

// pushed notes what Kong runs now, and wakes whose changes are in it.
func (g *Engine) pushed(configuration map[string]kong.Entity, changes map[string]change) {
	d := g.declared
	d.mu.Lock()
	d.rebase(configuration)
	owners := map[desired.Owner]bool{}
	for id, c := range changes {
		owners[c.owner] = true
		if d.staged[id] == c {
			d.unstage(id)
		}
	}
	d.mu.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	for owner := range owners {
		delete(g.refusals, owner)
		g.wake(owner, EventFreed)
	}
	g.log.Info("Kong runs a new configuration", "entities", len(configuration), "changed", len(changes))
}

// leaveOut takes the owners of refused entities out of changes, and tells them. What an owner had before stays, unless that is refused itself: then it
// is cut out of the base.
func (g *Engine) leaveOut(
	candidate map[string]kong.Entity, changes map[string]change, refused map[string]map[string]string,
) (rest map[string]change, cut bool) {
	reasons := map[desired.Owner]string{}
	d := g.declared
	for _, id := range slices.Sorted(maps.Keys(refused)) {
		ownership, _ := desired.ParseTags(candidate[id].Fields.Tags())
		if reasons[ownership.Owner] != "" {
			reasons[ownership.Owner] += "; "
		}
		reasons[ownership.Owner] += fmt.Sprintf("%s %s: %s", candidate[id].Kind.Singular(), ownership.Part, fieldReasons(&kong.InvalidError{Fields: refused[id]}))
		if _, changing := changes[id]; !changing {
			d.cut(id) // it was taken once; this Kong, perhaps a newer one, does not any more
			cut = true
		}
	}
	rest = maps.Clone(changes)
	maps.DeleteFunc(rest, func(_ string, c change) bool { return reasons[c.owner] != "" })
	for owner, why := range reasons {
		g.refuseOwner(owner, changes, status.Stalled(v1alpha1.ReasonKongRejected, "Kong refuses %s", why))
	}
	return rest, cut
}

// bisect finds out whose changes are refused where Kong does not say.
func (g *Engine) bisect(ctx context.Context, changes map[string]change) error {
	owners := map[desired.Owner]bool{}
	for _, c := range changes {
		owners[c.owner] = true
	}
	all := slices.SortedFunc(maps.Keys(owners), func(a, b desired.Owner) int { return compare(a.String(), b.String()) })
	if len(all) == 1 {
		g.refuseAll(changes, status.Stalled(v1alpha1.ReasonKongRejected, "Kong refuses the configuration with it, and does not say why"))
		return nil
	}
	first := map[desired.Owner]bool{}
	for _, owner := range all[:len(all)/2] {
		first[owner] = true
	}
	for _, half := range []bool{true, false} {
		part := maps.Clone(changes)
		maps.DeleteFunc(part, func(_ string, c change) bool { return first[c.owner] != half })
		if err := g.attempt(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

func (g *Engine) refuseAll(changes map[string]change, why *status.StalledError) {
	owners := map[desired.Owner]bool{}
	for _, c := range changes {
		owners[c.owner] = true
	}
	for owner := range owners {
		g.refuseOwner(owner, changes, why)
	}
}

// refuseOwner takes back what an owner staged, so that the mirror says what Kong runs, and tells the owner.
func (g *Engine) refuseOwner(owner desired.Owner, changes map[string]change, why *status.StalledError) {
	d := g.declared
	d.mu.Lock()
	var base []kong.Entity
	for id, c := range changes {
		if c.owner == owner && d.staged[id] == c {
			d.unstage(id)
		}
	}
	for _, e := range d.base {
		if ownership, _ := desired.ParseTags(e.Fields.Tags()); ownership.Owner == owner {
			base = append(base, e)
		}
	}
	d.mu.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, e := range g.mirror.of(owner) {
		g.release(g.mirror.remove(e.id))
	}
	for _, e := range base {
		ownership, _ := desired.ParseTags(e.Fields.Tags())
		held := describe(e, owner, ownership.Part, g.sum(e))
		held.since = g.options.Now()
		g.mirror.set(held)
	}
	told := *why
	told.RetryAfter = g.settings.DriftInterval
	g.refusals[owner] = refusal{sum: g.attempted[owner], err: &told, until: g.options.Now().Add(g.settings.DriftInterval)}
	g.rejected[owner] = true
	g.wake(owner, EventFreed)
}

// refused says what the last push said of an owner that wants the same still.
func (g *Engine) refused(run *syncRun) error {
	if !g.declared.active.Load() {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	sum := g.hasher.sum(run.digest())
	g.attempted[run.set.Owner] = sum
	held, found := g.refusals[run.set.Owner]
	if !found || held.sum != sum || !g.options.Now().Before(held.until) {
		delete(g.refusals, run.set.Owner)
		return nil
	}
	told := *held.err
	told.RetryAfter = max(held.until.Sub(g.options.Now()), time.Second)
	return &told
}

// digest stands for all that an owner wants.
func (r *syncRun) digest() []byte {
	var digest []byte
	for _, id := range slices.Sorted(maps.Keys(r.want)) {
		digest = append(digest, id...)
		sum := r.want[id].hash
		digest = append(digest, sum[:]...)
	}
	return digest
}

// inPush says to wait where something of an owner is on its way into a configuration.
func (g *Engine) inPush(owner desired.Owner) error {
	if !g.declared.active.Load() || !g.declared.pending(owner) {
		return nil
	}
	return status.Wait(jitter(pushAgain), v1alpha1.ReasonProgressing, "waiting until Kong runs the configuration with it")
}
