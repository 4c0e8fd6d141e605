package main

import (
	"errors"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"time"
)

// names answers for the cluster's DNS and kube-proxy, which there are none of here: the operator's requests to a
// Service's name go through it, as through an HTTP proxy, to one of the Service's pods. Requests to the pods
// themselves do not.
type names struct {
	listener net.Listener
	server   *http.Server
}

func newNames(s *site) (*names, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = "http", s.anyPod()
		},
		Transport: &http.Transport{}, // by no proxy, which would be this one
		ErrorLog:  log.New(io.Discard, "", 0),
	}
	n := &names{listener: listener, server: &http.Server{Handler: forward, ReadHeaderTimeout: 10 * time.Second}}
	go func() { _ = n.server.Serve(listener) }() // returns ErrServerClosed once close is called
	// What is on this machine's loopback address, the kube-apiserver among it, is never asked for through a proxy.
	return n, errors.Join(os.Setenv("HTTP_PROXY", "http://"+listener.Addr().String()), os.Setenv("NO_PROXY", podAddress()))
}

func (n *names) close() error { return n.server.Close() }

// anyPod is the address of one of the pods.
func (s *site) anyPod() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nodes[rand.IntN(len(s.nodes))].address //nolint:gosec // As kube-proxy does.
}
