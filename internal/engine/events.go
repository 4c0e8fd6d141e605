package engine

import (
	"context"
	"sync"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
)

// Reasons of events.
const (
	// EventConnected: the engine knows for the first time what Kong holds. Every resource of the gateway should look.
	EventConnected = "Connected"
	// EventChanged: the gateway's state, or its counts, changed.
	EventChanged = "Changed"
	// EventRecovered: the gateway is back, and the owner had waited for it.
	EventRecovered = "Recovered"
	// EventDrift: what the owner has in Kong was changed by somebody else.
	EventDrift = "Drift"
	// EventFreed: what the owner waited for is free, or there.
	EventFreed = "Freed"
)

// Event says that somebody should look again.
type Event struct {
	Gateway string
	// Owner to look again; nil: the gateway itself.
	Owner  *desired.Owner
	Reason string
}

// queue passes events on without ever blocking who adds them. The same event is in it once.
type queue struct {
	mu      sync.Mutex
	pending []Event
	present map[eventKey]bool
	added   chan struct{}
	out     chan Event
}

type eventKey struct {
	gateway, reason string
	owner           desired.Owner
}

func (e Event) key() eventKey {
	key := eventKey{gateway: e.Gateway, reason: e.Reason}
	if e.Owner != nil {
		key.owner, key.reason = *e.Owner, "" // one look is enough, whatever the reasons
	}
	return key
}

func newQueue() *queue {
	return &queue{present: map[eventKey]bool{}, added: make(chan struct{}, 1), out: make(chan Event)}
}

func (q *queue) add(events ...Event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range events {
		if !q.present[e.key()] {
			q.present[e.key()] = true
			q.pending = append(q.pending, e)
		}
	}
	select {
	case q.added <- struct{}{}:
	default:
	}
}

func (q *queue) take() []Event {
	q.mu.Lock()
	defer q.mu.Unlock()
	events := q.pending
	q.pending, q.present = nil, map[eventKey]bool{}
	return events
}

// run passes events on until ctx ends.
func (q *queue) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-q.added:
		}
		for _, e := range q.take() {
			select {
			case <-ctx.Done():
				return
			case q.out <- e:
			}
		}
	}
}
