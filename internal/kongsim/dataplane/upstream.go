package dataplane

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/router"
)

// passage is a request on its way upstream.
type passage struct {
	x      *exchange
	prefix string // what the route's path matched
	sent   time.Time
}

type passageKey struct{}

func passageOf(ctx context.Context) *passage {
	p, _ := ctx.Value(passageKey{}).(*passage)
	return p
}

// pass forwards a request that the plugins let through.
func (p *Proxy) pass(w http.ResponseWriter, r *http.Request, x *exchange, prefix string) {
	if bareIPv6(x.service.Host) {
		p.answer(w, x.now, x.requestID, x.fail(http.StatusInternalServerError, ""), x.answer)
		return
	}
	on := &passage{x: x, prefix: prefix}
	p.forward.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), passageKey{}, on)))
}

// bareIPv6 says whether a host is an IPv6 address without brackets, which Kong takes for a name with a port.
func bareIPv6(host string) bool { return strings.Contains(host, ":") && !strings.HasPrefix(host, "[") }

// addressOf is host:port of a service.
func addressOf(service *router.Service) string {
	return service.Host + ":" + strconv.Itoa(service.Port)
}

func (p *Proxy) newReverseProxy() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:        p.rewrite,
		Transport:      p.upstream,
		FlushInterval:  -1,
		ModifyResponse: p.stamp,
		ErrorHandler:   p.upstreamFailed,
	}
}

// rewrite turns the client's request into the upstream's.
func (p *Proxy) rewrite(pr *httputil.ProxyRequest) {
	on := passageOf(pr.In.Context())
	x, service := on.x, on.x.service
	path := router.UpstreamPath(service.Path, x.path, on.prefix, x.route.StripPath)
	// Opaque keeps the path as Kong writes it; net/url would encode it anew.
	pr.Out.URL = &url.URL{
		Scheme: service.Protocol, Host: addressOf(service),
		Opaque: router.EscapePath(path), RawQuery: pr.In.URL.RawQuery, ForceQuery: pr.In.URL.ForceQuery,
	}
	pr.Out.Host = upstreamHost(pr.In, x.route, service)
	// What the plugins changed is a copy of the client's header: drop from it what
	// the reverse proxy drops, which is what belongs to one connection only.
	for name := range x.upstream {
		if _, kept := pr.Out.Header[name]; !kept && pr.In.Header[name] != nil {
			x.upstream.Del(name)
		}
	}
	// Kong removes what Connection names, what a plugin set too (kong/runloop/handler.lua, access.after).
	for name := range strings.SplitSeq(pr.In.Header.Get("Connection"), ",") {
		if name = strings.TrimSpace(name); !strings.EqualFold(name, "upgrade") {
			x.upstream.Del(name)
		}
	}
	pr.Out.Header = x.upstream
	p.forwarded(pr, on)
	on.sent = p.now()
}

func upstreamHost(in *http.Request, route *router.Route, service *router.Service) string {
	if route.PreserveHost {
		return in.Host
	}
	if service.Protocol == "http" && service.Port == 80 || service.Protocol == "https" && service.Port == 443 {
		return service.Host
	}
	return addressOf(service)
}

// forwarded tells the upstream about the client; what the client claims about
// itself is believed of nobody but X-Forwarded-For, which grows.
func (p *Proxy) forwarded(pr *httputil.ProxyRequest, on *passage) {
	h, in := pr.Out.Header, pr.In
	ip := remoteIP(in)
	if before := in.Header.Values("X-Forwarded-For"); len(before) > 0 {
		h.Set("X-Forwarded-For", strings.Join(before, ", ")+", "+ip)
	} else {
		h.Set("X-Forwarded-For", ip)
	}
	scheme := "http"
	if in.TLS != nil {
		scheme = "https"
	}
	host, _ := router.SplitPort(in.Host)
	h.Set("X-Real-Ip", ip)
	h.Set("X-Forwarded-Proto", scheme)
	h.Set("X-Forwarded-Host", strings.ToLower(host))
	h.Set("X-Forwarded-Port", strconv.Itoa(localPort(in)))
	h.Set("X-Forwarded-Path", rawPath(in))
	h.Del("X-Forwarded-Prefix")
	if on.x.route.StripPath && on.prefix != "" && on.prefix != "/" {
		h.Set("X-Forwarded-Prefix", on.prefix)
	}
	via := strings.TrimPrefix(in.Proto, "HTTP/") + " " + p.server
	if before := in.Header.Get("Via"); before != "" {
		via = before + ", " + via
	}
	h.Set("Via", via)
	setRequestID(h, on.x.requestID)
}

