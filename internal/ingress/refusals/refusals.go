// Package refusals remembers what Kong refused of an owner's objects: the very same content is not written again,
// since one refused object stops every push.
package refusals

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
)

const (
	// attempt is how long one owner may try again what was refused, while no other does.
	attempt = time.Minute
	// longest is the longest pause before the next attempt, unless refusals last longer from the start.
	longest = time.Hour
)

// Ledger is that of one gateway. It may be used from many goroutines.
type Ledger struct {
	now func() time.Time
	// lasts is how long a refusal holds for the same content: Kong may have changed.
	lasts time.Duration

	mu sync.Mutex
	of map[desired.Owner]map[objects.Reference]*refusal
	// trying is the owner that tries again what was refused, and ends when another may.
	trying desired.Owner
	ends   time.Time
}

// refusal is what Kong refuses of an object.
type refusal struct {
	// sum stands for the object's content.
	sum, message string
	until        time.Time
	// attempts counts those after the first that were refused too.
	attempts int
}

// Refusal is what Kong refuses of an owner: an object, and why.
type Refusal struct {
	Object  objects.Reference
	Message string
}

// Sums are the sums of objects' contents.
type Sums map[objects.Reference]string

// New makes an empty Ledger, whose refusals last for an interval, and longer with each attempt.
func New(lasts time.Duration, now func() time.Time) *Ledger {
	return &Ledger{now: now, lasts: lasts, of: map[desired.Owner]map[objects.Reference]*refusal{}}
}

// Note notes that Kong refuses an object that an owner has written, with the content that it had.
func (l *Ledger) Note(owner desired.Owner, object objects.Reference, sum, message string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of[owner] == nil {
		l.of[owner] = map[objects.Reference]*refusal{}
	}
	now, one := l.now(), l.of[owner][object]
	switch {
	case one == nil || one.sum != sum:
		one = &refusal{sum: sum}
		l.of[owner][object] = one
	case now.After(one.until):
		one.attempts++
	}
	one.message = message
	one.until = now.Add(min(l.lasts<<min(one.attempts, 10), max(l.lasts, longest)))
	l.release(owner)
}

// Refused says what Kong refuses of what an owner wants; nothing where it refuses nothing, or where it is this owner's
// turn to try it again.
func (l *Ledger) Refused(owner desired.Owner, want Sums) (all []Refusal) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, over := l.now(), false
	for object, one := range l.of[owner] {
		switch {
		case want[object] != one.sum:
		case now.After(one.until):
			over = true
			fallthrough
		default:
			all = append(all, Refusal{object, one.message})
		}
	}
	if over && (l.trying == owner || !now.Before(l.ends)) {
		if !now.Before(l.ends) {
			l.trying, l.ends = owner, now.Add(attempt)
		}
		return nil
	}
	return sorted(all)
}

// Left says what of an owner's objects is there still with a content that Kong refuses, while another is wanted.
func (l *Ledger) Left(owner desired.Owner, there, want Sums) (all []Refusal) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for object, one := range l.of[owner] {
		if there[object] == one.sum && want[object] != one.sum {
			all = append(all, Refusal{object, one.message})
		}
	}
	return sorted(all)
}

func sorted(all []Refusal) []Refusal {
	slices.SortFunc(all, func(a, b Refusal) int { return strings.Compare(a.Message, b.Message) })
	return all
}

// Retry is how long an owner waits until it may try again what was refused.
func (l *Ledger) Retry(owner desired.Owner) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, soonest := l.now(), longest
	for _, one := range l.of[owner] {
		soonest = min(soonest, one.until.Sub(now))
	}
	return max(soonest, l.ends.Sub(now), time.Second)
}

// Forget drops what is remembered of an owner: it is gone, or Kong has all of it.
func (l *Ledger) Forget(owner desired.Owner) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.of, owner)
	l.release(owner)
}

// release lets another owner try again.
func (l *Ledger) release(owner desired.Owner) {
	if l.trying == owner {
		l.trying, l.ends = desired.Owner{}, time.Time{}
	}
}
