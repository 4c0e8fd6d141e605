package held

import (
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/objects"
)

// writing are the fingerprints that were told of the objects that are being written.
type writing map[objects.Reference]map[string]bool

// tell notes a fingerprint of an object that is being written.
func (w writing) tell(r objects.Reference, print string) {
	if told, is := w[r]; is {
		told[print] = true
	}
}

// mayDiffer says whether another fingerprint was told of an object while it was written.
func (w writing) mayDiffer(o Object) bool {
	for print := range w[o.Reference] {
		if print != o.Print {
			return true
		}
	}
	return false
}

// Writing notes that an object is being written, until done is called. Whatever else than its new fingerprint is told
// of it meanwhile may be what somebody made of it after the write: the next Put records it as stale. Where it was told
// late, of what was there before, it is applied once more, which changes nothing.
func (s *Store) Writing(r objects.Reference) (done func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing[r] = map[string]bool{}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.writing, r)
	}
}

// mostRepairs is how often what waits for an object waits anew because somebody changed that object.
const mostRepairs = 3

// Repaired notes on an object that was written now since when it is as it is wanted, after it was before: from now on,
// unless somebody changes it time after time before it is seen in Kong. Nothing waits for it for ever.
func (o *Object) Repaired(before Object) {
	o.Since, o.Repairs = o.Epoch, 0
	if before.Sum != o.Sum {
		return
	}
	if o.Repairs = before.Repairs + 1; o.Repairs > mostRepairs {
		o.Since = before.Since
	}
}

// Between repairs that come at once and those that follow, which pause.
const (
	quickRepairs = 10
	repairPause  = 5 * time.Second
)

// Pause is how long after it was written an object that somebody changes all the time is not put right: whoever can do
// that has it as they want between any two writes, and does not have the operator write without bound.
func (o *Object) Pause() time.Duration {
	if o.Repairs < quickRepairs {
		return 0
	}
	return repairPause
}

// Rests notes that an object was seen in Kong as it is wanted.
func (s *Store) Rests(r objects.Reference) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o, there := s.owners[s.owner[r]][r]; there {
		o.Repairs = 0
		s.owners[o.Owner][r] = o
	}
}
