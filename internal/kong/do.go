package kong

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"
)

const (
	// maxAnswer bounds what is read of an answer: a page of 1000 entities is well below 1 MB unless
	// they carry many certificates.
	maxAnswer = 64 << 20
	// maxRefusal bounds what is read of an error.
	maxRefusal = 1 << 20
)

// do makes one request once there is a free connection, and decodes a success into out.
func (c *Client) do(ctx context.Context, call call, body Fields, out any) error {
	var payload []byte
	if body != nil {
		var err error
		if payload, err = body.body(); err != nil {
			// What encoding/json says names types, and can quote a number.
			return fmt.Errorf("kong: %s %s: a field of the %s cannot be written as JSON", call.method, call.template, call.kind.Singular())
		}
	}
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return c.ended(ctx, call)
	}
	// The answer is read before the slot is given back, so that its connection is free for the next.
	answer, err := c.send(ctx, call, payload)
	if err != nil {
		return err
	}
	if err := c.judge(call, answer.status, answer.header, answer.body, body); err != nil {
		return err
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer.body, out); err != nil {
		// What encoding/json says can quote the answer.
		return &UnavailableError{Request: call.request(answer.status), Cause: stranger(answer.header, refusal{})}
	}
	return nil
}

// answer is a response read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// send makes one request and tells the observer.
func (c *Client) send(parent context.Context, call call, payload []byte) (answer, error) {
	timeout := c.timeout
	if call.slow {
		timeout = max(timeout, configTimeout)
	}
	ctx, cancel := context.WithTimeout(parent, timeout)
	defer cancel()
	start := time.Now()
	got, err := c.exchange(ctx, call, payload)
	if c.observe != nil {
		c.observe(Observation{Verb: call.method, Kind: call.kind, Code: got.status, Duration: time.Since(start)})
	}
	if err == nil {
		return got, nil
	}
	var typed *UnavailableError
	if errors.As(err, &typed) {
		return got, err
	}
	if parent.Err() != nil {
		return got, c.ended(parent, call)
	}
	cause, safe := classify(err)
	return got, &UnavailableError{Request: call.request(got.status), Cause: cause, err: safe}
}

func (c *Client) exchange(ctx context.Context, call call, payload []byte) (answer, error) {
	address := c.base + call.path
	if call.query != "" {
		address += "?" + call.query
	}
	request, err := http.NewRequestWithContext(ctx, call.method, address, bytes.NewReader(payload))
	if err != nil {
		return answer{}, err
	}
	if payload == nil {
		request.Body, request.GetBody, request.ContentLength = http.NoBody, nil, 0
	} else {
		request.Header.Set("Content-Type", "application/json")
	}
	// Present and empty, it is not sent and tells net/http that the request may be repeated on another
	// connection when Kong closes an idle one just then. PUT, PATCH of tags and DELETE by id all may.
	request.Header["Idempotency-Key"] = nil
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", c.userAgent)
	if c.token != "" {
		request.Header.Set(c.authHeader, string(c.token))
	}
	sender := c.http
	if call.slow {
		sender = c.slow
	}
	response, err := sender.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	got := answer{status: response.StatusCode, header: response.Header}
	limit := int64(maxAnswer)
	if response.StatusCode >= http.StatusMultipleChoices {
		limit = maxRefusal
	}
	got.body, err = io.ReadAll(io.LimitReader(response.Body, limit+1))
	if err == nil && int64(len(got.body)) > limit {
		err = &UnavailableError{Request: call.request(response.StatusCode), Cause: CauseTooLarge}
	}
	return got, err
}

// ended is the error of a request whose caller gave up.
func (c *Client) ended(ctx context.Context, call call) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &UnavailableError{Request: call.request(0), Cause: CauseTimeout, err: context.DeadlineExceeded}
	}
	return fmt.Errorf("kong: %s %s: %w", call.method, call.template, context.Canceled)
}

var (
	errClosed    = errors.New("the connection was closed before the answer was complete")
	errPlainHTTP = errors.New("the address speaks plain HTTP, not HTTPS")
	errUnknown   = errors.New("the exchange failed")
)

// classify tells why a request got no answer, with an error that is safe to print: net/http quotes
// the URL and parts of answers that it does not understand.
func classify(err error) (Cause, error) {
	if cause, safe, found := classifyTLS(err); found {
		return cause, safe
	}
	var timeout net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return CauseTimeout, context.DeadlineExceeded
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return CauseNetwork, dns
	}
	var operation *net.OpError
	if errors.As(err, &operation) {
		return CauseNetwork, operation
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) {
		return CauseNetwork, errClosed
	}
	return CauseNetwork, errUnknown
}

func classifyTLS(err error) (Cause, error, bool) { //nolint:revive // The error is a result like the cause, not that of the call.
	var verification *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var remote *net.OpError
	var authority x509.UnknownAuthorityError
	switch {
	case errors.As(err, &verification):
		return CauseTLS, verification, true
	case errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return CausePlainPort, errPlainHTTP, true
	case errors.As(err, &remote) && remote.Op == "remote error":
		// crypto/tls's word for an alert: the server wants another client certificate, or none of ours.
		return CauseTLS, remote, true
	case errors.As(err, &authority):
		return CauseTLS, authority, true
	}
	return "", nil, false
}

// IsNotFound tells whether the error is a NotFoundError.
func IsNotFound(err error) bool {
	var missing *NotFoundError
	return errors.As(err, &missing)
}

// escape makes a name one segment of a path. Kong unescapes segments once, so that "/" in a name
// survives as %2F; "." and "..", which servers resolve, are escaped too.
func escape(segment string) string {
	if segment == "." || segment == ".." {
		return strings.ReplaceAll(segment, ".", "%2E")
	}
	return url.PathEscape(segment)
}

// call is one request: what it is in an error, and where it goes.
type call struct {
	method string
	// kind is for metrics and for what is redacted.
	kind Kind
	// template is the path without ids, path the escaped path, query the encoded query.
	template, path, query string
	// slow says that the answer may take longer than Config.Timeout.
	slow bool
}

func (c call) request(status int) Request {
	return Request{Method: c.method, Path: c.template, Status: status}
}

var errNoID = errors.New("kong: an id or name is missing")

// entityCall is a request about one entity at the path it is written and deleted at.
func entityCall(method string, kind Kind, consumerID, id string) (call, error) {
	switch {
	case !kind.known():
		return call{}, fmt.Errorf("kong: kind %q is not known", string(kind))
	case id == "":
		return call{}, errNoID
	case !kind.underConsumer():
		return topCall(method, kind, id)
	case consumerID == "":
		return call{}, fmt.Errorf("kong: a %s needs the id of its consumer", kind.Singular())
	}
	return call{
		method:   method,
		kind:     kind,
		template: "/consumers/{id}/" + kind.segment() + "/{id}",
		path:     "/consumers/" + escape(consumerID) + "/" + kind.segment() + "/" + escape(id),
	}, nil
}

// topCall is a request about one entity in the collection that all of its kind are in.
func topCall(method string, kind Kind, nameOrID string) (call, error) {
	if !kind.known() {
		return call{}, fmt.Errorf("kong: kind %q is not known", string(kind))
	}
	if nameOrID == "" {
		return call{}, errNoID
	}
	return call{
		method:   method,
		kind:     kind,
		template: "/" + string(kind) + "/{id}",
		path:     "/" + string(kind) + "/" + escape(nameOrID),
	}, nil
}
