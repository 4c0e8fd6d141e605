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

func (s CredentialState) apply(step Step, generate Generator) (CredentialState, error) {
	next := s
	next.Generations = slices.Clone(s.Generations)
	switch step.Kind {
	case StepBegin, StepReplace:
		next.RevokePrevious = step.Want.RevokePrevious
		next.Generations = nil
		return next.grow(step, v1alpha1.CredentialActive, generate)
	case StepGenerate:
		next.supersede(step)
		return next.grow(step, v1alpha1.CredentialPending, generate)
	case StepPromote:
		next.promote(step)
	case StepAbandon:
		next.supersede(step)
	case StepRestamp:
		next.restamp(step)
	case StepHandle:
		next.Rotate = step.Want.Rotate
	case StepEnd:
		next.RevokePrevious = step.Want.RevokePrevious
		for i := range next.Generations {
			g := &next.Generations[i]
			g.Ended = g.Ended || g.Phase == v1alpha1.CredentialRetiring
		}
	case StepRemove:
		next.Generations = slices.DeleteFunc(next.Generations, func(g Generation) bool { return g.Number == step.Generation })
	}
	return next, nil
}

// grow adds a generation.
func (s CredentialState) grow(step Step, phase v1alpha1.CredentialState, generate Generator) (CredentialState, error) {
	want := step.Want
	g := Generation{Number: step.Generation, Recipe: want.Recipe}
	if salvaged, found := want.salvage(); found && step.Kind == StepBegin {
		g = salvaged
	} else if former, found := want.former(); found && step.Kind == StepBegin {
		g.Given, g.Material, g.Recipe = true, former, Recipe{Algorithm: former.Algorithm}
	} else if want.Given != nil {
		g.Given, g.Material, g.Recipe = true, *want.Given, Recipe{Algorithm: want.Given.Algorithm}
	} else {
		material, err := generate(want.Recipe, want.keyOf(step.Generation))
		if err != nil {
			return s, err
		}
		g.Material = material
	}
	g.Phase, g.IssueTime = phase, step.Time.Truncate(time.Second)
	if step.Kind != StepBegin {
		g.Slot = s.slotFor(g)
	}
	s.Last, s.Rotate = step.Generation, want.Rotate
	s.Generations = append(s.Generations, g)
	return s, nil
}

// slotFor gives a generation the slot of those with its key: Kong holds a key once. The first of all has slot zero, without this.
func (s CredentialState) slotFor(g Generation) int64 {
	for _, other := range s.Generations {
		if other.Material.Key == g.Material.Key {
			return other.Slot
		}
	}
	return g.Number
}

// supersede retires what is Pending. The caller owns the slice.
func (s *CredentialState) supersede(step Step) {
	for i := range s.Generations {
		if s.Generations[i].Phase == v1alpha1.CredentialPending {
			s.Generations[i].retire(step.Time)
		}
	}
	s.dropShadowed()
}

func (g *Generation) retire(at time.Time) {
	g.Phase, g.RetiredAt = v1alpha1.CredentialRetiring, at
}

// promote makes the step's generation Active, and retires the one before. The caller owns the slice.
func (s *CredentialState) promote(step Step) {
	if step.Drop {
		s.Generations = slices.DeleteFunc(s.Generations, func(g Generation) bool { return g.Phase == v1alpha1.CredentialActive })
	}
	for i := range s.Generations {
		g := &s.Generations[i]
		switch {
		case g.Number == step.Generation:
			g.Phase = v1alpha1.CredentialActive
		case g.Phase == v1alpha1.CredentialActive:
			g.retire(step.Time)
		}
	}
	s.dropShadowed()
}

// dropShadowed drops Retiring generations whose slot another holds: Kong has no room for them.
func (s *CredentialState) dropShadowed() {
	taken := map[int64]bool{}
	for _, g := range s.Generations {
		if g.Phase != v1alpha1.CredentialRetiring {
			taken[g.Slot] = true
		}
	}
	s.Generations = slices.DeleteFunc(s.Generations, func(g Generation) bool {
		return g.Phase == v1alpha1.CredentialRetiring && taken[g.Slot]
	})
}

func (s *CredentialState) restamp(step Step) {
	for i := range s.Generations {
		g := &s.Generations[i]
		if g.Number != step.Generation {
			continue
		}
		if ahead(g.IssueTime, step.Time) {
			g.IssueTime = step.Time.Truncate(time.Second)
		}
		if g.Phase == v1alpha1.CredentialRetiring {
			g.RetiredAt = step.Time
		}
	}
}
