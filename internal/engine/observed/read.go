package observed

import (
	"hash/fnv"
	"slices"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/plan"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// Get gives the entry of an id in Kong. It is a copy: nobody changes an entry without the lock.
func (s *Store) Get(id string) (plan.Entry, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.index.entries[id]; e != nil {
		return *e, true
	}
	return plan.Entry{}, false
}

// GetGiven gives the entry of an id that the operator gives: the entity may have another id in Kong.
func (s *Store) GetGiven(id string) (plan.Entry, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.index.entries[s.index.actual(id)]; e != nil {
		return *e, true
	}
	return plan.Entry{}, false
}

// Of lists the entries of an owner, by id.
func (s *Store) Of(owner desired.Owner) []plan.Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.index.of(owner)
}

// Owners counts the entities of everyone who has some.
func (s *Store) Owners() map[desired.Owner]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	owners := make(map[desired.Owner]int, len(s.index.byOwner))
	for owner, entries := range s.index.byOwner {
		owners[owner] = len(entries)
	}
	return owners
}

// Actual is the id in Kong of an id that the operator gives: another one where the entity was adopted.
func (s *Store) Actual(given string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.index.actual(given)
}

// ActualIDs gives the ids in Kong of entities, by those that the operator gives them.
func (s *Store) ActualIDs(entities []kong.Entity) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make(map[string]string, len(entities)+1)
	for _, e := range entities {
		ids[e.ID] = s.index.actual(e.ID)
	}
	return ids
}

// Given is the id that the operator gives to what an entry stands for.
func (s *Store) Given(e plan.Entry) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.index.given(e)
}

// GivenIDs gives the ids that the operator gives to what has these in Kong.
func (s *Store) GivenIDs(actual map[string]bool) map[string]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make(map[string]bool, len(actual))
	for id := range actual {
		if e := s.index.entries[id]; e != nil {
			id = s.index.given(*e)
		}
		ids[id] = true
	}
	return ids
}

// Holder finds an entry of another id that holds what a unique key needs.
func (s *Store) Holder(key desired.UniqueKey, id string) (plan.Entry, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.index.byKey[keyOf(key)] {
		if e.ID != id && slices.ContainsFunc(e.Keys, key.Overlaps) {
			return *e, true
		}
	}
	return plan.Entry{}, false
}

// Credential finds the credential of an owner that has a key in Kong.
func (s *Store) Credential(owner desired.Owner, key string) (plan.Entry, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.index.byKey[lookupKey{desired.UniqueCredentialKey, key}] {
		if e.Owner == owner {
			return *e, true
		}
	}
	return plan.Entry{}, false
}

// NewKeys are the unique keys of a wanted entity that it does not hold in Kong yet. Of an uncertain entity all keys
// are new: it may not be there.
func (s *Store) NewKeys(w plan.Wanted) []desired.UniqueKey {
	held, found := s.Get(w.ID)
	if !found || held.Uncertain {
		return w.Keys
	}
	return slices.DeleteFunc(slices.Clone(w.Keys), func(k desired.UniqueKey) bool {
		return slices.Contains(held.Keys, k)
	})
}

// Fingerprint stands for what an owner has in Kong.
func (s *Store) Fingerprint(owner desired.Owner) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fingerprint(s.index.byOwner[owner])
}

// Fingerprints gives the Fingerprint of every owner that has something in Kong.
func (s *Store) Fingerprints() map[desired.Owner]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[desired.Owner]uint64, len(s.index.byOwner))
	for owner, entries := range s.index.byOwner {
		all[owner] = fingerprint(entries)
	}
	return all
}

// fingerprint does not depend on the order of entries. Of nothing it is zero.
func fingerprint(entries []*plan.Entry) uint64 {
	var sum uint64
	for _, e := range entries {
		h := fnv.New64a()
		_, _ = h.Write([]byte(e.ID)) // never fails
		_, _ = h.Write(e.Hash[:])
		sum += h.Sum64()
	}
	return sum
}
