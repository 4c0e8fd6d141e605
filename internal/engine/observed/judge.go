package observed

import (
	"github.com/kongjwt/kong-jwt-operator/internal/engine/plan"
)

// Verdict is what a listing says of one entity.
type Verdict string

// The verdicts.
const (
	// Changed entities are not as they were.
	Changed Verdict = "Changed"
	// Deleted entities are gone, or have lost the operator's tags.
	Deleted Verdict = "Deleted"
	// Appeared entities carry the operator's tags, and this process did not make them.
	Appeared Verdict = "Appeared"
	// Settled entities were uncertain, and are known now.
	Settled Verdict = "Settled"
	// Rehashed entities have another hash because Kong's schemas changed.
	Rehashed Verdict = "Rehashed"
)

// Finding is an entity of which a listing says something new.
type Finding struct {
	Verdict Verdict
	Change
}

// Entry is the entity as it is, or, for one that is gone, as it was.
func (f Finding) Entry() plan.Entry {
	if f.After != nil {
		return *f.After
	}
	return *f.Before
}

// Judge holds a complete listing, begun at a mark, against what is known, and takes it over. What was written since
// the mark, or is being written, is not judged. rehash says that former hashes mean nothing: Kong's schemas changed.
// The listing has to be complete: what is missing in it counts as deleted. The findings are what the monitor tells of;
// what is known is already as listed when Judge returns.
func (s *Store) Judge(listing []plan.Entry, mark uint64, rehash bool) []Finding {
	s.mu.Lock()
	defer s.mu.Unlock()
	var findings []Finding
	seen := make(map[string]bool, len(listing))
	for _, listed := range listing {
		seen[listed.ID] = true
		if finding, isNew := s.judge(listed, mark, rehash); isNew {
			findings = append(findings, finding)
		}
	}
	for id, held := range s.index.entries {
		if !seen[id] && held.Stamp <= mark && s.inFlight[id] == 0 {
			gone, verdict := *held, Deleted
			if held.Uncertain {
				verdict = Settled // by a write of this process whose answer was lost
			}
			findings = append(findings, Finding{verdict, Change{Before: &gone}})
		}
	}
	for _, f := range findings {
		if f.After == nil {
			s.forget(*f.Before)
		}
	}
	for id, at := range s.deleted {
		if at <= mark {
			delete(s.deleted, id)
		}
	}
	return findings
}

// judge holds one listed entity against what is known of it. The order of the cases matters: an uncertain entity is no
// drift, whatever it turned out to be, and one whose hash differs for a new schema is none either.
func (s *contents) judge(listed plan.Entry, mark uint64, rehash bool) (Finding, bool) {
	held := s.index.entries[listed.ID]
	if held != nil && held.Stamp > mark || s.deleted[listed.ID] > mark || s.inFlight[listed.ID] > 0 {
		return Finding{}, false
	}
	listed.Since = s.now()
	if held == nil {
		return Finding{Appeared, s.replace(listed)}, true
	}
	listed.Stamp = held.Stamp
	if s.index.given(*held) == held.ID {
		listed.Owner, listed.Part = held.Owner, held.Part // the id says whose it is: a tag can be edited
	}
	same := held.Hash == listed.Hash && held.Owner == listed.Owner && held.ConsumerID == listed.ConsumerID
	switch {
	case held.Uncertain:
		return Finding{Settled, s.replace(listed)}, true
	case same:
		return Finding{}, false
	case rehash:
		listed.Since = held.Since
		return Finding{Rehashed, s.replace(listed)}, true
	}
	return Finding{Changed, s.replace(listed)}, true
}
