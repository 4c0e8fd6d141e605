package credential

import (
	"maps"
	"slices"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// Generator makes material; Generate is the real one.
type Generator func(recipe Recipe, key string) (Material, error)

// Apply gives the state that a decision leads to. s stays as it is. An error comes from the generator.
func (s State) Apply(d Decision, generate Generator) (State, error) {
	next := State{Credentials: maps.Clone(s.Credentials), Requests: s.Requests}
	if next.Credentials == nil {
		next.Credentials = map[string]History{}
	}
	for _, step := range d.Steps {
		switch step.Kind {
		case StepRecord:
			next.Requests = step.Requests
		case StepForget:
			delete(next.Credentials, step.Credential)
		case StepMove:
			next.Credentials[step.Credential] = next.Credentials[step.From]
			delete(next.Credentials, step.From)
		default:
			taken := func(slot Slot) bool { return next.Known(slot) }
			h, err := next.Credentials[step.Credential].apply(step, taken, generate)
			if err != nil {
				return s, err
			}
			next.Credentials[step.Credential] = h
		}
	}
	return next, nil
}

func (h History) apply(step Step, taken func(Slot) bool, generate Generator) (History, error) {
	if step.Kind == StepRecover {
		return step.Recovered, nil
	}
	next := h
	next.Revisions = slices.Clone(h.Revisions)
	if want := step.Want; want.Name != "" && !want.Missing && !want.Superseded {
		next.relocate(want.SecretName, step.Time)
	}
	switch step.Kind {
	case StepForgetSecret:
		next.FormerSecrets = slices.DeleteFunc(slices.Clone(h.FormerSecrets), func(f FormerSecret) bool { return f.Name == step.Secret })
	case StepBegin:
		return next.grow(step, v1alpha1.CredentialActive, taken, generate)
	case StepRevive:
		for i := range next.Revisions {
			if r := &next.Revisions[i]; r.Number == step.Revision {
				r.State, r.RetiredAt = v1alpha1.CredentialActive, time.Time{}
			}
		}
	case StepReplace:
		next.end(step.Time)
		next.Revisions = next.Revisions[max(0, len(next.Revisions)+1-maxRevisions):]
		return next.grow(step, v1alpha1.CredentialActive, taken, generate)
	case StepGenerate:
		next.supersede(step)
		return next.grow(step, v1alpha1.CredentialPending, taken, generate)
	case StepAsk:
		next.ask(step)
	case StepPromote:
		next.promote(step)
	case StepAbandon:
		next.abandon(step)
	case StepRestamp:
		next.restamp(step)
	case StepSupersede:
		next.retireAll(step.Time)
	case StepEnd:
		next.end(step.Time)
	case StepExpire:
		for i := range next.Revisions {
			r := &next.Revisions[i]
			r.Over = r.Over || r.Number == step.Revision
		}
	case StepRemove:
		next.Revisions = slices.DeleteFunc(next.Revisions, func(r Revision) bool { return r.Number == step.Revision })
	}
	return next, nil
}

// grow adds a revision.
func (h History) grow(step Step, state v1alpha1.CredentialState, taken func(Slot) bool, generate Generator) (History, error) {
	want := step.Want
	r := Revision{Number: step.Revision, Recipe: want.Recipe, State: state, IssueTime: step.Time.Truncate(time.Second)}
	if step.Salted {
		r.Salt = newSalt()
	}
	if want.Given != nil {
		r.Given, r.Material, r.Recipe = true, *want.Given, Recipe{Algorithm: want.Given.Algorithm}
	} else {
		material, err := generate(want.Recipe, want.keyOf(step.Revision, r.Salt))
		if err != nil {
			return h, err
		}
		r.Material = material
	}
	r.Slot = h.slotFor(r, want.Name, taken)
	h.Last = max(h.Last, step.Revision)
	h.Revisions = append(h.Revisions, r)
	h.dropShadowed()
	return h, nil
}

// slotFor gives a revision the slot of those with its key: Kong holds a key once. The first of all has slot zero,
// where it is free.
func (h History) slotFor(r Revision, credential string, taken func(Slot) bool) Slot {
	for _, other := range h.Revisions {
		if other.Material.Key == r.Material.Key {
			return other.Slot
		}
	}
	first := Slot{Credential: credential}
	if h.Last == 0 && r.Number == 1 && !taken(first) {
		return first
	}
	return Slot{Credential: credential, Number: r.Number}
}

// ask binds requests to the revisions that there are. Whoever asks for a rotation and for the end of the overlaps at
// once means the material that is in use now: it goes as soon as it is replaced. The caller owns the slice.
func (h *History) ask(step Step) {
	if step.Rotate {
		h.ReplaceThrough = max(h.ReplaceThrough, step.Revision)
	}
	if !step.RevokePrevious {
		return
	}
	newest, _ := h.current()
	leaving := newest.State == v1alpha1.CredentialPending || h.asked(newest)
	for i := range h.Revisions {
		r := &h.Revisions[i]
		r.Ended = r.Ended || r.State == v1alpha1.CredentialRetiring || r.State == v1alpha1.CredentialActive && leaving
	}
}

// supersede retires what is Pending. The caller owns the slice.
func (h *History) supersede(step Step) {
	for i := range h.Revisions {
		if h.Revisions[i].State == v1alpha1.CredentialPending {
			h.Revisions[i].retire(step.Time)
		}
	}
	h.dropShadowed()
}

// abandon retires what is Pending; what is Active stays, and is no longer one to go.
func (h *History) abandon(step Step) {
	h.supersede(step)
	for i := range h.Revisions {
		if h.Revisions[i].State == v1alpha1.CredentialActive {
			h.Revisions[i].Ended = false
		}
	}
}

func (h *History) retireAll(at time.Time) {
	for i := range h.Revisions {
		if h.Revisions[i].State != v1alpha1.CredentialRetiring {
			h.Revisions[i].retire(at)
		}
	}
}

// end retires everything without overlap.
func (h *History) end(at time.Time) {
	h.retireAll(at)
	for i := range h.Revisions {
		h.Revisions[i].Ended = true
	}
}

func (r *Revision) retire(at time.Time) {
	r.State, r.RetiredAt = v1alpha1.CredentialRetiring, at
}

// promote makes the step's revision Active, and retires the one before. The caller owns the slice.
func (h *History) promote(step Step) {
	if step.Drop {
		h.Revisions = slices.DeleteFunc(h.Revisions, func(r Revision) bool { return r.State == v1alpha1.CredentialActive })
	}
	for i := range h.Revisions {
		r := &h.Revisions[i]
		switch {
		case r.Number == step.Revision:
			r.State = v1alpha1.CredentialActive
		case r.State == v1alpha1.CredentialActive:
			r.retire(step.Time)
		}
	}
	h.dropShadowed()
}

// dropShadowed drops Retiring revisions whose slot another holds: Kong has no room for them.
func (h *History) dropShadowed() {
	taken := map[Slot]bool{}
	for _, r := range h.Revisions {
		if r.State != v1alpha1.CredentialRetiring {
			taken[r.Slot] = true
		}
	}
	h.Revisions = slices.DeleteFunc(h.Revisions, func(r Revision) bool {
		return r.State == v1alpha1.CredentialRetiring && taken[r.Slot]
	})
}

func (h *History) restamp(step Step) {
	for i := range h.Revisions {
		r := &h.Revisions[i]
		if r.Number != step.Revision {
			continue
		}
		if ahead(r.IssueTime, step.Time) {
			r.IssueTime = step.Time.Truncate(time.Second)
		}
		if r.State == v1alpha1.CredentialRetiring {
			r.RetiredAt = step.Time
		}
	}
}
