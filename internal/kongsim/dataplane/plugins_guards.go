package dataplane

import (
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/google/uuid"
)

// termination is the request-termination plugin, without `echo`.
type termination struct {
	StatusCode  int    `json:"status_code"`
	Message     string `json:"message"`
	Body        string `json:"body"`
	ContentType string `json:"content_type"`
	Trigger     string `json:"trigger"`
}

// terminationTexts are what the plugin says where it is told nothing.
var terminationTexts = map[int]string{
	http.StatusUnauthorized:        "Unauthorized",
	http.StatusNotFound:            "Not found",
	http.StatusMethodNotAllowed:    "Method not allowed",
	http.StatusInternalServerError: "An unexpected error occurred",
	http.StatusBadGateway:          "Bad Gateway",
	http.StatusServiceUnavailable:  "Service unavailable",
}

func (p *termination) access(x *exchange) *reply {
	if p.Trigger != "" && x.request.Header.Get(p.Trigger) == "" && !x.request.URL.Query().Has(p.Trigger) {
		return nil
	}
	if p.Body != "" {
		answer := exit(p.StatusCode, nil)
		answer.body = []byte(p.Body)
		if p.ContentType != "" {
			answer.header.Set("Content-Type", p.ContentType)
		}
		return answer
	}
	message := p.Message
	if message == "" {
		message = terminationTexts[p.StatusCode]
	}
	if message == "" {
		return exit(p.StatusCode, nil)
	}
	return exit(p.StatusCode, map[string]string{"message": message})
}

// ipRestriction is the ip-restriction plugin.
type ipRestriction struct {
	Allow   []string `json:"allow"`
	Deny    []string `json:"deny"`
	Status  int      `json:"status"`
	Message string   `json:"message"`

	allow, deny []netip.Prefix
}

func compileIPRestriction(view *PluginView) (plugin, error) {
	p := &ipRestriction{}
	if err := decodeConfig(view.Config, p); err != nil {
		return nil, err
	}
	if p.Status == 0 {
		p.Status = http.StatusForbidden
	}
	var err error
	if p.allow, err = parsePrefixes(p.Allow); err != nil {
		return nil, err
	}
	if p.deny, err = parsePrefixes(p.Deny); err != nil {
		return nil, err
	}
	return p, nil
}

func parsePrefixes(texts []string) ([]netip.Prefix, error) {
	prefixes := make([]netip.Prefix, 0, len(texts))
	for _, t := range texts {
		if addr, err := netip.ParseAddr(t); err == nil {
			prefixes = append(prefixes, netip.PrefixFrom(addr, addr.BitLen()))
			continue
		}
		prefix, err := netip.ParsePrefix(t)
		if err != nil {
			return nil, fmt.Errorf("parse an address range: %w", err)
		}
		prefixes = append(prefixes, prefix.Masked())
	}
	return prefixes, nil
}

func (p *ipRestriction) access(x *exchange) *reply {
	addr, err := netip.ParseAddr(x.clientIP())
	if err != nil {
		return x.fail(http.StatusForbidden, "Cannot identify the client IP address, unix domain sockets are not supported.")
	}
	addr = addr.Unmap()
	in := func(list []netip.Prefix) bool {
		return slices.ContainsFunc(list, func(prefix netip.Prefix) bool { return prefix.Contains(addr) })
	}
	if in(p.deny) || len(p.allow) > 0 && !in(p.allow) {
		message := p.Message
		if message == "" {
			message = "IP address not allowed: " + addr.String()
		}
		return x.fail(p.Status, message)
	}
	return nil
}

// sizeLimit is the request-size-limiting plugin. It judges by Content-Length;
// a body without one is not read ahead.
type sizeLimit struct {
	AllowedPayloadSize   int64  `json:"allowed_payload_size"`
	SizeUnit             string `json:"size_unit"`
	RequireContentLength bool   `json:"require_content_length"`
}

func (p *sizeLimit) access(x *exchange) *reply {
	unit := int64(1)
	switch p.SizeUnit {
	case "kilobytes":
		unit = 1 << 10
	case "megabytes":
		unit = 1 << 20
	}
	length := x.request.ContentLength
	hasLength := x.request.Header.Get("Content-Length") != "" || length > 0
	if !hasLength && p.RequireContentLength && !slices.Contains(x.request.TransferEncoding, "chunked") {
		return x.fail(http.StatusLengthRequired, "A valid Content-Length header is required")
	}
	if length <= p.AllowedPayloadSize*unit {
		return nil
	}
	status := http.StatusRequestEntityTooLarge
	if strings.EqualFold(strings.TrimSpace(x.request.Header.Get("Expect")), "100-continue") {
		status = http.StatusExpectationFailed
	}
	return x.fail(status, "Request size limit exceeded")
}

// correlationID is the correlation-id plugin.
type correlationID struct {
	HeaderName     string `json:"header_name"`
	Generator      string `json:"generator"`
	EchoDownstream bool   `json:"echo_downstream"`

	base    string
	counter atomic.Int64
}

func compileCorrelationID(view *PluginView) (plugin, error) {
	p := &correlationID{base: uuid.NewString()}
	return p, decodeConfig(view.Config, p)
}

func (p *correlationID) access(x *exchange) *reply {
	if x.upstream.Get(p.HeaderName) == "" {
		x.upstream.Set(p.HeaderName, p.generate(x))
	}
	return nil
}

func (p *correlationID) generate(x *exchange) string {
	switch p.Generator {
	case "uuid":
		return uuid.NewString()
	case "tracker":
		return fmt.Sprintf("127.0.0.1-8000-%d-1-1-%0.3f", os.Getpid(), float64(x.now.UnixMilli())/1000)
	default:
		return p.base + "#" + strconv.FormatInt(p.counter.Add(1), 10)
	}
}

func (p *correlationID) filter(x *exchange, answer http.Header) {
	if p.EchoDownstream {
		answer.Set(p.HeaderName, x.upstream.Get(p.HeaderName))
	}
}
