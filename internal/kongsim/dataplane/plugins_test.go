package dataplane

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/jwtplugin"
	"github.com/kongjwt/kong-jwt-operator/internal/pluginconfig"
	"github.com/kongjwt/kong-jwt-operator/internal/router"
)

func TestACL(t *testing.T) {
	tests := []struct {
		name   string
		config map[string]any
		caller string // whose token; "anonymous" for none, let through as nobody; empty for no jwt plugin
		status int
		groups string
	}{
		{"allowed", map[string]any{"allow": []string{"x", "staff"}}, "john", 200, "users, staff"},
		{"header hidden", map[string]any{"allow": []string{"staff"}, "hide_groups_header": true}, "john", 200, "forged"},
		{"not allowed", map[string]any{"allow": []string{"x"}}, "john", 403, ""},
		{"no groups, allow", map[string]any{"allow": []string{"x"}}, "jane", 403, ""},
		{"no groups, deny", map[string]any{"deny": []string{"x"}}, "jane", 200, ""},
		{"denied", map[string]any{"deny": []string{"users"}}, "john", 403, ""},
		{"anonymous without groups", map[string]any{"allow": []string{"x"}}, "anonymous", 401, ""},
		{"nobody authenticated", map[string]any{"allow": []string{"x"}}, "", 401, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			header := http.Header{}
			plugins := []*PluginView{onService("acl", tt.config)}
			switch tt.caller {
			case "":
			case "anonymous":
				auth := jwtOnService()
				auth.Config["anonymous"] = "jane"
				plugins = append(plugins, auth)
			default:
				header = tokenOf(t, tt.caller)
				plugins = append(plugins, jwtOnService())
			}
			header.Set("X-Consumer-Groups", "forged")
			g := newGateway(t, echo, plugins...)
			if tt.status == http.StatusOK {
				if got := g.seen(t, "/api", header).Header.Get("X-Consumer-Groups"); got != tt.groups {
					t.Errorf("groups %q, want %q", got, tt.groups)
				}
				return
			}
			message := "Unauthorized"
			if tt.status == http.StatusForbidden {
				message = "You cannot consume this service"
			}
			resp, body := g.do(t, http.MethodGet, "/api", header)
			expect(t, resp, body, tt.status, message)
		})
	}
}

// TestPluginScopes: of several plugins of one name the most specific runs.
func TestPluginScopes(t *testing.T) {
	all := []scope{
		{"r", "s", "c"}, {"r", "", "c"}, {"", "s", "c"}, {"r", "s", ""}, {"", "", "c"}, {"r", "", ""}, {"", "s", ""}, {"", "", ""},
	}
	for first := range all {
		var views []*PluginView
		for i := len(all) - 1; i >= first; i-- { // whatever the order of rows
			views = append(views, &PluginView{
				Name: "request-termination", Enabled: true, Protocols: []string{"http"}, Config: map[string]any{"status_code": 400 + i},
				RouteID: all[i].route, ServiceID: all[i].service, ConsumerID: all[i].consumer,
			})
		}
		views = append(views, &PluginView{Name: "request-termination", RouteID: "r", ServiceID: "s", ConsumerID: "c", Protocols: []string{"http"}})
		p := newPluginSet(views).find("request-termination", scope{"r", "s", "c"})
		if got := p.(*termination).StatusCode; got != 400+first {
			t.Errorf("plugin %d ran, want %d", got-400, first)
		}
	}
	if p := newPluginSet(nil).find("jwt", scope{"r", "s", ""}); p != nil {
		t.Errorf("found %v among none", p)
	}
}

// TestConsumerPluginNeedsAuthentication: a consumer's plugin runs for its
// requests only, and after jwt found out whose they are.
func TestConsumerPluginNeedsAuthentication(t *testing.T) {
	stop := onService("request-termination", map[string]any{"status_code": 418, "message": "stop"})
	stop.ServiceID, stop.ConsumerID = "", "id-john"
	g := newGateway(t, echo, jwtOnService(), stop)
	resp, body := g.do(t, http.MethodGet, "/api", tokenOf(t, "john"))
	expect(t, resp, body, 418, `{"message":"stop"}`)
	g.seen(t, "/api", tokenOf(t, "jane"))
}

// TestPluginThatCannotRunFails: better 500 than unprotected.
func TestPluginThatCannotRunFails(t *testing.T) {
	g := newGateway(t, echo, onService("jwt", map[string]any{"cookie_names": 7}))
	resp, body := g.do(t, http.MethodGet, "/api", nil)
	expect(t, resp, body, 500, "An unexpected error occurred")
}

