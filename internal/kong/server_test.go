package kong

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// received is one request that a fake Admin API got.
type received struct {
	Method, URI, Body string
	Header            http.Header
}

// fakeKong is an Admin API that answers everything alike and remembers what it was asked.
type fakeKong struct {
	*httptest.Server
	mu       sync.Mutex
	requests []received
}

func (f *fakeKong) all() []received {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]received(nil), f.requests...)
}

func (f *fakeKong) last(t *testing.T) received {
	t.Helper()
	requests := f.all()
	if len(requests) == 0 {
		t.Fatal("no request came")
	}
	return requests[len(requests)-1]
}

// serve starts an Admin API with this handler.
func serve(t *testing.T, handler http.HandlerFunc) *fakeKong {
	t.Helper()
	fake := &fakeKong{}
	fake.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fake.mu.Lock()
		fake.requests = append(fake.requests, received{r.Method, r.RequestURI, string(body), r.Header.Clone()})
		fake.mu.Unlock()
		handler(w, r)
	}))
	t.Cleanup(fake.Close)
	return fake
}

// answering starts an Admin API with one answer.
func answering(t *testing.T, status int, body string, headers ...string) *fakeKong {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

// connect makes a client of the server, with what change sets.
func connect(t *testing.T, url string, change ...func(*Config)) *Client {
	t.Helper()
	config := Config{URL: url, Timeout: 5 * time.Second}
	for _, c := range change {
		c(&config)
	}
	client, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdle)
	return client
}
