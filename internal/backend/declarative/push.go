package declarative

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/backend"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// A push waits until nothing was staged for pushQuiet, and for pushLatest at most: many changes make one request.
const (
	pushQuiet  = 100 * time.Millisecond
	pushLatest = time.Second
)

// Run pushes what is staged, until ctx ends.
func (b *Backend) Run(ctx context.Context) {
	defer b.nodes.close()
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.staged.kick:
		}
		b.debounce(ctx)
		if ctx.Err() == nil {
			b.push(ctx)
		}
	}
}

func (b *Backend) debounce(ctx context.Context) {
	deadline := time.After(pushLatest)
	for {
		select {
		case <-ctx.Done():
			return
		case <-deadline:
			return
		case <-b.staged.kick:
		case <-time.After(pushQuiet):
			return
		}
	}
}

// push sends what is staged. What Kong refuses is left out, and its owners are told.
func (b *Backend) push(ctx context.Context) {
	if b.posting.take(ctx) != nil {
		return
	}
	defer b.posting.leave()
	changes := b.staged.snapshot()
	if len(changes) == 0 || !b.aligned {
		return // Align asks for a push again
	}
	err := b.catchUp(ctx)
	if err == nil {
		if changes = b.withinBudgets(changes); len(changes) == 0 {
			return
		}
		err = b.attempt(ctx, changes)
	}
	if ahead := b.nodes.ahead(); err == nil && len(ahead) > 0 {
		// They took what others refused, and go back to what all run: it may be published nowhere, and nobody
		// would take it out again.
		b.staged.untry()
		err = b.post(ctx, ahead, b.staged.given())
	}
	if err != nil && ctx.Err() == nil {
		b.options.Log.Info("The configuration could not be pushed; it is tried again", "error", err.Error())
		b.listener.Failed(err)
	}
}

// withinBudgets leaves out the changes by which a namespace would have more of the configuration than it may, and
// tells their owners.
func (b *Backend) withinBudgets(changes map[string]change) map[string]change {
	over := overBudget(b.staged.given(), changes, b.options.MaxBytes)
	if len(over) == 0 {
		return changes
	}
	rest := maps.Clone(changes)
	maps.DeleteFunc(rest, func(_ string, c change) bool { return over[c.owner] > 0 })
	for owner, bytes := range over {
		b.refuse(owner, changes, status.Stalled(v1alpha1.ReasonKongRejected,
			"spec: with it, namespace %s would have about %d bytes of the configuration (KongGateway %s takes %d, and a "+
				"namespace has half of it at most). Remove something, or have nginx_admin_client_max_body_size of Kong raised.",
			owner.Namespace, bytes, b.options.Scope.Gateway, b.options.MaxBytes))
	}
	return rest
}

// attempt pushes changes. An error says that Kong could not be asked.
func (b *Backend) attempt(ctx context.Context, changes map[string]change) error {
	candidate := b.staged.try(changes)
	err := b.post(ctx, b.nodes.all(), candidate)
	var refused *kong.ConfigError
	switch {
	case err == nil:
		b.accept(candidate, changes)
		return nil
	case errors.As(err, &refused) && len(refused.Entities) > 0:
		rest, cut := b.leaveOut(candidate, changes, refused.Entities)
		if len(rest) == 0 && !cut {
			return nil
		}
		return b.attempt(ctx, rest)
	case !aboutContent(err) && !b.nodes.answer(ctx):
		return err
	}
	return b.divide(ctx, changes, err)
}

// post makes nodes run a configuration.
func (b *Backend) post(ctx context.Context, to []*node, c configuration) error {
	entities, revision := b.revisions.stamp(b.options.Scope, sorted(c), b.options.Schemas.Canonical)
	return b.nodes.post(ctx, to, entities, revision)
}

