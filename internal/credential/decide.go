package credential

import (
	"maps"
	"slices"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/request"
)

// Want is what the spec asks of one credential.
type Want struct {
	Name string
	// Username of the consumer: keys that are not pinned begin with it.
	Username string
	// Key that is pinned. Kong holds a key once, so that pinned material is replaced in place, without overlap.
	Key string
	// Numbered keys end in the revision's number from the first on; else from the second.
	Numbered bool
	Recipe   Recipe
	// SecretName is the Secret that clients read; empty where the operator publishes none.
	SecretName string
	// Given is the material in a Secret that somebody else owns; nil where it is generated.
	Given *Material
	// Missing says that the material should be given, or its Secret written, and cannot be now: what is there
	// stays.
	Missing bool
	// Superseded says that the credential has a source without revisions now, and that Kong holds what comes from
	// there.
	Superseded bool
	// Interval between rotations; zero for never. Overlap is how long former material stays valid.
	Interval, Overlap time.Duration
	// Seed tells consumers apart, for the jitter. It outlives a restore from a backup.
	Seed string
	// Revoked says that nothing shall be in Kong.
	Revoked bool
}

// Standing is what is known of a revision in Kong.
type Standing int

// What can be known of a revision in Kong. Unknown is what nobody asked: it is no reason to give anything up.
const (
	Unknown Standing = iota
	// Absent: Kong was just asked to agree with the spec and does not have it, nor has any data plane.
	Absent
	// Waiting: Kong has acknowledged it, and not every data plane is known to have it, or to have lost it.
	Waiting
	// Held: every data plane has it.
	Held
)

// Verdict is what is known of a revision in Kong, and what is waited for.
type Verdict struct {
	Standing Standing
	// Message says what a Waiting revision waits for.
	Message string
	// After is when to ask again; zero where something else will wake the consumer.
	After time.Duration
}

// Holding is a credential that Kong holds for a consumer.
type Holding struct {
	Slot     Slot
	Material Material
	// InPlace says that it came from a Secret that somebody else owns, and had no revisions.
	InPlace bool
}

// Seen is what was found out about one credential since the reconcile began.
type Seen struct {
	// Verdicts by revision.
	Verdicts map[int64]Verdict
	// Clients is what the Secret for clients holds; nil where it does not exist or holds nothing that can be used.
	Clients *Material
	// Last is the highest number of a revision that the status and Kong tell of.
	Last int64
	// Deleted are the Secrets that clients read before and that were deleted.
	Deleted []string
	// InKong is what Kong holds of the credential and the state does not know. Where Last is beyond the state's,
	// it is all that Kong holds.
	InKong []Holding
}

// Input is all that a decision rests on.
type Input struct {
	State State
	// Wants of the spec; each credential once.
	Wants []Want
	// Seen by credential.
	Seen map[string]Seen
	// Rotate and RevokePrevious are the requests that the consumer carries.
	Rotate, RevokePrevious request.Request
}

// StepKind is what a step does to the state.
type StepKind string

const (
	// StepBegin makes the first revision, Active.
	StepBegin StepKind = "Begin"
	// StepRevive makes a Retiring revision Active again: the spec is back at the source that it is of, and clients
	// have it.
	StepRevive StepKind = "Revive"
	// StepRecover takes up what Kong and clients hold, where the state is lost or older than they are.
	StepRecover StepKind = "Recover"
	// StepMove gives a credential the history of one that the spec calls otherwise now.
	StepMove StepKind = "Move"
	// StepAsk binds the requests that were not seen before to the revisions that there are.
	StepAsk StepKind = "Ask"
	// StepRecord notes that requests were seen.
	StepRecord StepKind = "Record"
	// StepGenerate makes the next revision, Pending. One that was Pending retires: it may have been published just
	// before a crash.
	StepGenerate StepKind = "Generate"
	// StepPromote makes the Pending revision Active. The one before retires, unless the two share a slot or Kong
	// never took it.
	StepPromote StepKind = "Promote"
	// StepAbandon retires the Pending revision: the spec is back at the Active one.
	StepAbandon StepKind = "Abandon"
	// StepReplace makes the next revision Active and ends all others, while nothing is in Kong.
	StepReplace StepKind = "Replace"
	// StepRelocate notes that clients read another Secret now.
	StepRelocate StepKind = "Relocate"
	// StepRestamp sets a time that lies ahead of the clock, or of what clients hold, to now.
	StepRestamp StepKind = "Restamp"
	// StepSupersede retires all revisions: the credential has another source now.
	StepSupersede StepKind = "Supersede"
	// StepEnd retires all revisions without overlap: the spec no longer has the credential.
	StepEnd StepKind = "End"
	// StepExpire notes that the overlap of a revision is over, before it leaves Kong.
	StepExpire StepKind = "Expire"
	// StepRemove drops a revision that is gone from Kong and from every data plane.
	StepRemove StepKind = "Remove"
	// StepForgetSecret drops a Secret that clients read before, and that is deleted.
	StepForgetSecret StepKind = "ForgetSecret"
	// StepForget drops a credential of which nothing is left.
	StepForget StepKind = "Forget"
)

