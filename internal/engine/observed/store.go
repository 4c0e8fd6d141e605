// Package observed keeps what the Kong of one gateway is known to hold of this operator's: filled by listings, kept by
// the answer of every write. It has ids, owners and keyed hashes, and never the content of an entity.
//
// The engine records each write here before it begins the next, and the monitor hands in each complete listing
// (Judge). Both go on at the same time, and a listing takes a while: a page that was read before a write would undo it
// here. So writes are numbered. A listing has the number at which it began (Mark), and judges no entity that was
// written or deleted after that, or that a request is under way for (Sending).
package observed

import (
	"slices"
	"sync"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/plan"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/propagation"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// Store is what one Kong is known to hold. It may be used from many goroutines.
type Store struct {
	// mu guards what follows, and is held for no I/O. clocks have a lock of their own, which is taken inside this
	// one.
	mu sync.Mutex
	contents
}

// contents are what a Store keeps. They have no lock: one goroutine at a time.
type contents struct {
	now    func() time.Time
	clocks *propagation.Clocks
	index  *index
	// writes counts the writes of this process; entries carry its value.
	writes uint64
	// inFlight counts requests under way, by the id of the entity that they write. Between the request and its
	// answer the entity may be in either form.
	inFlight map[string]int
	// deleted are entities that this process deleted, by the number of that write: a listing that began before has
	// them. An entry lasts until a listing that began after the deletion.
	deleted map[string]uint64
}

// Change is what a write made of one entry.
type Change struct {
	// Before and After are the entry; nil where there is none.
	Before, After *plan.Entry
}

// Freed are the unique keys that nobody holds any more by a change.
func (c Change) Freed() []desired.UniqueKey {
	if c.Before == nil {
		return nil
	}
	if c.After == nil {
		return c.Before.Keys
	}
	return slices.DeleteFunc(slices.Clone(c.Before.Keys), func(k desired.UniqueKey) bool {
		return slices.Contains(c.After.Keys, k)
	})
}

// New makes an empty Store. What leaves it is told to clocks.
func New(scope desired.Scope, clocks *propagation.Clocks, now func() time.Time) *Store {
	return &Store{contents: contents{
		now: now, clocks: clocks, index: newIndex(scope), inFlight: map[string]int{}, deleted: map[string]uint64{},
	}}
}

// Reset drops everything: another Kong is there.
func (s *Store) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.index = newIndex(s.index.scope)
	clear(s.deleted)
}

// Sending records that a request about an entity is under way, until sent is called: a listing does not judge the
// entity meanwhile. It counts, since two requests about one entity may be under way.
func (s *Store) Sending(ids ...string) (sent func()) {
	s.count(1, ids)
	return func() { s.count(-1, ids) }
}

// Deleting is Sending for a request that deletes an entity, and what Kong takes along with it.
func (s *Store) Deleting(e plan.Entry) (sent func()) {
	ids := []string{e.ID}
	for _, child := range s.Of(e.Owner) {
		if slices.Contains(child.Parents(), e.ID) {
			ids = append(ids, child.ID)
		}
	}
	return s.Sending(ids...)
}

// count adds to the requests that are under way for entities.
func (s *Store) count(requests int, ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if s.inFlight[id] += requests; s.inFlight[id] == 0 {
			delete(s.inFlight, id)
		}
	}
}

// RecordWrite records that Kong took an entity. shown is the hash of its answer: what Kong fills in itself is no
// drift.
func (s *Store) RecordWrite(e plan.Entry, shown plan.Hash) Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	if shown != e.Hash {
		e.Sent, e.Hash = e.Hash, shown
	}
	s.writes++
	e.Stamp, e.Since, e.Uncertain = s.writes, s.now(), false
	delete(s.deleted, e.ID)
	return s.replace(e)
}

