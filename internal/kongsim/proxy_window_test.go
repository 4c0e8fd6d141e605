package kongsim

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/echo"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/dataplane"
)

const (
	windowService = "00000000-0000-4000-8000-000000000001"
	windowRoute   = "00000000-0000-4000-8000-000000000002"
	windowPlugin  = "00000000-0000-4000-8000-000000000003"
)

// window is a protected route in a store, polled without a token.
type window struct {
	store *store
	proxy *dataplane.Proxy
	now   time.Time
	open  int // answers that were the upstream's
}

func newWindow(t *testing.T, seed uint64) *window {
	t.Helper()
	upstream, err := echo.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = upstream.Close() })
	w := &window{now: start}
	clock := func() time.Time { return w.now }
	w.store = newStore(clock)
	w.put(t, "services", object{"id": windowService, "protocol": "http", "host": upstream.Host(), "port": upstream.Port(), "enabled": true})
	w.put(t, "plugins", object{
		"id": windowPlugin, "name": "jwt", "service": object{"id": windowService}, "enabled": true, "protocols": []any{"http"},
		"config": object{"key_claim_name": "iss", "run_on_preflight": true},
	})
	w.put(t, "routes", object{"id": windowRoute, "service": object{"id": windowService}, "paths": []any{"/"}, "protocols": []any{"http"}})
	w.proxy = dataplane.New(w.store, dataplane.Options{Workers: 4, Propagation: dataplane.Typical(), Seed: seed, Now: clock})
	w.store.watch(w.proxy.Changed)
	t.Cleanup(w.proxy.Close)
	return w
}

func (w *window) put(t *testing.T, kind string, row object) {
	t.Helper()
	if problem := w.store.put(kinds[kind], row); problem != nil {
		t.Fatalf("%s: %v", kind, problem.body)
	}
}

// remove deletes an entity, and polls for as long as the next is to wait.
func (w *window) remove(t *testing.T, kind, id string, wait time.Duration) {
	t.Helper()
	if problem := w.store.remove(kinds[kind], id); problem != nil {
		t.Fatalf("%s: %v", kind, problem.body)
	}
	w.poll(t, wait)
}

// poll asks every 10 ms of the clock; an answer is 401, 404 or the upstream's.
func (w *window) poll(t *testing.T, during time.Duration) {
	t.Helper()
	for end := w.now.Add(during); w.now.Before(end); w.now = w.now.Add(10 * time.Millisecond) {
		answer := httptest.NewRecorder()
		w.proxy.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/", nil))
		switch answer.Code {
		case http.StatusUnauthorized, http.StatusNotFound:
		case http.StatusOK:
			w.open++
		default:
			t.Fatalf("answered %d: %s", answer.Code, answer.Body)
		}
	}
}

// TestUnprotectedWindow: route, plugin and service deleted in this order let
// requests without a token through for a while, at once; not with the longest
// delay between route and plugin. The order of writes alone protects nothing.
func TestUnprotectedWindow(t *testing.T) {
	for _, gate := range []time.Duration{0, 3500 * time.Millisecond} {
		open := 0
		for seed := range uint64(5) {
			w := newWindow(t, seed)
			w.poll(t, 100*time.Millisecond)
			w.remove(t, "routes", windowRoute, gate)
			w.remove(t, "plugins", windowPlugin, 0)
			w.remove(t, "services", windowService, 4*time.Second)
			open += w.open
		}
		if (open > 0) == (gate > 0) {
			t.Errorf("%v between route and plugin: %d requests were let through", gate, open)
		}
	}
}
