package engine

import (
	"context"
	"maps"
	"slices"

	"github.com/kongjwt/kong-jwt-operator/internal/backend"
	"github.com/kongjwt/kong-jwt-operator/internal/backend/declarative"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/drift"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/observed"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/plan"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// correct does one op, and reports where that puts back what somebody else changed. Kong is asked for the fields that
// differ before the write, and the record of the drift ends with it (rooms.follow).
func (r *syncRun) correct(ctx context.Context, o plan.Op) error {
	var found Drift
	record, drifted := r.drifts.Get(o.Target.ID)
	if drifted {
		found = r.describeDrift(ctx, o.Target, record)
	}
	if err := r.send(ctx, o); err != nil || !drifted {
		return err
	}
	found.Corrected = true
	r.result.Drifts = append(r.result.Drifts, found)
	return nil
}

// send does one op and records what came of it. What was done is recorded in observed by put and delete themselves,
// before anything else can be planned from it.
func (r *syncRun) send(ctx context.Context, o plan.Op) error {
	var err error
	if o.Verb == plan.Put {
		err = r.put(ctx, o.Target)
	} else {
		err = r.delete(ctx, o)
	}
	if err != nil {
		what := backend.Name(o.Target.Kind, o.Target.Part)
		return r.outcome(r.set.Owner, entityField(o.Target.Entry), what, r.chargeFailure(ctx, o, what, err))
	}
	r.result.Writes++
	r.log.V(1).Info("Wrote to Kong", "verb", string(o.Verb), "kind", o.Target.Kind.Singular(),
		"owner", r.set.Owner.String(), "part", o.Target.Part)
	return nil
}

// put writes one entity, if nobody else holds what is unique in it.
func (r *syncRun) put(ctx context.Context, w plan.Wanted) error {
	if !r.link.describe().Capabilities.HasKind(w.Kind) {
		return lacksPlugin(w, r.scope.Gateway)
	}
	keys := r.observed.NewKeys(w)
	if err := r.reserve(ctx, w, keys); err != nil {
		return r.giveUp(ctx, w, err)
	}
	taken := false
	// The deferred calls run in the reverse order: listings may judge the entity again first, then the keys are
	// given free. By then the write is recorded.
	defer func() { r.unreserve(w, keys, taken) }()
	defer r.observed.Sending(w.ID)()
	// A PUT by id would create a second entity beside one that nobody claims, or be refused for its name.
	if r.find().mayBeThere(w) {
		if err := r.adopt(ctx, w); err != nil {
			return err
		}
	}
	answer, err := r.link.current().Put(ctx, w.Entity)
	switch {
	case err == nil:
		r.recordWrite(w.Entry, answer)
		return nil
	case isConflict(err):
		// Kong gives each username, custom_id, key and name once in a workspace (the field's unique in its
		// schema).
		taken = true
		if err := r.adopt(ctx, w); err != nil {
			return err
		}
		return r.giveUp(ctx, w, r.conflict(ctx, w, err))
	case isParentMissing(err):
		// What Kong says is not there leaves observed with its children, which Kong took along: the next plan
		// creates them.
		r.follow(r.observed.RecordAbsent(w.Parents())...)
		r.attachments.forgetID(r.set.Attach)
		return errReplan
	case ambiguous(err):
		r.observed.RecordUncertain(plan.Put, w.Entry)
	}
	return err
}

// recordWrite records that Kong took an entity, and shows it as it answers. Kong's answer shows what it will show in
// listings: with the hash of both, neither counts as a difference.
func (r *rooms) recordWrite(e plan.Entry, answer kong.Entity) {
	shown := r.sum(answer)
	if shown != e.Hash {
		r.log.V(1).Info("Kong fills in what was not sent",
			"kind", e.Kind.Singular(), "owner", e.Owner.String(), "part", e.Part)
	}
	r.follow(r.observed.RecordWrite(e, shown))
}

// recordFound records an entity of an owner that was not known.
func (r *rooms) recordFound(e kong.Entity, owner desired.Owner, part string) {
	sum := r.sum(e)
	r.follow(r.observed.RecordWrite(plan.Describe(e, owner, part, sum), sum))
}

// delete takes one entity out of Kong, and what Kong takes along with it. An entity that is not there any more is
// deleted: nil.
func (r *syncRun) delete(ctx context.Context, o plan.Op) error {
	if err := r.checkChildren(ctx, o); err != nil {
		return err
	}
	e := o.Target.Entry
	defer r.observed.Deleting(e)()
	err := r.link.current().Delete(ctx, e.Kind, e.ConsumerID, e.ID)
	if kong.IsNotFound(err) {
		err = r.deleteMoved(ctx, e)
	}
	switch {
	case ambiguous(err):
		r.observed.RecordUncertain(plan.Delete, e)
		return err
	case isParentMissing(err):
		return errReplan // something was added to it a moment ago, and Kong does not let it go
	case err != nil:
		return err
	}
	r.follow(r.observed.RecordGone(e)...)
	return nil
}

// deleteMoved takes a credential or group out that is not under its consumer any more: somebody moved it to another
// one, where it is as valid as before. It is told by its id, which only this operator gives.
func (r *syncRun) deleteMoved(ctx context.Context, e plan.Entry) error {
	if e.Kind != kong.KindJWT && e.Kind != kong.KindACL {
		return nil
	}
	moved, err := r.link.current().Get(ctx, e.Kind, e.ID)
	if kong.IsNotFound(err) || err == nil && (moved.ID != e.ID || moved.ConsumerID == e.ConsumerID) {
		return nil
	}
	if err != nil {
		return err
	}
	err = r.link.current().Delete(ctx, e.Kind, moved.ConsumerID, e.ID)
	if kong.IsNotFound(err) {
		return nil
	}
	return err
}

// reportLeft reports what a plan left as somebody else made it.
func (r *syncRun) reportLeft(ctx context.Context) {
	for _, id := range slices.Sorted(maps.Keys(r.left)) {
		record, found := r.drifts.Get(id)
		if !found {
			continue // it belongs to something that was deleted
		}
		target, wants := r.want[id]
		if !wants {
			target = plan.Wanted{Entry: record.Was}
		}
		r.result.Drifts = append(r.result.Drifts, r.describeDrift(ctx, target, record))
	}
}

// describeDrift names what differs. Kong is asked for the entity as it is, once; where it does not answer, no field is
// named.
func (r *rooms) describeDrift(ctx context.Context, w plan.Wanted, record drift.Record) Drift {
	found := Drift{
		Kind: w.Kind, Name: w.Part, ID: r.observed.Given(w.Entry), Change: record.Change, Fields: record.Fields,
	}
	if w.Plugin != "" {
		found.Name = w.Plugin
	}
	if record.Named || record.Change != observed.Changed || w.Entity.Fields == nil {
		return found
	}
	if is, err := r.link.current().Get(ctx, w.Kind, w.ID); err == nil {
		found.Fields = drift.Differing(r.link.schemas.Canonical(is), r.link.schemas.Canonical(w.Entity))
	}
	r.drifts.Name(w.ID, found.Fields)
	return found
}

// hearer hears what becomes of writes after a backend took them.
type hearer struct {
	*rooms
	monitor *monitor
}

var _ declarative.Listener = (*hearer)(nil)

// Accepted implements declarative.Listener. The owners waited for the push (waitForPush), and look again.
func (h *hearer) Accepted(owners []desired.Owner) {
	for _, owner := range owners {
		h.memory.accept(owner)
		h.wake(owner, EventFreed)
	}
}

// Refused implements declarative.Listener: what is observed says what Kong runs again, and the owner is told. Kong
// goes on with what the owner had before. Until the drift interval is over, or another configuration is wanted, the
// same is not staged again (memory.wants).
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

// Differs implements declarative.Listener. A node runs another configuration than it was given: what is observed may
// be wrong, and is listed anew.
func (h *hearer) Differs() { h.monitor.differs() }

// Failed implements declarative.Listener.
func (h *hearer) Failed(err error) { h.monitor.failed(err) }