func TestRateLimit(t *testing.T) {
	at := time.Date(2026, 2, 3, 4, 5, 50, 0, time.UTC)
	counters := newRateCounters()
	p, err := compileRateLimit(onService("rate-limiting", map[string]any{"minute": 2, "hour": 100, "limit_by": "consumer"}))
	if err != nil {
		t.Fatal(err)
	}
	ask := func(consumer string, now time.Time) (*reply, http.Header) {
		x := &exchange{request: &http.Request{RemoteAddr: "1.2.3.4:5"}, now: now, counters: counters, answer: http.Header{}}
		if consumer != "" {
			x.consumer = &jwtplugin.Consumer{ID: consumer}
		}
		return p.access(x), x.answer
	}
	wantHeaders := func(h http.Header, want map[string]string) {
		t.Helper()
		for name, value := range want {
			if got := h.Get(name); got != value {
				t.Errorf("%s: %q, want %q", name, got, value)
			}
		}
	}
	r, h := ask("john", at)
	if r != nil {
		t.Fatalf("the first is answered %d", r.status)
	}
	wantHeaders(h, map[string]string{
		"X-RateLimit-Limit-Minute": "2", "X-RateLimit-Remaining-Minute": "1", "X-RateLimit-Remaining-Hour": "99",
		"RateLimit-Limit": "2", "RateLimit-Remaining": "1", "RateLimit-Reset": "10", "Retry-After": "",
	})
	ask("john", at)
	r, h = ask("john", at.Add(3*time.Second))
	if r == nil || r.status != http.StatusTooManyRequests {
		t.Fatal("the third passes")
	}
	wantHeaders(h, map[string]string{
		"X-RateLimit-Remaining-Minute": "0", "X-RateLimit-Remaining-Hour": "98", "RateLimit-Remaining": "0", "Retry-After": "7",
	})
	if r, _ = ask("jane", at); r != nil {
		t.Error("another consumer is limited too")
	}
	if r, _ = ask("", at); r != nil {
		t.Error("an address is limited too")
	}
	if r, _ = ask("john", at.Add(10*time.Second)); r != nil {
		t.Error("the next minute is limited too")
	}
}

func TestRateLimitIdentifier(t *testing.T) {
	x := &exchange{
		request: &http.Request{RemoteAddr: "1.2.3.4:5", Header: http.Header{"X-Tenant": {"acme"}}}, path: "/p",
		service: &router.Service{ID: "s"}, consumer: &jwtplugin.Consumer{ID: "c"}, credentialID: "k",
	}
	tests := map[string]pluginconfig.RateLimiting{
		"c": {LimitBy: "consumer"}, "k": {LimitBy: "credential"}, "s": {LimitBy: "service"}, "acme": {LimitBy: "header", HeaderName: "x-tenant"},
		"/p": {LimitBy: "path", Path: "/p"}, "1.2.3.4": {LimitBy: "ip"},
	}
	for want, settings := range tests {
		p := rateLimit{RateLimiting: settings}
		if got := p.identifier(x); got != want {
			t.Errorf("%s: %s, want %s", p.LimitBy, got, want)
		}
	}
	other := rateLimit{RateLimiting: pluginconfig.RateLimiting{LimitBy: "path", Path: "/q"}}
	if got := other.identifier(x); got != "1.2.3.4" {
		t.Errorf("another path: %s", got)
	}
}

func TestGuards(t *testing.T) {
	tests := []struct {
		name   string
		plugin *PluginView
		header http.Header
		path   string
		status int
		part   string
	}{
		{"ip denied", onService("ip-restriction", map[string]any{"deny": []string{"127.0.0.0/8"}}), nil, "/api", 403, "IP address not allowed: 127.0.0.1"},
		{"ip not allowed", onService("ip-restriction", map[string]any{"allow": []string{"10.0.0.1"}, "status": 404, "message": "away"}), nil, "/api", 404, "away"},
		{"ip allowed", onService("ip-restriction", map[string]any{"allow": []string{"127.0.0.1"}}), nil, "/api", 200, ""},
		{"length wanted", onService("request-size-limiting", map[string]any{"allowed_payload_size": 1, "size_unit": "bytes", "require_content_length": true}), nil, "/api", 411, "A valid Content-Length header is required"},
		{"termination", onService("request-termination", map[string]any{"status_code": 503}), nil, "/api", 503, `{"message":"Service unavailable"}`},
		{"termination, nothing to say", onService("request-termination", map[string]any{"status_code": 204}), nil, "/api", 204, ""},
		{"termination, a body", onService("request-termination", map[string]any{"status_code": 200, "body": "<p>", "content_type": "text/html"}), nil, "/api", 200, "<p>"},
		{"termination not triggered", onService("request-termination", map[string]any{"status_code": 503, "trigger": "X-Stop"}), nil, "/api", 200, ""},
		{"termination triggered", onService("request-termination", map[string]any{"status_code": 503, "trigger": "X-Stop"}), nil, "/api?X-Stop", 503, ""},
		{"what is not simulated does nothing", onService("http-log", map[string]any{"http_endpoint": "http://nowhere.invalid"}), nil, "/api", 200, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp, body := newGateway(t, echo, tt.plugin).do(t, http.MethodGet, tt.path, tt.header)
			expect(t, resp, body, tt.status, tt.part)
		})
	}
}

