package probe

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
)

// Whether a data plane runs the program that checks claims depends on its own kong.conf (plugins, untrusted_lua). It
// is asked by a route that nothing but the program protects: the program refuses a request without a verified token.

// ClaimsReading is what a data plane was found to do with the program.
type ClaimsReading struct {
	// Runs says that it runs the program, and Fails that it does not. Neither: it is not known.
	Runs, Fails bool
	// Detail says what it does instead, or why that is not known.
	Detail string
}

// ReadClaims says what one answer to a question without a token means. challenge is its header WWW-Authenticate.
func ReadClaims(answer Answer, challenge string) ClaimsReading {
	ran := strings.Contains(challenge, `realm="`+desired.ProbeRealm+`"`)
	switch {
	case answer.Status == 0:
		return ClaimsReading{Detail: answer.Problem}
	case answer.Status == http.StatusUnauthorized && answer.Proven && ran:
		return ClaimsReading{Runs: true}
	case answer.Status == http.StatusInternalServerError:
		return ClaimsReading{Fails: true, Detail: "answers 500 in place of the program; its kong.conf may have untrusted_lua = off"}
	case !answer.Proven:
		return ClaimsReading{Detail: fmt.Sprintf("answered %d by another route than the operator's", answer.Status)}
	}
	return ClaimsReading{Fails: true, Detail: fmt.Sprintf("does not run the program (answered %d); look at plugins in its kong.conf", answer.Status)}
}

// AskClaims asks each data plane whether it runs the program. It names those that were not found to.
func (a *Asker) AskClaims(ctx context.Context, addresses []string) (Conclusion, string) {
	if len(addresses) == 0 {
		return Unsure, "there is no data plane to ask"
	}
	readings := make([]ClaimsReading, len(addresses))
	var group sync.WaitGroup
	for i, address := range addresses {
		group.Go(func() { readings[i] = a.claimsOf(ctx, address) })
	}
	group.Wait()
	conclusion := Confirmed
	var others []string
	for i, reading := range readings {
		switch {
		case reading.Runs:
			continue
		case reading.Fails:
			conclusion = Contradicted
		case conclusion == Confirmed:
			conclusion = Unsure
		}
		others = append(others, strings.TrimRight(addresses[i], "/")+" "+reading.Detail)
	}
	if conclusion == Confirmed {
		return Confirmed, abbreviate(addresses)
	}
	return conclusion, abbreviate(others)
}

// claimsOf asks one data plane: several times, as several may be behind an address.
func (a *Asker) claimsOf(ctx context.Context, address string) (reading ClaimsReading) {
	for range agreeing {
		answer, header := a.get(ctx, address, a.route.ClaimsPath, "")
		if reading = ReadClaims(answer, header.Get("WWW-Authenticate")); !reading.Runs {
			break
		}
	}
	return reading
}

// ClaimsWatch keeps what the data planes of one gateway do with the program. It is safe for concurrent use.
type ClaimsWatch struct {
	ask func(context.Context) (Conclusion, string)
	now func() time.Time

	mu         sync.Mutex
	conclusion Conclusion
	message    string
	answered   time.Time
	pending    bool
}

const (
	// claimsInterval is the time between two looks at data planes that run the program: a node may come that does
	// not.
	claimsInterval = time.Minute
	// claimsRetry is the time between two looks at others.
	claimsRetry = 5 * time.Second
)

// NewClaimsWatch makes a ClaimsWatch. now is the clock.
func NewClaimsWatch(ask func(context.Context) (Conclusion, string), now func() time.Time) *ClaimsWatch {
	return &ClaimsWatch{ask: ask, now: now, message: "they are being asked"}
}

// Look gives at once what was found last, and has the data planes asked in the background where that is due. again is
// when to look next.
func (w *ClaimsWatch) Look(ctx context.Context) (conclusion Conclusion, message string, again time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	pause := claimsRetry
	if w.conclusion == Confirmed {
		pause = claimsInterval
	}
	due := w.answered.Add(pause)
	now := w.now()
	if !w.pending && (w.answered.IsZero() || !now.Before(due)) {
		w.pending = true
		go w.look(ctx)
	}
	again = due.Sub(now)
	if w.pending {
		again = askAgainAfter
	}
	return w.conclusion, w.message, again
}

func (w *ClaimsWatch) look(ctx context.Context) {
	conclusion, message := w.ask(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conclusion, w.message, w.answered, w.pending = conclusion, message, w.now(), false
}
