package kongsim

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Fault is something that goes wrong with requests to the Admin API. Of several that match, the first counts.
type Fault struct {
	// Methods, and PathPrefix of the path as it was sent, say which requests; empty: all.
	Methods    []string
	PathPrefix string
	// Probability that a matching request is hit; 0 stands for 1.
	Probability float64
	// Count is how many requests are hit; 0: all.
	Count int
	// Latency is added before anything else is done.
	Latency time.Duration
	// Status, where set, is answered instead of the request being processed; RetryAfter goes with 429 and 503.
	Status     int
	RetryAfter time.Duration
	// ResetBefore closes the connection before the request is processed, ResetAfter once it was, without an
	// answer.
	ResetBefore, ResetAfter bool
	// Hang processes the request, and answers nothing until the client has gone.
	Hang bool
}

// Faults are what goes wrong now. The zero value: nothing.
type Faults struct {
	mu     sync.Mutex
	faults []*Fault
	random *rand.Rand
	down   bool
	// unlicensed: writes are refused for want of a license.
	unlicensed bool
}

// Set replaces the faults. seed makes their chance repeatable.
func (f *Faults) Set(seed uint64, faults ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.random = rand.New(rand.NewPCG(seed, seed)) //nolint:gosec // a simulation is to be repeatable
	f.faults = nil
	for _, fault := range faults {
		f.faults = append(f.faults, &fault)
	}
}

// SetDatabaseDown takes Kong's database away, or gives it back: whatever needs it is answered 500, and /status says
// so. The proxy does not notice, as a real one with all in its caches would not.
func (f *Faults) SetDatabaseDown(down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = down
}

func (f *Faults) databaseDown() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.down
}

// SetLicenseMissing takes an Enterprise's license away, or gives it back: without one the Admin API only reads (from
// Kong 3.15 on; not recorded).
func (f *Faults) SetLicenseMissing(missing bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.unlicensed = missing
}

func (f *Faults) licenseMissing() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.unlicensed
}

// hit picks the fault of a request.
func (f *Faults) hit(r *http.Request) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, fault := range f.faults {
		if !fault.matches(r) || fault.Probability > 0 && f.random.Float64() >= fault.Probability {
			continue
		}
		if fault.Count > 0 {
			if fault.Count--; fault.Count == 0 {
				f.faults = append(f.faults[:i:i], f.faults[i+1:]...)
			}
		}
		return *fault
	}
	return Fault{}
}

func (f *Fault) matches(r *http.Request) bool {
	if !strings.HasPrefix(r.URL.EscapedPath(), f.PathPrefix) {
		return false
	}
	return len(f.Methods) == 0 || slices.Contains(f.Methods, r.Method)
}

// Wrap puts the faults before a handler: the simulated Admin API, or what forwards to a real one.
func (f *Faults) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fault := f.hit(r)
		pause(r, fault.Latency)
		switch {
		case fault.ResetBefore:
			panic(http.ErrAbortHandler)
		case fault.Status != 0:
			if fault.RetryAfter > 0 {
				w.Header().Set("Retry-After", strconv.Itoa(int(fault.RetryAfter.Seconds())))
			}
			refuse(w, r, fault.Status)
		case fault.ResetAfter, fault.Hang:
			next.ServeHTTP(discard{http.Header{}}, r)
			if fault.Hang {
				<-r.Context().Done()
			}
			panic(http.ErrAbortHandler)
		case f.databaseDown() && needsDatabase(r):
			refuse(w, r, http.StatusInternalServerError)
		case f.licenseMissing() && writes(r.Method):
			answerMessage(w, http.StatusForbidden, "Enterprise license missing or expired")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// refuse answers with a status; in Kong's words where it has some.
func refuse(w http.ResponseWriter, r *http.Request, status int) {
	text := http.StatusText(status)
	switch {
	case status == http.StatusInternalServerError && r.URL.Path == "/":
		text = "An unexpected error happened" // kong/api/routes/kong.lua
	case status == http.StatusInternalServerError:
		text = "An unexpected error occurred"
	}
	answerMessage(w, status, text)
}

func answerMessage(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(`{"message":"` + text + `"}`)) // the client is gone if this fails
}

func writes(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions
}

// needsDatabase: GET / lists the plugins in use, and needs it too.
func needsDatabase(r *http.Request) bool {
	return r.URL.Path != "/status" && !strings.HasPrefix(r.URL.Path, "/schemas/")
}

// discard takes an answer that nobody gets.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

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
