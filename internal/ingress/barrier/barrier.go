// Package barrier knows which writes an ingress controller has given to Kong.
//
// What the controller says of single objects is not enough: after a change that ends where it began its word stays
// behind, and it stays good for what was dropped. Hence the barrier, one object of the gateway's own whose content is
// another each time, so that the push with it differs from the one before and is reported. Writes have epochs, in
// order. When the barrier is in Kong, every epoch is that was written before it.
package barrier

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
)

// Pace are the times of a barrier.
type Pace struct {
	// Settle is how long after a write a barrier is written that confirms it: the controller watches each kind by
	// itself. A barrier waits until no write is younger, but no longer than some times that.
	Settle time.Duration
	// Blame is how long a push may take until it is looked for what holds it up, Late until it is said that it is
	// late.
	Blame, Late time.Duration
}

// Object is the barrier's object in the cluster.
type Object interface {
	// Write gives the object a content that it never had, and gives its generation.
	Write(ctx context.Context) (generation int64, err error)
	// Read gives the object as it is.
	Read(ctx context.Context) (Answer, error)
	// Behind says which data planes do not hold the object's key though the controller has given it to Kong, with
	// all epochs up to pushed; nothing where each does, or none is asked.
	Behind(key string, pushed uint64) string
	// Remove deletes the object; one that is gone is no error.
	Remove(ctx context.Context) error
}

// Answer is what is known of the barrier's object.
type Answer struct {
	// Taken says that it is there, of the class that the controller takes.
	Taken bool
	// Generation is that of the object, Programmed the one that is in Kong; zero where none is.
	Generation, Programmed int64
	// Key is what data planes are asked for.
	Key string
}

// Barrier is that of one gateway. It may be used from many goroutines; Look is called from one.
type Barrier struct {
	now    func() time.Time
	pace   Pace
	object Object

	// acting is held while the object is read or written, and ended is set once it is not any more.
	acting sync.Mutex
	ended  bool

	mu     sync.Mutex
	state  State
	writes writes
	// asked is the epoch that the object under way confirms; zero where none is under way.
	asked      uint64
	askedAt    time.Time
	generation int64
	// since is when the first object was written after which nothing was confirmed, and pushedAt when the
	// controller said that it has given Kong the one under way; zero before.
	since, pushedAt time.Time
	// failedSince is when the object could not be written first after which it was not; zero where it could.
	failedSince time.Time
	// waiting are the owners to wake.
	waiting map[desired.Owner]wait
}

// wait is what an owner waits for: an epoch that is confirmed, or, where it has more to write, pushed.
type wait struct {
	epoch uint64
	push  bool
}

// State says how far the controller is.
type State struct {
	// Confirmed is the last epoch that is in Kong; zero before the first.
	Confirmed uint64
	// Pushed is the last epoch that the controller says that it has given to Kong, whether or not every data plane
	// has it: it has read all that was written until then, and each configuration that it gives from now on has
	// it.
	Pushed uint64
	// Found is the last epoch of what was there when this process began.
	Found uint64
	// Late says that nothing was taken for longer than a push may take.
	Late bool
	// Blame says what holds up the pushes, as far as it is known.
	Blame string
	// Behind says which data planes do not have what the controller says that it has given to Kong.
	Behind string
	// Failed says why the barrier cannot be written.
	Failed string

	written uint64
	limit   time.Duration
}

// New makes a Barrier that reads the time from now.
func New(object Object, pace Pace, now func() time.Time) *Barrier {
	return &Barrier{object: object, pace: pace, now: now, waiting: map[desired.Owner]wait{}}
}

// Wrote gives the epoch of a write that is done now.
func (b *Barrier) Wrote() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state.written++
	b.writes.note(b.now())
	return b.state.written
}

// Written gives the epoch of the last write.
func (b *Barrier) Written() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state.written
}

// Found notes that everything that was written so far was there when this process began.
func (b *Barrier) Found() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state.Found = b.state.written
}

// Confirmed gives the last epoch that is in Kong.
func (b *Barrier) Confirmed() uint64 { return b.State().Confirmed }

// Pushed gives the last epoch that the controller has given to Kong.
func (b *Barrier) Pushed() uint64 { return b.State().Pushed }

// State says how far the controller is now.
func (b *Barrier) State() State {
	b.mu.Lock()
	defer b.mu.Unlock()
	state := b.state
	state.limit = b.pace.Late
	state.Late = b.asked > 0 && b.now().Sub(b.since) > b.pace.Late ||
		!b.failedSince.IsZero() && b.now().Sub(b.failedSince) > b.pace.Late
	return state
}

