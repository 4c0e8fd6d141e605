package kongsim

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/schema"
)

// admin is the Admin API (kong/api).
type admin struct {
	*dao
	options Options
	version kong.Version
	nodeID  string
	config  *declarative
}

// call is one request to the Admin API.
type call struct {
	*http.Request
	segments []string // of the path, unescaped once
	query    url.Values
}

// answer is what a call is answered with.
type answer struct {
	status int
	body   any // nil for none
	header http.Header
}

// handler answers a call by a method.
type handler func(c *call) (*answer, *failed)

func ok(body any) (*answer, *failed) { return &answer{status: http.StatusOK, body: body}, nil }

// ServeHTTP implements http.Handler.
func (a *admin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	result, problem := a.serveSafely(callOf(r))
	if problem != nil {
		result = &answer{status: problem.status}
		if problem.body != nil {
			result.body = problem.body
		}
	}
	header := w.Header()
	origin := r.Header.Get("Origin")
	if origin == "" {
		origin = "*"
	}
	header.Set("Access-Control-Allow-Origin", origin)
	header.Set("Access-Control-Allow-Credentials", "true")
	header.Set("Server", "kong/"+a.options.Version)
	header.Set("X-Kong-Admin-Latency", strconv.FormatInt(time.Since(start).Milliseconds(), 10))
	for name, values := range result.header {
		header[name] = values
	}
	if result.body == nil {
		w.WriteHeader(result.status)
		return
	}
	content, err := encode(result.body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	header.Set("Content-Type", "application/json; charset=utf-8")
	header.Set("Content-Length", strconv.Itoa(len(content)))
	w.WriteHeader(result.status)
	_, _ = w.Write(content) // the client is gone if this fails
}

// encode writes JSON as Kong does: without escapes for HTML.
func encode(value any) ([]byte, error) {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return []byte(strings.TrimSuffix(b.String(), "\n")), err
}

func callOf(r *http.Request) *call {
	c := &call{Request: r, query: r.URL.Query()}
	for _, segment := range strings.Split(strings.Trim(r.URL.EscapedPath(), "/"), "/") {
		unescaped, err := url.PathUnescape(segment)
		if err != nil {
			unescaped = segment
		}
		c.segments = append(c.segments, unescaped)
	}
	return c
}

// serveSafely answers 500 where Kong's code fails.
func (a *admin) serveSafely(c *call) (result *answer, problem *failed) {
	defer func() {
		switch fault := recover().(type) {
		case nil:
		case schema.LuaError:
			result, problem = nil, unexpected()
		default:
			panic(fault)
		}
	}()
	return a.serve(c)
}

// serve finds what a path means, and what its methods do.
func (a *admin) serve(c *call) (*answer, *failed) {
	methods := a.special(c)
	if methods == nil {
		methods = a.entityEndpoint(c)
	}
	if methods == nil {
		return nil, notFound()
	}
	if c.Method == http.MethodOptions {
		return &answer{status: http.StatusNoContent, header: http.Header{"Allow": {allowed(methods)}}}, nil
	}
	method := c.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	serve := methods[method]
	if serve == nil {
		return nil, methodNotAllowed()
	}
	if problem := acceptable(c); problem != nil {
		return nil, problem
	}
	return serve(c)
}

func allowed(methods map[string]handler) string {
	words := []string{http.MethodOptions}
	for method := range methods {
		words = append(words, method)
	}
	if methods[http.MethodGet] != nil {
		words = append(words, http.MethodHead)
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}

// special are the paths that are no entity's.
func (a *admin) special(c *call) map[string]handler {
	get := func(h handler) map[string]handler { return map[string]handler{http.MethodGet: h} }
	switch first, n := c.segments[0], len(c.segments); {
	case first == "" && n == 1:
		return get(a.node)
	case first == "status" && n == 1:
		return get(a.status)
	case first == "tags" && n <= 2:
		return get(a.tags)
	case first == "config" && n == 1:
		return map[string]handler{http.MethodGet: a.getConfig, http.MethodPost: a.postConfig}
	case first == "plugins" && n == 2 && c.segments[1] == "enabled":
		return get(a.enabledPlugins)
	case first == "schemas" && n == 3 && c.segments[2] == "validate":
		return map[string]handler{http.MethodPost: a.validateOnly}
	case first == "schemas" && (n == 2 || n == 3):
		return get(a.schemas)
	}
	return nil
}

// kindByPath finds the kind of a collection: below a parent, its nested name.
func kindByPath(name string, below bool) *kind {
	for _, k := range kinds {
		path := k.path
		if below && k.nested != "" {
			path = k.nested
		}
		if path == name {
			return k
		}
	}
	return nil
}
