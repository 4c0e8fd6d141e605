package kongsim

import (
	"net/http"
	"slices"
	"sync"
	"time"
)

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
