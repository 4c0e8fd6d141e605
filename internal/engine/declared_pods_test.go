package engine

import (
	"net/http/httputil"
	"net/url"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

// A Service's address leads to any of its pods. What one runs and another does not must not be taken for one
// configuration: it would be none that Kong takes.
func TestPodsAreAskedOneByOne(t *testing.T) {
	f := newFleetRig(t)
	john := f.consumer("john", "john", "k1")
	f.pushed(john, f.service("api", "one"))
	f.eventually("both run it", func() bool { return f.onBoth("k1") })
	f.registry.Close()
	f.registry = listening(Options{Installation: "here", Now: f.clock.Now, Heartbeat: 20 * time.Millisecond})
	var err error
	if f.gateway, err = f.registry.Ensure("default", Settings{Client: kong.Config{URL: f.sim.AdminURL()}, DriftInterval: time.Hour, Pods: true}); err != nil {
		t.Fatal(err)
	}
	f.sim.ResetRequests()
	f.eventually("it is known that there is no database", func() bool { return f.gateway.State().Database == "off" })
	if state := f.gateway.State(); state.Ready || state.Reason != v1alpha1.ReasonProgressing {
		t.Errorf("ready %v, %s: %s", state.Ready, state.Reason, state.Message)
	}
	for _, request := range f.sim.Requests() {
		if strings.HasPrefix(request.Path, "/consumers") {
			t.Errorf("%s %s of whichever pod it is", request.Method, request.Path)
		}
	}
	f.join(f.gateway)
	f.expect(EventConnected, nil)
	if writes := f.mustSync(john); writes != 0 {
		t.Errorf("%d writes", writes)
	}
}

// An operator that starts finds a pod that has nothing, as it starts too.
func TestAPodThatIsEmptyAtTheStartIsGivenTheConfiguration(t *testing.T) {
	f := newFleetRig(t)
	f.pushed(f.consumer("john", "john", "k1"))
	f.eventually("both run it", func() bool { return f.onBoth("k1") })
	f.registry.Close()
	if err := f.two.PostConfig(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	f.start(time.Hour)
	f.join(f.gateway)
	f.eventually("the pod runs it", func() bool { return f.onSecond("k1") })
}

// A pod that is named is given the configuration at once: not when the next heartbeat finds that it runs another.
func TestAPodThatIsNamedIsNotLeftForAHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		w := &world{bubble: t}
		w.makeNodes(true)
		w.start()
		defer w.close()
		john := consumerOf(w.gateway.Scope(), "john")
		for range 2 {
			if _, err := w.gateway.Sync(t.Context(), john, SyncOptions{}); err != nil {
				time.Sleep(pushAgain)
			}
		}
		third := newModelKong(w.kong.modelNodes)
		third.address = "pod-2"
		w.nodes = append(w.nodes, third)
		time.Sleep(31*time.Second - time.Since(began)) // a heartbeat is every 30 s
		w.namePods()
		time.Sleep(20 * time.Second)
		if held := third.all(); len(held) != len(w.nodes[0].all()) || len(held) == 0 {
			t.Errorf("it holds %d entities, the first %d", len(held), len(w.nodes[0].all()))
		}
	})
}

// A newer Kong may refuse what a former one took. It is given the rest, but for the routes that would be open without
// what it refuses, and whose the refused is learns of it.
func TestANodeThatRefusesWhatOthersRunIsGivenTheRest(t *testing.T) {
	f := newFleetRig(t)
	john := f.consumer("john", "john", "k1")
	api := f.service("api", "one")
	api.Entities[1].Fields["config"] = map[string]any{"key_claim_name": "kid", "realm": "team"}
	f.pushed(john, api)
	f.eventually("both run it, and that is known", func() bool { return f.onBoth("k1") && f.settled() })
	next, err := f.second.Replace("3.7.1", kongsim.Schemas{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = next.Close() }()
	f.second = next
	f.eventually("it is given what it takes", func() bool { return f.onSecond("k1") })
	if _, err := f.two.Get(t.Context(), kong.KindRoute, "team.api.one"); !kong.IsNotFound(err) {
		t.Errorf("a route is open without its jwt plugin: %v", err)
	}
	f.eventually("whose the rest is learns why", func() bool {
		f.clock.Step(f.gateway.State().PropagationDelay)
		_, err = f.sync(api)
		return err != nil && strings.Contains(err.Error(), "Kong refuses")
	})
	f.stalls(err, v1alpha1.ReasonKongRejected, "plugin jwt", "realm")
	if !f.gateway.State().Ready {
		t.Error("the gateway is not ready for one entity that is refused")
	}
}

// A Kong that is given no database any more holds nothing of what was known.
func TestAKongThatLosesItsDatabaseIsAnother(t *testing.T) {
	r := newRig(t)
	second, err := kongsim.Start(kongsim.Options{Database: "off"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = second.Close() }()
	var at atomic.Pointer[url.URL]
	point := func(address string) {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		at.Store(u)
	}
	point(r.sim.AdminURL())
	front := serve(t, &httputil.ReverseProxy{Rewrite: func(request *httputil.ProxyRequest) { request.SetURL(at.Load()) }}, nil)
	r.registry.Close()
	r.registry = listening(Options{Installation: "here", Now: r.clock.Now, Heartbeat: 20 * time.Millisecond})
	if r.gateway, err = r.registry.Ensure("default", Settings{Client: kong.Config{URL: front}, DriftInterval: time.Hour}); err != nil {
		t.Fatal(err)
	}
	r.expect(EventConnected, nil)
	john := r.consumer("john", "john", "k1")
	r.mustSync(john)
	r.theirs(theirService, theirRoute)
	r.mustSync(r.attached(kong.KindService))

	point(second.AdminURL())
	r.gateway.relist()
	r.expect(EventConnected, nil)
	if r.gateway.Holds(john.Owner) || r.gateway.State().Database != "off" {
		t.Error("what the former Kong held is taken for what this one holds")
	}
	_, err = r.sync(r.attached(kong.KindService))
	if err == nil || !strings.Contains(err.Error(), "spec.attachTo: a Kong without a database") {
		t.Errorf("got %v", err)
	}
	if r.pushed(john); given(second) == 0 {
		t.Error("it was given nothing")
	}

	point(r.sim.AdminURL())
	r.gateway.relist()
	r.expect(EventConnected, nil)
	r.eventually("nothing works for the Kong that is gone", func() bool {
		var running strings.Builder
		return pprof.Lookup("goroutine").WriteTo(&running, 1) == nil && !strings.Contains(running.String(), "declarative.(*Backend).Run")
	})
}