// Step is one change of the state.
type Step struct {
	Kind       StepKind
	Credential string
	// Revision that the step is about; zero where it is about none or all.
	Revision int64
	Want     Want
	Time     time.Time
	// Drop says of StepPromote that the revision before is dropped at once: Kong does not hold it.
	Drop bool
	// Salted says of StepGenerate that the key gets a random end.
	Salted bool
	// Rotate and RevokePrevious say which requests StepAsk binds.
	Rotate, RevokePrevious bool
	// Requests are those that StepRecord leaves recorded.
	Requests request.Record
	// From is where StepMove takes the history from.
	From string
	// Secret that StepForgetSecret is about.
	Secret string
	// Recovered is what StepRecover leaves.
	Recovered History
}

// Decision is what has to become of a state. Its steps are to be applied, and the outcome written, before anything
// rests on them.
type Decision struct{ Steps []Step }

// Decide says what has to become of a state for a spec: at most one step a credential. It is pure, and without steps
// where there is nothing to do.
//
// A rotation is a way through the states: StepGenerate makes a Pending revision; Kong gets it beside the Active one;
// once every data plane has it, it is what Outcome says to publish; once it is published, StepPromote makes it Active
// and the former one Retiring; after the overlap that is no longer what Outcome wants in Kong; once it is gone there,
// StepRemove drops it. Whatever is seen late, twice or not at all only delays the next step.
func Decide(in Input, now time.Time) Decision {
	var d Decision
	asks := in.asks()
	wanted := make(map[string]bool, len(in.Wants))
	for _, want := range in.Wants {
		wanted[want.Name] = true
	}
	moved := map[string]bool{}
	for _, want := range in.Wants {
		step, due := in.move(want, wanted, moved)
		if due {
			moved[step.From] = true
		} else {
			step, due = in.decideOne(want, asks, now)
		}
		if due {
			step.Credential, step.Want, step.Time = want.Name, want, now.UTC()
			d.Steps = append(d.Steps, step)
		}
	}
	if asks.any && len(in.Wants) > 0 {
		d.Steps = append(d.Steps, Step{Kind: StepRecord, Requests: in.State.Requests.With(in.Rotate, in.RevokePrevious)})
	}
	for _, name := range slices.Sorted(maps.Keys(in.State.Credentials)) {
		if wanted[name] || moved[name] {
			continue
		}
		if step, due := leave(in.State.Credentials[name], in.Seen[name]); due {
			step.Credential, step.Time = name, now.UTC()
			d.Steps = append(d.Steps, step)
		}
	}
	return d
}

// asks are the requests of an Input that were not seen before.
type asks struct {
	any                    bool
	rotate, revokePrevious request.Request
}

// asks finds the requests that are new and meant for a credential that there is. One that names nobody stays unseen:
// whoever reads the annotation refuses it.
func (in Input) asks() asks {
	var a asks
	names := func(r request.Request) bool {
		return slices.ContainsFunc(in.Wants, func(w Want) bool { return r.Concerns(w.Name) })
	}
	if !in.State.Requests.Has(in.Rotate) && names(in.Rotate) {
		a.any, a.rotate = true, in.Rotate
	}
	if !in.State.Requests.Has(in.RevokePrevious) && names(in.RevokePrevious) {
		a.any, a.revokePrevious = true, in.RevokePrevious
	}
	return a
}

// move finds the history of a credential that the spec has under a new name: the Secret for clients is the same, or
// what somebody else's Secret has.
func (in Input) move(want Want, wanted, moved map[string]bool) (Step, bool) {
	if want.SecretName == "" && want.Given == nil || len(in.State.Credentials[want.Name].Revisions) > 0 {
		return Step{}, false
	}
	for _, name := range slices.Sorted(maps.Keys(in.State.Credentials)) {
		h := in.State.Credentials[name]
		current, lives := h.current()
		same := want.Given == nil && h.SecretName == want.SecretName ||
			want.Given != nil && current.Given && current.Material.sameButKey(*want.Given)
		if lives && same && !wanted[name] && !moved[name] {
			return Step{Kind: StepMove, From: name}, true
		}
	}
	return Step{}, false
}

// decideOne tries the steps in the order in which they are safe: what happened already is noted before anything new
// begins. What is asked is bound to what was there before it was asked: a history that is only just taken up, or
// begun, is not meant.
func (in Input) decideOne(want Want, asks asks, now time.Time) (Step, bool) {
	h, seen := in.State.Credentials[want.Name], in.Seen[want.Name]
	if step, due := in.takeUp(h, want, seen, now); due {
		return step, true
	}
	_, lives := h.current()
	if !lives && !want.Missing && !want.Superseded {
		if step, due := revive(h, want, seen); due {
			return step, true
		}
		return Step{Kind: StepBegin, Revision: max(h.Last, seen.Last) + 1}, true
	}
	ask := Step{Kind: StepAsk, Rotate: asks.rotate.Concerns(want.Name), RevokePrevious: asks.revokePrevious.Concerns(want.Name)}
	if len(h.Revisions) > 0 && (ask.Rotate || ask.RevokePrevious) {
		ask.Revision = h.bound(want, seen)
		return ask, true
	}
	steps := []func(History, Want, Seen, time.Time) (Step, bool){restamp, expire, promote, supersede, relocate, renew, retire, forgetSecret}
	if !lives {
		steps = []func(History, Want, Seen, time.Time) (Step, bool){restamp, expire, retire, forgetSecret, forget}
	}
	for _, decide := range steps {
		if step, due := decide(h, want, seen, now); due {
			return step, true
		}
	}
	return Step{}, false
}

