package barrier

import "time"

// rush is how many times Settle writes wait for others, before they get a barrier that does not confirm the last ones.
const rush = 10

// writes are the times of writes, which say what a barrier may confirm that is written now.
type writes struct {
	// last is when an epoch was written last, and first when the first was that no barrier was asked for.
	last, first time.Time
	// seen is the last epoch that there was at seenAt, and settled the last one that is old enough.
	seen, settled uint64
	seenAt        time.Time
}

// note notes a write.
func (w *writes) note(now time.Time) {
	if w.last = now; w.first.IsZero() {
		w.first = now
	}
}

// ask notes that a barrier was asked for, and whether there are writes that it does not confirm.
func (w *writes) ask(more bool, now time.Time) {
	if w.first = (time.Time{}); more {
		w.first = now
	}
}

// due gives the epoch that a barrier is to confirm, of all that are written; zero where it waits for more.
func (w *writes) due(written uint64, now time.Time, settle time.Duration) uint64 {
	// Where the clock was set back nobody knows how old a write is: it counts as one of now.
	for _, at := range []*time.Time{&w.last, &w.first, &w.seenAt} {
		if at.After(now) {
			*at = now
		}
	}
	settles := func(at time.Time) bool { return now.Sub(at) >= settle }
	if settles(w.seenAt) {
		w.settled, w.seen, w.seenAt = w.seen, written, now
	}
	switch {
	case settles(w.last):
		return written
	case now.Sub(w.first) < rush*settle:
		return 0
	}
	return w.settled
}
