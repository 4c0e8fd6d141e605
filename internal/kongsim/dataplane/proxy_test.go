package dataplane

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/kongjwt/kong-jwt-operator/internal/jwtplugin"
	"github.com/kongjwt/kong-jwt-operator/internal/router"
)

const testSecret = "an-hmac-secret-of-32-bytes-or-so"

// echoed is what the echo upstream says it got.
type echoed struct {
	URI    string
	Host   string
	Header http.Header
}

func echo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(echoed{URI: r.RequestURI, Host: r.Host, Header: r.Header})
}

// gateway is a proxy in front of an upstream.
type gateway struct {
	*database
	proxy *Proxy
	url   string
}

// newGateway serves an upstream under route r and service s, with plugins;
// john of group users and jane of none hold the credentials john and jane.
func newGateway(t *testing.T, upstream http.HandlerFunc, plugins ...*PluginView) *gateway {
	t.Helper()
	up := httptest.NewServer(upstream)
	t.Cleanup(up.Close)
	u, err := url.Parse(up.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{database: &database{
		routed: Routing{
			Routes: []*router.Route{{ID: "r", ServiceID: "s", Paths: []string{"/api"}, Protocols: []string{"http", "https"}, StripPath: true}},
			Services: map[string]*router.Service{
				"s": {ID: "s", Enabled: true, Protocol: "http", Host: u.Hostname(), Port: port},
			},
		},
		creds:       map[string]jwtplugin.Credential{},
		people:      map[string]jwtplugin.Consumer{},
		memberships: map[string][]string{"id-john": {"users", "staff"}},
	}}
	for _, name := range []string{"john", "jane"} {
		c := jwtplugin.Consumer{ID: "id-" + name, Username: name}
		g.people[c.ID], g.people[name] = c, c
		g.creds[name] = jwtplugin.Credential{ID: "cred-" + name, Key: name, Secret: testSecret, ConsumerID: c.ID}
	}
	g.pluginViews = plugins
	g.serve(t)
	return g
}

func (g *gateway) serve(t *testing.T) {
	t.Helper()
	g.proxy = New(g.database, Options{})
	srv := httptest.NewUnstartedServer(g.proxy)
	srv.Config.ConnContext = g.proxy.ConnContext
	srv.Start()
	t.Cleanup(srv.Close)
	t.Cleanup(g.proxy.Close)
	g.url = srv.URL
}

// do sends a request and reads its whole answer.
func (g *gateway) do(t *testing.T, method, path string, header http.Header) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, g.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	if host := header.Get("Host"); host != "" {
		req.Host = host
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// seen is do for an answer of the echo upstream.
func (g *gateway) seen(t *testing.T, path string, header http.Header) echoed {
	t.Helper()
	resp, body := g.do(t, http.MethodGet, path, header)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("answered %d: %s", resp.StatusCode, body)
	}
	var e echoed
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		t.Fatal(err)
	}
	return e
}

func tokenOf(t *testing.T, key string) http.Header {
	t.Helper()
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"iss": key}).SignedString([]byte(testSecret))
	if err != nil {
		t.Fatal(err)
	}
	return http.Header{"Authorization": {"Bearer " + text}}
}

// onService is an enabled plugin on service s.
func onService(name string, config map[string]any) *PluginView {
	return &PluginView{ID: name, Name: name, ServiceID: "s", Enabled: true, Protocols: []string{"http", "https"}, Config: config}
}

func jwtOnService() *PluginView {
	return onService("jwt", map[string]any{
		"header_names": []string{"authorization"}, "uri_param_names": []string{"jwt"}, "key_claim_name": "iss", "run_on_preflight": true,
	})
}

// expect checks the status and a part of the body.
func expect(t *testing.T, resp *http.Response, body string, status int, part string) {
	t.Helper()
	if resp.StatusCode != status || !strings.Contains(body, part) {
		t.Errorf("answered %d %s, want %d with %s", resp.StatusCode, body, status, part)
	}
}

