package ingress

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/held"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// validate has the API server judge all that changes before any of it is written: its admission, the webhook of the
// ingress controller above all, sees a dry run as it sees a write. The Secrets are there already: the webhook looks
// into those that a plugin or a consumer names, and what nothing names means nothing to Kong.
func (r *run) validate(ctx context.Context, want []objects.Object) error {
	changed := r.changed(want)
	if len(changed) < 2 {
		return nil // the write itself is all or nothing
	}
	for _, o := range changed {
		if err := r.cluster.validate(ctx, o); err != nil {
			return r.failed(o, err)
		}
	}
	return nil
}

// changed are the objects above Secrets that are not there with the content that is wanted. What is there with it was
// judged before, also by another process; so was a route that is there guarded.
func (r *run) changed(want []objects.Object) (changed []objects.Object) {
	for _, o := range want {
		before, there := r.own[o.Reference]
		judged := there && (before.Sum == o.Sum || before.Guarded)
		if o.Rank() > objects.RankBase && !o.Attached && o.Content != nil && !judged {
			changed = append(changed, o)
		}
	}
	return changed
}

// refusal is what the API server refuses of an owner's objects: what is there stays.
type refusal struct{ *status.StalledError }

// Unwrap gives the error that controllers know.
func (r refusal) Unwrap() error { return r.StalledError }

// failed says what an object that cannot be written means for its owner.
func (r *run) failed(o objects.Object, err error) error {
	if !apierrors.IsInvalid(err) && !apierrors.IsForbidden(err) && !apierrors.IsBadRequest(err) {
		return fmt.Errorf("apply %s: %w", o.Reference, err)
	}
	stalled := status.Stalled(v1alpha1.ReasonKongRejected,
		"%s: the API server refuses %s: %s; nothing of the change is written, but for access that it takes away "+
			"(KongGateway %s). Correct the field; where it is right, ask those who run the cluster's admission.",
		fieldOf(o), o.Reference, reasonFor(err), r.start.Scope.Gateway)
	stalled.RetryAfter = r.settings.DriftInterval
	if o.Entity == kong.KindConsumer {
		stalled.RetryAfter = again // the webhook refuses a name that is about to leave Kong
	}
	return refusal{stalled}
}

// violation finds the fields that Kong's validation names, in what the ingress controller's webhook says of it.
var violation = regexp.MustCompile(`schema violations? \(([a-z_][A-Za-z0-9_.]*): `)

// reasonFor says why the API server refuses: the field of Kong where its validation names one, and no text that may
// hold a value, as that may come from a Secret.
func reasonFor(err error) string {
	if found := violation.FindStringSubmatch(err.Error()); found != nil {
		return "invalid " + found[1]
	}
	return cmp.Or(string(apierrors.ReasonForError(err)), "its admission denies it")
}

// fieldOf is the field of a spec that an object is made of.
func fieldOf(o objects.Object) string {
	switch o.Entity {
	case kong.KindService:
		return "spec.upstream"
	case kong.KindRoute:
		return "spec.routes"
	case kong.KindPlugin:
		return desired.PluginField(o.Part)
	}
	return "spec"
}

// unlessRefused takes away what a refused change takes away all the same: credentials and groups of a consumer,
// routes, and those whom a service no longer admits. All else stays as it is.
func (r *run) unlessRefused(ctx context.Context, err error) error {
	var refused refusal
	if !errors.As(err, &refused) {
		return err
	}
	wanted := map[string]bool{}
	for _, o := range r.want {
		wanted[o.ID] = true
	}
	withdrawn, withdraws := r.withdraw(ctx, r.owner, func(o held.Object) bool { return o.IsAccess() && !wanted[o.ID] })
	r.result.Writes += withdrawn.Writes
	return errors.Join(err, withdraws, r.takeRoutes(ctx), r.narrow(ctx))
}

// takeRoutes deletes the routes that nobody wants.
func (r *run) takeRoutes(ctx context.Context) error {
	for reference, is := range r.own {
		if _, wanted := r.want[reference]; wanted || is.Entity != kong.KindRoute {
			continue
		}
		if err := r.cluster.remove(ctx, reference); err != nil {
			return fmt.Errorf("take away %s: %w", reference, err)
		}
		r.drop(is)
		delete(r.own, reference)
		r.result.Writes++
	}
	return nil
}

