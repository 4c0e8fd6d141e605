package credential

import (
	"maps"
	"slices"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// Want is what the spec asks of one credential.
type Want struct {
	Name string
	// Username of the consumer: keys that are not pinned begin with it.
	Username string
	// Key that is pinned. Kong holds a key once, so that pinned material is replaced in place, without overlap.
	Key string
	// Numbered keys end in the generation's number from the first on; else from the second.
	Numbered bool
	Recipe   Recipe
	// Given is the material in a Secret that somebody else owns; nil where it is generated.
	Given *Material
	// Published is what the Secret for clients holds where the state knows nothing of the credential; nil where it holds nothing usable.
	Published *Material
	// Former is what Kong holds for the credential where the state knows nothing of it: its source was another, or its name. Nil where there is nothing.
	Former *Material
	// Missing says that the material should be given and cannot be read now: what is there stays.
	Missing bool
	// Interval between rotations; zero for never. Overlap is how long former material stays valid.
	Interval, Overlap time.Duration
	// Seed tells consumers apart, for the jitter. It outlives a restore from a backup.
	Seed string
	// Rotate and RevokePrevious are the values of the annotations of those names.
	Rotate, RevokePrevious string
	// Revoked says that nothing shall be in Kong.
	Revoked bool
}

// keyOf is the key of a generation.
func (w Want) keyOf(number int64) string {
	switch {
	case w.Key != "":
		return w.Key
	case number == 1 && !w.Numbered:
		return DefaultKey(w.Username, w.Name, 0)
	default:
		return DefaultKey(w.Username, w.Name, number)
	}
}

// fits says whether a generation is what the spec asks for.
func (w Want) fits(g Generation) bool {
	switch {
	case w.Missing:
		return true
	case w.Given != nil:
		return g.Given && g.Material.Equal(*w.Given)
	case g.Given || g.Recipe != w.Recipe:
		return false
	case w.Key != "":
		return g.Material.Key == w.Key
	default:
		return g.Material.Key == DefaultKey(w.Username, w.Name, 0) || g.Material.Key == DefaultKey(w.Username, w.Name, g.Number)
	}
}

// Standing is what is known of a generation in Kong.
type Standing int

// What can be known of a generation in Kong. Nothing is what nobody asked: it is no reason to give anything up.
const (
	Unknown Standing = iota
	// Absent: Kong was just asked to agree with the spec, and does not have it.
	Absent
	// Waiting: Kong has acknowledged it, and not every data plane is known to have it.
	Waiting
	// Held: every data plane has it.
	Held
)

// Verdict is what is known of a generation in Kong, and what is waited for.
type Verdict struct {
	Standing Standing
	// Message says what a Waiting generation waits for.
	Message string
	// After is when to ask again; zero where something else will wake the consumer.
	After time.Duration
}

// Seen is what was found out about one credential since the reconcile began.
type Seen struct {
	// Verdicts by generation.
	Verdicts map[int64]Verdict
	// Published is the generation that the Secret for clients holds; zero where it holds none of them, or does not exist.
	Published int64
}

// Input is all that a decision rests on.
type Input struct {
	State State
	// Wants of the spec; each credential once.
	Wants []Want
	// Seen by credential.
	Seen map[string]Seen
}

// StepKind is what a step does to the state of a credential.
type StepKind string

const (
	// StepBegin makes the first generation, Active, or takes up what is published where the state is lost, or what Kong holds from a former source.
	StepBegin StepKind = "Begin"
	// StepGenerate makes the next generation, Pending. One that was Pending retires: it may have been published just before a crash.
	StepGenerate StepKind = "Generate"
	// StepPromote makes the Pending generation Active. The one before retires, unless the two share a slot or Kong never took it.
	StepPromote StepKind = "Promote"
	// StepAbandon retires the Pending generation: the spec is back at the Active one.
	StepAbandon StepKind = "Abandon"
	// StepReplace makes the next generation Active and drops all others, while nothing is in Kong.
	StepReplace StepKind = "Replace"
	// StepRestamp sets a time that lies ahead of the clock, or of what clients hold, to now.
	StepRestamp StepKind = "Restamp"
	// StepHandle notes that an annotation was handled.
	StepHandle StepKind = "Handle"
	// StepEnd ends the overlap of all Retiring generations.
	StepEnd StepKind = "End"
	// StepRemove drops a generation that is gone from Kong.
	StepRemove StepKind = "Remove"
	// StepForget drops a credential that the spec no longer names.
	StepForget StepKind = "Forget"
)

// Step is one change of the state.
type Step struct {
	Kind       StepKind
	Credential string
	// Generation that the step is about; zero for StepHandle, StepEnd and StepForget.
	Generation int64
	Want       Want
	Time       time.Time
	// Drop says of StepPromote that the generation before is dropped at once: Kong does not hold it.
	Drop bool
}

// Decision is what has to become of a state. Its steps are to be applied, and the outcome written, before anything rests on them.
type Decision struct{ Steps []Step }

// Decide says what has to become of a state for a spec: at most one step a credential. It is pure, and without steps where there is nothing to do.
//
// A rotation is a way through the phases: StepGenerate makes a Pending generation; Kong gets it beside the Active one; once every data plane has it,
// it is what Outcome says to publish; once it is published, StepPromote makes it Active and the former one Retiring; after the overlap that is no longer
// what Outcome wants in Kong; once it is gone there, StepRemove drops it. Whatever is seen late, twice or not at all only delays the next step.
func Decide(in Input, now time.Time) Decision {
	var d Decision
	wanted := make(map[string]bool, len(in.Wants))
	for _, want := range in.Wants {
		wanted[want.Name] = true
		if step, due := decideOne(in.State.Credentials[want.Name], want, in.Seen[want.Name], now); due {
			step.Credential, step.Want, step.Time = want.Name, want, now.UTC()
			d.Steps = append(d.Steps, step)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(in.State.Credentials)) {
		if !wanted[name] {
			d.Steps = append(d.Steps, Step{Kind: StepForget, Credential: name})
		}
	}
	return d
}

// decideOne tries the steps in the order in which they are safe: what happened already is noted before anything new begins.
func decideOne(current CredentialState, want Want, seen Seen, now time.Time) (Step, bool) {
	if len(current.Generations) == 0 {
		return begin(current, want)
	}
	for _, decide := range []func(CredentialState, Want, Seen, time.Time) (Step, bool){restamp, promote, renew, revokePrevious, retire} {
		if step, due := decide(current, want, seen, now); due {
			return step, true
		}
	}
	return Step{}, false
}

func begin(current CredentialState, want Want) (Step, bool) {
	step := Step{Kind: StepBegin, Generation: current.Last + 1}
	if salvaged, found := want.salvage(); found {
		step.Generation = salvaged.Number
	}
	return step, !want.Missing
}

// restamp mends times that would hold a rotation or a retirement back, or bring it too early.
func restamp(current CredentialState, want Want, seen Seen, now time.Time) (Step, bool) {
	for _, g := range current.Generations {
		retiring := g.Phase == v1alpha1.CredentialRetiring
		// Somebody put a former Secret back: clients may have it again.
		revived := retiring && !g.Ended && g.Number == seen.Published && want.overlap() > 0 && now.Sub(g.RetiredAt) > want.overlap()/jitterShare
		if ahead(g.IssueTime, now) || retiring && ahead(g.RetiredAt, now) || revived {
			return Step{Kind: StepRestamp, Generation: g.Number}, true
		}
	}
	return Step{}, false
}

// promote notes that the generation on its way has arrived.
func promote(current CredentialState, want Want, seen Seen, _ time.Time) (Step, bool) {
	pending, found := current.Pending()
	if !found || want.Revoked {
		return Step{}, false
	}
	active, replaces := current.Active()
	arrived := seen.Published == pending.Number
	if pending.Given {
		arrived = arrivesAt(pending, active, replaces) <= seen.Verdicts[pending.Number].Standing
	}
	return Step{
		Kind: StepPromote, Generation: pending.Number,
		Drop: seen.Verdicts[active.Number].Standing == Absent,
	}, arrived
}

// arrivesAt is what has to be known of a generation before clients may have it. What replaces another in place is published at once: the former material
// is refused from then on, and each moment counts. So does what has nothing before it.
func arrivesAt(pending, active Generation, replaces bool) Standing {
	if !replaces || pending.Slot == active.Slot {
		return Waiting
	}
	return Held
}

// maxGenerations of a credential at a time. A Secret holds a MiB: enough for sixteen credentials of twelve RSA keys of 4096 bits.
const maxGenerations = 12

// renew begins a new generation where the spec, the interval or a person asks for one.
func renew(current CredentialState, want Want, _ Seen, now time.Time) (Step, bool) {
	newest, _ := current.current()
	active, _ := current.Active()
	fits := want.fits(newest)
	pending := newest.Phase == v1alpha1.CredentialPending
	asked := want.Rotate != current.Rotate
	next := Step{Kind: StepGenerate, Generation: current.Last + 1}
	switch {
	case want.Missing:
		return Step{}, false
	case want.Given != nil && fits && asked:
		return Step{Kind: StepHandle}, true // somebody else's material is somebody else's to rotate
	case want.Revoked && (!fits || asked):
		next.Kind = StepReplace
		return next, true
	case want.Revoked:
		return Step{}, false
	case pending && !fits && want.fits(active):
		return Step{Kind: StepAbandon, Generation: newest.Number}, true
	case pending && fits && asked:
		// What is on its way was never published: it is new enough for whoever asks.
		return Step{Kind: StepHandle}, true
	case !fits, !pending && asked, !pending && due(want, newest, now):
		return next, len(current.Generations) < maxGenerations
	}
	return Step{}, false
}

func due(want Want, g Generation, now time.Time) bool {
	at := want.dueAt(g)
	return !at.IsZero() && !now.Before(at)
}

// revokePrevious ends overlaps on demand. Whoever asks for a rotation and for this at once means the material that is in use now.
func revokePrevious(current CredentialState, want Want, _ Seen, _ time.Time) (Step, bool) {
	_, pending := current.Pending()
	return Step{Kind: StepEnd}, want.RevokePrevious != current.RevokePrevious && (!pending || want.Revoked)
}

// retire drops what is over and gone from Kong.
func retire(current CredentialState, want Want, seen Seen, now time.Time) (Step, bool) {
	for _, g := range current.Generations {
		// A superseded generation that Kong refuses, over a key that another holds, say, serves nobody.
		gone := seen.Verdicts[g.Number].Standing == Absent
		if g.Phase == v1alpha1.CredentialRetiring && gone && (!want.Revoked || want.retired(g, now)) {
			return Step{Kind: StepRemove, Generation: g.Number}, true
		}
	}
	return Step{}, false
}
