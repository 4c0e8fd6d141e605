// Package propagation tells when every worker of every node has loaded a change of Kong's entities.
//
// With a database each Kong worker rebuilds its router and its plugins by timers of its own, so that the order of
// writes is not enough: a new route can be served before its plugin runs, and a deleted plugin can stop before its
// route does.
//
// In kong/runloop/handler.lua these are two timers of worker_state_update_frequency, for the router and for the
// plugins iterator; a node of a cluster learns of a change by a poll of the database each db_update_frequency
// (kong/cluster_events), and waits db_update_propagation more where the database has read replicas. The sum of these
// and a margin is the propagation delay: after it every worker has loaded a change in both. Kong tells nobody when
// that is, so it is waited for. The engine's gates ask these clocks before a route is opened and before what protects
// one goes. Controllers ask them, through the engine, before a credential counts as known everywhere, or as refused
// everywhere.
package propagation

import (
	"sync"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/plan"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// Clocks remember when entities left the Kong of one gateway, and how long a change takes to be everywhere. They may
// be used from many goroutines.
type Clocks struct {
	now func() time.Time

	// mu guards what follows. Nothing is called under it but now.
	mu    sync.Mutex
	delay time.Duration
	// filled is when it became known what Kong holds; zero before.
	filled time.Time
	// routes is when a service last lost a route, by the service's id.
	routes map[string]time.Time
	// credentials is when an owner last lost a credential. One time an owner is enough: the last departure is the
	// latest to be everywhere.
	credentials map[desired.Owner]time.Time
}

// New makes Clocks that read the time from now.
func New(now func() time.Time) *Clocks {
	return &Clocks{now: now, routes: map[string]time.Time{}, credentials: map[desired.Owner]time.Time{}}
}

// SetDelay sets the propagation delay: how long a change may take to reach every worker of every node.
func (c *Clocks) SetDelay(delay time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.delay = delay
}

// Delay gives the propagation delay.
func (c *Clocks) Delay() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.delay
}

// Fill records that it is known what Kong holds, the first time that it is called. What left Kong just before that is
// not known, so that every departure counts from here at the earliest. Before it, RoutesRemaining and
// CredentialsRemaining know of no departure by another process.
func (c *Clocks) Fill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.filled.IsZero() {
		c.filled = c.now()
	}
}

// Filled says whether Fill was called.
func (c *Clocks) Filled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.filled.IsZero()
}

// Departed records that an entity left Kong. Only routes and credentials matter.
func (c *Clocks) Departed(e plan.Entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch e.Kind {
	case kong.KindRoute:
		c.routes[e.Service] = c.now()
	case kong.KindJWT:
		c.credentials[e.Owner] = c.now()
	}
}

// Remaining is what is left of the propagation delay since a moment. A clock that was set back begins it anew. Zero
// means that each worker has it.
func (c *Clocks) Remaining(since time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.remaining(c.now(), since)
}

// RoutesRemaining is how long a worker may still serve a former route of a service.
func (c *Clocks) RoutesRemaining(service string) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.remaining(c.now(), later(c.routes[service], c.filled))
}

// CredentialsRemaining is how long a worker may still accept a former credential of an owner.
func (c *Clocks) CredentialsRemaining(owner desired.Owner) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.remaining(c.now(), later(c.credentials[owner], c.filled))
}

// remaining is what is left of the delay; a clock that was set back does not make it longer than the delay.
func (c *Clocks) remaining(now, since time.Time) time.Duration {
	passed := max(now.Sub(since), 0)
	return max(c.delay-passed, 0)
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// Expire drops what no worker can have any more.
func (c *Clocks) Expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	for service, at := range c.routes {
		if c.remaining(now, at) == 0 {
			delete(c.routes, service)
		}
	}
	for owner, at := range c.credentials {
		if c.remaining(now, at) == 0 {
			delete(c.credentials, owner)
		}
	}
}

// Reset drops everything but the delay: another Kong is there, of which nothing is known.
func (c *Clocks) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.filled = time.Time{}
	clear(c.routes)
	clear(c.credentials)
}
