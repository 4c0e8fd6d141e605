package jwks

import (
	"slices"
	"sync"
)

const (
	// maxInFlight is how many issuers are asked at once.
	maxInFlight = 64
	// maxOfNamespace is how many of them for one namespace: slow issuers of one tenant leave slots to the others.
	maxOfNamespace = 8
)

// turns says who asks an issuer next: the namespaces by turns, each with a share of the slots.
type turns struct {
	mu      sync.Mutex
	free    int
	share   int
	running map[string]int
	waiting map[string][]*turn
	// order of the namespaces that wait.
	order []string
}

// turn is one look's. Its fields are the lock's of turns.
type turn struct {
	// granted is closed when the look may begin.
	granted chan struct{}
	// namespaces that wait for it; the first whose turn comes is namespace, which it counts for.
	namespaces map[string]bool
	namespace  string
	begun      bool
	// left says that nobody waits for it any more: it does not begin.
	left bool
}

func newTurns(slots, share int) *turns {
	return &turns{free: slots, share: share, running: map[string]int{}, waiting: map[string][]*turn{}}
}

func newTurn() *turn { return &turn{granted: make(chan struct{}), namespaces: map[string]bool{}} }

// wait queues a turn in the name of a namespace as well: a set that several follow comes with the first of them.
func (t *turns) wait(own *turn, namespace string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if own.begun || own.namespaces[namespace] {
		return
	}
	own.namespaces[namespace] = true
	if len(t.waiting[namespace]) == 0 {
		t.order = append(t.order, namespace)
	}
	t.waiting[namespace] = append(t.waiting[namespace], own)
	t.grant()
}

// leave takes a turn out of the queues, unless it has begun. It says whether it is out.
func (t *turns) leave(own *turn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if own.begun {
		return own.left
	}
	for namespace := range own.namespaces {
		t.waiting[namespace] = slices.DeleteFunc(t.waiting[namespace], func(other *turn) bool { return other == own })
	}
	own.begun, own.left = true, true
	t.grant()
	return true
}

// done gives the slot of a turn back.
func (t *turns) done(own *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.free++
	if t.running[own.namespace]--; t.running[own.namespace] == 0 {
		delete(t.running, own.namespace)
	}
	t.grant()
}

// grant begins what may begin. A namespace that had its turn goes to the end.
func (t *turns) grant() {
	for i := 0; i < len(t.order) && t.free > 0; {
		namespace := t.order[i]
		queue := t.waiting[namespace]
		for len(queue) > 0 && queue[0].begun {
			queue = queue[1:] // another namespace's turn came first
		}
		begins := len(queue) > 0 && t.running[namespace] < t.share
		if begins {
			next := queue[0]
			queue = queue[1:]
			next.begun, next.namespace = true, namespace
			t.free--
			t.running[namespace]++
			close(next.granted)
		}
		t.waiting[namespace] = queue
		switch {
		case len(queue) == 0:
			delete(t.waiting, namespace)
			t.order = append(t.order[:i], t.order[i+1:]...)
		case begins:
			t.order = append(append(t.order[:i], t.order[i+1:]...), namespace)
			i = 0
		default:
			i++
		}
	}
}
