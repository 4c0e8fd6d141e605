package lifecycle

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// unanswered remembers the resources whose last write of a status had no answer. It may have been done, unseen by the
// cache: what is read then looks as it should be, nothing would be written, and the resource would say for ever what
// was true when the answer was lost. It need not outlive the process: a process that begins to work waits until its
// cache has what the API server has (internal/catchup).
type unanswered struct {
	// mu guards uids. It is held for no I/O.
	mu   sync.Mutex
	uids map[types.UID]bool
}

// set remembers whether the last write of a resource had no answer.
func (u *unanswered) set(object client.Object, unanswered bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !unanswered {
		delete(u.uids, object.GetUID())
		return
	}
	if u.uids == nil {
		u.uids = map[types.UID]bool{}
	}
	u.uids[object.GetUID()] = true
}

// has says whether a resource's last write had no answer.
func (u *unanswered) has(object client.Object) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.uids[object.GetUID()]
}

// forget drops a resource that is gone.
func (u *unanswered) forget(object client.Object) { u.set(object, false) }
