// Package prune judges whose resources are gone while Kong still has entities of theirs.
//
// It knows neither Kubernetes nor Kong: the engine gives it what each owner has in Kong, and controllers/gateway whose
// resource is gone. What may go is deleted by the controller, which asks the API server once more before.
package prune

import (
	"cmp"
	"slices"
	"sync"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
)

// Floor is how many entities of a namespace may always be pruned, however small a part of the namespace's they would
// have to be: a percentage of few entities says nothing.
const Floor = 10

// Orphans are the owners whose resource is gone while Kong still has entities of theirs.
type Orphans struct {
	// Confirmed were gone at an earlier listing of Kong too, and may go. Kept were, and may not: they are more
	// than may go at once, which looks like a mistake. Both are sorted by their names.
	Confirmed, Kept []desired.Owner
	// Entities is how many entities all orphans have, those included that were seen for the first time, of the
	// Total that the gateway has.
	Entities, Total int
}

// counts are entities: of those that are gone, and of all.
type counts struct{ gone, total int }

// limit is how many entities may go at once.
func (c counts) limit(maxPercent int) int { return max(Floor, c.total*maxPercent/100) }

// mayGo says of which namespaces the orphans may go. A namespace with more of them than its limit keeps its own alone:
// tenants can take finalizers off, and are not to stop the pruning of others. The others together keep to the limit
// of the gateway, lest a restore that is half done takes a little of each. The largest is left out of that sum, so
// that no single namespace can bring it over the limit.
func mayGo(namespaces map[string]counts, maxPercent int) map[string]bool {
	may := map[string]bool{}
	var all, within counts
	largest := 0
	for name, c := range namespaces {
		all.total += c.total
		if c.gone <= c.limit(maxPercent) {
			may[name] = true
			within.gone += c.gone
			largest = max(largest, c.gone)
		}
	}
	if within.gone-largest > all.limit(maxPercent) {
		return nil
	}
	return may
}

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
// resource is. maxPercent is how much of a namespace's entities, and of the gateway's, may go at once. An owner that
// is back, or has nothing in Kong any more, begins anew: two listings in a row have to find it gone. What is judged
// between two listings tells nothing new.
func (l *Ledger) Judge(listing uint64, held map[desired.Owner]int, gone map[desired.Owner]bool, maxPercent int) Orphans {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.judged = listing
	for owner := range l.missing {
		if !gone[owner] || held[owner] == 0 {
			delete(l.missing, owner)
		}
	}
	var found Orphans
	var confirmed []desired.Owner
	namespaces := map[string]counts{}
	for owner, entities := range held {
		found.Total += entities
		namespace := namespaces[owner.Namespace]
		namespace.total += entities
		if gone[owner] {
			found.Entities += entities
			namespace.gone += entities
			first, known := l.missing[owner]
			if !known {
				l.missing[owner] = listing
			} else if first < listing {
				confirmed = append(confirmed, owner)
			}
		}
		namespaces[owner.Namespace] = namespace
	}
	slices.SortFunc(confirmed, func(a, b desired.Owner) int { return cmp.Compare(a.String(), b.String()) })
	may := mayGo(namespaces, maxPercent)
	for _, owner := range confirmed {
		if may[owner.Namespace] {
			found.Confirmed = append(found.Confirmed, owner)
		} else {
			found.Kept = append(found.Kept, owner)
		}
	}
	return found
}
