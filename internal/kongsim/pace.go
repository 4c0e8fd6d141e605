package kongsim

import (
	"net/http"
	"sync"
	"time"
)

// pace makes requests take their time, as they do on a real Kong: each takes a while, and there is an end to how many
// there are a second.
type pace struct {
	service  time.Duration
	interval time.Duration

	mu   sync.Mutex
	next time.Time // when the next request may begin
}

func newPace(service time.Duration, rate float64) *pace {
	p := &pace{service: service}
	if rate > 0 {
		p.interval = time.Duration(float64(time.Second) / rate)
	}
	return p
}

func (p *pace) wrap(next http.Handler) http.Handler {
	if p.service == 0 && p.interval == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pause(r, p.turn(time.Now())+p.service)
		next.ServeHTTP(w, r)
	})
}

// turn is how long a request waits for its turn.
func (p *pace) turn(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next.Before(now) {
		p.next = now
	}
	wait := p.next.Sub(now)
	p.next = p.next.Add(p.interval)
	return wait
}

// pause waits, as long as the client does at most.
func pause(r *http.Request, wait time.Duration) {
	if wait <= 0 {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	}
}
