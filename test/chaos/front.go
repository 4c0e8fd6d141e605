package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

// front forwards to the Admin API of a real Kong, as long as it is to be there.
type front struct {
	address string
	handler http.Handler
	server  *http.Server
}

func newFront(ctx context.Context, adminURL string) (*node, error) {
	to, err := url.Parse(adminURL)
	if err != nil {
		return nil, err
	}
	faults := &kongsim.Faults{}
	forward := httputil.NewSingleHostReverseProxy(to) //nolint:gosec // The Kong that the caller names.
	forward.ErrorLog = log.New(io.Discard, "", 0)     // what fails here is meant to
	f := &front{address: "127.0.0.1:0", handler: faults.Wrap(forward)}
	if err := f.serve(ctx); err != nil {
		return nil, err
	}
	return &node{
		truth: adminURL, address: f.address, faults: faults, goAway: f.leave, comeBack: func() error { return f.serve(ctx) }, close: f.leave,
	}, nil
}

// serve listens where it did before. Another connection may have that port for a moment.
func (f *front) serve(ctx context.Context) error {
	var listener net.Listener
	err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, 5*time.Second, true, func(ctx context.Context) (bool, error) {
		var err error
		listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", f.address)
		if errors.Is(err, syscall.EADDRINUSE) {
			return false, nil
		}
		return true, err
	})
	if err != nil {
		return fmt.Errorf("listen at %s: %w", f.address, err)
	}
	f.address = listener.Addr().String()
	server := &http.Server{Handler: f.handler, ReadHeaderTimeout: 10 * time.Second}
	f.server = server
	go func() { _ = server.Serve(listener) }() // returns ErrServerClosed once leave is called
	return nil
}

func (f *front) leave() error {
	if err := f.server.Close(); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
