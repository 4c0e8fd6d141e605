package engine

import (
	"context"
	"sync"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/plan"
)

// The names here go when the controllers use the new ones.

type Write = plan.Write

func DryPlan(former, wanted desired.Set) []Write { return plan.Dry(former, wanted) }

func (e *Engine) Release(ctx context.Context, owner desired.Owner, retain bool) error {
	if retain {
		return e.Orphan(ctx, owner)
	}
	return e.Delete(ctx, owner)
}

func (e *Engine) Withdraw(ctx context.Context, owner desired.Owner) (Result, error) { return e.Revoke(ctx, owner) }

func (e *Engine) Shed(ctx context.Context, owner desired.Owner, keeps func(part string) bool) (Result, error) {
	return e.RemoveAccess(ctx, owner, keeps)
}

func (e *Engine) Withdrawn(owner desired.Owner) time.Duration { return e.RevocationRemaining(owner) }

func (e *Engine) HasCredential(set desired.Set) bool { return e.HasCredentials(set) }

func (e *Engine) CheckFor(owner desired.Owner, text string) { e.Relist(owner, text) }

// Events passes events on through a channel.
func (r *Registry) Events() <-chan Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.events == nil {
		q := &eventQueue{added: make(chan struct{}, 1), out: make(chan Event)}
		r.events, r.listen = q.out, q.add
		go q.run(r.ctx)
	}
	return r.events
}

type eventQueue struct {
	mu      sync.Mutex
	pending []Event
	added   chan struct{}
	out     chan Event
}

func (q *eventQueue) add(e Event) {
	q.mu.Lock()
	q.pending = append(q.pending, e)
	q.mu.Unlock()
	request(q.added)
}

func (q *eventQueue) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-q.added:
		}
		q.mu.Lock()
		events := q.pending
		q.pending = nil
		q.mu.Unlock()
		for _, e := range events {
			select {
			case <-ctx.Done():
				return
			case q.out <- e:
			}
		}
	}
}
