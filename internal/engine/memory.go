package engine

import (
	"sync"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/observed"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/plan"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// memory is what is remembered of owners from one Sync to the next. It may be used from many goroutines. None of it
// outlives the process; without it the worst is a request that is sent once more. mu is held for no I/O.
type memory struct {
	mu sync.Mutex
	// rejected are the owners of what Kong refused: another version may take it.
	rejected map[desired.Owner]bool
	// requests are the listings that were asked for last, by owner.
	requests map[desired.Owner]string
	// wanted stands for what an owner wanted last, refusals for what Kong said of it afterwards.
	wanted   map[desired.Owner]plan.Hash
	refusals map[desired.Owner]refusal
	// failures count, by owner and entity, the writes in a row that failed in a Kong that is healthy.
	failures map[desired.Owner]map[string]int
	// settled stands for what an owner's last complete Sync left in Kong. A listing that finds another fingerprint
	// wakes the owner, also where no entity by itself counts as changed.
	settled map[desired.Owner]uint64
}

// refusal is what Kong said of an owner's writes after they were taken: they are not sent again before a time.
type refusal struct {
	wanted plan.Hash
	err    *status.StalledError
	until  time.Time
}

func newMemory() *memory {
	m := &memory{requests: map[desired.Owner]string{}}
	m.reset()
	return m
}

// reset drops what rests on what Kong holds.
func (m *memory) reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rejected, m.wanted = map[desired.Owner]bool{}, map[desired.Owner]plan.Hash{}
	m.refusals, m.failures = map[desired.Owner]refusal{}, map[desired.Owner]map[string]int{}
	m.settled = map[desired.Owner]uint64{}
}

// forget drops what is kept of an owner.
func (m *memory) forget(owner desired.Owner) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.requests, owner)
	m.drop(owner)
}

func (m *memory) drop(owner desired.Owner) {
	delete(m.rejected, owner)
	delete(m.wanted, owner)
	delete(m.refusals, owner)
	delete(m.failures, owner)
	delete(m.settled, owner)
}

// succeeded drops what went wrong before. settled stands for what the owner has in Kong now.
func (m *memory) succeeded(owner desired.Owner, settled uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drop(owner)
	m.settled[owner] = settled
}

// reject remembers an owner, to look again when Kong's version or plugins change.
func (m *memory) reject(owner desired.Owner) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rejected[owner] = true
}

// rejectedOwners gives the owners of what Kong refused, until a Sync of theirs goes through.
func (m *memory) rejectedOwners() []desired.Owner {
	m.mu.Lock()
	defer m.mu.Unlock()
	return keysOf(m.rejected)
}

// asks says whether a request for a listing is a new one: not the last one of the owner, nor one that was there when
// the owner was first seen.
func (m *memory) asks(owner desired.Owner, text string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	last, known := m.requests[owner]
	m.requests[owner] = text
	return known && text != "" && text != last
}

// wants remembers what an owner wants, and gives what Kong said of just that, if it did. found is false also where the
// time is over: the refusal is forgotten, and the same is tried again.
func (m *memory) wants(owner desired.Owner, wanted plan.Hash, now time.Time) (*status.StalledError, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wanted[owner] = wanted
	held, found := m.refusals[owner]
	if !found || held.wanted != wanted || !now.Before(held.until) {
		delete(m.refusals, owner)
		return nil, false
	}
	why := *held.err
	why.RetryAfter = max(held.until.Sub(now), time.Second)
	return &why, true
}

// refuse remembers that Kong refuses what an owner wanted last.
func (m *memory) refuse(owner desired.Owner, why *status.StalledError, until time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refusals[owner] = refusal{wanted: m.wanted[owner], err: why, until: until}
	m.rejected[owner] = true
}

// accept drops a refusal: Kong took what the owner wrote.
func (m *memory) accept(owner desired.Owner) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.refusals, owner)
}

// fail counts a write of an entity that failed in a Kong that is healthy, and says how many did in a row.
func (m *memory) fail(owner desired.Owner, id string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failures[owner] == nil {
		m.failures[owner] = map[string]int{}
	}
	m.failures[owner][id]++
	return m.failures[owner][id]
}

// differing are the owners whose entities are not as their last complete Sync left them, each once.
func (m *memory) differing(store *observed.Store) []desired.Owner {
	now := store.Fingerprints()
	m.mu.Lock()
	defer m.mu.Unlock()
	var owners []desired.Owner
	for owner, settled := range m.settled {
		if now[owner] != settled {
			owners = append(owners, owner)
			delete(m.settled, owner)
		}
	}
	return owners
}
