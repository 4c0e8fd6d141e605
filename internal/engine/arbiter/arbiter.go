// Package arbiter decides who may have a unique key (a username, a custom ID, a credential's key, a name, a route),
// who waits for it, and who is woken when it is free.
//
// Kong itself gives usernames, keys and names once, and answers 409 to the second; it takes two routes that match the
// same requests, and names no holder. The arbiter adds what is missing: a key that is on its way into Kong is reserved
// for one owner, an owner that was refused is woken when the key is free, and the pauses of those that nobody wakes
// grow. Who holds a key in Kong is package observed's to say.
package arbiter

import (
	"slices"
	"sync"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
)

// FirstRetry is the pause after an owner's first conflict. It doubles up to the drift interval: what is not this
// operator's becomes free without a word.
const FirstRetry = 5 * time.Second

// Arbiter keeps reservations and waits of the unique keys of one Kong. It may be used from many goroutines.
type Arbiter struct {
	wake     func(desired.Owner)
	interval time.Duration

	// mu guards what follows; wake is called without it.
	mu sync.Mutex
	// reserved are keys on their way into Kong, by the id of the entity that is to hold them.
	reserved map[lookupKey]map[string]reservation
	// kept are the owners that a reservation kept from its keys, by the id that it is for.
	kept map[string]map[desired.Owner]bool
	// waiting are the owners to wake when a key is free, by the turn in which each was refused.
	waiting map[lookupKey]map[desired.Owner]uint64
	// waits are the keys that an owner waits for.
	waits map[desired.Owner]map[lookupKey]bool
	turns uint64
	// attempts are the turns in a row that ended with a conflict, by owner.
	attempts map[desired.Owner]attempts
}

// attempts are counted by turns: one with a conflict about each of ten keys is one attempt.
type attempts struct {
	count int
	// counted says that the turn at hand is among them.
	counted bool
}

type lookupKey struct {
	kind  desired.UniqueKind
	value string
}

func keyOf(k desired.UniqueKey) lookupKey { return lookupKey{k.Kind, k.Value} }

// reservation is of all keys of an entity that are looked up by one value: a route with several hosts of a domain has
// one key for each.
type reservation struct {
	keys  []desired.UniqueKey
	owner desired.Owner
}

// New makes an Arbiter. It calls wake for each owner that waited for what is free; wake may not block. interval bounds
// the pause after a conflict.
func New(wake func(desired.Owner), interval time.Duration) *Arbiter {
	return &Arbiter{
		wake: wake, interval: interval,
		reserved: map[lookupKey]map[string]reservation{},
		kept:     map[string]map[desired.Owner]bool{},
		waiting:  map[lookupKey]map[desired.Owner]uint64{},
		waits:    map[desired.Owner]map[lookupKey]bool{},
		attempts: map[desired.Owner]attempts{},
	}
}

// Reserve keeps others from keys until Unreserve. Where another owner has reserved one of them, nothing is reserved,
// and that owner and the key are given. Who was kept away may be woken when that reservation ends.
//
// The order matters to whoever calls: wait (Turn.Wait), reserve, look who holds the keys in Kong, write, record the
// write, unreserve. So no other owner is ever let in between, and nobody who waits is forgotten.
func (a *Arbiter) Reserve(id string, owner desired.Owner, keys []desired.UniqueKey) (by desired.Owner, key desired.UniqueKey, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, wanted := range keys {
		for other, r := range a.reserved[keyOf(wanted)] {
			if other != id && r.owner != owner && slices.ContainsFunc(r.keys, wanted.Overlaps) {
				if a.kept[other] == nil {
					a.kept[other] = map[desired.Owner]bool{}
				}
				a.kept[other][owner] = true
				return r.owner, wanted, false
			}
		}
	}
	wants := map[lookupKey][]desired.UniqueKey{}
	for _, wanted := range keys {
		wants[keyOf(wanted)] = append(wants[keyOf(wanted)], wanted)
	}
	for value, wanted := range wants {
		if a.reserved[value] == nil {
			a.reserved[value] = map[string]reservation{}
		}
		a.reserved[value][id] = reservation{wanted, owner}
	}
	return desired.Owner{}, desired.UniqueKey{}, true
}

// Unreserve ends a reservation. open says that its owner did not get the keys, and that nobody is known to hold all of
// them: those whom the reservation kept away are woken then. Others that wait for the keys are not: a holder refused
// them, and who is refused would else wake another, and that one the first, for ever.
func (a *Arbiter) Unreserve(id string, keys []desired.UniqueKey, open bool) {
	a.mu.Lock()
	for _, key := range keys {
		delete(a.reserved[keyOf(key)], id)
		if len(a.reserved[keyOf(key)]) == 0 {
			delete(a.reserved, keyOf(key))
		}
	}
	kept := a.kept[id]
	delete(a.kept, id)
	a.mu.Unlock()
	if !open {
		return
	}
	for owner := range kept {
		a.wake(owner)
	}
}