// narrow takes those groups out of the acl plugins that are not wanted, and adds to those that they keep out.
func (r *run) narrow(ctx context.Context) error {
	for _, o := range r.want {
		if err := r.narrowOne(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) narrowOne(ctx context.Context, o objects.Object) error {
	is, there := r.own[o.Reference]
	if o.Entity != kong.KindPlugin || o.Content["plugin"] != "acl" || !there || is.Sum == o.Sum {
		return nil
	}
	live, err := r.cluster.get(ctx, o.Reference)
	if err != nil || live == nil {
		return err // somebody deleted it: the next Sync writes it, and the others are narrowed all the same
	}
	list, groups, narrower := desired.NarrowGroups(configOf(o.Content), configOf(live.Object))
	if !narrower {
		return nil
	}
	raw, err := json.Marshal(map[string]any{"config": map[string]any{list: groups},
		"metadata": map[string]any{"annotations": objects.Unknown()}})
	if err != nil {
		return err
	}
	printed, err := r.cluster.patch(ctx, o.Reference, raw)
	if err != nil {
		return fmt.Errorf("take groups out of %s: %w", o.Reference, err)
	}
	is.Epoch, is.Print, is.Sum = r.barrier.Wrote(), printed, objects.UnknownSum
	r.own[o.Reference] = is
	r.held.Put(is)
	r.held.Withdrew(r.owner, is.Epoch)
	r.result.Writes++
	return nil
}

// widensEarly says whether an acl plugin would let in somebody while what is reached is not as it is wanted: whom a
// change lets in gets to the routes that it leaves, and to nothing that it takes away.
func (r *run) widensEarly(ctx context.Context, o objects.Object) (bool, error) {
	if o.Entity != kong.KindPlugin || o.Content["plugin"] != "acl" ||
		!r.reaches(kong.KindRoute) && !r.reaches(kong.KindService) {
		return false, nil
	}
	live, err := r.cluster.get(ctx, o.Reference)
	if err != nil || live == nil {
		return false, err
	}
	return widens(live.Object, o.Content), nil
}

// widens says whether an acl plugin as it is wanted lets in somebody whom the one that is there keeps out.
func widens(is, want map[string]any) bool {
	if isOff, off := is["disabled"] == true, want["disabled"] == true; isOff || off {
		return !isOff
	}
	former, now := configOf(is), configOf(want)
	if list, _, wider := desired.NarrowGroups(former, now); list != "" {
		return wider
	}
	// Another list: who is not allowed is kept out by the one, and who is denied by the other.
	allowed, denied := now.Strings("allow"), former.Strings("deny")
	return len(allowed) == 0 || slices.ContainsFunc(allowed, func(group string) bool { return slices.Contains(denied, group) })
}

// guarded gives a service with the plugins that it is to lose, as long as a route that relied on them is not as it is
// wanted.
func (r *run) guarded(ctx context.Context, o objects.Object) (objects.Object, error) {
	if o.Entity != kong.KindService {
		return o, nil
	}
	leaving := map[string]bool{}
	for reference, is := range r.own {
		if _, wanted := r.want[reference]; !wanted && is.Entity == kong.KindPlugin {
			leaving[is.Name] = true
		}
	}
	if len(leaving) == 0 || !r.reaches(kong.KindRoute) {
		return o, nil
	}
	live, err := r.cluster.get(ctx, o.Reference)
	if err != nil || live == nil {
		return o, err
	}
	named := slices.DeleteFunc(objects.Plugins(live.GetAnnotations()), func(name string) bool { return !leaving[name] })
	if len(named) == 0 {
		return o, nil
	}
	r.open = true
	return r.objects.Naming(o, named), nil
}

// reaches says whether Kong may have a route or a service of the owner's otherwise than it is wanted. One that nobody
// gets to does not count.
func (r *run) reaches(kind kong.Kind) bool {
	pushed := r.barrier.Pushed()
	for reference, is := range r.own {
		if is.Entity != kind || is.Guarded {
			continue
		}
		want, wanted := r.want[reference]
		if !wanted || is.Epoch > pushed || want.Content != nil && want.Sum != is.Sum {
			return true
		}
	}
	return kind == kong.KindRoute && r.held.LastRemoved(r.owner) > pushed
}

// configOf is the configuration of a plugin in an object's content.
func configOf(content map[string]any) kong.Fields { return kong.Fields(content).Object("config") }
