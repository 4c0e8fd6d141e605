// Package echo is an upstream that answers with what it was asked: a service to put behind a gateway where a test or
// the demo wants to see what arrives.
package echo

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Marker is a header of every answer. An answer without it is not the upstream's own.
const Marker = "X-Echo-Upstream"

// Request is what the upstream was asked, and the body of its answer.
type Request struct {
	Method string `json:"method"`
	// Path is the request's target as it was sent, with its query.
	Path string `json:"path"`
	Host string `json:"host"`
	// Headers by canonical name; values of one name are joined by ", ". Host is not among them.
	Headers map[string]string `json:"headers"`
}

// Server is a running upstream.
type Server struct {
	listener net.Listener
	server   *http.Server
	seen     atomic.Int64
}

// Start listens on an address, host:port. Port 0 takes a free one.
func Start(address string) (*Server, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("start the echo upstream: %w", err)
	}
	s := &Server{listener: listener}
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.server.Serve(listener) }() // returns ErrServerClosed once Close is called
	return s, nil
}

// Close ends the server and its connections.
func (s *Server) Close() error {
	if err := s.server.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("stop the echo upstream: %w", err)
	}
	return nil
}

// URL is the server's, without a path.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() }

// Host is the address that the server listens on.
func (s *Server) Host() string {
	addr, ok := s.listener.Addr().(*net.TCPAddr)
	if !ok {
		return ""
	}
	return addr.IP.String()
}

// Port is the port that the server listens on.
func (s *Server) Port() int {
	addr, ok := s.listener.Addr().(*net.TCPAddr)
	if !ok {
		return 0
	}
	return addr.Port
}

// Seen is the number of requests that have reached the upstream so far.
func (s *Server) Seen() int64 { return s.seen.Load() }

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.seen.Add(1)
	seen := Request{Method: r.Method, Path: r.RequestURI, Host: r.Host, Headers: map[string]string{}}
	for name, values := range r.Header {
		seen.Headers[name] = strings.Join(values, ", ")
	}
	body, err := json.Marshal(seen)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Header().Set(Marker, "1")
	_, _ = w.Write(body) // a client that is gone misses its answer
}
