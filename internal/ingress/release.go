package ingress

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
)

// Delete implements engine.Programmer: it is done once the controller has taken all out of Kong.
func (e *Engine) Delete(ctx context.Context, owner desired.Owner) error {
	if err := e.Usable(owner); err != nil {
		return err
	}
	if _, err := e.program(ctx, owner, nil); err != nil {
		return err
	}
	e.held.forget(owner)
	e.arbiter.Forget(owner)
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.refusals, owner)
	delete(e.asked, owner)
	delete(e.barrier.waiting, owner)
	return nil
}

// Orphan implements engine.Programmer. The controller takes away what nobody's object asks for: nothing can stay.
func (e *Engine) Orphan(ctx context.Context, owner desired.Owner) error { return e.Delete(ctx, owner) }

// Leave implements engine.Programmer: what is the gateway's own goes, without a wait for the controller.
func (e *Engine) Leave(ctx context.Context) error {
	for _, o := range e.held.of(desired.GatewayOwner(e.start.Scope.Gateway)) {
		if err := e.cluster.remove(ctx, o.Reference); err != nil {
			return fmt.Errorf("delete %s: %w", o.Reference, err)
		}
		e.drop(o)
	}
	return e.cluster.remove(ctx, e.objects.Barrier("").Reference)
}

// Prune implements engine.Programmer.
func (e *Engine) Prune(ctx context.Context, owner desired.Owner) (int, error) {
	before := e.held.of(owner)
	err := e.Delete(ctx, owner)
	gone := 0
	for _, o := range before {
		if _, there := e.held.get(o.Reference); !there && o.Entity != "" {
			gone++
			e.start.Pruned(o.Entity)
		}
	}
	return gone, err
}

// Orphans implements engine.Programmer.
func (e *Engine) Orphans(gone func(desired.Owner) (bool, error), maxPercent int) (engine.Orphans, error) {
	held := e.held.entities()
	suspects, listing := e.orphans.Suspects(held)
	missing := map[desired.Owner]bool{}
	for _, owner := range suspects {
		is, err := gone(owner)
		if err != nil {
			return engine.Orphans{}, err
		}
		missing[owner] = is
	}
	return e.orphans.Judge(listing, held, missing, maxPercent), nil
}

// Revoke implements engine.Programmer.
func (e *Engine) Revoke(ctx context.Context, owner desired.Owner) (engine.Result, error) {
	return e.withdraw(ctx, owner, func(o seen) bool { return o.Entity == kong.KindJWT })
}

// RemoveAccess implements engine.Programmer.
func (e *Engine) RemoveAccess(ctx context.Context, owner desired.Owner, keeps func(part string) bool) (engine.Result,
	error) {
	return e.withdraw(ctx, owner, func(o seen) bool {
		return (o.Entity == kong.KindJWT || o.Entity == kong.KindACL) && !keeps(o.Part)
	})
}

// withdraw takes Secrets off the list of an owner's KongConsumer, and leaves all else as it is. The Secrets go with the
// next Sync that is whole: until then the consumer does not name them.
func (e *Engine) withdraw(ctx context.Context, owner desired.Owner, goes func(seen) bool) (engine.Result, error) {
	var result engine.Result
	if err := e.Usable(owner); err != nil {
		return result, err
	}
	var leaving []string
	var consumer *seen
	for _, o := range e.held.of(owner) {
		if o.Entity == kong.KindConsumer {
			consumer = &o
		}
		if goes(o) {
			leaving = append(leaving, o.Name)
		}
	}
	if consumer == nil || len(leaving) == 0 {
		return result, nil
	}
	live, err := e.cluster.get(ctx, consumer.Reference)
	if err != nil || live == nil {
		return result, err
	}
	named := credentialNames(live)
	rest := slices.DeleteFunc(slices.Clone(named), func(name string) bool { return slices.Contains(leaving, name) })
	if len(rest) == len(named) {
		return result, nil
	}
	raw, err := json.Marshal(map[string]any{"credentials": rest,
		"metadata": map[string]any{"annotations": objects.Unknown()}})
	if err != nil {
		return result, err
	}
	print, err := e.cluster.patch(ctx, consumer.Reference, raw)
	if err != nil {
		return result, fmt.Errorf("take credentials off %s: %w", consumer.Reference, err)
	}
	consumer.epoch, consumer.print, consumer.Sum = e.wrote(), print, objects.UnknownSum
	e.held.put(*consumer)
	e.held.withdrew(owner, consumer.epoch)
	result.Writes, result.Applied = 1, true
	return result, nil
}

// drop forgets an object that was deleted, and wakes those that wait for its keys.
func (e *Engine) drop(o seen) {
	e.held.drop(o, e.wrote())
	e.arbiter.Free(o.Unique, o.Owner)
}

// RemoveRoutes implements engine.Programmer.
func (e *Engine) RemoveRoutes(ctx context.Context, owner desired.Owner) (engine.Result, error) {
	var result engine.Result
	if err := e.Usable(owner); err != nil {
		return result, err
	}
	for _, o := range e.held.of(owner) {
		if o.Entity != kong.KindRoute {
			continue
		}
		if err := e.cluster.remove(ctx, o.Reference); err != nil {
			return result, fmt.Errorf("delete %s: %w", o.Reference, err)
		}
		e.drop(o)
		result.Writes++
	}
	return result, nil
}