// Lateness says for how long nothing was taken, and why.
func (s State) Lateness(class string) string {
	text := fmt.Sprintf("not taken for %s", s.limit)
	switch {
	case s.Behind != "":
		return text + " by every data plane, while the ingress controller says that it gave it to Kong: " + s.Behind
	case s.Failed != "":
		return text + ", as the KongConsumer cannot be written that tells what is taken: " + s.Failed
	case s.Blame != "":
		return text + "; Kong refuses " + s.Blame
	case s.Confirmed == 0:
		return text + fmt.Sprintf(
			"; nobody takes objects of the class %q. Name the class of a running ingress controller.", class)
	}
	return text + "; look whether the ingress controller runs, and at its events"
}

// Await has Look give an owner once an epoch is confirmed; push has it given once it is pushed, too.
func (b *Barrier) Await(owner desired.Owner, epoch uint64, push bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting[owner] = wait{epoch, push}
}

// Forget ends the wait of an owner that is gone.
func (b *Barrier) Forget(owner desired.Owner) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.waiting, owner)
}

// Look writes the barrier where there are writes that none confirms, or reads the one under way. It gives the owners
// whose wait is over, and the error of the write. Where data planes are behind for a while, later writes get a barrier
// of their own: what the controller has given to Kong is known then, though no epoch is confirmed.
func (b *Barrier) Look(ctx context.Context) (freed []desired.Owner, err error) {
	b.acting.Lock()
	defer b.acting.Unlock()
	if b.ended {
		return nil, nil
	}
	b.mu.Lock()
	asked, generation, due := b.asked, b.generation, b.writes.due(b.state.written, b.now(), b.pace.Settle)
	if due <= b.state.Confirmed {
		due = 0
	}
	stays := !b.pushedAt.IsZero() && b.now().Sub(b.pushedAt) > b.pace.Blame
	b.mu.Unlock()
	if asked == 0 {
		if due > 0 {
			return nil, b.ask(ctx, due)
		}
		return nil, nil
	}
	answer, err := b.object.Read(ctx)
	switch {
	case err != nil:
		return nil, nil //nolint:nilerr // It is read again in a moment.
	case !answer.Taken || answer.Generation < generation:
		return nil, b.ask(ctx, asked) // somebody took it away, or changed it
	case answer.Programmed >= generation: // another process may have written it since
		behind := b.object.Behind(answer.Key, asked)
		if behind != "" && stays && due > asked {
			return nil, b.ask(ctx, due)
		}
		return b.confirm(asked, behind), nil
	}
	return nil, nil
}

// End takes the object away for good: a Look that is under way is waited for, and later ones write nothing.
func (b *Barrier) End(ctx context.Context) error {
	b.acting.Lock()
	defer b.acting.Unlock()
	b.ended = true
	return b.object.Remove(ctx)
}

// ask writes a barrier that confirms all up to an epoch.
func (b *Barrier) ask(ctx context.Context, epoch uint64) error {
	generation, err := b.object.Write(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		if b.state.Failed = err.Error(); b.failedSince.IsZero() {
			b.failedSince = b.now()
		}
		return fmt.Errorf("write the barrier: %w", err)
	}
	b.state.Failed, b.state.Blame, b.failedSince = "", "", time.Time{}
	if b.asked == 0 {
		b.since = b.now()
	}
	b.writes.ask(epoch < b.state.written, b.now())
	b.asked, b.askedAt, b.generation, b.pushedAt = epoch, b.now(), generation, time.Time{}
	return nil
}

// confirm notes that an epoch is pushed, and confirmed unless a data plane is behind. It gives the owners that waited
// for it.
func (b *Barrier) confirm(epoch uint64, behind string) (freed []desired.Owner) {
	b.mu.Lock()
	defer b.mu.Unlock()
	first := b.pushedAt.IsZero()
	if first {
		b.pushedAt, b.state.Pushed = b.now(), epoch
	}
	b.state.Blame, b.state.Behind = "", behind
	if behind == "" {
		b.state.Confirmed, b.asked, b.pushedAt = epoch, 0, time.Time{}
	}
	for owner, w := range b.waiting {
		switch {
		case w.epoch > epoch:
		case behind == "":
			delete(b.waiting, owner)
			freed = append(freed, owner)
		case w.push && first:
			freed = append(freed, owner)
		}
	}
	return freed
}

// Overdue says since when the barrier under way is, where the controller takes so long that something holds it up.
func (b *Barrier) Overdue() (since time.Time, overdue bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.askedAt, b.asked > 0 && b.pushedAt.IsZero() && b.now().Sub(b.askedAt) > b.pace.Blame
}

// Blame notes what holds up the pushes.
func (b *Barrier) Blame(what string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.asked > 0 && b.pushedAt.IsZero() {
		b.state.Blame, b.state.Behind = what, ""
	}
}
