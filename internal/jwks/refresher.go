package jwks

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"maps"
	"sync"
	"time"
)

// forgetAfter is how long a set is kept that nobody looks up.
const forgetAfter = 2 * MaxRefresh

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

// entry is what is known of one source.
type entry struct {
	view       View
	outcome    Outcome
	validators Validators
	inFlight   bool
	// turn of the look in flight.
	turn     *turn
	lookedUp time.Time
	// read is when the set was last read, and readAge how old the issuer said that it may become.
	read    time.Time
	readAge time.Duration
	// waiting are woken when the fetch in flight is done, by who they are.
	waiting map[string]func()
	// requests are the last values of Query.Request, by who asked.
	requests map[string]string
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
	e, found := r.entries[id]
	if !found {
		e = &entry{waiting: map[string]func(){}, requests: map[string]string{}}
		r.entries[id] = e
	}
	e.lookedUp = now
	next := e.nextLook(q)
	if !e.inFlight && !now.Before(next) {
		e.requests[q.Who] = q.Request
		e.inFlight, e.turn = true, newTurn()
		go r.look(context.WithoutCancel(ctx), q.Source, e, e.turn, e.validators)
	}
	if e.inFlight {
		namespace, _, _ := splitWho(q.Who)
		r.turns.wait(e.turn, namespace)
	}
	if e.inFlight && q.Wake != nil {
		e.waiting[q.Who] = q.Wake
	}
	view := e.view
	view.Pending, view.After = e.inFlight, max(0, next.Sub(now))
	view.Current = view.Known && !now.After(e.read.Add(lifetime(e.readAge, q.Interval)))
	return view
}

// Follow notes that a credential, named as namespace/consumer/credential, follows a set from now on; false: its
// namespace follows MaxSources others.
func (r *Refresher) Follow(who string, source Source) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.follows.take(who, source.id())
}

// Keep forgets what a consumer, named as namespace/name, follows but for some of its credentials.
func (r *Refresher) Keep(consumer string, credentials []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.follows.keep(consumer, credentials)
}

// nextLook says when the issuer is asked again: at the next look that is due, or for a request that is new as soon as
// it may be asked. One that comes while a look is under way gets a look of its own.
func (e *entry) nextLook(q Query) time.Time {
	if e.outcome.Time.IsZero() {
		return time.Time{}
	}
	next := NextLook(e.outcome, q.Interval)
	former, known := e.requests[q.Who]
	if !known {
		e.requests[q.Who] = q.Request
	}
	if soon := e.outcome.Time.Add(minRefresh); known && q.Request != "" && q.Request != former && soon.Before(next) {
		return soon
	}
	return next
}

// sweep forgets what nobody has looked up for long.
func (r *Refresher) sweep(now time.Time) {
	if now.Before(r.swept.Add(time.Hour)) {
		return
	}
	r.swept = now
	maps.DeleteFunc(r.entries, func(_ sourceID, e *entry) bool { return !e.inFlight && now.After(e.lookedUp.Add(forgetAfter)) })
}

// look asks the issuer once, and wakes those who wait for it.
func (r *Refresher) look(ctx context.Context, source Source, e *entry, own *turn, held Validators) {
	<-own.granted
	answer, err := r.fetch(ctx, source, held)
	r.turns.done(own)
	var set Set
	if err == nil && !answer.NotModified {
		set, err = Parse(answer.Document)
	}
	r.mu.Lock()
	e.take(answer, set, err, r.now())
	waiting := e.waiting
	e.waiting, e.inFlight = map[string]func(){}, false
	r.mu.Unlock()
	for _, wake := range waiting {
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
