package engine

import (
	"cmp"
	"context"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// Kong runs one post-function for a request, the most specific. One that somebody else has on a single route runs there
// instead of the operator's program, which is on the service.

// checkRival refuses, beside what else becomes of the run, what does not check the claims of every route. It is looked
// for once, and again at each listing.
func (r *syncRun) checkRival(ctx context.Context) error {
	to := r.set.Attach
	if to == nil {
		return nil
	}
	id := ""
	for _, w := range r.want {
		if w.Plugin == desired.PluginClaims {
			id = cmp.Or(w.Service, w.Route)
		}
	}
	if id == "" {
		return nil
	}
	rival, looked := r.attachments.rivalOf(*to)
	if !looked {
		var err error
		if rival, err = r.findRival(ctx, *to, id); err != nil {
			return r.outcome(r.set.Owner, "spec.attachTo", to.String(), err)
		}
		r.attachments.setRival(*to, rival)
	}
	if rival == "" {
		return nil
	}
	r.refused = status.Stalled(v1alpha1.ReasonConflict,
		"spec.claims: %s, so that the claims of its requests are not checked (%s). Attach to another, or remove spec.claims.",
		rival, to)
	r.refused.RetryAfter = r.arbiter.Retry(r.set.Owner)
	return nil
}

// findRival finds a post-function that runs instead of the one that is on a service or route of somebody else's.
func (r *rooms) findRival(ctx context.Context, to desired.Target, id string) (string, error) {
	if to.Kind == kong.KindRoute {
		return r.rivalOnRoute(ctx, to.Kind, id, to.Name)
	}
	for route, err := range r.link.current().Children(ctx, to.Kind, id, kong.KindRoute) {
		if err != nil {
			return "", err
		}
		if rival, err := r.rivalOnRoute(ctx, to.Kind, route.ID, route.Fields.Text("name")); rival != "" || err != nil {
			return rival, err
		}
	}
	return "", nil
}

func (r *rooms) rivalOnRoute(ctx context.Context, attached kong.Kind, id, name string) (string, error) {
	if name == "" {
		name = id
	}
	for plugin, err := range r.link.current().Children(ctx, kong.KindRoute, id, kong.KindPlugin) {
		if isNotFound(err) {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		// One in the very place of the operator's is refused by Kong.
		takesPlace := attached == kong.KindRoute && plugin.Fields.Ref("service") == ""
		_, ours := r.ownership(plugin)
		if plugin.Fields.Text("name") == desired.PluginClaims && !takesPlace && !ours {
			return "route " + name + " has " + r.describeForeign(plugin), nil
		}
	}
	return "", nil
}

// refreshRival looks again for what was looked for, and wakes the owners where it came or went.
func (m *monitor) refreshRival(ctx context.Context, to desired.Target, id string) error {
	if _, looked := m.attachments.rivalOf(to); !looked || id == "" {
		return nil
	}
	rival, err := m.findRival(ctx, to, id)
	if isNotFound(err) {
		return nil // the next listing knows
	}
	if err != nil {
		return err
	}
	for _, owner := range m.attachments.setRival(to, rival) {
		m.wake(owner, EventFreed)
	}
	return nil
}