// bound is the newest revision that a request to rotate can mean. What is on its way and was never published is new
// enough, unless the consumer is revoked: then whatever was made may have leaked. Where none is in use, all that there
// was is meant: it may come back.
func (h History) bound(want Want, seen Seen) int64 {
	newest, lives := h.current()
	if !lives {
		return h.Last
	}
	active, found := h.Active()
	if found && newest.State == v1alpha1.CredentialPending && !want.Revoked && h.Published(seen) != newest.Number {
		return active.Number
	}
	return newest.Number
}

// restamp mends times that would hold a rotation or a retirement back, or bring it too early.
func restamp(h History, want Want, seen Seen, now time.Time) (Step, bool) {
	published := h.Published(seen)
	for _, r := range h.Revisions {
		retiring := r.State == v1alpha1.CredentialRetiring
		// Somebody put a former Secret back: clients may have it again.
		revived := retiring && !r.Ended && !r.Over && !want.Superseded && r.Number == published && want.overlap() > 0 && now.Sub(r.RetiredAt) > want.overlap()/jitterShare
		if ahead(r.IssueTime, now) || retiring && ahead(r.RetiredAt, now) || revived {
			return Step{Kind: StepRestamp, Revision: r.Number}, true
		}
	}
	return Step{}, false
}

// promote notes that the revision on its way has arrived.
func promote(h History, want Want, seen Seen, _ time.Time) (Step, bool) {
	pending, found := h.Pending()
	if !found || want.Revoked {
		return Step{}, false
	}
	active, replaces := h.Active()
	arrived := h.Published(seen) == pending.Number
	if pending.Given {
		arrived = arrivesAt(pending, active, replaces) <= seen.Verdicts[pending.Number].Standing
	}
	return Step{
		Kind: StepPromote, Revision: pending.Number,
		Drop: seen.Verdicts[active.Number].Standing == Absent,
	}, arrived
}

// arrivesAt is what has to be known of a revision before clients may have it. What replaces another in place is
// published at once: the former material is refused from then on, and each moment counts. So does what has nothing
// before it.
func arrivesAt(pending, active Revision, replaces bool) Standing {
	if !replaces || pending.Slot == active.Slot {
		return Waiting
	}
	return Held
}

// supersede retires everything once another source has taken its place.
func supersede(_ History, want Want, _ Seen, _ time.Time) (Step, bool) {
	return Step{Kind: StepSupersede}, want.Superseded
}

// relocate notes where clients read: by that a credential is found again that gets another name.
func relocate(h History, want Want, _ Seen, _ time.Time) (Step, bool) {
	return Step{Kind: StepRelocate}, !want.Missing && h.SecretName != want.SecretName
}

// maxRevisions of a credential at a time. A Secret holds a MiB: enough for sixteen credentials of twelve RSA keys of
// 4096 bits.
const maxRevisions = 12

// renew begins a new revision where the spec, the interval or a person asks for one.
func renew(h History, want Want, seen Seen, now time.Time) (Step, bool) {
	newest, _ := h.current()
	active, _ := h.Active()
	fits, asked := want.fits(newest), h.asked(newest)
	pending := newest.State == v1alpha1.CredentialPending
	next := Step{Kind: StepGenerate, Revision: h.Last + 1}
	switch {
	case want.Missing:
		return Step{}, false
	case want.Revoked && (!fits || asked):
		next.Kind = StepReplace
		return next, true
	case want.Revoked:
		return Step{}, false
	case pending && !fits && want.fits(active) && !h.asked(active):
		return Step{Kind: StepAbandon, Revision: newest.Number}, true
	case pending && fits && want.takenFrom(newest, seen):
		next.Salted = true
		return next, len(h.Revisions) < maxRevisions
	case !fits, !pending && asked, !pending && due(want, newest, now):
		return next, len(h.Revisions) < maxRevisions
	}
	return Step{}, false
}

// asked says whether somebody asked for a revision to be replaced. Somebody else's material is somebody else's to
// rotate.
func (h History) asked(r Revision) bool { return !r.Given && r.Number <= h.ReplaceThrough }

// takenFrom says whether Kong refuses a generated revision under the key that anybody can guess: somebody else holds
// it. The next gets a key that nobody can guess, and is not given up in its turn.
func (w Want) takenFrom(pending Revision, seen Seen) bool {
	return w.Key == "" && w.Given == nil && pending.Salt == "" && seen.Verdicts[pending.Number].Standing == Absent
}

func due(want Want, r Revision, now time.Time) bool {
	at := want.dueAt(r)
	return !at.IsZero() && !now.Before(at)
}
