package stale

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// tooLarge is how a server answers where a version is asked for that it does not have yet.
func tooLarge(asked, version string) metav1.Status {
	message := fmt.Sprintf("Too large resource version: %s, current: %s", asked, version)
	return metav1.Status{
		Code: http.StatusGatewayTimeout, Reason: metav1.StatusReasonTimeout, Message: "Timeout: " + message,
		Details: &metav1.StatusDetails{
			RetryAfterSeconds: 1,
			Causes:            []metav1.StatusCause{{Type: metav1.CauseTypeResourceVersionTooLarge, Message: message}},
		},
	}
}

var (
	// expired is how a server answers where a watch is to begin at what it has forgotten.
	expired = metav1.Status{Code: http.StatusGone, Reason: metav1.StatusReasonExpired, Message: "too old resource version"}
	// noInitialEvents is how a server answers that has no lists as watches.
	noInitialEvents = metav1.Status{
		Code: http.StatusUnprocessableEntity, Reason: metav1.StatusReasonInvalid,
		Message: "sendInitialEvents: Forbidden: " +
			"sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled",
	}
)

// watch passes a watch on, or its refusal.
func (t through) watch(request *http.Request, resource string) (*http.Response, error) {
	query := request.URL.Query()
	if query.Get("sendInitialEvents") == "true" {
		return refuse(request, noInitialEvents), nil
	}
	if t.replica.hasForgotten(resource, query.Get("resourceVersion")) {
		return refuse(request, expired), nil
	}
	readable := request.Clone(request.Context())
	readable.Header.Set("Accept", asJSON(request.Header.Get("Accept")))
	response, err := t.next.RoundTrip(readable)
	if err != nil || response.StatusCode != http.StatusOK {
		return response, err
	}
	response.Body = t.replica.open(resource, response.Body)
	return response, nil
}

func (r *Replica) open(resource string, upstream io.ReadCloser) *events {
	e := &events{
		replica: r, resource: resource, upstream: upstream, lines: bufio.NewReader(upstream), closed: make(chan struct{}),
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.watches[e] = true
	return e
}

// Watches is how many watches of a resource are open.
func (r *Replica) Watches(resource string) (open int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for e := range r.watches {
		if e.resource == resource {
			open++
		}
	}
	return open
}

// end ends the watches of resources.
func (r *Replica) end(resources []string) {
	r.mu.Lock()
	var open []*events
	for e := range r.watches {
		if slices.Contains(resources, e.resource) {
			open = append(open, e)
		}
	}
	r.mu.Unlock()
	for _, e := range open {
		_ = e.Close() // it is meant to break
	}
}

func (r *Replica) hasForgotten(resource, version string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tooOld[resource] != "" && newer(r.tooOld[resource], version)
}

// asJSON takes the types that are not in JSON off a list of those that a client takes: events in JSON are lines.
func asJSON(accept string) string {
	types := slices.DeleteFunc(strings.Split(accept, ","), func(t string) bool { return !strings.Contains(t, "json") })
	if len(types) == 0 {
		return "application/json" // such a list ends with */*
	}
	return strings.Join(types, ",")
}

// events is the body of a watch: it tells of an event once its resource may be told of.
type events struct {
	replica  *Replica
	resource string
	upstream io.ReadCloser
	lines    *bufio.Reader
	// told is what of an event was not read yet.
	told []byte
	// passed is how many events were told while the resource was behind, of the state that counted says.
	passed  int
	counted *state
	once    sync.Once
	closed  chan struct{}
}

// Read implements io.Reader.
func (e *events) Read(p []byte) (int, error) {
	if len(e.told) == 0 {
		line, err := e.lines.ReadBytes('\n')
		if len(line) == 0 {
			return 0, err
		}
		if !e.await(line) {
			return 0, io.EOF
		}
		e.told = line
	}
	n := copy(p, e.told)
	e.told = e.told[n:]
	return n, nil
}

// await waits until an event may be told; false where the watch ends before.
func (e *events) await(line []byte) bool {
	for {
		tell, changed := e.look(line)
		if tell {
			return true
		}
		select {
		case <-changed:
		case <-e.closed:
			return false
		}
	}
}

func (e *events) look(line []byte) (tell bool, changed <-chan struct{}) {
	e.replica.mu.Lock()
	defer e.replica.mu.Unlock()
	behind := e.replica.behind[e.resource]
	if behind == nil {
		return true, nil
	}
	if behind != e.counted {
		e.counted, e.passed = behind, 0
	}
	if e.passed >= behind.passing {
		return false, e.replica.changed
	}
	if !isBookmark(line) {
		e.passed++
	}
	return true, nil
}

func isBookmark(line []byte) bool {
	var event struct {
		Type watch.EventType `json:"type"`
	}
	return json.Unmarshal(line, &event) == nil && event.Type == watch.Bookmark
}

// Close implements io.Closer.
func (e *events) Close() error {
	e.once.Do(func() {
		e.replica.mu.Lock()
		defer e.replica.mu.Unlock()
		delete(e.replica.watches, e)
		close(e.closed)
	})
	return e.upstream.Close()
}
