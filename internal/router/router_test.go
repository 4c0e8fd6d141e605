package router

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"testing"

	"pgregory.net/rapid"
)

func testRoute(name string, change func(*Route)) *Route {
	r := &Route{
		ID: fmt.Sprintf("00000000-0000-4000-8000-%012x", name), Name: name, ServiceID: "s",
		Protocols: []string{"http", "https"}, StripPath: true,
	}
	r.ID = r.ID[:36]
	change(r)
	return r
}

func TestRouterFind(t *testing.T) {
	services := map[string]*Service{"s": {ID: "s", Enabled: true}, "off": {ID: "off"}}
	paths := func(p ...string) func(*Route) { return func(r *Route) { r.Paths = p } }
	tests := []struct {
		name   string
		routes map[string]func(*Route)
		req    Request
		want   string // route's name; empty: none
		prefix string
	}{
		{"a prefix, not a segment", map[string]func(*Route){"a": paths("/api")}, Request{Path: "/apikeys"}, "a", "/api"},
		{"another path", map[string]func(*Route){"a": paths("/api")}, Request{Path: "/ap"}, "", ""},
		{"longest prefix", map[string]func(*Route){"a": paths("/a"), "b": paths("/a/b")}, Request{Path: "/a/b/c"}, "b", "/a/b"},
		{"longest prefix within a route of many", map[string]func(*Route){"a": paths("/", "/a/b/c"), "b": paths("/a/b")}, Request{Path: "/a/b/c"}, "a", "/a/b/c"},
		{"an expression before any prefix", map[string]func(*Route){"a": paths("/a/b/c"), "b": paths("~/a/.")}, Request{Path: "/a/b/c"}, "b", "/a/b"},
		{"an expression is anchored at the left", map[string]func(*Route){"a": paths("~/b")}, Request{Path: "/a/b"}, "", ""},
		{"alternatives are anchored too", map[string]func(*Route){"a": paths("~/x|/b")}, Request{Path: "/a/b"}, "", ""},
		{"named groups as PCRE writes them", map[string]func(*Route){"a": paths(`~/u/(?<id>\d+)`)}, Request{Path: "/u/12/x"}, "a", "/u/12"},
		{"regex_priority", map[string]func(*Route){
			"a": paths("~/a/x"),
			"b": func(r *Route) { r.Paths, r.RegexPriority = []string{"~/a"}, 1 },
		}, Request{Path: "/a/x"}, "b", "/a"},
		{"more kinds of attributes win", map[string]func(*Route){
			"a": paths("/a/b/c"),
			"b": func(r *Route) { r.Paths, r.Methods = []string{"/a"}, []string{"GET"} },
		}, Request{Method: "GET", Path: "/a/b/c"}, "b", "/a"},
		{"but must match", map[string]func(*Route){
			"a": paths("/a/b/c"),
			"b": func(r *Route) { r.Paths, r.Methods = []string{"/a"}, []string{"GET"} },
		}, Request{Method: "POST", Path: "/a/b/c"}, "a", "/a/b/c"},
		{"a header before a path: a plain host wins over both", map[string]func(*Route){
			"a": func(r *Route) { r.Headers = map[string][]string{"x-a": {"1"}} },
			"b": func(r *Route) { r.Hosts = []string{"h"} },
		}, Request{Host: "h:80", Path: "/", Headers: http.Header{"X-A": {"1"}}}, "b", ""},
		{"a wildcard host loses to a plain one", map[string]func(*Route){
			"a": func(r *Route) { r.Hosts = []string{"*.example.com"} },
			"b": func(r *Route) { r.Hosts = []string{"a.example.com"} },
		}, Request{Host: "a.example.com", Path: "/"}, "b", ""},
		{"wildcard at the end", map[string]func(*Route){"a": func(r *Route) { r.Hosts = []string{"example.*"} }}, Request{Host: "example.org", Path: "/"}, "a", ""},
		{"wildcard is a label at least", map[string]func(*Route){"a": func(r *Route) { r.Hosts = []string{"*.example.com"} }}, Request{Host: "example.com", Path: "/"}, "", ""},
		{"host with a port", map[string]func(*Route){"a": func(r *Route) { r.Hosts = []string{"h:8443"} }}, Request{Host: "h", Port: 8000, Path: "/"}, "", ""},
		{"headers: one value is enough, in any case", map[string]func(*Route){
			"a": func(r *Route) { r.Headers = map[string][]string{"X-A": {"One", "two"}} },
		}, Request{Path: "/", Headers: http.Header{"X-A": {"zero", "ONE"}}}, "a", ""},
		{"headers: all names", map[string]func(*Route){
			"a": func(r *Route) { r.Headers = map[string][]string{"X-A": {"1"}, "X-B": {"1"}} },
		}, Request{Path: "/", Headers: http.Header{"X-A": {"1"}}}, "", ""},
		{"headers: an expression", map[string]func(*Route){
			"a": func(r *Route) { r.Headers = map[string][]string{"X-A": {"~*^v[0-9]+$"}} },
		}, Request{Path: "/", Headers: http.Header{"X-A": {"V12"}}}, "a", ""},
		{"more headers win", map[string]func(*Route){
			"a": func(r *Route) { r.Headers = map[string][]string{"X-A": {"1"}} },
			"b": func(r *Route) { r.Headers = map[string][]string{"X-A": {"1"}, "X-B": {"1"}} },
		}, Request{Path: "/", Headers: http.Header{"X-A": {"1"}, "X-B": {"1"}}}, "b", ""},
		{"sni", map[string]func(*Route){"a": func(r *Route) { r.SNIs = []string{"s.example.com"} }}, Request{Path: "/", HTTPS: true, SNI: "other"}, "", ""},
		{"sni does not matter without TLS", map[string]func(*Route){"a": func(r *Route) { r.SNIs = []string{"s.example.com"} }}, Request{Path: "/"}, "a", ""},
		{"service disabled", map[string]func(*Route){"a": func(r *Route) { r.ServiceID = "off" }}, Request{Path: "/"}, "", ""},
		{"no service", map[string]func(*Route){"a": func(r *Route) { r.ServiceID, r.Paths = "", []string{"/"} }}, Request{Path: "/"}, "a", "/"},
		{"TCP", map[string]func(*Route){"a": func(r *Route) { r.Protocols = []string{"tcp"} }}, Request{Path: "/"}, "", ""},
		{"equal: the greater id", map[string]func(*Route){"a": paths("/x"), "b": paths("/x")}, Request{Path: "/x"}, "b", "/x"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var routes []*Route
			for name, change := range tt.routes {
				routes = append(routes, testRoute(name, change))
			}
			got, prefix := "", ""
			if m := New(routes, services).Find(tt.req); m != nil {
				got, prefix = m.Route.Name, m.Prefix
			}
			if got != tt.want || prefix != tt.prefix {
				t.Errorf("matched %q by %q, want %q by %q", got, prefix, tt.want, tt.prefix)
			}
		})
	}
}