// accept records what Kong runs now, and tells whose changes are in it.
func (b *Backend) accept(c configuration, changes map[string]change) {
	b.staged.commit(c, changes)
	owners := map[desired.Owner]bool{}
	for _, c := range changes {
		owners[c.owner] = true
	}
	b.listener.Accepted(slices.Collect(maps.Keys(owners)))
	b.options.Log.Info("Kong runs a new configuration", "entities", len(c), "changed", len(changes))
}

// leaveOut takes the owners of refused entities out of changes, and tells them. What an owner had before stays, unless
// that is refused itself: then it is cut out of what Kong was given.
func (b *Backend) leaveOut(
	candidate configuration, changes map[string]change, refused map[string]map[string]string,
) (rest map[string]change, cut bool) {
	reasons := map[desired.Owner]string{}
	for _, id := range slices.Sorted(maps.Keys(refused)) {
		ownership, _ := desired.ParseTags(candidate[id].Fields.Tags())
		if reasons[ownership.Owner] != "" {
			reasons[ownership.Owner] += "; "
		}
		reasons[ownership.Owner] += fmt.Sprintf("%s: %s",
			backend.Name(candidate[id].Kind, ownership.Part), backend.Reasons(refused[id]))
		if _, changing := changes[id]; !changing {
			b.staged.cut(id) // it was taken once; this Kong, perhaps a newer one, does not take it any more
			cut = true
		}
	}
	rest = maps.Clone(changes)
	maps.DeleteFunc(rest, func(_ string, c change) bool { return reasons[c.owner] != "" })
	for owner, why := range reasons {
		b.refuse(owner, changes, status.Stalled(v1alpha1.ReasonKongRejected, "spec: Kong refuses %s. Change what it names.", why))
	}
	return rest, cut
}

// divide finds out whose changes fail where Kong does not say: it pushes them by parts. What takes access away goes
// first and by itself, and whoever makes the configuration smaller goes before whoever makes it larger.
func (b *Backend) divide(ctx context.Context, changes map[string]change, cause error) error {
	base := b.staged.given()
	if ending := removals(base, changes); len(ending) > 0 && len(ending) < len(changes) {
		rest := maps.Clone(changes)
		for id := range ending {
			delete(rest, id)
		}
		if err := b.attempt(ctx, ending); err != nil {
			return err
		}
		return b.attempt(ctx, rest)
	}
	owners := ownersOf(base, changes)
	if len(owners) == 1 {
		return b.charge(ctx, owners[0], changes, cause)
	}
	for _, half := range [][]desired.Owner{owners[:len(owners)/2], owners[len(owners)/2:]} {
		if err := b.attempt(ctx, changesOf(changes, half)); err != nil {
			return err
		}
	}
	return nil
}

// charge refuses the changes of one owner, unless Kong fails without them too.
func (b *Backend) charge(ctx context.Context, owner desired.Owner, changes map[string]change, cause error) error {
	var tooLarge *kong.ConfigTooLargeError
	base := b.staged.given()
	if !errors.As(cause, &tooLarge) && len(base) > 0 {
		if err := b.post(ctx, b.nodes.all(), base); err != nil {
			return err
		}
	}
	if len(removals(base, changes)) == len(changes) {
		return nil // access that is taken away stays staged, until Kong takes it
	}
	why := status.Stalled(v1alpha1.ReasonKongRejected, "spec: Kong refuses the configuration with this resource, and does not say why. "+
		"Look at Kong's log, and change what it names.")
	if tooLarge != nil {
		why = status.Stalled(v1alpha1.ReasonKongRejected,
			"spec: with this resource, the configuration of KongGateway %s would have %d bytes, and this Kong takes less. "+
				"Raise nginx_admin_client_max_body_size there.", b.options.Scope.Gateway, tooLarge.Bytes)
	}
	b.refuse(owner, changes, why)
	return nil
}

// refuse takes back what an owner staged, and tells it why.
func (b *Backend) refuse(owner desired.Owner, changes map[string]change, why *status.StalledError) {
	b.listener.Refused(owner, b.staged.drop(owner, changes), why)
}
