package dataplane

import (
	"sync"
	"time"
)

// Propagation says how long a worker takes to act on a change. Every worker
// draws its own delay between a minimum and a maximum, for its router, its
// plugins and each entry of its caches apart. Changes that come while an
// earlier one is on its way travel with it: a worker rebuilds from what the
// database holds when it does.
type Propagation struct {
	RouterMin, RouterMax         time.Duration
	PluginsMin, PluginsMax       time.Duration
	CredentialMin, CredentialMax time.Duration // consumers too
	ACLMin, ACLMax               time.Duration
	// Cascade is how much later than a deleted consumer its credentials and
	// groups leave a worker's caches: Kong announces the parent first, and a
	// token is answered "Could not find consumer" in between.
	CascadeMin, CascadeMax time.Duration
}

// Instant is a gateway whose workers take every change in at once.
func Instant() Propagation { return Propagation{} }

// Typical is one node of Kong 3.9.3 with its defaults, as measured.
func Typical() Propagation {
	return Propagation{
		RouterMin: 9 * time.Millisecond, RouterMax: 3500 * time.Millisecond,
		PluginsMin: 9 * time.Millisecond, PluginsMax: 3500 * time.Millisecond,
		CredentialMin: time.Millisecond, CredentialMax: 5 * time.Millisecond,
		ACLMin: 2 * time.Millisecond, ACLMax: 42 * time.Millisecond,
		CascadeMin: 50 * time.Millisecond, CascadeMax: 100 * time.Millisecond,
	}
}

// Slowest is a node far from the one that was written to: it polls the
// database every dbUpdate (db_update_frequency), and its workers rebuild every
// workerState (worker_state_update_frequency). Anything between nothing and
// both together may happen.
func Slowest(dbUpdate, workerState time.Duration) Propagation {
	return Propagation{
		RouterMax: dbUpdate + workerState, PluginsMax: dbUpdate + workerState,
		CredentialMax: dbUpdate, ACLMax: dbUpdate,
		CascadeMin: 50 * time.Millisecond, CascadeMax: 100 * time.Millisecond,
	}
}

// delayed is a value whose changes are seen later. It keeps no timer: whoever
// looks says what time it is.
type delayed[T any] struct {
	mu      sync.Mutex
	current T
	pending *T
	due     time.Time
}

// change makes v the value from due on, or from an earlier change's due time
// where one is on its way.
func (d *delayed[T]) change(v T, now, due time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settle(now)
	if d.pending == nil {
		d.due = due
	}
	d.pending = &v
	d.settle(now)
}

// at is the value as seen at a moment.
func (d *delayed[T]) at(now time.Time) T {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settle(now)
	return d.current
}

func (d *delayed[T]) settle(now time.Time) {
	if d.pending != nil && !now.Before(d.due) {
		d.current, d.pending = *d.pending, nil
	}
}

// maxCached bounds a cache; names of unknown keys come from anyone.
const maxCached = 100_000

// cache is a worker's cache of entities, which are read when first asked for,
// also remembered when they are not there, and dropped some time after they
// changed.
type cache[V any] struct {
	mu      sync.Mutex
	entries map[string]cached[V]
}

type cached[V any] struct {
	value V
	found bool
	until time.Time // zero: until told otherwise
}

// get gives the entry of a name. load must not call back into the cache.
func (c *cache[V]) get(name string, now time.Time, load func(string) (V, bool)) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.entries[name]; ok && (e.until.IsZero() || now.Before(e.until)) {
		return e.value, e.found
	}
	if c.entries == nil || len(c.entries) >= maxCached {
		c.entries = map[string]cached[V]{}
	}
	v, found := load(name)
	c.entries[name] = cached[V]{value: v, found: found}
	return v, found
}

// invalidate drops an entry at a time, or earlier if it is to go already.
func (c *cache[V]) invalidate(name string, due time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.entries[name]; ok && (e.until.IsZero() || due.Before(e.until)) {
		e.until = due
		c.entries[name] = e
	}
}

// invalidateAll drops every entry at a time.
func (c *cache[V]) invalidateAll(due time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, e := range c.entries {
		if e.until.IsZero() || due.Before(e.until) {
			e.until = due
			c.entries[name] = e
		}
	}
}
