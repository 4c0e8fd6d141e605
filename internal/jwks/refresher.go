package jwks

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"sync"
	"time"
)

// FetchFunc asks an issuer for its set; Fetcher.Fetch is the real one.
type FetchFunc func(ctx context.Context, source Source, held Validators) (Answer, error)

// Refresher holds the key sets of all issuers, one for each source however many look it up, and asks the issuers in
// the background: no caller waits for one. It is safe for concurrent use.
type Refresher struct {
	fetch FetchFunc
	now   func() time.Time
	turns *turns

	mu      sync.Mutex
	entries map[sourceID]*entry
	follows follows
	swept   time.Time
}

// sourceID stands for a Source, which cannot be a key of a map.
type sourceID [sha256.Size]byte

func (s Source) id() sourceID {
	// A struct of strings, slices of them and booleans always encodes; a password encodes as a placeholder.
	text, _ := json.Marshal(s)
	return sha256.Sum256(append(text, s.Proxy.Password.Reveal()...))
}

func (id sourceID) compare(other sourceID) int { return bytes.Compare(id[:], other[:]) }

// entry is what is known of one source.
type entry struct {
	view       View
	outcome    Outcome
	validators Validators
	inFlight   bool
	// turn of the look in flight, and stop ends it.
	turn     *turn
	stop     context.CancelFunc
	lookedUp time.Time
	// read is when the set was last read, and readAge how old the issuer said that it may become.
	read    time.Time
	readAge time.Duration
	// followers by who they are.
	followers map[string]*follower
}

// follower is one credential that follows a set.
type follower struct {
	// wake is called when the fetch in flight is done; nil where it does not wait for one.
	wake func()
	// request is the last value of Query.Request; known is false before there was one to compare with.
	request string
	known   bool
}

// NewRefresher makes a Refresher. now is the clock.
func NewRefresher(fetch FetchFunc, now func() time.Time) *Refresher {
	return &Refresher{
		fetch: fetch, now: now, turns: newTurns(maxInFlight, maxOfNamespace), entries: map[sourceID]*entry{}, follows: follows{},
	}
}

// Query is a look at a set.
type Query struct {
	Source Source
	// Interval between two looks, unless the issuer asks for a longer one.
	Interval time.Duration
	// Who looks, as namespace/consumer/credential: the namespaces take turns where many issuers have to be asked.
	Who string
	// Request asks for a look at once whenever it has a value that is new.
	Request string
	// Wake is called once the look that is under way when Lookup returns is done. It must not block.
	Wake func()
}

// View is what is known of a set.
type View struct {
	// Set as it was last read; Known says that it ever was, since this process began.
	Set   Set
	Known bool
	// Current says that the set is not older than the interval, or than the issuer said that it may become. An
	// older one decides nothing: a key may have been taken out of it since.
	Current bool
	// Err is why the last look brought nothing, and FailingSince when that began. The error is an *Error.
	Err          error
	FailingSince time.Time
	// Pending says that a look is under way. After is how long it takes until the next is due, otherwise.
	Pending bool
	After   time.Duration
}

// Lookup gives what is known of a set at once, and has the issuer asked in the background where that is due.
func (r *Refresher) Lookup(ctx context.Context, q Query) View {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	r.sweep(now)
	id := q.Source.id()
	r.follow(q.Who, id)
	e := r.entries[id]
	if e == nil {
		e = &entry{followers: map[string]*follower{}}
		r.entries[id] = e
	}
	own := e.followers[q.Who]
	if own == nil {
		own = &follower{}
		e.followers[q.Who] = own
	}
	e.lookedUp = now
	next := e.nextLook(q, own)
	if !e.inFlight && !now.Before(next) {
		own.request, own.known = q.Request, true
		ctx, e.stop = context.WithCancel(context.WithoutCancel(ctx))
		e.inFlight, e.turn = true, newTurn()
		go r.look(ctx, q.Source, e, e.turn, e.validators)
	}
	if e.inFlight {
		namespace, _, _ := splitWho(q.Who)
		r.turns.wait(e.turn, namespace)
	}
	if e.inFlight {
		own.wake = q.Wake
	}
	view := e.view
	view.Pending, view.After = e.inFlight, max(0, next.Sub(now))
	view.Current = view.Known && !now.After(e.read.Add(lifetime(e.readAge, q.Interval)))
	return view
}

// nextLook says when the issuer is asked again: at the next look that is due, or for a request that is new as soon as
// it may be asked. One that comes while a look is under way gets a look of its own.
func (e *entry) nextLook(q Query, own *follower) time.Time {
	if e.outcome.Time.IsZero() {
		return time.Time{}
	}
	next := NextLook(e.outcome, q.Interval)
	if !own.known {
		own.request, own.known = q.Request, true
		return next
	}
	if soon := e.outcome.Time.Add(minRefresh); q.Request != "" && q.Request != own.request && soon.Before(next) {
		return soon
	}
	return next
}

// look asks the issuer once, and wakes those who wait for it. It ends early where nobody follows the set any more.
func (r *Refresher) look(ctx context.Context, source Source, e *entry, own *turn, held Validators) {
	select {
	case <-own.granted:
	case <-ctx.Done():
		if r.turns.leave(own) {
			return
		}
	}
	answer, err := r.fetch(ctx, source, held)
	r.turns.done(own)
	var set Set
	if err == nil && !answer.NotModified {
		set, err = Parse(answer.Document)
	}
	r.mu.Lock()
	if err == nil && !answer.NotModified {
		err = r.fits(e, set.size)
	}
	e.take(answer, set, err, r.now())
	e.stop()
	var wake []func()
	for _, f := range e.followers {
		if f.wake != nil {
			wake, f.wake = append(wake, f.wake), nil
		}
	}
	e.inFlight = false
	r.mu.Unlock()
	for _, wake := range wake {
		wake()
	}
}

// take notes what came of a look.
func (e *entry) take(answer Answer, set Set, err error, now time.Time) {
	if err != nil {
		if e.outcome.Failures == 0 {
			e.view.FailingSince = now
		}
		e.view.Err = err
		e.outcome = Outcome{Time: now, Failures: e.outcome.Failures + 1}
		var failure *Error
		if errors.As(err, &failure) {
			e.outcome.RetryAfter, e.outcome.TimedOut = failure.RetryAfter, failure.TimedOut
		}
		return
	}
	e.outcome = Outcome{Time: now, MaxAge: answer.MaxAge}
	e.read, e.readAge = now, answer.MaxAge
	e.validators = answer.Validators
	e.view.Err, e.view.FailingSince = nil, time.Time{}
	if !answer.NotModified {
		e.view.Set, e.view.Known = set, true
	}
}
