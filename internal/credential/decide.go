package credential

import (
	"maps"
	"slices"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// Want is what the spec asks of one generated credential.
type Want struct {
	Name   string
	Recipe Recipe
	Key    string
}

// Input is all that a decision rests on.
type Input struct {
	State State
	// Wants of the spec; each credential once.
	Wants []Want
	// Live is, by credential, the number of the generation that is known to be in Kong and in the Secret that clients read.
	// What is not in it is not known to be live, which is no reason to give anything up.
	Live map[string]int64
}

// StepKind is what a step does to the state of a credential.
type StepKind string

const (
	// StepGenerate makes the material of a new generation, Pending. Those before it stay.
	StepGenerate StepKind = "Generate"
	// StepPromote makes a generation that is live Active. Those before it go.
	StepPromote StepKind = "Promote"
	// StepGoBack returns to a generation that a former spec asked for and that no other has replaced yet. Those after it go.
	StepGoBack StepKind = "GoBack"
	// StepForget drops a credential that the spec no longer names.
	StepForget StepKind = "Forget"
)

// Step is one change of the state.
type Step struct {
	Kind       StepKind
	Credential string
	// Generation that the step is about; zero for StepForget.
	Generation int64
	// Want and Time of a new generation.
	Want Want
	Time time.Time
}

// Decision is what has to become of a state. Its steps are to be applied, and the outcome written, before anything rests on them.
type Decision struct{ Steps []Step }

// Decide says what has to become of a state for a spec. It is pure, and without steps where there is nothing to do.
//
// A recipe or key that changes in the spec brings a new generation. Without rotation it takes the former one's place in Kong: there is one credential, by
// one id, and tokens of the former material are refused from then on. The former generation stays in the state until the new one is live,
// so that a change that Kong refuses can be taken back.
func Decide(in Input, now time.Time) Decision {
	var d Decision
	wanted := make(map[string]bool, len(in.Wants))
	for _, want := range in.Wants {
		wanted[want.Name] = true
		if step, due := decideOne(in.State.Credentials[want.Name], want, in.Live[want.Name], now); due {
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

func decideOne(current CredentialState, want Want, live int64, now time.Time) (step Step, due bool) {
	newest, _ := current.Newest()
	fitting, found := current.find(want)
	switch {
	case !found:
		return Step{Kind: StepGenerate, Credential: want.Name, Generation: current.Last + 1, Want: want, Time: now.UTC().Truncate(time.Second)}, true
	case fitting.Number != newest.Number:
		return Step{Kind: StepGoBack, Credential: want.Name, Generation: fitting.Number}, true
	case newest.Phase == v1alpha1.CredentialPending && newest.Number == live:
		return Step{Kind: StepPromote, Credential: want.Name, Generation: newest.Number}, true
	default:
		return Step{}, false
	}
}

// Generator makes material; Generate is the real one.
type Generator func(recipe Recipe, key string) (Material, error)

// Apply gives the state that a decision leads to. s stays as it is. An error comes from the generator.
func (s State) Apply(d Decision, generate Generator) (State, error) {
	next := State{Credentials: maps.Clone(s.Credentials)}
	if next.Credentials == nil {
		next.Credentials = map[string]CredentialState{}
	}
	for _, step := range d.Steps {
		if step.Kind == StepForget {
			delete(next.Credentials, step.Credential)
			continue
		}
		credential, err := next.Credentials[step.Credential].apply(step, generate)
		if err != nil {
			return s, err
		}
		next.Credentials[step.Credential] = credential
	}
	return next, nil
}

// maxPending is how many generations that never became Active are kept beside the newest. A spec that changes again and again while Kong is away would
// fill the Secret.
const maxPending = 3

func (s CredentialState) apply(step Step, generate Generator) (CredentialState, error) {
	next := CredentialState{Last: s.Last}
	switch step.Kind {
	case StepGenerate:
		material, err := generate(step.Want.Recipe, step.Want.Key)
		if err != nil {
			return s, err
		}
		next.Last = step.Generation
		next.Generations = append(withoutOldPending(s.Generations), Generation{
			Number: step.Generation, Phase: v1alpha1.CredentialPending, Recipe: step.Want.Recipe, Material: material, IssueTime: step.Time,
		})
	case StepGoBack:
		for _, g := range s.Generations {
			if g.Number <= step.Generation {
				next.Generations = append(next.Generations, g)
			}
		}
	case StepPromote:
		for _, g := range s.Generations {
			if g.Number == step.Generation {
				g.Phase = v1alpha1.CredentialActive
				next.Generations = append(next.Generations, g)
			}
		}
	}
	return next, nil
}

// withoutOldPending drops the oldest Pending generations beyond maxPending. The Active one stays.
func withoutOldPending(generations []Generation) []Generation {
	pending := 0
	for _, g := range generations {
		if g.Phase == v1alpha1.CredentialPending {
			pending++
		}
	}
	kept := make([]Generation, 0, len(generations)+1)
	for _, g := range generations {
		if g.Phase == v1alpha1.CredentialPending && pending > maxPending {
			pending--
			continue
		}
		kept = append(kept, g)
	}
	return kept
}