func TestProxyForwards(t *testing.T) {
	g := newGateway(t, echo)
	e := g.seen(t, "/api/a%20b//c/../d?x=1&&y;z=%zz", http.Header{"X-Forwarded-For": {"9.9.9.9"}, "X-Forwarded-Proto": {"https"}, "Connection": {"X-Hop"}, "X-Hop": {"1"}})
	if want := "/a%20b/d?x=1&&y;z=%zz"; e.URI != want {
		t.Errorf("upstream got %s, want %s", e.URI, want)
	}
	want := map[string]string{
		"X-Forwarded-For": "9.9.9.9, 127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "127.0.0.1",
		"X-Forwarded-Path": "/api/a%20b//c/../d", "X-Forwarded-Prefix": "/api", "X-Real-Ip": "127.0.0.1",
		"Via": "1.1 kong/3.9.3", "X-Hop": "",
	}
	for name, value := range want {
		if got := e.Header.Get(name); got != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
	if service := g.routed.Services["s"]; e.Host != net.JoinHostPort(service.Host, strconv.Itoa(service.Port)) {
		t.Errorf("host %s", e.Host)
	}
}

func TestProxyPreservesHost(t *testing.T) {
	g := newGateway(t, echo)
	g.routed.Routes[0].PreserveHost = true
	if e := g.seen(t, "/api", http.Header{"Host": {"asked.example.com"}}); e.Host != "asked.example.com" {
		t.Errorf("host %s", e.Host)
	}
}

func TestProxyAnswers(t *testing.T) {
	silent := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	closed := func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = conn.Close()
		}
	}
	tests := []struct {
		name     string
		upstream http.HandlerFunc
		change   func(route *router.Route, service *router.Service)
		path     string
		status   int
		message  string
		header   [2]string
	}{
		{"no route", echo, nil, "/other", 404, "no Route matched with those values", [2]string{"Server", "kong/3.9.3"}},
		{"no service", echo, func(r *router.Route, _ *router.Service) { r.ServiceID = "" }, "/api", 503, "no Service found with those values", [2]string{}},
		{"https only", echo, func(r *router.Route, _ *router.Service) { r.Protocols = []string{"https"} }, "/api", 426, "Please use HTTPS protocol", [2]string{"Upgrade", "TLS/1.2, HTTP/1.1"}},
		{"https by redirect", echo, func(r *router.Route, _ *router.Service) { r.Protocols, r.RedirectStatus = []string{"https"}, 308 }, "/api/x?y=1", 308, "", [2]string{"Location", "https://127.0.0.1/api/x?y=1"}},
		{"grpc only", echo, func(r *router.Route, _ *router.Service) { r.Protocols = []string{"grpc"} }, "/api", 415, "Non-gRPC request matched gRPC route", [2]string{}},
		{"upstream closes", closed, nil, "/api", 502, "An invalid response was received from the upstream server", [2]string{}},
		{"upstream not there", echo, func(_ *router.Route, s *router.Service) { s.Port = 1 }, "/api", 502, "An invalid response was received from the upstream server", [2]string{}},
		{"upstream has no address", echo, func(_ *router.Route, s *router.Service) { s.Host = "no-such-host.invalid" }, "/api", 503, "name resolution failed", [2]string{}},
		{"upstream says nothing", silent, func(_ *router.Route, s *router.Service) { s.ReadTimeout = 20 }, "/api", 504, "The upstream server is timing out", [2]string{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := newGateway(t, tt.upstream)
			if tt.change != nil {
				tt.change(g.routed.Routes[0], g.routed.Services["s"])
			}
			resp, body := g.do(t, http.MethodGet, tt.path, nil)
			expect(t, resp, body, tt.status, tt.message)
			if tt.message != "" && !strings.Contains(body, `"request_id":"`+resp.Header.Get("X-Kong-Request-Id")+`"`) {
				t.Errorf("%s lacks the request's id", body)
			}
			if name := tt.header[0]; name != "" && resp.Header.Get(name) != tt.header[1] {
				t.Errorf("%s: %q, want %q", name, resp.Header.Get(name), tt.header[1])
			}
		})
	}
}

// TestProxyConnectionStaysWithItsWorker: only a new connection can meet
// another worker.
func TestProxyConnectionStaysWithItsWorker(t *testing.T) {
	p := New(protected(), Options{Workers: 8})
	met := map[*worker]bool{}
	for range 100 {
		ctx := p.ConnContext(t.Context(), nil)
		w := p.workerOf(ctx)
		met[w] = true
		for range 10 {
			if p.workerOf(context.WithValue(ctx, passageKey{}, nil)) != w {
				t.Fatal("a connection changed its worker")
			}
		}
	}
	if len(met) != 8 {
		t.Errorf("100 connections met %d of 8 workers", len(met))
	}
}

// TestProxyTakesChangesIn goes through a change under load, with a clock.
func TestProxyTakesChangesIn(t *testing.T) {
	db := protected()
	now := start
	p := New(db, Options{Propagation: Typical(), Now: func() time.Time { return now }})
	status := func() int {
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		return w.Code
	}
	if got := status(); got != http.StatusUnauthorized {
		t.Fatalf("protected: %d", got)
	}
	db.routed.Routes = nil
	p.Changed(Change{Routing: true})
	if got := status(); got != http.StatusUnauthorized {
		t.Errorf("right after the route was deleted: %d", got)
	}
	now = now.Add(3500 * time.Millisecond)
	for range 20 {
		if got := status(); got != http.StatusNotFound {
			t.Errorf("after the longest delay: %d", got)
		}
	}
}

// TestProxyOverTLS: a route of HTTPS and one server name is found by it.
func TestProxyOverTLS(t *testing.T) {
	g := newGateway(t, echo)
	g.routed.Routes[0].Protocols = []string{"https"}
	g.routed.Routes[0].SNIs = []string{"secure.example.com"}
	srv := httptest.NewUnstartedServer(New(g.database, Options{}))
	srv.StartTLS()
	t.Cleanup(srv.Close)
	status := func(serverName string) int {
		client := srv.Client()
		transport := client.Transport.(*http.Transport).Clone()
		transport.TLSClientConfig.ServerName = serverName
		transport.TLSClientConfig.InsecureSkipVerify = true // the test server has one name only
		t.Cleanup(transport.CloseIdleConnections)
		resp, err := (&http.Client{Transport: transport}).Get(srv.URL + "/api")
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	if got := status("secure.example.com"); got != http.StatusOK {
		t.Errorf("by its name: %d", got)
	}
	if got := status("other.example.com"); got != http.StatusNotFound {
		t.Errorf("by another name: %d", got)
	}
}
