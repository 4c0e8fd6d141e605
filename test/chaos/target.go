package main

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

// target is the Kong of a run: a simulated one, or a real one behind a front that fails in its place.
type target struct {
	// truth is where the judge asks, adminURL where the operator does.
	truth, adminURL, proxyURL string
	faults                    *kongsim.Faults
	// goAway refuses connections to the operator, comeBack takes them again.
	goAway, comeBack func() error
	close            func() error
	// real Kongs are not told to lose their database, and may hold other things.
	real bool
}

func newTarget(ctx context.Context, seed uint64) (*target, error) {
	if adminURL := os.Getenv("KONG_ADMIN_URL"); adminURL != "" {
		return newFront(ctx, adminURL, os.Getenv("KONG_PROXY_URL"))
	}
	kong, err := kongsim.Start(kongsim.Options{
		Seed: seed, DBUpdateFrequency: frequency, WorkerStateUpdateFrequency: frequency,
		Propagation: kongsim.Instant(), ServiceTime: time.Millisecond,
	})
	if err != nil {
		return nil, err
	}
	return &target{
		truth: kong.AdminURL(), adminURL: kong.AdminURL(), proxyURL: kong.ProxyURL(), faults: kong.Faults,
		goAway: kong.StopAdmin, comeBack: kong.StartAdmin, close: kong.Close,
	}, nil
}

// front forwards to the Admin API of a real Kong, as long as it is to be there.
type front struct {
	address string
	handler http.Handler
	server  *http.Server
}

func newFront(ctx context.Context, adminURL, proxyURL string) (*target, error) {
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
	return &target{
		truth: adminURL, adminURL: "http://" + f.address, proxyURL: proxyURL, faults: faults, real: true,
		goAway: f.leave, comeBack: func() error { return f.serve(ctx) }, close: f.leave,
	}, nil
}

// serve listens where it did before. The address may be taken for a moment.
func (f *front) serve(ctx context.Context) error {
	var listener net.Listener
	var err error
	for range 50 {
		if listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", f.address); err == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err != nil {
		return err
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
