package explain_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/explain"
	"github.com/kongjwt/kong-jwt-operator/internal/jwtplugin"
	"github.com/kongjwt/kong-jwt-operator/internal/router"
	"github.com/kongjwt/kong-jwt-operator/test/contract/tokens"
)

const recordings = "../../test/contract/testdata/3.9.3"

// Recorded refusals and acceptances; a recording that is added changes them.
const (
	recordedRefusals    = 69
	recordedAcceptances = 41
)

var now = time.Unix(1_790_000_000, 0)

// recordedStep is one request to a real Kong and its answer; the recordings' README has the format.
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
		Status int            `json:"status"`
		JSON   map[string]any `json:"json"`
	} `json:"response"`
	Eventually bool `json:"eventually"`
}

// TestEveryRecordedAnswer: what a real Kong was recorded to answer is what is explained, refusals with status and
// message, each with a remedy.
func TestEveryRecordedAnswer(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(recordings, "proxy-*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	keys := read[map[string]tokens.Key](t, filepath.Join(recordings, "keys.json"))
	refusals, acceptances := 0, 0
	for _, file := range files {
		scenario := read[struct {
			Steps []recordedStep `json:"steps"`
		}](t, file)
		w := newWorld(keys)
		before := w
		for _, step := range scenario.Steps {
			if step.Request.Target == "admin" {
				before = w.clone()
				w.write(t, step)
				continue
			}
			t.Run(strings.TrimSuffix(filepath.Base(file), ".json")+"/"+step.Name, func(t *testing.T) {
				report := w.explain(t, step)
				if step.Response.Status < 300 {
					acceptances++
					if report.Verdict != explain.Accepted {
						t.Errorf("Kong answered %d, explained: %+v", step.Response.Status, report)
					}
					return
				}
				refusals++
				// A worker that has not the last write yet gave one of the answers.
				if step.Eventually && !answers(step, report) {
					report = before.explain(t, step)
				}
				checkRefusal(t, step, report)
			})
		}
	}
	if refusals != recordedRefusals || acceptances != recordedAcceptances {
		t.Errorf("%d refusals and %d acceptances were explained, %d and %d are recorded", refusals, acceptances, recordedRefusals, recordedAcceptances)
	}
}

// answers says whether a report is the recorded refusal.
func answers(step recordedStep, report explain.Report) bool {
	if report.Verdict != explain.Refused || report.Answer == nil {
		return false
	}
	want := map[string]string{}
	for name, value := range step.Response.JSON {
		if text, ok := value.(string); ok && name != "request_id" {
			want[name] = text
		}
	}
	return report.Answer.Status == step.Response.Status && reflect.DeepEqual(report.Answer.Body, want)
}

func checkRefusal(t *testing.T, step recordedStep, report explain.Report) {
	t.Helper()
	if !answers(step, report) {
		t.Fatalf("Kong answered %d %v, explained: %+v", step.Response.Status, step.Response.JSON, report)
	}
	for _, c := range report.Checks {
		if c.Outcome == jwtplugin.Failed && (c.Detail == "" || c.Remedy == "") {
			t.Errorf("check %s says nothing of what is wrong, or what to do: %+v", c.Name, c)
		}
	}
}

func read[T any](t *testing.T, file string) T {
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

// explain explains a recorded request.
func (w *world) explain(t *testing.T, step recordedStep) explain.Report {
	t.Helper()
	sent := httptest.NewRequestWithContext(t.Context(), step.Request.Method, "http://127.0.0.1"+step.Request.Path, nil)
	for name, value := range step.Request.Headers {
		sent.Header.Set(name, value)
		if name == "Host" {
			sent.Host = value
		}
	}
	for _, token := range step.Request.Tokens {
		text, err := token.Mint(w.keys, now)
		if err != nil {
			t.Fatal(err)
		}
		token.Put(text, sent)
	}
	req := jwtplugin.Request{Method: sent.Method, RawQuery: sent.URL.RawQuery, Header: sent.Header}
	routes, services := w.routes(t)
	routed := explain.FindRoute(routes, services, router.Request{
		Method: sent.Method, Host: sent.Host, Path: sent.URL.Path, Headers: req.Header,
	}, true)
	in := explain.Input{Request: req, Before: []explain.Check{routed.Check}, Directory: w, Groups: w.groups, Now: now}
	if routed.Route != nil {
		in.Guard = w.guard(t, routed.Route.ID, routed.Route.ServiceID, step.Response.Status == http.StatusTooManyRequests)
	}
	return explain.Explain(in)
}
