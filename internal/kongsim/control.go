package kongsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// faultsDocument is what ControlHandler takes for Faults.
type faultsDocument struct {
	Seed         uint64 `json:"seed"`
	DatabaseDown bool   `json:"databaseDown"`
	// LicenseMissing makes the Admin API read-only.
	LicenseMissing bool            `json:"licenseMissing"`
	Faults         []faultDocument `json:"faults"`
}

type faultDocument struct {
	Methods     []string `json:"methods"`
	PathPrefix  string   `json:"pathPrefix"`
	Probability float64  `json:"probability"`
	Count       int      `json:"count"`
	Latency     string   `json:"latency"`
	Status      int      `json:"status"`
	RetryAfter  string   `json:"retryAfter"`
	ResetBefore bool     `json:"resetBefore"`
	ResetAfter  bool     `json:"resetAfter"`
	Hang        bool     `json:"hang"`
}

func (d faultDocument) fault() (Fault, error) {
	f := Fault{
		Methods: d.Methods, PathPrefix: d.PathPrefix, Probability: d.Probability, Count: d.Count,
		Status: d.Status, ResetBefore: d.ResetBefore, ResetAfter: d.ResetAfter, Hang: d.Hang,
	}
	if d.Status != 0 && (d.Status < 100 || d.Status > 599) {
		return Fault{}, fmt.Errorf("status %d is none of HTTP", d.Status)
	}
	var latencyErr, retryErr error
	f.Latency, latencyErr = readDuration(d.Latency)
	f.RetryAfter, retryErr = readDuration(d.RetryAfter)
	return f, errors.Join(latencyErr, retryErr)
}

func readDuration(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	return time.ParseDuration(text)
}

// ControlHandler is for whoever breaks the simulation from outside: a listener of its own, never the Admin API's.
//
//	PUT /faults       {"seed": 1, "databaseDown": false,
//	                   "faults": [{"pathPrefix": "/consumers", "status": 503, "retryAfter": "2s", "count": 3}]}
//	DELETE /faults    nothing goes wrong any more
//	GET /requests     what the Admin API got
//	DELETE /requests  forget it
//	DELETE /admin     the Admin API's port refuses connections
//	PUT /admin        it is back
func (s *Server) ControlHandler() http.Handler {
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, err error) {
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
	mux.HandleFunc("PUT /faults", func(w http.ResponseWriter, r *http.Request) { answer(w, s.setFaults(r)) })
	mux.HandleFunc("DELETE /faults", func(w http.ResponseWriter, _ *http.Request) {
		s.Faults.Set(0)
		s.Faults.SetDatabaseDown(false)
		s.Faults.SetLicenseMissing(false)
		answer(w, nil)
	})
	mux.HandleFunc("GET /requests", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(s.Requests()) // the client is gone if this fails
	})
	mux.HandleFunc("DELETE /requests", func(w http.ResponseWriter, _ *http.Request) {
		s.ResetRequests()
		answer(w, nil)
	})
	mux.HandleFunc("DELETE /admin", func(w http.ResponseWriter, _ *http.Request) { answer(w, s.StopAdmin()) })
	mux.HandleFunc("PUT /admin", func(w http.ResponseWriter, _ *http.Request) { answer(w, s.StartAdmin()) })
	return mux
}

func (s *Server) setFaults(r *http.Request) error {
	var document faultsDocument
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&document); err != nil {
		return fmt.Errorf("read the faults: %w", err)
	}
	faults := make([]Fault, 0, len(document.Faults))
	for i, one := range document.Faults {
		fault, err := one.fault()
		if err != nil {
			return fmt.Errorf("fault %d: %w", i, err)
		}
		faults = append(faults, fault)
	}
	s.Faults.Set(document.Seed, faults...)
	s.Faults.SetDatabaseDown(document.DatabaseDown)
	s.Faults.SetLicenseMissing(document.LicenseMissing)
	return nil
}

// Request is one request that the Admin API got. Headers and bodies are not kept: they hold secrets.
type Request struct {
	Method, Path string
	// Status of the answer; 0 while there is none, and where the connection was cut.
	Status int
	// Time when it came, and Answered when its answer was begun.
	Time, Answered time.Time
}

// Write says whether the request was to change something.
func (r Request) Write() bool {
	return r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodOptions
}

// requestLog remembers requests.
type requestLog struct {
	mu       sync.Mutex
	requests []*Request
}

func (l *requestLog) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		one := &Request{Method: r.Method, Path: r.URL.RequestURI(), Time: time.Now()}
		l.mu.Lock()
		l.requests = append(l.requests, one)
		l.mu.Unlock()
		next.ServeHTTP(&statusWriter{ResponseWriter: w, log: l, request: one}, r)
	})
}

// statusWriter notes the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	log     *requestLog
	request *Request
}

// WriteHeader implements http.ResponseWriter. Every answer of the Admin API calls it.
func (w *statusWriter) WriteHeader(status int) {
	w.log.mu.Lock()
	w.request.Status, w.request.Answered = status, time.Now()
	w.log.mu.Unlock()
	w.ResponseWriter.WriteHeader(status)
}

func (l *requestLog) all() []Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	requests := make([]Request, 0, len(l.requests))
	for _, one := range l.requests {
		requests = append(requests, *one)
	}
	return requests
}

func (l *requestLog) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests = nil
}

// Requests lists the requests to the Admin API since the start, or since ResetRequests, in the order in which they
// came.
func (s *Server) Requests() []Request { return s.requests.all() }

// ResetRequests forgets the requests so far.
func (s *Server) ResetRequests() { s.requests.reset() }

// CountWrites counts the requests that were to change something, refused ones included.
func (s *Server) CountWrites() int {
	return len(slices.DeleteFunc(s.Requests(), func(r Request) bool { return !r.Write() }))
}
