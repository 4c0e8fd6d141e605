package engine

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/dataplane"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// Every route is asked without a token from before it is made until after it is gone, through workers that are as
// slow as Kong's settings let them be. The upstream never hears of it.
func TestNeverReachableUnprotected(t *testing.T) {
	const frequency = 150 * time.Millisecond
	sim, err := kongsim.Start(kongsim.Options{
		Workers: 4, Propagation: dataplane.Slowest(frequency, frequency), DBUpdateFrequency: frequency, WorkerStateUpdateFrequency: frequency,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	var reached, refused atomic.Int64
	upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer upstream.Close()

	registry := listening(Options{Installation: "here", Heartbeat: time.Second, Margin: 50 * time.Millisecond})
	defer registry.Close()
	g, err := registry.Ensure("default", Settings{Client: kong.Config{URL: sim.AdminURL()}, DriftInterval: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{T: t, sim: sim, registry: registry, gateway: g, scope: g.Scope()}
	r.expect(EventConnected, nil)

	done := make(chan struct{})
	var pollers sync.WaitGroup
	for range 4 {
		pollers.Go(func() {
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			for {
				select {
				case <-done:
					return
				default:
				}
				answer, err := client.Get(sim.ProxyURL() + "/one")
				if err != nil {
					continue
				}
				_ = answer.Body.Close()
				if answer.StatusCode == http.StatusUnauthorized {
					refused.Add(1)
				}
			}
		})
	}
	at, _ := url.Parse(upstream.URL)
	port, _ := strconv.Atoi(at.Port())
	set := r.service("api", "one")
	set.Entities[0].Fields["host"], set.Entities[0].Fields["port"] = at.Hostname(), port
	for range 3 {
		r.persist(func() error { _, err := r.sync(set); return err })
		before := refused.Load()
		r.eventually("the route is open", func() bool { return refused.Load() > before })
		r.persist(func() error { return g.Delete(t.Context(), set.Owner) })
	}
	close(done)
	pollers.Wait()
	if n := reached.Load(); n > 0 {
		t.Errorf("%d requests without a token reached the upstream", n)
	}
}

// persist goes on as the waits say.
func (r *rig) persist(what func() error) {
	r.Helper()
	for {
		err := what()
		if err == nil {
			return
		}
		var wait *status.WaitError
		if !errors.As(err, &wait) {
			r.Fatal(err)
		}
		<-time.After(wait.After)
	}
}
