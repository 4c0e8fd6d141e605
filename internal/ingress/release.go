package ingress

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/held"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
)

// Delete implements engine.Programmer: it is done once the controller has taken all out of Kong.
func (e *Engine) Delete(ctx context.Context, owner desired.Owner) error {
	if err := e.Usable(owner); err != nil {
		return err
	}
	if _, err := e.program(ctx, owner, aim{}, nil); err != nil {
		return err
	}
	e.forget(owner)
	return nil
}

// Orphan implements engine.Programmer. The controller takes away what nobody's object asks for: nothing can stay.
func (e *Engine) Orphan(ctx context.Context, owner desired.Owner) error { return e.Delete(ctx, owner) }

// Leave implements engine.Programmer: what is the gateway's own goes, without a wait for the controller.
func (e *Engine) Leave(ctx context.Context) error {
	for _, o := range e.held.Of(desired.GatewayOwner(e.start.Scope.Gateway)) {
		if err := e.cluster.remove(ctx, o.Reference); err != nil {
			return fmt.Errorf("delete %s: %w", o.Reference, err)
		}
		e.drop(o)
	}
	return e.barrier.End(ctx)
}

// Prune implements engine.Programmer.
func (e *Engine) Prune(ctx context.Context, owner desired.Owner) (int, error) {
	before := e.held.Of(owner)
	err := e.Delete(ctx, owner)
	gone := 0
	for _, o := range before {
		if _, there := e.held.Get(o.Reference); !there && o.Entity != "" {
			gone++
			e.start.Pruned(o.Entity)
		}
	}
	return gone, err
}

// Orphans implements engine.Programmer.
func (e *Engine) Orphans(gone func(desired.Owner) (bool, error), maxPercent int) (engine.Orphans, error) {
	entities := e.held.Entities()
	suspects, listing := e.orphans.Suspects(entities)
	missing := map[desired.Owner]bool{}
	for _, owner := range suspects {
		is, err := gone(owner)
		if err != nil {
			return engine.Orphans{}, err
		}
		missing[owner] = is
	}
	return e.orphans.Judge(listing, entities, missing, maxPercent), nil
}

// Revoke implements engine.Programmer.
func (e *Engine) Revoke(ctx context.Context, owner desired.Owner) (engine.Result, error) {
	if err := e.Usable(owner); err != nil {
		return engine.Result{}, err
	}
	return e.withdraw(ctx, owner, func(o held.Object) bool { return o.Entity == kong.KindJWT })
}

// RemoveAccess implements engine.Programmer.
func (e *Engine) RemoveAccess(ctx context.Context, owner desired.Owner, keeps func(part string) bool) (engine.Result,
	error) {
	if err := e.Usable(owner); err != nil {
		return engine.Result{}, err
	}
	return e.withdraw(ctx, owner, func(o held.Object) bool {
		return o.IsAccess() && !keeps(o.Part)
	})
}

// withdraw takes Secrets off the list of an owner's KongConsumer, and leaves all else as it is. The Secrets go with the
// next Sync that is whole: until then the consumer does not name them.
func (r *rooms) withdraw(ctx context.Context, owner desired.Owner, goes func(held.Object) bool) (engine.Result, error) {
	var result engine.Result
	var leaving []string
	var consumer *held.Object
	for _, o := range r.held.Of(owner) {
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
	live, err := r.cluster.get(ctx, consumer.Reference)
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
	printed, err := r.cluster.patch(ctx, consumer.Reference, raw)
	if err != nil {
		return result, fmt.Errorf("take credentials off %s: %w", consumer.Reference, err)
	}
	consumer.Epoch, consumer.Print, consumer.Sum = r.barrier.Wrote(), printed, objects.UnknownSum
	r.held.Put(*consumer)
	r.held.Withdrew(owner, consumer.Epoch)
	result.Writes, result.Applied = 1, true
	return result, nil
}

// RemoveRoutes implements engine.Programmer.
func (e *Engine) RemoveRoutes(ctx context.Context, owner desired.Owner) (engine.Result, error) {
	var result engine.Result
	if err := e.Usable(owner); err != nil {
		return result, err
	}
	for _, o := range e.held.Of(owner) {
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

// NarrowAccess implements engine.Programmer.
func (e *Engine) NarrowAccess(ctx context.Context, access desired.Set) (engine.Result, error) {
	if err := e.Usable(access.Owner); err != nil {
		return engine.Result{}, err
	}
	want, err := e.objects.Of(access, nil, nil)
	if err != nil {
		return engine.Result{}, err
	}
	one := e.begin(access.Owner, aim{}, want)
	err = one.narrow(ctx)
	return one.result, err
}