func TestSizeLimit(t *testing.T) {
	p := &sizeLimit{AllowedPayloadSize: 2, SizeUnit: "kilobytes"}
	for length, want := range map[int64]int{0: 0, 2048: 0, 2049: http.StatusRequestEntityTooLarge} {
		x := &exchange{request: &http.Request{ContentLength: length, Header: http.Header{"Content-Length": {strconv.FormatInt(length, 10)}}}}
		got := 0
		if r := p.access(x); r != nil {
			got = r.status
		}
		if got != want {
			t.Errorf("%d bytes: %d, want %d", length, got, want)
		}
	}
}

func TestCorrelationID(t *testing.T) {
	g := newGateway(t, echo, onService("correlation-id", map[string]any{"header_name": "Kong-Request-ID", "generator": "uuid", "echo_downstream": true}), jwtOnService())
	resp, _ := g.do(t, http.MethodGet, "/api", nil)
	if resp.StatusCode != http.StatusUnauthorized || resp.Header.Get("Kong-Request-Id") == "" {
		t.Errorf("a refusal: %d with id %q", resp.StatusCode, resp.Header.Get("Kong-Request-Id"))
	}
	header := tokenOf(t, "john")
	header.Set("Kong-Request-Id", "mine")
	if got := g.seen(t, "/api", header).Header.Get("Kong-Request-Id"); got != "mine" {
		t.Errorf("the client's id became %q", got)
	}
}

func TestCORS(t *testing.T) {
	preflight := http.Header{"Origin": {"https://a.example.com"}, "Access-Control-Request-Method": {"PUT"}, "Access-Control-Request-Headers": {"X-A"}}
	tests := []struct {
		name   string
		config map[string]any
		method string
		header http.Header
		status int
		want   map[string]string
	}{
		{"preflight goes before jwt", map[string]any{"max_age": 60}, http.MethodOptions, preflight, 200,
			map[string]string{"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "X-A", "Access-Control-Max-Age": "60", "Access-Control-Allow-Methods": allMethods}},
		{"on a refusal too", map[string]any{"origins": []string{"https://a.example.com", "https://b.example.com"}, "credentials": true}, http.MethodGet,
			http.Header{"Origin": {"https://a.example.com:443"}}, 401,
			map[string]string{"Access-Control-Allow-Origin": "https://a.example.com", "Access-Control-Allow-Credentials": "true", "Vary": "Origin"}},
		{"an expression", map[string]any{"origins": []string{`.*\.example\.com`}}, http.MethodGet,
			http.Header{"Origin": {"https://a.example.com"}}, 401, map[string]string{"Access-Control-Allow-Origin": "https://a.example.com"}},
		{"another origin", map[string]any{"origins": []string{"https://x.org", "https://y.org"}}, http.MethodGet,
			http.Header{"Origin": {"https://a.example.com"}}, 401, map[string]string{"Access-Control-Allow-Origin": ""}},
		{"no origin", map[string]any{}, http.MethodGet, nil, 401, map[string]string{"Access-Control-Allow-Origin": ""}},
		{"any origin with credentials", map[string]any{"credentials": true, "preflight_continue": true}, http.MethodGet,
			http.Header{"Origin": {"https://a.example.com"}}, 401, map[string]string{"Access-Control-Allow-Origin": "https://a.example.com"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := newGateway(t, echo, onService("cors", tt.config), jwtOnService())
			resp, _ := g.do(t, tt.method, "/api", tt.header)
			if resp.StatusCode != tt.status {
				t.Errorf("answered %d, want %d", resp.StatusCode, tt.status)
			}
			for name, value := range tt.want {
				if got := resp.Header.Get(name); got != value {
					t.Errorf("%s: %q, want %q", name, got, value)
				}
			}
		})
	}
}

// With untrusted_lua = off, a post-function is an error of Lua for each request.
func TestUntrustedLua(t *testing.T) {
	g := newGateway(t, echo, onService("post-function", map[string]any{
		"access": []string{`return kong.response.exit(418, {message = "it runs"})`},
	}))
	resp, body := g.do(t, http.MethodGet, "/api", nil)
	expect(t, resp, body, http.StatusTeapot, "it runs")
	g.proxy.noLua = true
	resp, body = g.do(t, http.MethodGet, "/api", nil)
	expect(t, resp, body, http.StatusInternalServerError, "An unexpected error occurred")
}
