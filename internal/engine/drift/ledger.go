package drift

import (
	"maps"
	"slices"
	"sync"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/observed"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/plan"
)

// Ledger remembers the drifts of one gateway. It may be used from many goroutines. It keeps what an entity was before
// the first of several changes, so that one that undoes them all is no drift. The monitor notes findings, and Syncs
// take what is to be told. mu guards both maps.
type Ledger struct {
	mu     sync.Mutex
	drifts map[string]Record
	// restored are, by owner, the drifts that were put back without a write of their owner, and of which the owner
	// has not heard.
	restored map[desired.Owner][]Drift
}

// Record is what is remembered of one drift until it is over.
type Record struct {
	// Was is the entity as it was before; for one that appeared, as it is.
	Was    plan.Entry
	Change observed.Verdict
	// Fields are the names of the fields that differ, once Named is set.
	Fields []string
	Named  bool
	// rehashed says that the hash of what it was means nothing any more: Kong's schemas have changed.
	rehashed bool
}

// NewLedger makes an empty Ledger.
func NewLedger() *Ledger {
	return &Ledger{drifts: map[string]Record{}, restored: map[desired.Owner][]Drift{}}
}

// Note remembers a finding. over says that it undoes an earlier one: Kong is as it was again.
func (l *Ledger) Note(f observed.Finding) (over bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, change := f.Entry(), f.Verdict
	was := now
	if f.Before != nil {
		was = *f.Before
	}
	if former, known := l.drifts[now.ID]; known {
		if former.undoneBy(now, change) {
			delete(l.drifts, now.ID)
			return true
		}
		was = former.Was
		switch {
		case former.Change == observed.Appeared:
			change = observed.Appeared
		case change == observed.Appeared:
			change = observed.Changed // it had been deleted
		}
	}
	l.drifts[now.ID] = Record{Was: was, Change: change}
	return false
}

// undoneBy says whether a further change undoes the one before.
func (r Record) undoneBy(now plan.Entry, change observed.Verdict) bool {
	if r.Change == observed.Appeared {
		return change == observed.Deleted
	}
	return change != observed.Deleted && r.Was.Hash == now.Hash
}

// Get gives what is remembered of an entity, by its id in Kong.
func (l *Ledger) Get(id string) (Record, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, found := l.drifts[id]
	return r, found
}

// Name remembers which fields of an entity differ.
func (l *Ledger) Name(id string, fields []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r, found := l.drifts[id]; found {
		r.Fields, r.Named = fields, true
		l.drifts[id] = r
	}
}

// Written drops what is remembered of an entity: it was written, or deleted, by this process.
func (l *Ledger) Written(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.drifts, id)
}

// Forget drops what is remembered of an owner's entities.
func (l *Ledger) Forget(owner desired.Owner) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.restored, owner)
	maps.DeleteFunc(l.drifts, func(_ string, r Record) bool { return r.Was.Owner == owner })
}

// Reset drops everything: another Kong is there.
func (l *Ledger) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.drifts)
	clear(l.restored)
}

// Rehash says that former hashes mean nothing: Kong's schemas changed.
func (l *Ledger) Rehash() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, r := range l.drifts {
		r.rehashed = true
		l.drifts[id] = r
	}
}

// Leaves says whether an entity stays as somebody else made it, under the policy Report: it is wanted as it was
// before. held is the entity in Kong, nil where it is not there. remembered says that the status knows of the drift:
// another process left it, and what it was then is not known any more. It is taken to have been what is wanted. What
// the spec wants anew is written, whatever somebody else made of the entity.
func (l *Ledger) Leaves(w plan.Wanted, held *plan.Entry, remembered bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if held != nil && held.Is(w.Hash) {
		delete(l.drifts, w.ID)
		return false
	}
	r, known := l.drifts[w.ID]
	if !known && !remembered {
		return false
	}
	if !known {
		r = Record{Was: w.Entry, Change: observed.Changed}
		if held == nil {
			r.Change = observed.Deleted
		}
	}
	if r.rehashed {
		r.Was.Hash, r.rehashed = w.Hash, false // nothing was wanted anew meanwhile, as far as can be known
	}
	l.drifts[w.ID] = r
	return r.Change != observed.Appeared && r.Was.Is(w.Hash)
}

// Restored remembers a drift that was put back without a write of its owner, until Take. isNew is false where the
// owner is to hear of that entity already.
func (l *Ledger) Restored(owner desired.Owner, d Drift) (isNew bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if slices.ContainsFunc(l.restored[owner], func(other Drift) bool { return other.ID == d.ID }) {
		return false
	}
	l.restored[owner] = append(l.restored[owner], d)
	return true
}

// Take gives the restored drifts of which an owner has not heard.
func (l *Ledger) Take(owner desired.Owner) []Drift {
	l.mu.Lock()
	defer l.mu.Unlock()
	restored := l.restored[owner]
	delete(l.restored, owner)
	return restored
}
