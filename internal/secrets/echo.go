package secrets

import (
	"slices"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// echoes knows which changes of Secrets are this process's own: a watch reports them like any other, and whoever wrote one need not look again.
type echoes struct {
	mu      sync.Mutex
	writing map[client.ObjectKey]chan struct{}
	written map[client.ObjectKey][]echo
}

// echo is a write to a Secret that the watch has not reported yet.
type echo struct {
	version string
	owner   ownerKey
}

type ownerKey struct{ kind, name string }

// echoPatience is how long a report waits for the answer to a write that is under way. Both leave the API server at the same time.
const echoPatience = 100 * time.Millisecond

func newEchoes() *echoes {
	return &echoes{writing: map[client.ObjectKey]chan struct{}{}, written: map[client.ObjectKey][]echo{}}
}

// begin says that a write to a Secret is under way. done takes the version that it got, or "" where it failed.
func (e *echoes) begin(owner Owner, key client.ObjectKey) (done func(version string)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	answered := make(chan struct{})
	e.writing[key] = answered
	return func(version string) {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.writing[key] == answered {
			delete(e.writing, key)
		}
		if version != "" {
			e.written[key] = append(e.written[key], echo{version, ownerKey{owner.Kind, owner.Object.GetName()}})
		}
		close(answered)
	}
}

// take says whether a reported change is a write of this process for an owner, and forgets it and those before it.
func (e *echoes) take(key client.ObjectKey, version string, owner ownerKey) bool {
	e.await(key)
	e.mu.Lock()
	defer e.mu.Unlock()
	at := slices.Index(e.written[key], echo{version, owner})
	if at < 0 {
		return false
	}
	if e.written[key] = e.written[key][at+1:]; len(e.written[key]) == 0 {
		delete(e.written, key)
	}
	return true
}

// await waits for the answer to a write that is under way.
func (e *echoes) await(key client.ObjectKey) {
	e.mu.Lock()
	answered := e.writing[key]
	e.mu.Unlock()
	if answered == nil {
		return
	}
	patience := time.NewTimer(echoPatience)
	defer patience.Stop()
	select {
	case <-answered:
	case <-patience.C:
	}
}

// forget drops what is known of a Secret that is gone.
func (e *echoes) forget(key client.ObjectKey) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.written, key)
}

// WrittenFor says whether a Secret, as a watch reports it, is what this process wrote for an owner of its namespace. It says so once.
func (s *Store) WrittenFor(kind, name string, secret client.Object) bool {
	key := client.ObjectKeyFromObject(secret)
	if !secret.GetDeletionTimestamp().IsZero() {
		s.echoes.forget(key)
		return false
	}
	return s.echoes.take(key, secret.GetResourceVersion(), ownerKey{kind, name})
}
