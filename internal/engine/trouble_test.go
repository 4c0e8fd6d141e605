package engine

import (
	"net/http"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// trouble is what goes wrong with some requests. Of several that match, the first counts.
type trouble struct {
	methods []string
	at      *modelKong // nil: any
	kind    kong.Kind  // empty: any
	count   int
	// instead is the answer of a request that is not done, after of one that was. during is what happens between
	// the request and its answer, before it is done or after.
	instead, after            error
	duringBefore, duringAfter func()
}

// pauses says whether time passes between requests. A program has an end.
func (m *modelKong) pauses() bool {
	if now := time.Now(); now.After(m.at) {
		m.at, m.inARow = now, 0
	}
	m.inARow++
	if m.inARow == 10_000 {
		m.broken = append(m.broken, "thousands of requests without a pause")
	}
	return m.inARow < 10_000
}

func (m *modelKong) hit(method string, kind kong.Kind) trouble {
	for i, t := range m.trouble {
		here := (t.at == nil || t.at == m) && (t.kind == "" || t.kind == kind || kind == kindConfig)
		if slices.Contains(t.methods, method) && kind != "" && here {
			if method != http.MethodPut && !isRefusal(t.instead) {
				m.hindered.Add(1)
			}
			if t.count--; t.count == 0 {
				m.trouble = slices.Delete(m.trouble, i, i+1)
			}
			return *t
		}
	}
	return trouble{}
}

// drawTrouble makes something go wrong with some of the next requests.
func (w *world) drawTrouble() {
	failed := &kong.UnavailableError{Request: kong.Request{Status: http.StatusInternalServerError}, Cause: kong.CauseServer}
	refused := &kong.InvalidError{Code: kong.CodeSchemaViolation, Fields: map[string]string{"name": "is wrong"}}
	t := &trouble{methods: []string{http.MethodPut, http.MethodDelete}, count: rapid.IntRange(1, 3).Draw(w.T, "count")}
	t.kind = rapid.SampledFrom(append([]kong.Kind{""}, kong.Kinds()...)).Draw(w.T, "kind")
	session := w.session
	kinds := []string{
		"lost", "not done", "fails", "throttled", "refused", "read fails", "dies before", "dies after", "listing", "another",
	}
	if w.kong.declarative() {
		kinds, t.methods = append(kinds[:len(kinds)-2], "slow"), []string{http.MethodPost}
		if t.at = w.drawNode(); rapid.Bool().Draw(w.T, "all nodes") {
			t.at = nil
		}
	}
	what := rapid.SampledFrom(kinds).Draw(w.T, "trouble")
	switch what {
	case "slow":
		t.duringBefore, t.duringAfter = w.drawSlow()
	case "lost":
		t.after = unavailable()
	case "not done":
		t.instead = unavailable()
	case "fails":
		t.instead = failed
	case "throttled":
		t.instead = &kong.ThrottledError{RetryAfter: 3 * time.Second}
	case "refused":
		if t.instead = refused; w.kong.declarative() {
			t.instead = w.drawRefusal(t.kind)
		} else {
			t.methods = []string{http.MethodPut}
		}
	case "read fails":
		t.methods, t.instead = []string{http.MethodGet}, failed
	case "dies before":
		t.duringBefore = func() { session.dead.Store(true) }
	case "dies after":
		t.duringAfter = func() { session.dead.Store(true) }
	case "listing":
		// What a Sync that is under way was planned from is older than the listing.
		t.duringBefore = w.relist
		if rapid.Bool().Draw(w.T, "after") {
			t.duringBefore, t.duringAfter = nil, w.relist
		}
	case "another":
		a := w.drawActor()
		t.count, t.duringBefore = 1, func() { w.reconcile(a) }
		t.instead = rapid.SampledFrom([]error{nil, unavailable(), &kong.ThrottledError{}}).Draw(w.T, "instead")
	}
	w.say("trouble: %s, %d %s", what, t.count, t.kind)
	w.kong.mu.Lock()
	defer w.kong.mu.Unlock()
	w.kong.trouble = append(w.kong.trouble, t)
}