// Free wakes everyone who waits for keys, which their holder gave up. A wait ends with the wake: an owner that is
// refused again waits again.
func (a *Arbiter) Free(keys []desired.UniqueKey) {
	a.mu.Lock()
	var woken []desired.Owner
	for _, key := range keys {
		for owner := range a.waiting[keyOf(key)] {
			woken = append(woken, owner)
			a.end(owner, keyOf(key))
		}
	}
	a.mu.Unlock()
	for _, owner := range woken {
		a.wake(owner)
	}
}

// Awaited says whether another owner waits for a key. giveUp asks it: what nobody waits for is kept.
func (a *Arbiter) Awaited(key desired.UniqueKey, by desired.Owner) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for owner := range a.waiting[keyOf(key)] {
		if owner != by {
			return true
		}
	}
	return false
}

// Retry is how long an owner pauses after a conflict: longer with every turn in a row that has one. All conflicts of a
// turn get the same pause.
func (a *Arbiter) Retry(owner desired.Owner) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	made := a.attempts[owner]
	if !made.counted {
		made = attempts{made.count + 1, true}
		a.attempts[owner] = made
	}
	return min(FirstRetry<<min(made.count-1, 10), max(a.interval, FirstRetry))
}

// Succeeded begins the pauses of an owner anew.
func (a *Arbiter) Succeeded(owner desired.Owner) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.attempts, owner)
}

// Forget drops what is kept of an owner that is gone.
func (a *Arbiter) Forget(owner desired.Owner) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.attempts, owner)
	for _, kept := range a.kept {
		delete(kept, owner)
	}
	for key := range a.waits[owner] {
		a.end(owner, key)
	}
}

// Turn is one attempt of an owner to get what it wants. What it waited for before and does not ask for in this turn,
// it waits for no more: its holder would else give up what nobody wants. It is used by one goroutine; the Arbiter has
// the lock.
type Turn struct {
	arbiter *Arbiter
	owner   desired.Owner
	number  uint64
	// refused are the keys that were refused in this turn.
	refused map[lookupKey]bool
}

// Begin begins a turn.
func (a *Arbiter) Begin(owner desired.Owner) *Turn {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.turns++
	if made, failed := a.attempts[owner]; failed {
		a.attempts[owner] = attempts{count: made.count}
	}
	return &Turn{arbiter: a, owner: owner, number: a.turns, refused: map[lookupKey]bool{}}
}

// Wait has the owner woken when keys are free. It is called before it is looked who holds them.
func (t *Turn) Wait(keys []desired.UniqueKey) {
	a := t.arbiter
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, key := range keys {
		k := keyOf(key)
		if a.waiting[k] == nil {
			a.waiting[k] = map[desired.Owner]uint64{}
		}
		a.waiting[k][t.owner] = t.number
		if a.waits[t.owner] == nil {
			a.waits[t.owner] = map[lookupKey]bool{}
		}
		a.waits[t.owner][k] = true
	}
}

// Refused has the owner woken when a key is free that it was refused.
func (t *Turn) Refused(key desired.UniqueKey) {
	t.Wait([]desired.UniqueKey{key})
	t.arbiter.mu.Lock()
	defer t.arbiter.mu.Unlock()
	t.refused[keyOf(key)] = true
}

// Got ends the wait for keys that the owner got, or that were not refused.
func (t *Turn) Got(keys []desired.UniqueKey) {
	t.arbiter.mu.Lock()
	defer t.arbiter.mu.Unlock()
	for _, key := range keys {
		if !t.refused[keyOf(key)] {
			t.arbiter.end(t.owner, keyOf(key))
		}
	}
}

// End ends the turn, and the waits of earlier ones.
func (t *Turn) End() {
	a := t.arbiter
	a.mu.Lock()
	defer a.mu.Unlock()
	for key := range a.waits[t.owner] {
		if a.waiting[key][t.owner] < t.number {
			a.end(t.owner, key)
		}
	}
}

// end ends one wait.
func (a *Arbiter) end(owner desired.Owner, key lookupKey) {
	delete(a.waiting[key], owner)
	if len(a.waiting[key]) == 0 {
		delete(a.waiting, key)
	}
	delete(a.waits[owner], key)
	if len(a.waits[owner]) == 0 {
		delete(a.waits, owner)
	}
}

// Holds says whether a key is among others, overlapping.
func Holds(keys []desired.UniqueKey, key desired.UniqueKey) bool {
	return slices.ContainsFunc(keys, key.Overlaps)
}
