// Package targets knows which objects of somebody else's the plugins of an owner shall be on, whether or not they are
// there and may be written: when one of them changes its owners look again.
package targets

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
)

// Ledger is that of one gateway. It may be used from many goroutines.
type Ledger struct {
	mu     sync.Mutex
	of     map[desired.Owner]objects.Reference
	owners map[objects.Reference]map[desired.Owner]bool
	// taken are the owners whose plugins were on their object. lost is when those of an owner that somebody took
	// off were put on again; see internal/ingress/barrier.
	taken map[desired.Owner]bool
	lost  map[desired.Owner]uint64
}

// New makes an empty Ledger.
func New() *Ledger {
	return &Ledger{
		of: map[desired.Owner]objects.Reference{}, owners: map[objects.Reference]map[desired.Owner]bool{},
		taken: map[desired.Owner]bool{}, lost: map[desired.Owner]uint64{},
	}
}

// Want notes the object that an owner attaches to, in place of another.
func (l *Ledger) Want(owner desired.Owner, r objects.Reference) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of[owner] == r {
		return
	}
	l.drop(owner)
	l.of[owner] = r
	if l.owners[r] == nil {
		l.owners[r] = map[desired.Owner]bool{}
	}
	l.owners[r][owner] = true
}

// Of gives the object that an owner attaches to.
func (l *Ledger) Of(owner desired.Owner) (objects.Reference, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, wants := l.of[owner]
	return r, wants
}

// Take notes that the plugins of an owner are on its object.
func (l *Ledger) Take(owner desired.Owner) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken[owner] = true
}

// Taken says whether the plugins of an owner were on the object that it wants now.
func (l *Ledger) Taken(owner desired.Owner) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.taken[owner]
}

// Lose notes the epoch in which an owner's plugins were put on its object again, after somebody took them off.
func (l *Ledger) Lose(owner desired.Owner, epoch uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost[owner] = epoch
}

// LastLost is the epoch of the last Lose of an owner; zero where its plugins never were off.
func (l *Ledger) LastLost(owner desired.Owner) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost[owner]
}

// Owners are those that attach to an object, by their names.
func (l *Ledger) Owners(r objects.Reference) []desired.Owner {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.SortedFunc(maps.Keys(l.owners[r]), func(a, b desired.Owner) int {
		return strings.Compare(a.String(), b.String())
	})
}

// Forget notes that an owner attaches to nothing.
func (l *Ledger) Forget(owner desired.Owner) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop(owner)
}

func (l *Ledger) drop(owner desired.Owner) {
	r, wanted := l.of[owner]
	if !wanted {
		return
	}
	delete(l.of, owner)
	delete(l.taken, owner)
	delete(l.lost, owner)
	if delete(l.owners[r], owner); len(l.owners[r]) == 0 {
		delete(l.owners, r)
	}
}
