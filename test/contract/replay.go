package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/echo"
	"github.com/kongjwt/kong-jwt-operator/test/contract/tokens"
)

// patience is how long a gateway may take to take a change in: testdata/README.md.
const patience = 30 * time.Second

// settling is how long after a write a worker may answer as before it: Kong's db_update_frequency and
// worker_state_update_frequency, both 5 s by default. Nothing else says that an `eventually` before it was not
// answered alike before and after.
const settling = 10 * time.Second

// pause lies between two tries.
const pause = 50 * time.Millisecond

// replay is one scenario on one gateway.
type replay struct {
	gateway  gateway
	upstream *echo.Server
	keys     map[string]tokens.Key
	client   *http.Client
	// captured are the variables of the scenario, the upstream's among them.
	captured map[string]any
	created  *ledger
	written  time.Time // when the scenario last wrote
}

func newReplay(g gateway, upstream *echo.Server, keys map[string]tokens.Key) *replay {
	return &replay{
		gateway: g, upstream: upstream, keys: keys, created: &ledger{},
		written: time.Now(), // by whoever was here before
		// One connection to each listener: answers of the proxy that follow one another are one worker's.
		client: &http.Client{
			Transport:     &http.Transport{MaxConnsPerHost: 1},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Timeout:       patience,
		},
		captured: map[string]any{
			"upstream": upstream.URL(), "upstream_host": upstream.Host(), "upstream_port": float64(upstream.Port()),
		},
	}
}

func (r *replay) close() { r.client.CloseIdleConnections() }

