package ingress

import (
	"context"
	"maps"
	"slices"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// shut gives what stays of a set while a KongPlugin is taken instead of one of its plugins: no routes; on somebody
// else's object 503 for every request, in place of each plugin that is hidden. Before a route opens, and before an
// object gets its annotation, the API server is asked for the namespace's KongPlugins.
func (e *Engine) shut(ctx context.Context, set desired.Set, want []objects.Object) (desired.Set, error) {
	if opens(e.rooms, want) {
		if err := e.findHiding(ctx, set.Owner, want); err != nil {
			return set, err
		}
	}
	hiding := e.held.HiddenBy(set.Owner)
	if len(hiding) == 0 {
		return set, nil
	}
	var left []kong.Entity
	for _, entity := range set.Entities {
		if entity.Kind != kong.KindRoute {
			left = append(left, entity)
		}
		if set.Attach != nil && entity.Kind == kong.KindPlugin && isHidden(entity, want, hiding) {
			left = append(left, desired.Closed(e.start.Scope, set.Owner, entity))
		}
	}
	set.Entities = left
	set.Keep = slices.DeleteFunc(slices.Clone(set.Keep), func(id string) bool {
		o, _ := e.held.Find(id)
		return o.Entity == kong.KindRoute
	})
	return set, nil
}

// opens says whether a route that is wanted is not reached yet, or an object lacks its annotation.
func opens(r *rooms, want []objects.Object) bool {
	return slices.ContainsFunc(want, func(o objects.Object) bool {
		is, there := r.held.Get(o.Reference)
		return o.Attached && !there || o.Entity == kong.KindRoute && (!there || is.Guarded)
	})
}

// findHiding asks which KongPlugins hide what an owner wants.
func (r *rooms) findHiding(ctx context.Context, owner desired.Owner, want []objects.Object) error {
	namespace := owner.Namespace
	if owner.Kind != v1alpha1.KindJwtProtectedService {
		namespace = r.settings.Namespace
	}
	listing := r.held.BeginListing()
	defer r.held.EndListing(listing)
	plugins, err := r.cluster.plugins(ctx, namespace)
	if err != nil {
		return err
	}
	var would []objects.Reference
	for _, o := range want {
		if by := objects.Hiding(o.Reference, owner, r.settings.Namespace); by != (objects.Reference{}) {
			would = append(would, by)
		}
	}
	r.held.HideOwn(listing, owner, would, plugins)
	return nil
}

// hidden asks once more which KongPlugins hide the owner's, now that these are there, and says whether others do than
// were known: the watch tells only of what hides a KongClusterPlugin that is there. The owner looks again then.
func (r *run) hidden(ctx context.Context) (bool, error) {
	known := r.held.HiddenBy(r.owner)
	if err := r.findHiding(ctx, r.owner, slices.Collect(maps.Values(r.want))); err != nil {
		return false, err
	}
	if slices.Equal(known, r.held.HiddenBy(r.owner)) {
		return false, nil
	}
	r.open = true
	r.wake(r.owner, engine.EventDrift)
	return true, nil
}

// isHidden says whether a KongPlugin is taken instead of that of an entity.
func isHidden(entity kong.Entity, want []objects.Object, hiding []objects.Reference) bool {
	return slices.ContainsFunc(want, func(o objects.Object) bool {
		return o.ID == entity.ID && o.Kind == objects.KindClusterPlugin &&
			slices.ContainsFunc(hiding, func(by objects.Reference) bool { return by.Name == o.Name })
	})
}

// Unprotected implements engine.Programmer: it says that a KongPlugin is taken instead of one of an owner's plugins.
func (r *rooms) Unprotected(owner desired.Owner) error {
	hiding := r.held.HiddenBy(owner)
	if len(hiding) == 0 {
		return nil
	}
	names := make([]string, 0, len(hiding))
	for _, by := range hiding {
		names = append(names, by.String())
	}
	effect := ""
	if _, attaches := r.targets.Of(owner); attaches {
		effect = ": every request is answered with 503 until it is gone"
	} else if owner.Kind == v1alpha1.KindJwtProtectedService {
		effect = ": the routes of this resource are out of Kong until it is gone"
	}
	stalled := status.Stalled(v1alpha1.ReasonUnprotected,
		"spec.plugins: %s has the name of the operator's KongClusterPlugin, and the ingress controller takes it instead%s "+
			"(KongGateway %s). Have it renamed.", few(names), effect, r.start.Scope.Gateway)
	stalled.RetryAfter = r.settings.DriftInterval
	return stalled
}
