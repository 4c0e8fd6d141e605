package ingress

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/held"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// Delete implements engine.Programmer: it is done once the controller has taken all out of Kong.
func (e *Engine) Delete(ctx context.Context, owner desired.Owner) error {
	if err := e.usable(); err != nil {
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
	if err := e.usable(); err != nil {
		return engine.Result{}, err
	}
	return e.withdraw(ctx, owner, func(o held.Object) bool { return o.Entity == kong.KindJWT })
}

// RemoveAccess implements engine.Programmer.
func (e *Engine) RemoveAccess(ctx context.Context, owner desired.Owner, keeps func(part string) bool) (engine.Result,
	error) {
	if err := e.usable(); err != nil {
		return engine.Result{}, err
	}
	return e.withdraw(ctx, owner, func(o held.Object) bool {
		return o.IsAccess() && !keeps(o.Part)
	})
}

// withdraw takes Secrets off the list of an owner's KongConsumer, and leaves all else as it is. The Secrets go with
// the next Sync that is whole: until then the consumer does not name them.
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
	if err := e.usable(); err != nil {
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
	if err := e.usable(); err != nil {
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

// narrows says whether somebody gets in by what is there of an object, and no longer by what is wanted of it. A plugin
// that is there is read; where that fails, somebody may.
func (r *run) narrows(ctx context.Context, o objects.Object, before held.Object) bool {
	plugin, _ := o.Content["plugin"].(string)
	switch {
	case before.Guarded:
		return false // nobody gets in by it
	case o.Entity == kong.KindService || o.Entity == kong.KindRoute:
		return r.namesNewGuard(before)
	case o.Entity != kong.KindPlugin || !desired.KeepsOut(plugin) || before.Sum == o.Sum:
		return false
	}
	live, err := r.cluster.get(ctx, o.Reference)
	if err != nil || live == nil {
		return err != nil
	}
	return narrower(live.Object, o.Content)
}

// namesNewGuard says whether the owner has a plugin that keeps somebody out and that was made after an object was
// written: the object names it from now on.
func (r *run) namesNewGuard(before held.Object) bool {
	for reference, o := range r.want {
		plugin, _ := o.Content["plugin"].(string)
		if o.Entity == kong.KindPlugin && desired.KeepsOut(plugin) && r.own[reference].Made > before.Epoch {
			return true
		}
	}
	return false
}

// narrower says whether a plugin keeps out somebody whom its former content admits. The groups of acl are compared; of
// all else but a realm, every change may.
func narrower(former, now map[string]any) bool {
	if now["plugin"] != "acl" || former["plugin"] != "acl" {
		return !reflect.DeepEqual(decisive(former), decisive(now))
	}
	groups := func(content map[string]any, name string) []string {
		list, _, _ := unstructured.NestedStringSlice(content, "config", name)
		return list
	}
	lacks := func(all, some []string) bool {
		return slices.ContainsFunc(some, func(group string) bool { return !slices.Contains(all, group) })
	}
	return lacks(groups(now, "allow"), groups(former, "allow")) || lacks(groups(former, "deny"), groups(now, "deny"))
}

// decisive is what of a plugin's content may decide who gets in.
func decisive(content map[string]any) []any {
	config, _, _ := unstructured.NestedMap(content, "config")
	config = maps.Clone(config)
	delete(config, "realm")
	if len(config) == 0 {
		config = nil
	}
	return []any{content["plugin"], config, content["configFrom"], content["disabled"], content["protocols"]}
}

// Overdue implements engine.Programmer. What a former process took away is known as long as the status says so.
func (r *rooms) Overdue(owner desired.Owner, said bool) (look time.Duration, overdue error) {
	if !r.link.isFilled() && said {
		return again, nil
	}
	last, b := r.held.LastAccess(owner), r.barrier.State()
	switch {
	case last <= b.Confirmed || last <= r.held.Begun() && !said:
		return 0, nil
	case !b.Late:
		return again, nil
	}
	return again, status.Wait(again, v1alpha1.ReasonRevocationPending, "%s", b.Lateness(r.settings.Class))
}
