package dataplane

import (
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/jwtplugin"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/router"
)

const jsonType = "application/json; charset=utf-8"

// exchange is one request on its way through the plugins.
type exchange struct {
	request   *http.Request
	requestID string // empty where this version has none
	version   kong.Version
	noLua     bool // untrusted_lua is off
	now       time.Time
	path      string // normalised
	route     *router.Route
	service   *router.Service
	// upstream is the header that the service will get; plugins change it.
	upstream http.Header
	// answer is what plugins add to the answer's header.
	answer http.Header

	// What the data plane knows, as this worker sees it.
	directory jwtplugin.Directory
	groups    func(consumerID string) []string
	counters  *rateCounters

	// Who calls, once an authentication plugin said so.
	consumer     *jwtplugin.Consumer
	credentialID string // empty for an anonymous consumer
	token        string // what the jwt plugin verified
}

// scope is where the request is now, for looking plugins up.
func (x *exchange) scope() scope {
	s := scope{route: x.route.ID}
	if x.service != nil {
		s.service = x.service.ID
	}
	if x.consumer != nil {
		s.consumer = x.consumer.ID
	}
	return s
}

// clientIP is the peer's address; no proxy in front is trusted, as by default.
func (x *exchange) clientIP() string { return remoteIP(x.request) }

func remoteIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// reply is an answer that Kong gives by itself.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// statusTexts are Kong's messages where a plugin gives none (kong/pdk/response.lua).
var statusTexts = map[int]string{
	http.StatusUnauthorized:        "Unauthorized",
	http.StatusForbidden:           "Forbidden",
	http.StatusInternalServerError: "An unexpected error occurred",
}

// fail is an answer like kong.response.error gives it: with the request's id
// (from Kong 3.5 on). An empty message means Kong's own for the status.
func (x *exchange) fail(status int, message string) *reply {
	return failure(x.requestID, status, message)
}

func failure(requestID string, status int, message string) *reply {
	if message == "" {
		message = statusTexts[status]
	}
	quoted, _ := json.Marshal(message) // a string cannot fail
	body := "{\n  \"message\":" + string(quoted)
	if requestID != "" {
		body += ",\n  \"request_id\":\"" + requestID + "\""
	}
	body += "\n}"
	return &reply{status: status, header: http.Header{"Content-Type": {jsonType}}, body: []byte(body)}
}

// exit is an answer like kong.response.exit gives it: the body as JSON, no
// request id. A nil body leaves the answer empty.
func exit(status int, body map[string]string) *reply {
	r := &reply{status: status, header: http.Header{}}
	if body == nil || status == http.StatusNoContent {
		return r
	}
	var encoded strings.Builder
	e := json.NewEncoder(&encoded)
	e.SetEscapeHTML(false)
	_ = e.Encode(body) // a map of texts cannot fail
	r.header.Set("Content-Type", jsonType)
	r.body = []byte(strings.TrimSuffix(encoded.String(), "\n"))
	return r
}

// write sends a reply with what the plugins added to it.
func (r *reply) write(w http.ResponseWriter, added http.Header) {
	h := w.Header()
	for name, values := range r.header {
		h[name] = values
	}
	for name, values := range added {
		h[name] = values
	}
	w.WriteHeader(r.status)
	_, _ = w.Write(r.body)
}