// RecordUncertain records that a write of an entity may have been done or not: Kong holds what it held, or what it was
// to hold. Where the entity was to be deleted, its children may have gone with it, and are uncertain too. The unique
// keys of both forms are held until it is known: neither may be given to somebody else.
func (s *Store) RecordUncertain(verb plan.Verb, e plan.Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	now := s.now()
	if held := s.index.entries[e.ID]; held != nil {
		for _, key := range held.Keys {
			if !slices.Contains(e.Keys, key) {
				e.Keys = append(slices.Clone(e.Keys), key)
			}
		}
	}
	for _, child := range s.index.of(e.Owner) {
		if verb == plan.Delete && slices.Contains(child.Parents(), e.ID) {
			child.Stamp, child.Uncertain, child.Since = s.writes, true, now
			s.index.set(child)
		}
	}
	e.Stamp, e.Uncertain, e.Since = s.writes, true, now
	s.index.set(e)
}

// RecordGone records that an entity left Kong, and that Kong took its children of the same owner along. It gives a
// change for each, so that who waits for a unique key of a child is woken too.
func (s *Store) RecordGone(e plan.Entry) []Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	var changes []Change
	for _, child := range s.index.of(e.Owner) {
		if child.ID != e.ID && slices.Contains(child.Parents(), e.ID) {
			changes = append(changes, s.forget(child))
		}
	}
	return append(changes, s.forget(e))
}

// RecordUntagged records that an entity is not this operator's any more. What belongs to it stays as it is.
func (s *Store) RecordUntagged(e plan.Entry) Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	return s.forget(e)
}

// RecordAbsent records of ids that Kong says they are not there: they and their children of the same owner go.
func (s *Store) RecordAbsent(ids []string) []Change {
	var changes []Change
	for _, id := range ids {
		if held, found := s.Get(id); found {
			changes = append(changes, s.RecordGone(held)...)
		}
	}
	return changes
}

// Replace makes an owner's entries these, as Kong is known to hold them. It counts as a write: a listing that began
// before does not judge them.
func (s *Store) Replace(owner desired.Owner, entries []plan.Entry) []Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	var changes []Change
	for _, e := range s.index.of(owner) {
		held := e
		s.index.remove(e.ID)
		s.deleted[e.ID] = s.writes
		changes = append(changes, Change{Before: &held})
	}
	for _, e := range entries {
		delete(s.deleted, e.ID)
		e.Stamp, e.Since = s.writes, s.now()
		s.index.set(e)
	}
	return changes
}

// replace puts an entity in, over what was there. A key that a credential no longer has counts as departed.
func (s *contents) replace(e plan.Entry) Change {
	change := Change{After: &e}
	if held := s.index.entries[e.ID]; held != nil {
		former := *held
		change.Before = &former
		if e.Kind == kong.KindJWT && !slices.Equal(former.Keys, e.Keys) {
			s.clocks.Departed(former) // a key that is changed is one that left
		}
	}
	s.index.set(e)
	return change
}

// forget takes an entity out, and tells the clocks: data planes may have it for some time. A write of this process was
// counted before.
func (s *contents) forget(e plan.Entry) Change {
	s.deleted[e.ID] = s.writes
	s.clocks.Departed(e)
	if s.index.entries[e.ID] == nil {
		return Change{}
	}
	s.index.remove(e.ID)
	return Change{Before: &e}
}

// Mark gives the number of the last write, for Judge.
func (s *Store) Mark() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}

// WrittenSince says whether this process wrote or deleted an entity after a mark.
func (s *Store) WrittenSince(id string, mark uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := s.index.entries[id]
	return held != nil && held.Stamp > mark || s.deleted[id] > mark || s.inFlight[id] > 0
}

// Counts are how many entities in Kong are this operator's, by kind.
type Counts struct {
	Consumers, Credentials, Groups, Services, Routes, Plugins int
}

// Counts counts the entities.
func (s *Store) Counts() (c Counts) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.index.entries {
		switch e.Kind {
		case kong.KindConsumer:
			c.Consumers++
		case kong.KindJWT:
			c.Credentials++
		case kong.KindACL:
			c.Groups++
		case kong.KindService:
			c.Services++
		case kong.KindRoute:
			c.Routes++
		case kong.KindPlugin:
			c.Plugins++
		}
	}
	return c
}