// stamp adds Kong's headers and the plugins' to an upstream's answer.
func (p *Proxy) stamp(answer *http.Response) error {
	on := passageOf(answer.Request.Context())
	h := answer.Header
	h.Set("X-Kong-Upstream-Latency", milliseconds(p.now().Sub(on.sent)))
	h.Set("X-Kong-Proxy-Latency", milliseconds(on.sent.Sub(on.x.now)))
	setRequestID(h, on.x.requestID)
	h.Set("Via", strings.TrimPrefix(answer.Proto, "HTTP/")+" "+p.server)
	for name, values := range on.x.answer {
		h[name] = values
	}
	return nil
}

// upstreamFailed answers for an upstream that cannot (kong/error_handlers.lua).
func (p *Proxy) upstreamFailed(w http.ResponseWriter, r *http.Request, err error) {
	on := passageOf(r.Context())
	status, message := http.StatusBadGateway, "An invalid response was received from the upstream server"
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case errors.As(err, &dns):
		status, message = http.StatusServiceUnavailable, "name resolution failed"
	case errors.Is(err, errUpstreamTimeout), errors.As(err, &timeout) && timeout.Timeout():
		status, message = http.StatusGatewayTimeout, "The upstream server is timing out"
	}
	p.answer(w, on.x.now, on.x.requestID, on.x.fail(status, message), on.x.answer)
}

var errUpstreamTimeout = errors.New("upstream timed out")

// upstreamTransport sends requests to services, with their timeouts.
type upstreamTransport struct {
	plain    *http.Transport // does not verify certificates, which is Kong's default
	verified *http.Transport
}

func newUpstreamTransport() *upstreamTransport {
	base := func(skip bool) *http.Transport {
		return &http.Transport{
			DialContext:         dialUpstream,
			MaxIdleConnsPerHost: 512,
			IdleConnTimeout:     time.Minute,
			DisableCompression:  true,
			TLSClientConfig:     &tls.Config{InsecureSkipVerify: skip}, //nolint:gosec // services decide: tls_verify
		}
	}
	return &upstreamTransport{plain: base(true), verified: base(false)}
}

// dialUpstream keeps to the service's connect_timeout.
func dialUpstream(ctx context.Context, network, addr string) (net.Conn, error) {
	timeout := time.Minute
	if on := passageOf(ctx); on != nil && on.x.service.ConnectTimeout > 0 {
		timeout = time.Duration(on.x.service.ConnectTimeout) * time.Millisecond
	}
	dialer := net.Dialer{Timeout: timeout}
	return dialer.DialContext(ctx, network, addr)
}

// RoundTrip implements http.RoundTripper. The service's read_timeout holds
// until the answer's header is there.
func (t *upstreamTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	service := passageOf(r.Context()).x.service
	transport := t.plain
	if service.TLSVerify {
		transport = t.verified
	}
	if service.ReadTimeout <= 0 {
		return transport.RoundTrip(r)
	}
	// The context ends with the request's own, after the body was read.
	ctx, cancel := context.WithCancelCause(r.Context())
	timer := time.AfterFunc(time.Duration(service.ReadTimeout)*time.Millisecond, func() { cancel(errUpstreamTimeout) })
	defer timer.Stop()
	answer, err := transport.RoundTrip(r.WithContext(ctx))
	if err != nil {
		if cause := context.Cause(ctx); errors.Is(cause, errUpstreamTimeout) {
			err = errUpstreamTimeout
		}
		cancel(nil)
		return nil, err
	}
	return answer, nil
}

func (t *upstreamTransport) closeIdle() {
	t.plain.CloseIdleConnections()
	t.verified.CloseIdleConnections()
}
