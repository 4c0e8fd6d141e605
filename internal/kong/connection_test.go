package kong

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// counting starts a server that counts its connections.
func counting(t *testing.T, handler http.HandlerFunc) (*httptest.Server, *atomic.Int64) {
	t.Helper()
	var connections atomic.Int64
	server := httptest.NewUnstartedServer(handler)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	return server, &connections
}

func TestConnectionsAreReused(t *testing.T) {
	const concurrency, requests = 50, 3000
	var inFlight, most atomic.Int64
	server, connections := counting(t, func(w http.ResponseWriter, r *http.Request) {
		now := inFlight.Add(1)
		defer inFlight.Add(-1)
		for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
		}
		_, _ = io.Copy(io.Discard, r.Body)
		switch r.Method {
		case http.MethodDelete:
			w.WriteHeader(http.StatusNoContent)
		case http.MethodGet:
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"message":"Not found"}`)
		default:
			_, _ = io.WriteString(w, `{"id":"i"}`)
		}
	})
	client := connect(t, server.URL, func(c *Config) { c.Concurrency = concurrency })
	var work sync.WaitGroup
	for worker := range 2 * concurrency {
		work.Go(func() {
			for range requests / (2 * concurrency) {
				var err error
				switch worker % 3 {
				case 0:
					_, err = client.Put(t.Context(), Entity{Kind: KindService, ID: "i", Fields: Fields{"name": "n"}})
				case 1:
					err = client.Delete(t.Context(), KindService, "", "i")
				default:
					if _, err = client.Get(t.Context(), KindService, "i"); IsNotFound(err) {
						err = nil
					}
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	// net/http gives up a connection whose writer has not reported for 50 ms, which a loaded machine can take.
	if n := connections.Load(); n > 2*concurrency {
		t.Errorf("%d connections for %d requests, %d at once", n, requests, concurrency)
	}
	if n := most.Load(); n > concurrency {
		t.Errorf("%d requests at once, %d were allowed", n, concurrency)
	}
}

// Waiting for a free connection is not Kong's fault, and not counted against its timeout.
func TestWaitingForASlot(t *testing.T) {
	entered, release := make(chan struct{}, 1), make(chan struct{})
	server, _ := counting(t, func(w http.ResponseWriter, _ *http.Request) {
		entered <- struct{}{}
		<-release
		_, _ = io.WriteString(w, `{"id":"i"}`)
	})
	client := connect(t, server.URL, func(c *Config) { c.Concurrency = 1 })
	done := make(chan error, 1)
	go func() {
		_, err := client.Get(t.Context(), KindService, "a")
		done <- err
	}()
	<-entered
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client.Get(canceled, KindService, "b"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	expired, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	var unavailable *UnavailableError
	if _, err := client.Get(expired, KindService, "b"); !errors.As(err, &unavailable) || unavailable.Cause != CauseTimeout {
		t.Errorf("%v", err)
	}
	close(release)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestTimeouts(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	var slowBody atomic.Bool
	server, _ := counting(t, func(w http.ResponseWriter, _ *http.Request) {
		if slowBody.Load() {
			_, _ = io.WriteString(w, `{"id":`)
			_ = http.NewResponseController(w).Flush()
		}
		<-release
	})
	client := connect(t, server.URL, func(c *Config) { c.Timeout = 50 * time.Millisecond })
	for _, slow := range []bool{false, true} {
		slowBody.Store(slow)
		_, err := client.Get(t.Context(), KindService, "s")
		var unavailable *UnavailableError
		if !errors.As(err, &unavailable) || unavailable.Cause != CauseTimeout || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("slow body %v: %v", slow, err)
		}
	}
	patient := connect(t, server.URL)
	ctx, cancel := context.WithCancel(t.Context())
	go cancel()
	if _, err := patient.Get(ctx, KindService, "s"); !errors.Is(err, context.Canceled) || errors.As(err, new(*UnavailableError)) {
		t.Errorf("canceled by the caller: %v", err)
	}
}

// reset takes the request's connection, writes what begins an answer, and closes it: with a reset where
// nothing was written.
func reset(t *testing.T, w http.ResponseWriter, begin string) {
	connection, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	_, _ = io.WriteString(connection, begin)
	if tcp, ok := connection.(*net.TCPConn); ok && begin == "" {
		_ = tcp.SetLinger(0)
	}
	_ = connection.Close()
}

func TestBrokenConnections(t *testing.T) {
	for name, begin := range map[string]string{
		"reset before the answer": "",
		"closed in its header":    "HTTP/1.1 200 OK\r\nContent-",
		"closed in its body":      "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"id\":",
		"no HTTP":                 "canary-4f9d2c71b6\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			server, _ := counting(t, func(w http.ResponseWriter, _ *http.Request) { reset(t, w, begin) })
			_, err := connect(t, server.URL).Put(t.Context(), Entity{Kind: KindService, ID: "i", Fields: Fields{"name": "n"}})
			var unavailable *UnavailableError
			if !errors.As(err, &unavailable) || unavailable.Cause != CauseNetwork {
				t.Errorf("%v", err)
			}
			mustNotLeak(t, name, err)
		})
	}
	closed := httptest.NewServer(nil)
	closed.Close()
	_, err := connect(t, closed.URL).Node(t.Context())
	var unavailable *UnavailableError
	if !errors.As(err, &unavailable) || unavailable.Cause != CauseNetwork || unavailable.Status != 0 {
		t.Errorf("%v", err)
	}
}

// Kong may close an idle connection at the very moment a request is sent on it. Every request that we
// make can be repeated, so none fails for it.
func TestAnIdleConnectionThatKongClosesIsNoError(t *testing.T) {
	for _, method := range []string{http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodGet} {
		t.Run(method, func(t *testing.T) {
			var served sync.Map
			server, connections := counting(t, func(w http.ResponseWriter, r *http.Request) {
				if _, second := served.LoadOrStore(r.RemoteAddr, true); second {
					reset(t, w, "")
					return
				}
				_, _ = io.WriteString(w, `{"id":"i"}`)
			})
			client := connect(t, server.URL)
			for range 2 {
				var err error
				switch method {
				case http.MethodPut:
					_, err = client.Put(t.Context(), Entity{Kind: KindService, ID: "i", Fields: Fields{"name": "n"}})
				case http.MethodPatch:
					_, err = client.PatchTags(t.Context(), KindService, "", "i", []string{"a"})
				case http.MethodDelete:
					err = client.Delete(t.Context(), KindService, "", "i")
				case http.MethodGet:
					_, err = client.Get(t.Context(), KindService, "i")
				}
				if err != nil {
					t.Error(err)
				}
			}
			if n := connections.Load(); n != 2 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	other := answering(t, 200, `{"id":"i"}`)
	fake := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+r.RequestURI, http.StatusTemporaryRedirect)
	})
	client := connect(t, fake.URL, func(c *Config) { c.AuthToken = canary })
	_, err := client.Put(t.Context(), Entity{Kind: KindService, ID: "i"})
	var unavailable *UnavailableError
	if !errors.As(err, &unavailable) || unavailable.Cause != CauseRedirect || unavailable.Status != http.StatusTemporaryRedirect {
		t.Errorf("%v", err)
	}
	if requests := other.all(); len(requests) > 0 {
		t.Errorf("the token went to another host: %v", requests)
	}
}

func TestAnswersAreBounded(t *testing.T) {
	chunk := make([]byte, 1<<16)
	for i := range chunk {
		chunk[i] = ' '
	}
	server, _ := counting(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		for r.Context().Err() == nil {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	_, err := connect(t, server.URL).Node(t.Context())
	var unavailable *UnavailableError
	if !errors.As(err, &unavailable) || unavailable.Cause != CauseTooLarge {
		t.Errorf("%v", err)
	}
}

func TestTheObserverSeesEveryRequest(t *testing.T) {
	var seen []Observation
	var mu sync.Mutex
	observe := func(c *Config) {
		c.Observer = func(o Observation) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, o)
		}
	}
	fake := answering(t, 404, `{"message":"Not found"}`)
	client := connect(t, fake.URL, observe)
	_, _ = client.Get(t.Context(), KindRoute, "r")
	_ = client.Delete(t.Context(), KindJWT, "c", "i")
	_, _ = client.Node(t.Context())
	_, _ = client.Status(t.Context())
	_, _ = client.PluginSchema(t.Context(), "jwt")
	fake.Close()
	_, _ = client.Get(t.Context(), KindACL, "a")
	want := []Observation{
		{Verb: "GET", Kind: KindRoute, Code: 404}, {Verb: "DELETE", Kind: KindJWT, Code: 404}, {Verb: "GET", Kind: "node", Code: 404},
		{Verb: "GET", Kind: "status", Code: 404}, {Verb: "GET", Kind: "schemas", Code: 404}, {Verb: "GET", Kind: KindACL, Code: 0},
	}
	if len(seen) != len(want) {
		t.Fatalf("saw %+v", seen)
	}
	for i, o := range seen {
		if o.Duration <= 0 {
			t.Errorf("%+v took no time", o)
		}
		if o.Duration = 0; o != want[i] {
			t.Errorf("saw %+v, want %+v", o, want[i])
		}
	}
}
