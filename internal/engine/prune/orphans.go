// Package prune judges whose resources are gone while Kong still has entities of theirs.
package prune

import (
	"cmp"
	"slices"
	"sync"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
)

// Floor is how many entities may always be pruned, however small a part of the gateway's they would have to be: a
// percentage of few entities says nothing.
const Floor = 10

// Orphans are the owners whose resource is gone while Kong still has entities of theirs.
type Orphans struct {
	// Confirmed were gone at an earlier listing of Kong too, sorted by their names.
	Confirmed []desired.Owner
	// Entities is how many entities all orphans have, those included that were seen for the first time, of the Total
	// that the gateway has.
	Entities, Total int
	// Limit is how many entities may go at once.
	Limit int
}

// TooMany says that more would go than may go at once. It looks like a mistake then, and nothing may go.
func (o Orphans) TooMany() bool { return o.Entities > o.Limit }

// Ledger remembers at which listing of Kong an owner's resource was first gone. It may be used from many goroutines.
type Ledger struct {
	mu sync.Mutex
	// listings counts how often Kong was listed, judged at which of them all owners were last asked for.
	listings, judged uint64
	missing          map[desired.Owner]uint64
}

// NewLedger makes an empty Ledger.
func NewLedger() *Ledger { return &Ledger{missing: map[desired.Owner]uint64{}} }

// Listed records that Kong was listed.
func (l *Ledger) Listed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.listings++
}

// Reset drops what is remembered: another Kong is there.
func (l *Ledger) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.judged = 0
	clear(l.missing)
}

// Suspects are the owners whose resources have to be asked for: all after a listing, and until the next one those that
// were gone then. A heartbeat is not to cost a look at each resource. listing goes to Judge.
func (l *Ledger) Suspects(held map[desired.Owner]int) (suspects []desired.Owner, listing uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.judged < l.listings {
		for owner := range held {
			suspects = append(suspects, owner)
		}
		return suspects, l.listings
	}
	for owner := range l.missing {
		suspects = append(suspects, owner)
	}
	return suspects, l.listings
}

// Judge says which owners are orphans at a listing: held counts the entities of each owner, gone tells whether its
// resource is.
func (l *Ledger) Judge(listing uint64, held map[desired.Owner]int, gone map[desired.Owner]bool, maxPercent int) Orphans {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.judged = listing
	var found Orphans
	for owner := range l.missing {
		if !gone[owner] || held[owner] == 0 {
			delete(l.missing, owner)
		}
	}
	for owner, entities := range held {
		found.Total += entities
		if !gone[owner] {
			continue
		}
		found.Entities += entities
		first, known := l.missing[owner]
		if !known {
			l.missing[owner] = listing
		} else if first < listing {
			found.Confirmed = append(found.Confirmed, owner)
		}
	}
	slices.SortFunc(found.Confirmed, func(a, b desired.Owner) int { return cmp.Compare(a.String(), b.String()) })
	found.Limit = max(Floor, found.Total*maxPercent/100)
	return found
}
