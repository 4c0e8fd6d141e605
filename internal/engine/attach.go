package engine

import (
	"context"
	"sync"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// attachments are the services and routes of others that plugins of this operator's are on. They may be used from many
// goroutines.
type attachments struct {
	mu       sync.Mutex
	byTarget map[desired.Target]*attachment
}

type attachment struct {
	// id in Kong; empty while there is none of that name, or one that may not be attached to.
	id     string
	owners map[desired.Owner]bool
}

func newAttachments() *attachments { return &attachments{byTarget: map[desired.Target]*attachment{}} }

func (a *attachments) reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.byTarget)
}

// attach records that an owner attaches to a target, and gives its id as far as that is known.
func (a *attachments) attach(owner desired.Owner, to desired.Target) (id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	known := a.byTarget[to]
	if known == nil {
		known = &attachment{owners: map[desired.Owner]bool{}}
		a.byTarget[to] = known
	}
	known.owners[owner] = true
	return known.id
}

// detach forgets that an owner attaches to anything but a target.
func (a *attachments) detach(owner desired.Owner, but *desired.Target) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for to, known := range a.byTarget {
		if but != nil && to == *but {
			continue
		}
		delete(known.owners, owner)
		if len(known.owners) == 0 {
			delete(a.byTarget, to)
		}
	}
}

// setID records which entity a target turned out to be.
func (a *attachments) setID(to desired.Target, id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if known := a.byTarget[to]; known != nil {
		known.id = id
	}
}

// forgetID looks anew for what plugins are attached to: Kong says that it is not there.
func (a *attachments) forgetID(to *desired.Target) {
	if to != nil {
		a.setID(*to, "")
	}
}

// ids gives the targets and their ids.
func (a *attachments) ids() map[desired.Target]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	ids := make(map[desired.Target]string, len(a.byTarget))
	for to, known := range a.byTarget {
		ids[to] = known.id
	}
	return ids
}

// retarget forgets an id, unless it was found anew meanwhile, and gives the owners that attach to it.
func (a *attachments) retarget(to desired.Target, former string) []desired.Owner {
	a.mu.Lock()
	defer a.mu.Unlock()
	known := a.byTarget[to]
	if known == nil || known.id != former {
		return nil
	}
	known.id = ""
	return keysOf(known.owners)
}

// target finds the id of the service or route that an owner attaches to. It is remembered until the next listing: an
// unchanged resource costs no request. It is looked at and never written. The error is a *status.StalledError, or
// Kong's. Plugins on an entity of this operator, or of another installation, are refused.
func (r *rooms) target(ctx context.Context, owner desired.Owner, to desired.Target) (id string, err error) {
	if to.Object != "" {
		return "", status.Stalled(v1alpha1.ReasonInvalidSpec, "%s: %s is an object that an ingress controller would take, and "+
			"KongGateway %s has an Admin API. Use spec.attachTo.serviceName or routeName.", to.Field(), to, r.scope.Gateway)
	}
	if r.link.describe().Exclusive {
		return "", status.Stalled(v1alpha1.ReasonInvalidSpec, "spec.attachTo: a Kong without a database has nothing but "+
			"what this operator gives it. Use spec.upstream and spec.routes.")
	}
	if id := r.attachments.attach(owner, to); id != "" {
		return id, nil
	}
	e, err := r.link.current().Get(ctx, to.Kind, to.Name)
	if err != nil && !kong.IsNotFound(err) {
		return "", err
	}
	var stalled *status.StalledError
	switch {
	case kong.IsNotFound(err) || e.Fields.Text("name") != to.Name:
		stalled = status.Stalled(v1alpha1.ReasonTargetNotFound,
			"spec.attachTo: %s does not exist in Kong. Create it there, or name another.", to)
	case !desired.Unmanaged(e.Fields.Tags()):
		// Two owners would each want a jwt plugin of its own on it, and deleting the one would unprotect the
		// other's.
		stalled = status.Stalled(v1alpha1.ReasonConflict, "spec.attachTo: %s is managed already (%s). "+
			"Change that resource instead: spec.attachTo is for what this operator does not manage.",
			to, r.describeForeign(e))
	default:
		r.attachments.setID(to, e.ID)
		return e.ID, nil
	}
	stalled.RetryAfter = r.arbiter.Retry(owner)
	return "", stalled
}

// refreshTargets looks at everything that is attached to, and wakes the owners of what came, went or was made anew. An
// entity that was deleted and made again has another id, and no plugins: its owners have to put them on again.
func (m *monitor) refreshTargets(ctx context.Context) error {
	for to, id := range m.attachments.ids() {
		e, err := m.link.current().Get(ctx, to.Kind, to.Name)
		if err != nil && !kong.IsNotFound(err) {
			return err
		}
		now := ""
		if err == nil && e.Fields.Text("name") == to.Name && desired.Unmanaged(e.Fields.Tags()) {
			now = e.ID
		}
		if now == id {
			continue
		}
		for _, owner := range m.attachments.retarget(to, id) {
			m.wake(owner, EventFreed)
		}
	}
	return nil
}
