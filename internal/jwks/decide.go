package jwks

import (
	"slices"
	"time"
)

// Held is a key that Kong has, or shall have.
type Held struct {
	Key
	// Since is when it was first seen.
	Since time.Time
	// Removed is when it was first missed in the set. Zero while it is in it.
	Removed time.Time
}

// Leaving says whether the key has left the set.
func (h Held) Leaving() bool { return !h.Removed.IsZero() }

// LeaveTime is when a key that has left the set leaves Kong.
func (h Held) LeaveTime(overlap time.Duration) time.Time { return h.Removed.Add(overlap) }

// Input is all that a decision rests on.
type Input struct {
	// Held are the keys so far.
	Held []Held
	// Fetched says that the set is current; Keys are what is used of it.
	Fetched bool
	Keys    []Key
	// Overlap is how long a key stays after it left the set.
	Overlap time.Duration
	// EndOverlap lets all that have left the set go at once.
	EndOverlap bool
	// MaxLeaving is how many keys that left the set are kept at most. Those that left first go first.
	MaxLeaving int
}

// Decision is what becomes of the keys. The lists name them by kid.
type Decision struct {
	// Held are the keys from now on: those that were there in their order, then the new ones in that of the set.
	Held []Held
	// Joined are new, Returned had left the set and are back, Replaced have other material under the same kid.
	Joined, Returned, Replaced []string
	// Left are no longer in the set and stay for the overlap; Gone are out.
	Left, Gone []string
	// KeptEmpty says that the set has no usable key, and that the last good ones therefore stay.
	KeptEmpty bool
	// Changed says whether Held differs from what was held before.
	Changed bool
}

// equal compares in everything that is kept.
func (h Held) equal(other Held) bool {
	return h.Key == other.Key && h.Since.Equal(other.Since) && h.Removed.Equal(other.Removed)
}

// NextLeave is when the next key leaves, or zero.
func (d Decision) NextLeave(overlap time.Duration) time.Time {
	var next time.Time
	for _, h := range d.Held {
		if h.Leaving() && (next.IsZero() || h.LeaveTime(overlap).Before(next)) {
			next = h.LeaveTime(overlap)
		}
	}
	return next
}

// Decide says what becomes of the keys. It is pure.
//
// A key that is new in the set is used at once. One that has left it stays for the overlap, so that tokens signed
// before are taken. A set without any usable key, and one that cannot be read, remove nothing: the last good keys
// stay, and only those that had left before go in their time.
func Decide(in Input, now time.Time) Decision {
	now = now.UTC().Truncate(time.Second)
	d := Decision{KeptEmpty: in.Fetched && len(in.Keys) == 0}
	authoritative := in.Fetched && len(in.Keys) > 0
	for _, held := range in.Held {
		if authoritative {
			held = d.compare(held, in.Keys, now)
		}
		// A clock that was set back must not keep a key for longer.
		if held.Removed.After(now) {
			held.Removed = now
		}
		if held.Leaving() && (in.EndOverlap || !now.Before(held.LeaveTime(in.Overlap))) {
			d.goes(held.ID)
			continue
		}
		d.Held = append(d.Held, held)
	}
	if authoritative {
		d.join(in, now)
	}
	d.bound(in.MaxLeaving)
	d.Changed = !slices.EqualFunc(in.Held, d.Held, Held.equal)
	return d
}

// compare brings one held key to what the set says of it.
func (d *Decision) compare(held Held, keys []Key, now time.Time) Held {
	i := slices.IndexFunc(keys, func(k Key) bool { return k.ID == held.ID })
	if i < 0 {
		if !held.Leaving() {
			held.Removed = now
			d.Left = append(d.Left, held.ID)
		}
		return held
	}
	if held.Leaving() {
		held.Removed = time.Time{}
		d.Returned = append(d.Returned, held.ID)
	}
	if held.Key != keys[i] {
		held.Key, held.Since = keys[i], now
		d.Replaced = append(d.Replaced, held.ID)
	}
	return held
}

func (d *Decision) join(in Input, now time.Time) {
	for _, key := range in.Keys {
		if slices.ContainsFunc(d.Held, func(h Held) bool { return h.ID == key.ID }) {
			continue
		}
		d.Joined = append(d.Joined, key.ID)
		d.Held = append(d.Held, Held{Key: key, Since: now})
	}
}

func (d *Decision) goes(id string) {
	d.Gone = append(d.Gone, id)
	d.Left = slices.DeleteFunc(d.Left, func(left string) bool { return left == id })
}

// bound drops those that left the set first where more than limit are leaving: an issuer that makes a key an hour
// would fill Kong.
func (d *Decision) bound(limit int) {
	var leaving []Held
	for _, h := range d.Held {
		if h.Leaving() {
			leaving = append(leaving, h)
		}
	}
	if len(leaving) <= limit {
		return
	}
	slices.SortStableFunc(leaving, func(a, b Held) int { return a.Removed.Compare(b.Removed) })
	for _, h := range leaving[:len(leaving)-limit] {
		d.goes(h.ID)
		d.Held = slices.DeleteFunc(d.Held, func(other Held) bool { return other.ID == h.ID })
	}
}
