package ingress

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/held"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
)

// monitor lists the objects of a gateway now and then, and sees to its barrier.
type monitor struct {
	*rooms
	pace Pace
	// listing and asking are the troubles with listings, and with the barrier.
	listing, asking trouble
}

// run looks again and again, until ctx ends.
func (m *monitor) run(ctx context.Context) {
	m.watches(ctx)
	ticker := time.NewTicker(m.pace.Look)
	defer ticker.Stop()
	var listed time.Time
	for {
		filled, now := m.link.isFilled(), m.start.Now()
		due := !filled || now.Sub(listed) > m.settings.DriftInterval || m.listing.err != nil
		if !m.listing.pauses(now) && (due || m.link.wantsList()) {
			if m.fill(ctx) {
				listed = now
			}
		}
		if m.link.isFilled() {
			m.look(ctx)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// fill lists all objects of the gateway. What somebody else changed is applied again by its owner.
func (m *monitor) fill(ctx context.Context) bool {
	since, listing := m.barrier.Written(), m.held.BeginListing()
	defer m.held.EndListing(listing)
	found, plugins, err := m.list(ctx)
	if ctx.Err() != nil {
		return false
	}
	m.listing.note(err, m.start.Now(), m.pace.Look)
	if err != nil {
		m.start.Log.Error(err, "Cannot list the objects of this gateway; trying again", "pause", m.listing.pause)
		if !m.link.isFilled() {
			m.say(engine.State{Reason: v1alpha1.ReasonGatewayNotReady, Message: unavailable(err)})
		}
		return false
	}
	if !m.link.isFilled() {
		m.held.Began(m.barrier.Wrote()) // the first barrier: is there a controller at all?
	}
	changed := m.held.Replace(found, since, m.barrier.Wrote)
	maps.Copy(changed, m.held.Hide(listing, plugins, m.settings.Namespace))
	m.orphans.Listed()
	m.findLeftOut(ctx)
	if m.link.fill() {
		m.barrier.Found()
		m.start.Log.Info("Connected to the ingress controller's objects", "class", m.settings.Class)
		m.start.Notify(engine.Event{Gateway: m.start.Scope.Gateway, Reason: engine.EventConnected})
	}
	for owner := range changed {
		m.wake(owner, engine.EventDrift)
	}
	m.judge()
	return true
}

// list gives the objects of the gateway, those that its plugins are attached to, and all KongPlugins.
func (m *monitor) list(ctx context.Context) (found []held.Object, plugins map[objects.Reference]bool, err error) {
	if found, err = m.cluster.list(ctx, m.objects); err != nil {
		return nil, nil, err
	}
	attached, err := m.cluster.attachments(ctx, m.objects, found)
	if err != nil {
		return nil, nil, err
	}
	plugins, err = m.cluster.plugins(ctx, "")
	return append(found, attached...), plugins, err
}

// unavailable says why objects cannot be listed.
func unavailable(err error) string {
	if isNoKind(err) {
		return "spec.ingressController: the cluster has no " + objects.GroupKong + " KongConsumers. " +
			"Install the custom resource definitions of Kong Ingress Controller; this gateway goes on when they are there."
	}
	if isForbidden(err) {
		return "spec.ingressController: the operator may not read the ingress controller's objects. " +
			"Set ingressController.enabled in the operator's chart."
	}
	return fmt.Sprintf("spec.ingressController: its objects cannot be listed: %v", err)
}

// look sees to the barrier.
func (m *monitor) look(ctx context.Context) {
	if !m.asking.pauses(m.start.Now()) {
		freed, err := m.barrier.Look(ctx)
		if err != nil {
			m.start.Log.Error(err, "Cannot tell what the ingress controller takes")
		}
		m.asking.note(err, m.start.Now(), m.pace.Look)
		for _, owner := range freed {
			m.wake(owner, engine.EventFreed)
		}
	}
	if since, overdue := m.barrier.Overdue(); overdue {
		m.findBlame(ctx, since)
	}
	m.judge()
}

// findBlame reads whose objects hold up the pushes: an owner of this gateway's takes its own away.
func (m *monitor) findBlame(ctx context.Context, since time.Time) {
	refused, err := m.cluster.refused(ctx, since)
	if err != nil {
		m.start.Log.Error(err, "Cannot read why the ingress controller pushes nothing")
		return
	}
	blame := make([]string, 0, len(refused))
	for r, what := range refused {
		message := r.String() + ": " + what.field
		blame = append(blame, message)
		if own, found := m.held.Get(r); found && what.isAbout(own) {
			m.refusals.Note(own.Owner, r, own.Sum, message)
			m.wake(own.Owner, engine.EventFreed)
		}
	}
	slices.Sort(blame)
	m.barrier.Blame(few(blame))
}

// findLeftOut reads whether a fallback serves objects without their plugins.
func (m *monitor) findLeftOut(ctx context.Context) {
	names, err := m.cluster.leftOut(ctx)
	if err != nil {
		m.start.Log.Error(err, "Cannot read what the ingress controller's fallback leaves out")
		return
	}
	m.link.leave(few(names))
}

// few gives the first of several texts, and how many there are more.
func few(texts []string) string {
	const most = 3
	if len(texts) > most {
		texts = append(slices.Clone(texts[:most]), fmt.Sprintf("and %d more", len(texts)-most))
	}
	return strings.Join(texts, "; ")
}

// judge says how the gateway fares: it is ready once a barrier was taken, until one is late.
func (m *monitor) judge() {
	has, b := m.held.Counts(), m.barrier.State()
	counts := engine.Counts{
		Consumers: has[kong.KindConsumer], Credentials: has[kong.KindJWT], Groups: has[kong.KindACL],
		Services: has[kong.KindService], Routes: has[kong.KindRoute], Plugins: has[kong.KindPlugin],
	}
	state := engine.State{Counts: counts, Reported: counts}
	switch {
	case m.listing.lasts(m.start.Now(), m.pace.Late):
		state.Reason, state.Message = v1alpha1.ReasonGatewayNotReady, unavailable(m.listing.err)
	case b.Late:
		state.Reason = v1alpha1.ReasonAwaitingController
		state.Message = "spec.ingressController: " + b.Lateness(m.settings.Class)
	case b.Confirmed == 0:
		state.Reason = v1alpha1.ReasonProgressing
		state.Message = "waiting until the ingress controller takes the first object"
	default:
		state.Ready = true
	}
	m.say(state)
}

// say changes what is said of the gateway, and tells its resource.
func (m *monitor) say(now engine.State) {
	former := m.link.set(now)
	now = m.link.get()
	if former.Ready != now.Ready || former.Message != now.Message || former.Reported != now.Reported ||
		former.LeftOut != now.LeftOut {
		m.start.Notify(engine.Event{Gateway: m.start.Scope.Gateway, Reason: engine.EventChanged})
	}
	if now.Ready && !former.Ready {
		m.start.Log.Info("The ingress controller takes this gateway's objects")
	}
}

// forget drops what is remembered of an owner that is gone.
func (r *rooms) forget(owner desired.Owner) {
	r.held.Forget(owner)
	r.arbiter.Forget(owner)
	r.barrier.Forget(owner)
	r.refusals.Forget(owner)
	r.link.forget(owner)
	r.targets.Forget(owner)
}
