// Package refusals remembers what Kong refused of an owner's objects: the very same wishes are not written again, since
// one refused object stops every push.
package refusals

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
)

// Ledger is that of one gateway. It may be used from many goroutines.
type Ledger struct {
	now func() time.Time
	// lasts is how long a refusal holds for the same wishes: Kong may have changed.
	lasts time.Duration

	mu sync.Mutex
	of map[desired.Owner]refusal
}

// refusal is what Kong refuses of an owner, and of which wishes.
type refusal struct {
	messages map[objects.Reference]string
	// digest stands for what the owner wanted; empty until it asks again.
	digest string
	until  time.Time
}

// Refusal is what Kong refuses of an owner: an object, and why.
type Refusal struct {
	Object  objects.Reference
	Message string
}

// New makes an empty Ledger, whose refusals last for an interval.
func New(lasts time.Duration, now func() time.Time) *Ledger {
	return &Ledger{now: now, lasts: lasts, of: map[desired.Owner]refusal{}}
}

// Note notes that Kong refuses an object that an owner has written, beside what it refuses of the same wishes already.
func (l *Ledger) Note(owner desired.Owner, object objects.Reference, message string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	one, found := l.of[owner]
	if !found {
		one.messages = map[objects.Reference]string{}
	}
	one.messages[object], one.until = message, l.now().Add(l.lasts)
	l.of[owner] = one
}

// Refused says what Kong refuses of an owner's wishes, for which a digest stands; nothing where it refuses nothing. The
// first digest after a Note is that of what was refused; another one ends the refusal.
func (l *Ledger) Refused(owner desired.Owner, digest string) (all []Refusal) {
	l.mu.Lock()
	defer l.mu.Unlock()
	one, found := l.of[owner]
	if !found {
		return nil
	}
	if one.digest == "" {
		one.digest = digest
		l.of[owner] = one
	}
	if one.digest != digest || l.now().After(one.until) {
		delete(l.of, owner)
		return nil
	}
	for object, message := range one.messages {
		all = append(all, Refusal{object, message})
	}
	slices.SortFunc(all, func(a, b Refusal) int { return strings.Compare(a.Message, b.Message) })
	return all
}

// Forget drops what is remembered of an owner that is gone.
func (l *Ledger) Forget(owner desired.Owner) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.of, owner)
}
