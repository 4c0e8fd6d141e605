package credential

import (
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// State is what the operator keeps of one consumer's generated credentials, in a Secret of its own. It is the truth: the Secret that
// clients read and the status are made from it.
type State struct {
	// Credentials by name.
	Credentials map[string]CredentialState
}

// CredentialState holds the generations of one credential.
type CredentialState struct {
	// Last is the highest number that a generation ever had. No number is given twice.
	Last int64
	// Generations, oldest first. The newest is the one that the spec asks for.
	Generations []Generation
}

// Generation is material that was made once.
type Generation struct {
	Number int64
	// Phase is Pending until Kong has the material and clients can read it, then Active. At most one generation is Active.
	Phase     v1alpha1.CredentialPhase
	Recipe    Recipe
	Material  Material
	IssueTime time.Time
}

// Active is the generation to sign with: the last that Kong had and that clients could read.
func (s CredentialState) Active() (Generation, bool) {
	for _, g := range s.Generations {
		if g.Phase == v1alpha1.CredentialActive {
			return g, true
		}
	}
	return Generation{}, false
}

// Newest is the generation that shall be in Kong.
func (s CredentialState) Newest() (Generation, bool) {
	if len(s.Generations) == 0 {
		return Generation{}, false
	}
	return s.Generations[len(s.Generations)-1], true
}

// find gives the newest generation that is what the spec asks for.
func (s CredentialState) find(want Want) (Generation, bool) {
	for i := len(s.Generations) - 1; i >= 0; i-- {
		if g := s.Generations[i]; g.Recipe == want.Recipe && g.Material.Key == want.Key {
			return g, true
		}
	}
	return Generation{}, false
}
