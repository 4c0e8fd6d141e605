package engine

import (
	"context"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// attachment is what is known of somebody else's service or route that plugins of ours are on.
type attachment struct {
	// id in Kong; empty while there is none of that name, or one that may not be attached to.
	id     string
	owners map[desired.Owner]bool
}

// target finds the id of the service or route that an owner attaches to. It is remembered until the next drift check: an unchanged resource costs
// no request. It is looked at and never written.
func (g *Engine) target(ctx context.Context, owner desired.Owner, to desired.Target) (id string, err error) {
	if g.declared.active.Load() {
		return "", status.Stalled(v1alpha1.ReasonInvalidSpec, "spec.attachTo: a Kong without a database has nothing but what this operator gives it; use spec.upstream and spec.routes")
	}
	g.mu.Lock()
	known := g.attached[to]
	if known == nil {
		known = &attachment{owners: map[desired.Owner]bool{}}
		g.attached[to] = known
	}
	known.owners[owner] = true
	id = known.id
	g.mu.Unlock()
	if id != "" {
		return id, nil
	}
	e, err := g.api.Get(ctx, to.Kind, to.Name)
	if err != nil && !isNotFound(err) {
		return "", err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if isNotFound(err) || e.Fields.Text("name") != to.Name {
		stalled := status.Stalled(v1alpha1.ReasonTargetNotFound, "%s does not exist in Kong; create it there, or name another in spec.attachTo", to)
		stalled.RetryAfter = g.backOff(owner)
		return "", stalled
	}
	if !desired.Unmanaged(e.Fields.Tags()) {
		// Two owners of the operator's would each want its own jwt plugin on it, and deleting the one would unprotect the other's.
		stalled := status.Stalled(v1alpha1.ReasonConflict, "%s is managed by %s; spec.attachTo is for what this operator does not manage: change that resource instead",
			to, g.describeForeign(e))
		stalled.RetryAfter = g.backOff(owner)
		return "", stalled
	}
	known.id = e.ID
	return e.ID, nil
}

// forgetTarget looks anew for what plugins are attached to: Kong says that it is not there.
func (g *Engine) forgetTarget(to *desired.Target) {
	if to == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if known := g.attached[*to]; known != nil {
		known.id = ""
	}
}

// refreshTargets looks at everything that is attached to, and wakes the owners of what came, went or was made anew.
func (g *Engine) refreshTargets(ctx context.Context) error {
	g.mu.Lock()
	former := make(map[desired.Target]string, len(g.attached))
	for to, known := range g.attached {
		former[to] = known.id
	}
	g.mu.Unlock()
	for to, id := range former {
		e, err := g.api.Get(ctx, to.Kind, to.Name)
		if err != nil && !isNotFound(err) {
			return err
		}
		now := ""
		if err == nil && e.Fields.Text("name") == to.Name && desired.Unmanaged(e.Fields.Tags()) {
			now = e.ID
		}
		if now != id {
			g.retarget(to, id)
		}
	}
	return nil
}

// retarget forgets an id, unless it was found anew meanwhile, and wakes everyone who attaches to it.
func (g *Engine) retarget(to desired.Target, former string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	known := g.attached[to]
	if known == nil || known.id != former {
		return
	}
	known.id = ""
	for owner := range known.owners {
		g.wake(owner, EventFreed)
	}
}

// detach forgets that an owner attaches to anything but a target.
func (g *Engine) detach(owner desired.Owner, but *desired.Target) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for to, known := range g.attached {
		if but != nil && to == *but {
			continue
		}
		delete(known.owners, owner)
		if len(known.owners) == 0 {
			delete(g.attached, to)
		}
	}
}
