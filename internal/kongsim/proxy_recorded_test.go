package kongsim

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/echo"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/dataplane"
	"github.com/kongjwt/kong-jwt-operator/test/contract/tokens"
)

const recordings = "../../test/contract/testdata/3.9.3"

// recordedStep is one request to a real Kong and its answer; the directory's
// README has the format.
type recordedStep struct {
	Name    string `json:"name"`
	Request struct {
		Target  string            `json:"target"`
		Method  string            `json:"method"`
		Path    string            `json:"path"`
		Headers map[string]string `json:"headers"`
		Tokens  []tokens.Token    `json:"tokens"`
	} `json:"request"`
	Response struct {
		Status  int               `json:"status"`
		Headers map[string]string `json:"headers"`
		JSON    map[string]any    `json:"json"`
	} `json:"response"`
	Eventually  bool              `json:"eventually"`
	UpstreamSaw []string          `json:"upstreamSaw"`
	Capture     map[string]string `json:"capture"`
}

// TestProxyAsRecorded replays what a real Kong's proxy answered. The Admin
// API's part is played by its recorded answers: they show each entity in full.
func TestProxyAsRecorded(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(recordings, "proxy-*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	keys := readRecording[map[string]tokens.Key](t, filepath.Join(recordings, "keys.json"))
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			r := newReplay(t, keys)
			scenario := readRecording[struct {
				Steps []recordedStep `json:"steps"`
			}](t, file)
			for _, step := range scenario.Steps {
				if step.Request.Target == "admin" {
					r.write(t, step)
				} else if !r.check(t, step) {
					return // what follows builds on it
				}
			}
		})
	}
}

func readRecording[T any](t *testing.T, file string) T {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var v T
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return v
}

// replay is a gateway whose clock stands still but for waiting.
type replay struct {
	keys     map[string]tokens.Key
	store    *store
	captured map[string]string // variables of the scenario
	upstream *url.URL
	proxy    *dataplane.Proxy
	url      string
	client   *http.Client
	elapsed  atomic.Int64 // nanoseconds since start
}

var start = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func (r *replay) now() time.Time { return start.Add(time.Duration(r.elapsed.Load())) }

func newReplay(t *testing.T, keys map[string]tokens.Key) *replay {
	t.Helper()
	upstream, err := echo.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = upstream.Close() })
	u, err := url.Parse(upstream.URL())
	if err != nil {
		t.Fatal(err)
	}
	r := &replay{keys: keys, captured: map[string]string{}, upstream: u, client: &http.Client{Transport: &http.Transport{}}}
	r.store = newStore(r.now)
	r.proxy = dataplane.New(r.store, dataplane.Options{Propagation: dataplane.Typical(), Seed: 1, Now: r.now})
	r.store.watch(r.proxy.Changed)
	server := httptest.NewUnstartedServer(r.proxy)
	server.Config.ConnContext = r.proxy.ConnContext
	server.Start()
	t.Cleanup(server.Close)
	t.Cleanup(r.proxy.Close)
	t.Cleanup(r.client.CloseIdleConnections)
	r.url = server.URL
	return r
}

// check asks until the answer is the recorded one; for as long as a real
// gateway is given, but by the replay's clock.
func (r *replay) check(t *testing.T, step recordedStep) bool {
	t.Helper()
	deadline := r.now()
	if step.Eventually {
		deadline = deadline.Add(30 * time.Second)
	}
	for pause := time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		difference := r.ask(t, step)
		if difference == "" {
			return true
		}
		if !r.now().Before(deadline) {
			t.Errorf("%s: %s", step.Name, difference)
			return false
		}
		r.elapsed.Add(int64(pause))
	}
}

// ask makes a step's request and says how the answer differs.
func (r *replay) ask(t *testing.T, step recordedStep) string {
	t.Helper()
	req, token := r.request(t, step)
	resp, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]any{}
	if len(body) > 0 {
		if err := json.Unmarshal(body, &got); err != nil {
			return "no JSON: " + string(body)
		}
	}
	if resp.Header.Get(echo.Marker) != "" {
		got = asUpstream(t, body, step.UpstreamSaw, token)
	}
	if _, ok := got["request_id"]; ok {
		got["request_id"] = "<request_id>"
	}
	want := step.Response.JSON
	if want == nil {
		want = map[string]any{}
	}
	if resp.StatusCode != step.Response.Status || !reflect.DeepEqual(got, want) {
		return "answered " + resp.Status + " " + string(body)
	}
	return headerDifference(resp.Header, step.Response.Headers)
}

func headerDifference(got http.Header, want map[string]string) string {
	if want["www-authenticate"] == "" && got.Get("WWW-Authenticate") != "" {
		return "a challenge that Kong does not give: " + got.Get("WWW-Authenticate")
	}
	for name, value := range want {
		if name == "retry-after" && got.Get(name) != "" {
			continue // the seconds that were left of the minute
		}
		if got.Get(name) != value {
			return name + " is " + got.Get(name) + ", not " + value
		}
	}
	return ""
}

// asUpstream puts the echo upstream's answer in the recordings' words.
func asUpstream(t *testing.T, body []byte, names []string, token string) map[string]any {
	t.Helper()
	var e echo.Request
	if err := json.Unmarshal(body, &e); err != nil {
		t.Fatal(err)
	}
	saw := map[string]any{}
	for _, name := range names {
		saw[name] = nil
		if v := e.Headers[http.CanonicalHeaderKey(name)]; v != "" {
			saw[name] = v
		}
	}
	path := e.Path
	if token != "" {
		path = strings.ReplaceAll(path, token, "<token>")
	}
	return map[string]any{"upstreamPath": path, "upstreamSaw": saw}
}

// request builds a step's request; the token is the one in its query.
func (r *replay) request(t *testing.T, step recordedStep) (*http.Request, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), step.Request.Method, r.url+step.Request.Path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range step.Request.Headers {
		req.Header.Set(name, value)
		if name == "Host" {
			req.Host = value
		}
	}
	inQuery := ""
	for _, token := range step.Request.Tokens {
		text, err := token.Mint(r.keys, r.now())
		if err != nil {
			t.Fatal(err)
		}
		if put := token.Put(text, req); put != "" {
			inQuery = put
		}
	}
	return req, inQuery
}
