package explain_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/kongjwt/kong-jwt-operator/internal/explain"
	"github.com/kongjwt/kong-jwt-operator/internal/jwtplugin"
	"github.com/kongjwt/kong-jwt-operator/internal/router"
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
		Tokens  []recordedToken   `json:"tokens"`
	} `json:"request"`
	Response struct {
		Status int            `json:"status"`
		JSON   map[string]any `json:"json"`
	} `json:"response"`
	Eventually bool `json:"eventually"`
}

type recordedKey struct {
	PrivatePEM string `json:"privatePEM"`
	PublicPEM  string `json:"publicPEM"`
}

type recordedToken struct {
	Alg            string         `json:"alg"`
	Header         map[string]any `json:"header"`
	Claims         map[string]any `json:"claims"`
	SignWith       string         `json:"signWith"`
	SecretIsBase64 bool           `json:"secretIsBase64"`
	In             string         `json:"in"`
	Prefix         *string        `json:"prefix"`
	Tamper         string         `json:"tamper"`
}

// TestEveryRecordedAnswer: what a real Kong was recorded to answer is what is explained, refusals with status and
// message, each with a remedy.
func TestEveryRecordedAnswer(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(recordings, "proxy-*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	keys := read[map[string]recordedKey](t, filepath.Join(recordings, "keys.json"))
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
	target, err := url.Parse(step.Request.Path)
	if err != nil {
		t.Fatal(err)
	}
	req := jwtplugin.Request{Method: step.Request.Method, RawQuery: target.RawQuery, Header: http.Header{}}
	host := "127.0.0.1"
	for name, value := range step.Request.Headers {
		req.Header.Set(name, value)
		if name == "Host" {
			host = value
		}
	}
	for _, token := range step.Request.Tokens {
		text := token.mint(t, w.keys)
		where, name, _ := strings.Cut(token.In, ":")
		prefix := "Bearer "
		if token.Prefix != nil {
			prefix = *token.Prefix
		}
		switch {
		case where == "query":
			req.RawQuery = name + "=" + text
		case where == "cookie":
			req.Header.Add("Cookie", name+"="+text)
		case name != "":
			req.Header.Set(name, prefix+text)
		default:
			req.Header.Set("Authorization", prefix+text)
		}
	}
	routes, services := w.routes(t)
	routed := explain.FindRoute(routes, services, router.Request{
		Method: step.Request.Method, Host: host, Path: target.Path, Headers: req.Header,
	}, true)
	in := explain.Input{Request: req, Before: []explain.Check{routed.Check}, Directory: w, Groups: w.groups, Now: now}
	if routed.Route != nil {
		in.Guard = w.guard(t, routed.Route.ID, routed.Route.ServiceID, step.Response.Status == http.StatusTooManyRequests)
	}
	return explain.Explain(in)
}

func (k recordedToken) mint(t *testing.T, keys map[string]recordedKey) string {
	t.Helper()
	if raw, ok := strings.CutPrefix(k.Tamper, "raw:"); ok {
		return raw
	}
	header := map[string]any{"typ": "JWT", "alg": k.Alg}
	maps.Copy(header, k.Header)
	claims := maps.Clone(k.Claims)
	for _, name := range []string{"exp", "nbf", "iat"} {
		if text, ok := claims[name].(string); ok {
			offset, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			claims[name] = now.Unix() + offset
		}
	}
	input := encode(t, header) + "." + encode(t, claims)
	signature := ""
	if method := jwt.GetSigningMethod(k.Alg); method != nil && k.Alg != "none" {
		raw, err := method.Sign(input, k.key(t, keys))
		if err != nil {
			t.Fatal(err)
		}
		signature = base64.RawURLEncoding.EncodeToString(raw)
	}
	switch k.Tamper {
	case "signature":
		first := "A"
		if signature[:1] == first {
			first = "B"
		}
		signature = first + signature[1:]
	case "payload":
		claims["tampered"] = true
		input = encode(t, header) + "." + encode(t, claims)
	}
	return input + "." + signature
}

func encode(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// key is what the token is signed with.
func (k recordedToken) key(t *testing.T, keys map[string]recordedKey) any {
	t.Helper()
	if name, ok := strings.CutPrefix(k.SignWith, "key:"); ok {
		block, _ := pem.Decode([]byte(keys[name].PrivatePEM))
		if block == nil {
			t.Fatalf("no key %s", name)
		}
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	if !k.SecretIsBase64 {
		return []byte(k.SignWith)
	}
	raw, err := base64.StdEncoding.DecodeString(k.SignWith)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