// do runs a step, again and again where the gateway is given time, and gives how the answer differs.
func (r *replay) do(ctx context.Context, s step) ([]difference, error) {
	deadline := r.deadline(s)
	for {
		differences, err := r.ask(ctx, s)
		if err != nil || len(differences) == 0 || time.Now().After(deadline) {
			return differences, err
		}
		if err := wait(ctx, pause); err != nil {
			return nil, err
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// deadline is until when the step's answer may come.
func (r *replay) deadline(s step) time.Time {
	switch {
	case s.Request.Target != "proxy":
		if s.Request.Method != http.MethodGet {
			r.written = time.Now()
		}
		return time.Time{}
	case s.Eventually:
		return time.Now().Add(patience)
	default:
		return r.written.Add(settling)
	}
}

// ask makes the step's request once.
func (r *replay) ask(ctx context.Context, s step) ([]difference, error) {
	request, minted, err := r.request(ctx, s)
	if err != nil {
		return nil, err
	}
	answer, err := r.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	r.created.note(s.Request, answer.StatusCode, body)
	got := received{status: answer.StatusCode, header: answer.Header, body: body, minted: minted}
	differences, err := r.compare(s, got)
	if err != nil || len(differences) == 0 || r.gateway.simulated {
		return differences, err
	}
	if next, fleeting := successor(s); fleeting {
		if others, err := r.compare(next, got); err == nil && len(others) == 0 {
			return nil, nil
		}
	}
	return differences, nil
}

// received is an answer, and the text of the token that was in the query.
type received struct {
	status int
	header http.Header
	body   []byte
	minted string
}

// compare holds an answer against a step's.
func (r *replay) compare(s step, got received) ([]difference, error) {
	differences := compareHeaders(s.Response.Headers, got.header)
	if got.status != s.Response.Status {
		differences = append([]difference{{"status", s.Response.Status, got.status}}, differences...)
	}
	bodyDifferences, err := r.compareBody(s, got.header, got.body, got.minted)
	return append(differences, bodyDifferences...), err
}

// noConsumer is what the jwt plugin says of a credential whose consumer is gone.
var noConsumer = regexp.MustCompile(`^Could not find consumer for '([^=]*)=.*'$`)

// successor gives the step with the answer that comes after a recorded one that lasts some milliseconds, and says
// whether there is one. A worker of Kong drops a deleted consumer from its cache, and then the credentials that went
// with it: in between it says that it has no consumer for the key, from then on that it does not know the key. Who
// asks a real gateway may miss the first.
func successor(s step) (step, bool) {
	var said struct {
		Message string `json:"message"`
	}
	if !s.Eventually || json.Unmarshal(s.Response.JSON, &said) != nil {
		return s, false
	}
	found := noConsumer.FindStringSubmatch(said.Message)
	if found == nil {
		return s, false
	}
	said.Message = "No credentials found for given '" + found[1] + "'"
	text, err := json.Marshal(said)
	if err != nil {
		return s, false
	}
	s.Response.JSON = text
	s.Response.Headers = maps.Clone(s.Response.Headers)
	s.Response.Headers["www-authenticate"] = `Bearer error="invalid_token"`
	return s, true
}

// compareHeaders looks at those that were recorded, and at a challenge that was not.
func compareHeaders(want map[string]string, got http.Header) []difference {
	var found []difference
	for name, value := range want {
		if name == "retry-after" && got.Get(name) != "" {
			continue // what was left of the minute
		}
		if got.Get(name) != value {
			found = append(found, difference{"header " + name, value, got.Get(name)})
		}
	}
	const challenge = "Www-Authenticate"
	if want[strings.ToLower(challenge)] == "" && got.Get(challenge) != "" {
		found = append(found, difference{"header " + challenge, absent{}, got.Get(challenge)})
	}
	return found
}

func (r *replay) compareBody(s step, header http.Header, body []byte, minted string) ([]difference, error) {
	if len(s.Response.JSON) == 0 || s.Request.Method == http.MethodHead {
		if len(body) > 0 {
			return []difference{{"", absent{}, string(body)}}, nil
		}
		return nil, nil
	}
	got, err := decodeAnswer(s, header, body, minted)
	if err != nil {
		return []difference{{"", s.Response.JSON, string(body)}}, nil //nolint:nilerr // That it is no JSON is the difference.
	}
	r.capture(s, got)
	var want any
	if err := json.Unmarshal(s.Response.JSON, &want); err != nil {
		return nil, err
	}
	want = r.resolve(want)
	object, isObject := want.(map[string]any)
	answered, ok := got.(map[string]any)
	switch {
	case s.Request.Path == "/status":
		return compareShape("", want, got), nil
	case strings.HasPrefix(s.Request.Path, "/schemas/") && s.Request.Method == http.MethodGet:
		return compare("", plainSchema(want, false), plainSchema(got, false)), nil
	case isObject && ok && object["data"] != nil:
		return compareEntities(object, answered), nil
	default:
		return compare("", want, got), nil
	}
}

// decodeAnswer reads an answer's body, in the recordings' words where it is the upstream's.
func decodeAnswer(s step, header http.Header, body []byte, minted string) (any, error) {
	if header.Get(echo.Marker) == "" {
		var got any
		err := json.Unmarshal(body, &got)
		return got, err
	}
	var seen echo.Request
	if err := json.Unmarshal(body, &seen); err != nil {
		return nil, err
	}
	saw := map[string]any{}
	for _, name := range s.UpstreamSaw {
		saw[name] = nil
		if value, there := seen.Headers[http.CanonicalHeaderKey(name)]; there && value != "" {
			saw[name] = value
		}
	}
	path := seen.Path
	if minted != "" {
		path = strings.ReplaceAll(path, minted, "<token>")
	}
	return map[string]any{"upstreamPath": path, "upstreamSaw": saw}, nil
}

func (r *replay) capture(s step, got any) {
	fields, _ := got.(map[string]any)
	for name, field := range s.Capture {
		if value, there := fields[field]; there {
			r.captured[name] = value
		}
	}
}

var variable = regexp.MustCompile(`\{\{([^{}]+)\}\}`)

// expand puts variables into a text.
func (r *replay) expand(text string) string {
	return variable.ReplaceAllStringFunc(text, func(found string) string {
		name := strings.Trim(found, "{}")
		if public, ok := strings.CutPrefix(name, "public:"); ok {
			return strings.ReplaceAll(r.keys[public].PublicPEM, "\n", `\n`)
		}
		switch value := r.captured[name].(type) {
		case string:
			return value
		case float64:
			return strconv.FormatFloat(value, 'f', -1, 64)
		default:
			return found
		}
	})
}

// resolve puts variables into a recorded answer: a text that is a variable and nothing else becomes its value, number
// or text.
func (r *replay) resolve(value any) any {
	switch v := value.(type) {
	case map[string]any:
		// Recorded with the upstream on 127.0.0.1.
		if v["port"] == "{{upstream_port}}" && v["host"] == "127.0.0.1" {
			v["host"] = r.upstream.Host()
		}
		for name, inner := range v {
			v[name] = r.resolve(inner)
		}
		return v
	case []any:
		for i, inner := range v {
			v[i] = r.resolve(inner)
		}
		return v
	case string:
		if captured, ok := r.captured[strings.TrimSuffix(strings.TrimPrefix(v, "{{"), "}}")]; ok && strings.HasPrefix(v, "{{") {
			return captured
		}
		return strings.ReplaceAll(r.expand(v), `\n`, "\n")
	default:
		return value
	}
}

// request builds a step's request. The text is that of the token in its query, if there is one.
func (r *replay) request(ctx context.Context, s step) (*http.Request, string, error) {
	base := r.gateway.adminURL
	if s.Request.Target == "proxy" {
		base = r.gateway.proxyURL
	}
	body, contentType := r.body(s.Request)
	request, err := http.NewRequestWithContext(ctx, s.Request.Method, strings.TrimSuffix(base, "/")+r.path(s.Request.Path), body)
	if err != nil {
		return nil, "", err
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	for name, value := range s.Request.Headers {
		request.Header.Set(name, value)
		if http.CanonicalHeaderKey(name) == "Host" {
			request.Host = value
		}
	}
	minted, err := r.addTokens(request, s.Request.Tokens)
	return request, minted, err
}

// path puts variables into a path, escaped: offsets are base64.
func (r *replay) path(path string) string {
	return variable.ReplaceAllStringFunc(path, func(found string) string { return url.QueryEscape(r.expand(found)) })
}

func (r *replay) body(q request) (io.Reader, string) {
	switch {
	case q.Form != nil:
		return strings.NewReader(r.expand(*q.Form)), "application/x-www-form-urlencoded"
	case q.Raw != nil:
		return strings.NewReader(*q.Raw), "application/json"
	case len(q.JSON) > 0:
		return bytes.NewReader([]byte(r.expand(string(q.JSON)))), "application/json"
	default:
		return http.NoBody, ""
	}
}

func (r *replay) addTokens(request *http.Request, tokens []tokens.Token) (string, error) {
	inQuery := ""
	for _, t := range tokens {
		text, err := t.Mint(r.keys, time.Now())
		if err != nil {
			return "", fmt.Errorf("mint a token: %w", err)
		}
		if put := t.Put(text, request); put != "" {
			inQuery = put
		}
	}
	return inQuery, nil
}
