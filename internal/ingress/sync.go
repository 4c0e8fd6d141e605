package ingress

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/held"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/holders"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/refusals"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/takeover"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// Usable implements engine.Programmer: an engine that knows the objects takes writes, whether or not the controller
// takes them now.
func (e *Engine) Usable(desired.Owner, bool) error { return e.usable() }

func (e *Engine) usable() error {
	if e.link.isStopped() {
		wait := status.Wait(time.Second, v1alpha1.ReasonGatewayNotReady, "KongGateway %s changed; looking again",
			e.start.Scope.Gateway)
		wait.Quiet = true
		return wait
	}
	if e.link.isFilled() {
		return nil
	}
	state := e.link.get()
	return status.Wait(5*time.Second, v1alpha1.ReasonGatewayNotReady, "KongGateway %s cannot be used: %s",
		e.start.Scope.Gateway, state.Message)
}

// Sync implements engine.Programmer. It writes what may be written now; a *status.WaitError says that the rest, or the
// controller's push, is waited for.
func (e *Engine) Sync(ctx context.Context, set desired.Set, options engine.SyncOptions) (engine.Result, error) {
	owner := set.Owner
	if err := e.usable(); err != nil {
		return engine.Result{}, err
	}
	if set.Attach != nil && set.Attach.Object == "" {
		return engine.Result{}, status.Stalled(v1alpha1.ReasonInvalidSpec, "%s: %s is named as it is in Kong, and "+
			"behind an ingress controller plugins are put on objects only (KongGateway %s). "+
			"Set spec.attachTo.service, or spec.upstream and spec.routes.",
			set.Attach.Field(), set.Attach, e.start.Scope.Gateway)
	}
	if set.Attach != nil {
		e.targets.Want(owner, objects.Target(owner, *set.Attach))
		if options.Attached {
			e.targets.Take(owner)
		}
	} else {
		e.targets.Forget(owner)
	}
	names, err := e.takeOver(ctx, set, options.TakeOver)
	if err != nil {
		return engine.Result{}, err
	}
	claim, err := holders.Holders{
		Others: e.others, Held: e.held, Arbiter: e.arbiter, Unique: e.objects.Unique, Older: options.Older,
		TakenOver: names.Has,
	}.Claim(ctx, set)
	if err != nil {
		return engine.Result{}, err
	}
	defer claim.End()
	refused := e.conflicts(owner, claim.Refusals(), options)
	if claim.LacksConsumer() {
		result, err := e.withdraw(ctx, owner, func(o held.Object) bool { return o.IsAccess() && !wants(set, o.ID) })
		return result, errors.Join(refused, err)
	}
	result, err := e.sync(ctx, claim.Granted(set), names)
	result.Undone = claim.Refused()
	if refused != nil {
		return result, errors.Join(refused, err)
	}
	e.arbiter.Succeeded(owner)
	return result, err
}

// conflicts says which keys others have. The owner waits for them.
func (e *Engine) conflicts(owner desired.Owner, all []holders.Refusal, options engine.SyncOptions) error {
	errs := make([]error, 0, len(all))
	for _, refusal := range all {
		name := refusal.Key.String()
		ownership, _ := desired.ParseTags(refusal.Entity.Fields.Tags())
		if credential, is := desired.CredentialOf(ownership.Part); is && options.KeyInSecret != nil &&
			options.KeyInSecret(credential) {
			name = "the key that the Secret of credential " + credential + " has"
		}
		stalled := status.Stalled(v1alpha1.ReasonConflict,
			"%s: %s is held by %s, and an ingress controller drops both holders (KongGateway %s). Choose another.",
			engine.KeyField(refusal.Key.Kind), name, refusal.By, e.start.Scope.Gateway)
		stalled.RetryAfter = e.arbiter.Retry(owner)
		errs = append(errs, stalled)
	}
	return errors.Join(errs...)
}

// wants says whether a set has an entity.
func wants(set desired.Set, id string) bool {
	return slices.ContainsFunc(set.Entities, func(e kong.Entity) bool { return e.ID == id })
}

