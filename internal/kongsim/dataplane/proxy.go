// Package dataplane is the proxy of a simulated Kong: its workers see each change as late as those of a real one, and
// run the plugins that the operator writes.
package dataplane

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/router"
)

// requestIDs came with Kong 3.5.
var requestIDs = kong.Version{Major: 3, Minor: 5}

// Options configure the proxy half of a simulated Kong.
type Options struct {
	// Workers is the number of workers; 2 when zero.
	Workers int
	// Propagation is how late workers see changes; the zero value is Instant.
	Propagation Propagation
	// Seed makes delays and the choice of workers repeatable.
	Seed uint64
	// Version is Kong's; "3.9.3" when empty.
	Version string
	// UntrustedLua is "off" where Kong runs no Lua of plugins.
	UntrustedLua string
	// Now is the clock; time.Now when nil.
	Now func() time.Time
}

// Proxy is the proxy half of a simulated Kong: it routes requests, runs
// plugins and forwards what passes. Serve it with ConnContext, so that a
// connection stays with one worker as it does in nginx.
type Proxy struct {
	workers  *workers
	counters *rateCounters
	version  kong.Version
	server   string // "kong/VERSION"
	noLua    bool
	now      func() time.Time
	forward  *httputil.ReverseProxy
	upstream *upstreamTransport
}

// New makes a proxy that serves what src holds now; Changed tells it of
// changes.
func New(src Source, o Options) *Proxy {
	if o.Workers == 0 {
		o.Workers = 2
	}
	if o.Version == "" {
		o.Version = "3.9.3"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	p := &Proxy{
		workers:  newWorkers(src, o.Workers, o.Propagation, o.Seed, o.Now()),
		counters: newRateCounters(),
		version:  kong.ParseVersion(o.Version),
		server:   "kong/" + o.Version,
		noLua:    o.UntrustedLua == "off",
		now:      o.Now,
		upstream: newUpstreamTransport(),
	}
	p.forward = p.newReverseProxy()
	return p
}

// Changed announces a write to the workers. Call it once the write is in the
// database, and not under a lock that reading the source needs.
func (p *Proxy) Changed(c Change) { p.workers.apply(c, p.now()) }

// Close drops idle connections to upstreams.
func (p *Proxy) Close() { p.upstream.closeIdle() }

type workerKey struct{}

// ConnContext binds a connection to a worker; give it to http.Server.ConnContext.
func (p *Proxy) ConnContext(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, workerKey{}, p.workers.pick())
}

// workerOf is the worker of a request's connection, or one at random where the
// server was not given ConnContext.
func (p *Proxy) workerOf(ctx context.Context) *worker {
	if w, ok := ctx.Value(workerKey{}).(*worker); ok {
		return w
	}
	return p.workers.pick()
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := p.now()
	seen := p.workerOf(r.Context()).at(now)
	id := ""
	if p.version.AtLeast(requestIDs) {
		id = newRequestID()
	}
	path := router.NormalizePath(rawPath(r))
	match := seen.router().Find(routeRequestOf(r, path))
	if match == nil {
		p.answer(w, now, id, failure(id, http.StatusNotFound, "no Route matched with those values"), nil)
		return
	}
	if early := protocolReply(r, match.Route, id); early != nil {
		p.answer(w, now, id, early, nil)
		return
	}
	x := &exchange{
		request: r, requestID: id, now: now, path: path, route: match.Route, service: match.Service,
		upstream: r.Header.Clone(), answer: http.Header{}, version: p.version, noLua: p.noLua,
		directory: seen, groups: seen.groups, counters: p.counters,
	}
	own, filters := seen.plugins().run(x)
	for _, f := range filters {
		f.filter(x, x.answer)
	}
	if own == nil && match.Service == nil {
		own = x.fail(http.StatusServiceUnavailable, "no Service found with those values")
	}
	if own != nil {
		p.answer(w, now, id, own, x.answer)
		return
	}
	p.pass(w, r, x, match.Prefix)
}

// answer sends what Kong says by itself.
func (p *Proxy) answer(w http.ResponseWriter, start time.Time, id string, own *reply, added http.Header) {
	h := w.Header()
	h.Set("Server", p.server)
	h.Set("X-Kong-Response-Latency", milliseconds(p.now().Sub(start)))
	setRequestID(h, id)
	own.write(w, added)
}

// setRequestID tells a request's id, where this version gives it one.
func setRequestID(h http.Header, id string) {
	if id != "" {
		h.Set("X-Kong-Request-Id", id)
	}
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

func newRequestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// rawPath is the path as the client wrote it.
func rawPath(r *http.Request) string {
	if strings.HasPrefix(r.RequestURI, "/") {
		path, _, _ := strings.Cut(r.RequestURI, "?")
		return path
	}
	return r.URL.EscapedPath()
}

func routeRequestOf(r *http.Request, path string) router.Request {
	req := router.Request{
		Method: r.Method, Host: r.Host, Port: localPort(r), Path: path,
		HTTPS: r.TLS != nil, Headers: r.Header,
	}
	if r.TLS != nil {
		req.SNI = r.TLS.ServerName
	}
	return req
}

// localPort is the port that a request came in by; 0 when it cannot be told.
func localPort(r *http.Request) int {
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok {
		return 0
	}
	return addr.Port
}