// TestRouterOrderOfRoutes: what a router matches does not depend on the order
// in which the database lists routes.
func TestRouterOrderOfRoutes(t *testing.T) {
	services := map[string]*Service{"s": {ID: "s", Enabled: true}}
	rapid.Check(t, func(rt *rapid.T) {
		path := rapid.SampledFrom([]string{"/", "/a", "/a/b", "/b", "~/a", "~/a/.*"})
		var routes []*Route
		for i := range rapid.IntRange(1, 6).Draw(rt, "routes") {
			routes = append(routes, testRoute(fmt.Sprint(i), func(r *Route) {
				r.Paths = rapid.SliceOfN(path, 0, 3).Draw(rt, "paths")
				r.Methods = rapid.SampledFrom([][]string{nil, {"GET"}}).Draw(rt, "methods")
			}))
		}
		req := Request{Method: "GET", Path: rapid.SampledFrom([]string{"/", "/a/b/c", "/b"}).Draw(rt, "path")}
		before := New(routes, services).Find(req)
		seed := rapid.Uint64().Draw(rt, "seed")
		rand.New(rand.NewPCG(seed, 0)).Shuffle(len(routes), func(i, j int) { routes[i], routes[j] = routes[j], routes[i] })
		after := New(routes, services).Find(req)
		if (before == nil) != (after == nil) || before != nil && *before != *after {
			rt.Fatalf("%v, then %v", before, after)
		}
	})
}

func TestNormalizePath(t *testing.T) {
	tests := map[string]string{
		"/": "/", "/a": "/a", "/a/": "/a/", "//a///b": "/a/b", "/a/./b": "/a/b", "/a/../b": "/b", "/../a": "/a",
		"/a/b/..": "/a/", "/a/b/.": "/a/b/", "/%61%2f%2Fb": "/a%2F%2Fb", "/a/%2e%2e/b": "/b", "/%20x": "/ x", "/%zz": "/%zz", "/a%": "/a%",
	}
	for raw, want := range tests {
		if got := NormalizePath(raw); got != want {
			t.Errorf("%s: %s, want %s", raw, got, want)
		}
	}
}

// TestNormalizePathHasNoDots: a client cannot reach around a prefix.
func TestNormalizePathHasNoDots(t *testing.T) {
	dots := regexp.MustCompile(`/\.{0,2}/|/\.{1,2}$`)
	rapid.Check(t, func(rt *rapid.T) {
		raw := "/" + rapid.StringMatching(`(\.|%2e|%2E|/|a|%2F|%20){0,20}`).Draw(rt, "raw")
		got := NormalizePath(raw)
		if got[0] != '/' || dots.MatchString(got) {
			rt.Fatalf("%s became %s", raw, got)
		}
		if EscapePath(got) == "" {
			rt.Fatal("escaped to nothing")
		}
	})
}

func TestUpstreamPath(t *testing.T) {
	tests := []struct {
		base, path, prefix string
		strip              bool
		want               string
	}{
		{"", "/api", "/api", true, "/"},
		{"", "/api/", "/api", true, "/"},
		{"", "/api/x", "/api", true, "/x"},
		{"", "/apix", "/api", true, "/x"},
		{"", "/api/x", "/api", false, "/api/x"},
		{"/", "/", "", false, "/"},
		{"/base", "/api", "/api", true, "/base"},
		{"/base", "/api/", "/api", true, "/base/"},
		{"/base", "/api/", "/api/", true, "/base/"},
		{"/base", "/apix", "/api", true, "/base/x"},
		{"/base/", "/api", "/api", true, "/base"},
		{"/base/", "/api/", "/api/", true, "/base/"},
		{"/base/", "/api/x", "/api", true, "/base/x"},
		{"/base/", "/api/x", "/api", false, "/base/api/x"},
		{"/base", "/", "", false, "/base"},
		{"/base", "/x", "", true, "/base/x"},
		{"", "/api../x", "/api", true, "/x"},
	}
	for _, tt := range tests {
		if got := UpstreamPath(tt.base, tt.path, tt.prefix, tt.strip); got != tt.want {
			t.Errorf("%+v: %s", tt, got)
		}
	}
}
