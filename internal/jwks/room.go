package jwks

import (
	"maps"
	"slices"
	"time"
)

// Bounds of what is kept of key sets, in bytes. They are the operator's own: what issuers publish is in its memory.
const (
	// MaxNamespaceBytes is how much the sets may have that the consumers of one namespace follow.
	MaxNamespaceBytes = 4 << 20
	// maxAllBytes is how much all sets may have, until each namespace is held to an equal part of it.
	maxAllBytes = 32 << 20
)

// Follow notes that a credential, named as namespace/consumer/credential, follows a set from now on, and no other;
// false: its namespace follows MaxSources others. A set that nobody follows any more is forgotten at once.
func (r *Refresher) Follow(who string, source Source) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.follow(who, source.id())
}

func (r *Refresher) follow(who string, id sourceID) bool {
	former, found := r.follows.of(who)
	if !r.follows.take(who, id) {
		return false
	}
	if found && former != id {
		r.leave(who, former)
	}
	return true
}

// Keep forgets what a consumer, named as namespace/name, follows but for some of its credentials.
func (r *Refresher) Keep(consumer string, credentials []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for who, id := range r.follows.keep(consumer, credentials) {
		r.leave(who, id)
	}
}

// leave takes a follower off a set. The last one takes the set along.
func (r *Refresher) leave(who string, id sourceID) {
	e := r.entries[id]
	if e == nil {
		return
	}
	delete(e.followers, who)
	if len(e.followers) > 0 {
		return
	}
	delete(r.entries, id)
	if e.inFlight {
		r.turns.leave(e.turn)
		e.stop()
	}
}

// forgetAfter is how long a set is kept that nobody looks up: who follows it is suspended, say.
const forgetAfter = 2 * MaxRefresh

// sweep forgets what nobody has looked up for long.
func (r *Refresher) sweep(now time.Time) {
	if now.Before(r.swept.Add(time.Hour)) {
		return
	}
	r.swept = now
	for id, e := range r.entries {
		if e.inFlight || !now.After(e.lookedUp.Add(forgetAfter)) {
			continue
		}
		for who := range maps.Clone(e.followers) {
			r.follows.drop(who)
			r.leave(who, id)
		}
	}
}

// fits says why a set of so many bytes cannot be kept in an entry; nil where a namespace that follows it has room for
// it. What does not grow is kept. The error is ErrRefused.
func (r *Refresher) fits(e *entry, bytes int) error {
	grows := bytes - e.view.Set.size
	if grows <= 0 {
		return nil
	}
	all := grows
	for _, other := range r.entries {
		all += other.view.Set.size
	}
	share := MaxNamespaceBytes
	if all > maxAllBytes {
		share = min(share, maxAllBytes/max(1, len(r.follows)))
	}
	for who := range e.followers {
		if namespace, _, _ := splitWho(who); r.bytesOf(namespace)+grows <= share {
			return nil
		}
	}
	return refused("the set has %d bytes of keys, and the key sets of this namespace would have more than %d together; "+
		"follow fewer sets, or sets of fewer keys", bytes, share)
}

// bytesOf counts what is kept of the sets that a namespace follows.
func (r *Refresher) bytesOf(namespace string) (bytes int) {
	followed := slices.SortedFunc(maps.Values(r.follows[namespace]), sourceID.compare)
	for _, id := range slices.Compact(followed) {
		if e := r.entries[id]; e != nil {
			bytes += e.view.Set.size
		}
	}
	return bytes
}