// sync brings an owner's objects to a set whose keys are free.
func (e *Engine) sync(ctx context.Context, set desired.Set, names takeover.Names) (engine.Result, error) {
	want, err := e.objects.Of(set, e.kept(set), names)
	if err != nil {
		return engine.Result{}, err
	}
	open := set
	if set, err = e.shut(ctx, set, want); err != nil {
		return engine.Result{}, err
	}
	if len(set.Entities) != len(open.Entities) {
		if want, err = e.objects.Of(set, e.kept(set), names); err != nil {
			return engine.Result{}, err
		}
	}
	to := aim{}
	if set.Attach != nil {
		to.target = *set.Attach
	}
	sums := refusals.Sums{}
	for _, o := range want {
		sums[o.Reference] = o.Sum
	}
	if what := e.refusals.Refused(set.Owner, sums); len(what) > 0 {
		result, err := e.programWithout(ctx, set, to, want, what)
		return result, errors.Join(e.rejected(set, want, what), err)
	}
	result, err := e.program(ctx, set.Owner, to, want)
	if what := e.refusals.Left(set.Owner, e.sums(set.Owner), sums); err != nil && len(what) > 0 {
		// The correction waits for a push, and what it corrects stops every push.
		return e.programWithout(ctx, set, to, want, what)
	}
	if err == nil {
		e.refusals.Forget(set.Owner)
		err = checkConsumer(ctx, e.rooms, want)
	}
	return result, errors.Join(e.Unprotected(set.Owner), err)
}

// kept are the objects of an owner that stay as they are.
func (e *Engine) kept(set desired.Set) (kept []objects.Object) {
	for _, o := range e.held.Of(set.Owner) {
		if slices.Contains(set.Keep, o.ID) {
			kept = append(kept, o.Object)
		}
	}
	return kept
}

// sums are those of an owner's objects that are there.
func (e *Engine) sums(owner desired.Owner) refusals.Sums {
	sums := refusals.Sums{}
	for _, o := range e.held.Of(owner) {
		sums[o.Reference] = o.Sum
	}
	return sums
}

// programWithout brings an owner's objects to what stays of them when Kong refuses some.
func (e *Engine) programWithout(
	ctx context.Context, set desired.Set, to aim, want []objects.Object, what []refusals.Refusal,
) (engine.Result, error) {
	left, err := e.without(set, want, what)
	if err != nil {
		return engine.Result{}, err
	}
	to.refused = true
	return e.program(ctx, set.Owner, to, left)
}

// without gives what stays of an owner's objects when Kong refuses some of them: nothing of what is the owner's own.
// On an object of somebody else's the other plugins stay, since without them it is open; it is closed to everybody
// where one of those is refused that keep somebody out.
func (e *Engine) without(set desired.Set, want []objects.Object, what []refusals.Refusal) ([]objects.Object, error) {
	if set.Attach == nil {
		return nil, nil
	}
	var left []kong.Entity
	for _, entity := range set.Entities {
		switch {
		case !isRefused(entity, want, what):
			left = append(left, entity)
		case desired.IsGuard(entity):
			left = append(left, desired.Closed(e.start.Scope, set.Owner, entity))
		}
	}
	set.Entities = left
	return e.objects.Of(set, nil, nil)
}

// isRefused says whether Kong refuses the object of an entity.
func isRefused(entity kong.Entity, want []objects.Object, what []refusals.Refusal) bool {
	return slices.ContainsFunc(want, func(o objects.Object) bool {
		return o.ID == entity.ID && slices.ContainsFunc(what, func(r refusals.Refusal) bool { return r.Object == o.Reference })
	})
}

// rejected says what Kong refuses of an owner.
func (e *Engine) rejected(set desired.Set, want []objects.Object, what []refusals.Refusal) error {
	var fields, messages []string
	for _, refused := range what {
		messages = append(messages, refused.Message)
	}
	out := "everything of this resource is taken out again"
	for _, entity := range set.Entities {
		if !isRefused(entity, want, what) {
			continue
		}
		ownership, _ := desired.ParseTags(entity.Fields.Tags())
		fields = append(fields, desired.PluginField(ownership.Part))
		if set.Attach != nil && out != closed {
			out = "that alone is taken off again"
		}
		if set.Attach != nil && desired.IsGuard(entity) {
			out = closed
		}
	}
	slices.Sort(fields)
	stalled := status.Stalled(v1alpha1.ReasonKongRejected,
		"%s: Kong refuses %s, and would take nobody's changes with it: %s (KongGateway %s). Change what it is made of.",
		cmp.Or(strings.Join(slices.Compact(fields), ", "), "spec"), few(messages), out, e.start.Scope.Gateway)
	stalled.RetryAfter = e.refusals.Retry(set.Owner)
	return stalled
}

// closed says what takes the place of a plugin that keeps somebody out.
const closed = "that alone is taken off again, and every request is answered with 503 in its place"
