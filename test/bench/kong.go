package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
	"github.com/kongjwt/kong-jwt-operator/test/stack"
)

// kong is the Kong that is measured against, and the count of what it was asked.
type kong struct {
	adminURL string
	requests func(context.Context) ([]kongsim.Request, error)
	reset    func(context.Context) error
	stop     func() error
}

// How the simulation is paced: as a real Kong 3.9.3 with PostgreSQL on two cores answered.
const (
	serviceTime = "5.5ms"
	maxRate     = "1785"
)

// startKong starts a simulated Kong as a process of its own, or puts a counting proxy before the real one.
func startKong(s settings) (*kong, error) {
	if s.adminURL != "" {
		return countingProxy(s.adminURL)
	}
	simulated, err := stack.StartKongsim(
		"--admin-listen=127.0.0.1:0", "--proxy-listen=127.0.0.1:0", "--control-listen=127.0.0.1:0",
		"--service-time="+serviceTime, "--max-rate="+maxRate,
		// The first routes wait for both: they would measure the wait.
		"--db-update-frequency=500ms", "--worker-state-update-frequency=500ms",
	)
	if err != nil {
		return nil, err
	}
	k := &kong{adminURL: simulated.AdminURL, stop: simulated.Stop}
	control := simulated.FaultsURL + "/requests"
	k.reset = func(ctx context.Context) error { return ask(ctx, http.MethodDelete, control, nil) }
	k.requests = func(ctx context.Context) (requests []kongsim.Request, err error) {
		return requests, ask(ctx, http.MethodGet, control, &requests)
	}
	return k, nil
}

func ask(ctx context.Context, method, url string, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // read to its end
	if response.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s %s: %s", method, url, response.Status)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(response.Body).Decode(into)
}

// countingProxy passes everything on to a real Kong, and notes it.
func countingProxy(adminURL string) (*kong, error) {
	target, err := url.Parse(adminURL)
	if err != nil {
		return nil, err
	}
	log := &proxyLog{}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport = &http.Transport{MaxIdleConnsPerHost: 200}
	server := httptest.NewServer(log.wrap(proxy))
	return &kong{
		adminURL: server.URL,
		requests: func(context.Context) ([]kongsim.Request, error) { return log.all(), nil },
		reset:    func(context.Context) error { log.forget(); return nil },
		stop:     func() error { server.Close(); return nil },
	}, nil
}

type proxyLog struct {
	mu       sync.Mutex
	requests []kongsim.Request
}

func (l *proxyLog) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		one := kongsim.Request{Method: r.Method, Path: r.URL.RequestURI(), Time: time.Now()}
		next.ServeHTTP(&answerTime{ResponseWriter: w, request: &one}, r)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.requests = append(l.requests, one)
	})
}

func (l *proxyLog) all() []kongsim.Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]kongsim.Request(nil), l.requests...)
}

func (l *proxyLog) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests = nil
}

// answerTime notes when the answer began, and what it was.
type answerTime struct {
	http.ResponseWriter
	request *kongsim.Request
}

// WriteHeader implements http.ResponseWriter.
func (w *answerTime) WriteHeader(status int) {
	w.request.Status, w.request.Answered = status, time.Now()
	w.ResponseWriter.WriteHeader(status)
}
