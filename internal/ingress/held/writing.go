package held

import "github.com/kongjwt/kong-jwt-operator/internal/objects"

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
