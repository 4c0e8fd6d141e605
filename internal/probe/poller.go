package probe

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/credential"
)

const (
	// askAgainAfter is the least between two looks at data planes that were not as wanted.
	askAgainAfter = time.Second
	// forgetAfter is how long an answer is kept that nobody asks for.
	forgetAfter = 10 * time.Minute
)

// Poller asks the data planes of one gateway in the background: no caller waits for one, however slow it is, and no
// gateway waits for another's. It is safe for concurrent use.
type Poller struct {
	ask AskFunc
	now func() time.Time
	// ctx is over when the Poller is stopped.
	ctx  context.Context
	stop context.CancelFunc

	mu sync.Mutex
	// answers by who asked for them.
	answers map[string][]*answer
	swept   time.Time
}

// AskFunc asks all data planes once; it may take its time.
type AskFunc func(ctx context.Context, material credential.Material, want Want) (Conclusion, string)

// Question is what somebody wants to know of all data planes of a gateway.
type Question struct {
	// Who asks, as namespace/name.
	Who string
	// Material is asked for, and Want is how it shall be.
	Material credential.Material
	Want     Want
	// Wake is called once the look that is under way when Ask returns is done. It must not block.
	Wake func()
}

// answer is what is known of one question.
type answer struct {
	material   credential.Material
	want       Want
	conclusion Conclusion
	message    string
	// lookedUp and answered are when the answer was last asked for, and last known; pending says that a look is
	// under way, and wake what is called when it is done.
	lookedUp, answered time.Time
	pending            bool
	wake               func()
}

// NewPoller makes a Poller. now is the clock.
func NewPoller(ask AskFunc, now func() time.Time) *Poller {
	p := &Poller{ask: ask, now: now, answers: map[string][]*answer{}}
	p.ctx, p.stop = context.WithCancel(context.Background())
	return p
}

// Stop ends the looks that are under way, and wakes those that wait for them.
func (p *Poller) Stop() { p.stop() }

// Ask gives at once what the data planes were found to hold, and has them asked in the background where that is not
// known, or was otherwise than wanted. What was as wanted counts until Forget.
func (p *Poller) Ask(q Question) (Conclusion, string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	p.sweep(now)
	a := p.find(q)
	a.lookedUp = now
	if !a.pending && (a.answered.IsZero() || a.conclusion != Confirmed && !now.Before(a.answered.Add(askAgainAfter))) {
		a.pending = true
		go p.look(a)
	}
	if a.pending {
		a.wake = q.Wake
	}
	return a.conclusion, a.message
}

func (p *Poller) find(q Question) *answer {
	for _, a := range p.answers[q.Who] {
		if a.want == q.Want && a.material.Equal(q.Material) {
			return a
		}
	}
	a := &answer{material: q.Material, want: q.Want, message: "they are being asked"}
	p.answers[q.Who] = append(p.answers[q.Who], a)
	return a
}

// Forget drops the answers that somebody got, and those that are under way: what they are about was changed since.
func (p *Poller) Forget(who string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.answers, who)
}

// sweep forgets what nobody has asked for in a long time.
func (p *Poller) sweep(now time.Time) {
	if now.Before(p.swept.Add(forgetAfter)) {
		return
	}
	p.swept = now
	maps.DeleteFunc(p.answers, func(_ string, answers []*answer) bool {
		for _, a := range answers {
			if a.pending || now.Before(a.lookedUp.Add(forgetAfter)) {
				return false
			}
		}
		return true
	})
}

// look asks the data planes once, and wakes whoever asked.
func (p *Poller) look(a *answer) {
	conclusion, message := p.ask(p.ctx, a.material, a.want)
	p.mu.Lock()
	a.conclusion, a.message, a.answered, a.pending = conclusion, message, p.now(), false
	wake := a.wake
	a.wake = nil
	p.mu.Unlock()
	if wake != nil {
		wake()
	}
}
