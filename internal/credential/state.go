package credential

import (
	"slices"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/request"
)

// State is what the operator keeps of one consumer's credentials, in a Secret of its own. It is the truth: the Secret
// that clients read and the status are made from it.
type State struct {
	// Credentials by name. One that the spec no longer has stays until no data plane holds any of it.
	Credentials map[string]History
	// Requests that were seen. They are recorded in the same write as what they ask.
	Requests request.Record
}

// History holds the revisions of one credential.
type History struct {
	// Last is the highest number that a revision ever had. No number is given twice.
	Last int64
	// ReplaceThrough is a request to rotate: revisions up to this number are to be replaced.
	ReplaceThrough int64
	// SecretName is the Secret that clients read; empty where they read none of the operator's.
	SecretName string
	// FormerSecrets are those that clients read before, and may still: pods that start within the overlap mount
	// them.
	FormerSecrets FormerSecrets
	// Revisions, oldest first.
	Revisions []Revision
}

// Slot names the entity in Kong that holds a revision. Revisions with one key share it: of those, Kong holds the
// newest.
type Slot struct {
	// Credential is the name that the credential had when the entity was made. A credential that gets another name
	// keeps its entities.
	Credential string `json:"credential"`
	Number     int64  `json:"number,omitempty"`
}

// Revision is material that was made, or read, once.
type Revision struct {
	Number int64
	Slot   Slot
	// State is Pending until every data plane knows the material and clients can read it, then Active, then
	// Retiring. The first begins Active. At most one revision is Active, and at most one Pending: the newest.
	State v1alpha1.CredentialState
	// Given says that the material comes from a Secret that somebody else owns. Else it was made by Recipe.
	Given  bool
	Recipe Recipe
	// Salt is the random end of a key that was made because somebody else holds the usual one.
	Salt      string
	Material  Material
	IssueTime time.Time
	// RetiredAt is when a newer one took the place of a Retiring revision: the overlap runs from here.
	RetiredAt time.Time
	// Ended says that there is no overlap: a Retiring revision leaves now, and an Active one as soon as it
	// retires.
	Ended bool
	// Over says that the overlap of a Retiring revision was over: it leaves Kong, and no longer overlap brings it
	// back.
	Over bool
}

// Active is the revision to sign with: the last that every data plane had and that clients could read.
func (h History) Active() (Revision, bool) { return h.inState(v1alpha1.CredentialActive) }

// Pending is the revision that is on its way.
func (h History) Pending() (Revision, bool) { return h.inState(v1alpha1.CredentialPending) }

func (h History) inState(state v1alpha1.CredentialState) (Revision, bool) {
	for i := len(h.Revisions) - 1; i >= 0; i-- {
		if h.Revisions[i].State == state {
			return h.Revisions[i], true
		}
	}
	return Revision{}, false
}

// current is the revision that the spec is compared with: the one on its way, else the one in use.
func (h History) current() (Revision, bool) {
	if pending, found := h.Pending(); found {
		return pending, true
	}
	return h.Active()
}

// Published is the number of the revision that the Secret for clients holds; zero where it holds none of them.
func (h History) Published(seen Seen) int64 {
	if seen.Clients == nil {
		return 0
	}
	for i := len(h.Revisions) - 1; i >= 0; i-- {
		if r := h.Revisions[i]; r.Material.Equal(*seen.Clients) {
			return r.Number
		}
	}
	return 0
}

// relocate notes that clients read another Secret from now on.
func (h *History) relocate(name string, at time.Time) {
	if h.SecretName == name {
		return
	}
	h.SecretName, h.FormerSecrets = name, h.FormerSecrets.Moved(h.SecretName, name, at)
}

// Known says whether the state has a revision in a slot.
func (s State) Known(slot Slot) bool {
	for _, h := range s.Credentials {
		for _, r := range h.Revisions {
			if r.Slot == slot {
				return true
			}
		}
	}
	return false
}

// FormerSecret is a Secret that clients read before the spec named another. Pods that were made before mount it, and
// pods that start meanwhile may.
type FormerSecret struct {
	Name string `json:"name"`
	// Since is when the spec named another.
	Since time.Time `json:"since"`
}

// FormerSecrets are those of one spec, oldest first.
type FormerSecrets []FormerSecret

// Moved notes that clients read the Secret to from now on, and from no longer. Empty is none.
func (f FormerSecrets) Moved(from, to string, at time.Time) FormerSecrets {
	moved := slices.DeleteFunc(slices.Clone(f), func(s FormerSecret) bool { return s.Name == to || s.Name == from && from != "" })
	if from != "" && from != to {
		moved = append(moved, FormerSecret{Name: from, Since: at})
	}
	return moved
}

// Over says whether the overlap of a former Secret is over. One that begins in the future is an edit, and is over.
func (s FormerSecret) Over(overlap time.Duration, now time.Time) bool {
	return !now.Before(s.Since.Add(overlap)) || ahead(s.Since, now)
}
