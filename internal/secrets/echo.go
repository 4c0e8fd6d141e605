package secrets

import (
	"slices"
	"sync"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// echoes knows which changes of Secrets are this process's own: a watch reports them like any other, and whoever
// wrote one need not look again.
type echoes struct {
	mu sync.Mutex
	// writing counts the writes under way.
	writing map[client.ObjectKey]int
	// written are those that the watch has not reported yet.
	written writes
	// early were reported before the answer to a write came: it is not known yet whose they are.
	early map[client.ObjectKey][]report
}

// writes are those of this process to each Secret, the oldest first.
type writes map[client.ObjectKey][]echo

// echo is a write to a Secret, by the version that it got.
type echo struct {
	version string
	owner   ownerKey
}

type ownerKey struct{ kind, name string }

// report is what a watch says of a Secret to an owner.
type report struct {
	echo
	look func()
}

func newEchoes() *echoes {
	return &echoes{writing: map[client.ObjectKey]int{}, written: writes{}, early: map[client.ObjectKey][]report{}}
}

// begin says that a write to a Secret is under way. done takes the version that it got, or "" where it failed.
func (e *echoes) begin(owner Owner, key client.ObjectKey) (done func(version string)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.writing[key]++
	return func(version string) {
		for _, other := range e.end(key, echo{version, ownerKey{owner.Kind, owner.Object.GetName()}}) {
			other.look()
		}
	}
}

// end notes the answer to a write. It gives what was reported meanwhile and is none of ours, once no write is under
// way that it may be.
func (e *echoes) end(key client.ObjectKey, own echo) (others []report) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if own.version != "" {
		e.written[key] = append(e.written[key], own)
	}
	if e.writing[key]--; e.writing[key] > 0 {
		return nil
	}
	delete(e.writing, key)
	for _, one := range e.early[key] {
		if !e.written.take(key, one.echo) {
			others = append(others, one)
		}
	}
	delete(e.early, key)
	return others
}

// reported says whether a report asks an owner to look now. Where a write is under way that it may be of, its look is
// called later, if need be.
func (e *echoes) reported(key client.ObjectKey, one report) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.written.take(key, one.echo) {
		return false
	}
	if e.writing[key] > 0 {
		e.early[key] = append(e.early[key], one)
		return false
	}
	return true
}

// take says whether a reported change is a write of this process for its owner, and forgets it and those before it.
func (w writes) take(key client.ObjectKey, reported echo) bool {
	at := slices.Index(w[key], reported)
	if at < 0 {
		return false
	}
	if w[key] = w[key][at+1:]; len(w[key]) == 0 {
		delete(w, key)
	}
	return true
}

// forget drops what is known of a Secret that is gone.
func (e *echoes) forget(key client.ObjectKey) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.written, key)
}

// Reported is told what a watch reports of a Secret that an owner of its namespace names, gone where it was deleted.
// It calls look, at once or a moment later, unless the change is what this process wrote for just that owner.
func (s *Store) Reported(kind, name string, secret client.Object, gone bool, look func()) {
	key := client.ObjectKeyFromObject(secret)
	s.ahead.forget(key, secret.GetResourceVersion())
	if gone || !secret.GetDeletionTimestamp().IsZero() {
		s.echoes.forget(key)
		look()
		return
	}
	if s.echoes.reported(key, report{echo{secret.GetResourceVersion(), ownerKey{kind, name}}, look}) {
		look()
	}
}
