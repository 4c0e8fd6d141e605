package engine

import (
	"github.com/kongjwt/kong-jwt-operator/internal/backend/declarative"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/drift"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/observed"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/plan"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// hearer hears what becomes of writes after a backend took them.
type hearer struct {
	*rooms
	monitor *monitor
}

var _ declarative.Listener = (*hearer)(nil)

// Accepted implements declarative.Listener.
func (h *hearer) Accepted(owners []desired.Owner) {
	for _, owner := range owners {
		h.memory.accept(owner)
		h.wake(owner, EventFreed)
	}
}

// Refused implements declarative.Listener: what is observed says what Kong runs again, and the owner is told.
func (h *hearer) Refused(owner desired.Owner, held []kong.Entity, why *status.StalledError) {
	entries := make([]plan.Entry, 0, len(held))
	for _, e := range held {
		ownership, _ := desired.ParseTags(e.Fields.Tags())
		entries = append(entries, plan.Describe(e, owner, ownership.Part, h.sum(e)))
	}
	for _, c := range h.observed.Replace(owner, entries) {
		h.release(c)
	}
	refusal := *why
	refusal.RetryAfter = h.settings.DriftInterval
	h.memory.refuse(owner, &refusal, h.options.Now().Add(h.settings.DriftInterval))
	h.wake(owner, EventFreed)
}

// Restored implements declarative.Listener: the owner is told of what somebody else did. What several nodes have in
// common is told once.
func (h *hearer) Restored(shown, given *kong.Entity) {
	about, how := given, observed.Changed
	switch {
	case shown == nil:
		how = observed.Deleted
	case given == nil:
		about, how = shown, observed.Appeared
	}
	ownership, owned := desired.ParseTags(about.Fields.Tags())
	if !owned {
		return
	}
	found := Drift{Kind: about.Kind, Name: ownership.Part, ID: about.ID, Change: how, Corrected: true}
	if about.Kind == kong.KindPlugin {
		found.Name = about.Fields.Text("name")
	}
	if how == observed.Changed {
		found.Fields = drift.Differing(h.link.schemas.Canonical(*shown), h.link.schemas.Canonical(*given))
	}
	if h.drifts.Restored(ownership.Owner, found) {
		h.countDrift(plan.Describe(*about, ownership.Owner, ownership.Part, plan.Hash{}), how)
		h.wake(ownership.Owner, EventDrift)
	}
}

// Differs implements declarative.Listener.
func (h *hearer) Differs() {
	if h.monitor.isReady() {
		request(h.monitor.relist)
	}
}

// Failed implements declarative.Listener.
func (h *hearer) Failed(err error) { h.monitor.failed(err) }
