package credential

import (
	"fmt"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// Outcome is what a state means for Kong, for clients and for whoever looks at it, once Decide has no more steps.
type Outcome struct {
	// Kong are the generations that shall be in Kong, oldest first, one a slot.
	Kong []Generation
	// Publish is the generation that the Secret for clients shall hold now, if Published is true. Where it is false the Secret stays as it is.
	Publish   Generation
	Published bool
	// Wait says what the rotation waits for; empty where it waits for nothing.
	Wait string
	// AwaitsDataPlane says that it is the data planes.
	AwaitsDataPlane bool
	// Next is when something is due; zero where nothing is.
	Next time.Time
}

// Outcome says what has to be in Kong and in the Secret for clients. It is pure.
func (s CredentialState) Outcome(want Want, seen Seen, now time.Time) Outcome {
	var out Outcome
	if want.Revoked {
		return out
	}
	out.Kong = s.inKong(want, seen, now)
	active, hasActive := s.Active()
	pending, hasPending := s.Pending()
	for _, g := range s.Generations {
		if g.Phase == v1alpha1.CredentialRetiring {
			out.sooner(want.RetiresAt(g))
		}
	}
	if hasPending {
		out.pending(pending, active, hasActive, seen, now)
	} else if hasActive {
		asked := !want.fits(active) || want.Rotate != s.Rotate || due(want, active, now)
		if !asked {
			out.sooner(want.dueAt(active))
		} else if len(s.Generations) >= maxGenerations {
			out.Wait = fmt.Sprintf("credential %s has %d generations that are still valid, and can have no more; wait until one retires, or end the overlap with the annotation %s",
				want.Name, len(s.Generations), v1alpha1.AnnotationRevokePrevious)
		}
	}
	// The pending one is published once it has arrived; until then, or without one, what is in use, where Kong is known to have it. What came from a former
	// source may be a public key alone.
	if !out.Published && hasActive && active.Material.CanSign() && seen.Verdicts[active.Number].Standing >= Waiting {
		out.Publish, out.Published = active, true
	}
	return out
}

// pending says how far the generation on its way is.
func (o *Outcome) pending(pending, active Generation, hasActive bool, seen Seen, now time.Time) {
	verdict := seen.Verdicts[pending.Number]
	if verdict.Standing >= arrivesAt(pending, active, hasActive) {
		o.Publish, o.Published = pending, true
		return
	}
	o.AwaitsDataPlane = verdict.Standing == Waiting
	o.Wait = verdict.Message
	if verdict.After > 0 {
		o.sooner(now.Add(verdict.After))
	}
}

// inKong lists what shall be in Kong: all but what is over, and of each slot the newest.
func (s CredentialState) inKong(want Want, seen Seen, now time.Time) []Generation {
	newest := map[int64]int64{}
	for _, g := range s.Generations {
		newest[g.Slot] = max(newest[g.Slot], g.Number)
	}
	var in []Generation
	for _, g := range s.Generations {
		over := g.Phase == v1alpha1.CredentialRetiring && want.retired(g, now) && s.replaced(g, seen)
		if !over && newest[g.Slot] == g.Number {
			in = append(in, g)
		}
	}
	return in
}

// replaced says whether a Retiring generation is known not to be what the Secret for clients holds. One whose overlap was ended goes all the same.
func (s CredentialState) replaced(g Generation, seen Seen) bool {
	return g.Ended || g.Given || seen.Published != g.Number
}

func (o *Outcome) sooner(at time.Time) {
	if !at.IsZero() && (o.Next.IsZero() || at.Before(o.Next)) {
		o.Next = at
	}
}
