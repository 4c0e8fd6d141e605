package controllers

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// unsure remembers the resources whose status was written last with no answer. It may have been done, unseen by the cache: what is read then looks as it should be,
// nothing would be written, and the resource would say for ever what was true when the answer was lost.
type unsure struct {
	mu  sync.Mutex
	who map[types.UID]bool
}

// note remembers whether a write was answered.
func (u *unsure) note(object client.Object, unanswered bool) {
	if u == nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if !unanswered {
		delete(u.who, object.GetUID())
		return
	}
	if u.who == nil {
		u.who = map[types.UID]bool{}
	}
	u.who[object.GetUID()] = true
}

// of says whether a resource's last write was not answered.
func (u *unsure) of(object client.Object) bool {
	if u == nil {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.who[object.GetUID()]
}
