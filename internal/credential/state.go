package credential

import (
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// State is what the operator keeps of one consumer's credentials, in a Secret of its own. It is the truth: the Secret that
// clients read and the status are made from it.
type State struct {
	// Credentials by name.
	Credentials map[string]CredentialState
}

// CredentialState holds the generations of one credential.
type CredentialState struct {
	// Last is the highest number that a generation ever had. No number is given twice.
	Last int64
	// Rotate and RevokePrevious are the values of the annotations of those names that were handled last.
	Rotate, RevokePrevious string
	// Generations, oldest first.
	Generations []Generation
}

// Generation is material that was made, or read, once.
type Generation struct {
	Number int64
	// Slot names the entity in Kong that holds the generation. Generations with one key share it: of those, Kong holds the newest.
	Slot int64
	// Phase is Pending until every data plane knows the material and clients can read it, then Active, then Retiring. The first begins Active.
	// At most one generation is Active, and at most one Pending: the newest.
	Phase v1alpha1.CredentialState
	// Given says that the material comes from a Secret that somebody else owns. Else it was made by Recipe.
	Given     bool
	Recipe    Recipe
	Material  Material
	IssueTime time.Time
	// RetiredAt is when a newer one took the place of a Retiring generation: the overlap runs from here.
	RetiredAt time.Time
	// Ended says that the overlap of a Retiring generation was ended early.
	Ended bool
}

// Active is the generation to sign with: the last that every data plane had and that clients could read.
func (s CredentialState) Active() (Generation, bool) { return s.inPhase(v1alpha1.CredentialActive) }

// Pending is the generation that is on its way.
func (s CredentialState) Pending() (Generation, bool) { return s.inPhase(v1alpha1.CredentialPending) }

func (s CredentialState) inPhase(phase v1alpha1.CredentialState) (Generation, bool) {
	for i := len(s.Generations) - 1; i >= 0; i-- {
		if s.Generations[i].Phase == phase {
			return s.Generations[i], true
		}
	}
	return Generation{}, false
}

// current is the generation that the spec is compared with: the one on its way, else the one in use.
func (s CredentialState) current() (Generation, bool) {
	if pending, found := s.Pending(); found {
		return pending, true
	}
	return s.Active()
}

// Holding finds the generation whose published form is what a Secret for clients holds; zero where it is none of them.
func (s CredentialState) Holding(data map[string][]byte) int64 {
	for i := len(s.Generations) - 1; i >= 0; i-- {
		if g := s.Generations[i]; samePublished(PublishedData(g.Material), data) {
			return g.Number
		}
	}
	return 0
}

func samePublished(published, data map[string][]byte) bool {
	for key, value := range published {
		if !Conceal(string(value)).Equal(Conceal(string(data[key]))) {
			return false
		}
	}
	return true
}
