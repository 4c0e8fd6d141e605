package jwks

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

const (
	// Timeout of one fetch, redirects included.
	Timeout = 10 * time.Second
	// MaxBytes of a set, unpacked.
	MaxBytes = 1 << 20
	// maxHeaderBytes of an answer.
	maxHeaderBytes = 64 << 10
	// maxRedirects that are followed.
	maxRedirects = 3
)

// Source says where a key set is, and under which rules it is fetched.
type Source struct {
	// URL of the set; where it is empty, Issuer or Cluster say where the set is.
	URL string
	// Issuer has a discovery document that names the set.
	Issuer string
	// Cluster stands for the keys of the API server that the operator works on.
	Cluster bool
	// CA are the certificate authorities to trust, in PEM. None: the system's.
	CA     string
	Policy Policy
	// Proxy is the way to the issuer. The cluster's keys are read without it.
	Proxy Proxy
}

// Validators are what an issuer said about the set that is held, for a conditional request (RFC 9110 section 13.1).
type Validators struct {
	ETag, LastModified string
	// URL of the set that they are of, where a discovery document named it.
	URL string
}

// Answer is what an issuer answered.
type Answer struct {
	// NotModified says that the set that is held is still right (304). Document is empty then.
	NotModified bool
	Document    []byte
	Validators  Validators
	// MaxAge is how long the issuer asks the answer to be kept (RFC 9111 section 5.2.2.1), less the age that it
	// had already. Zero: it says nothing.
	MaxAge time.Duration
}

// Fetcher fetches key sets. It is safe for concurrent use.
type Fetcher struct {
	// UserAgent of the requests.
	UserAgent string
	// Timeout of one fetch; zero is the constant Timeout.
	Timeout time.Duration
	// Cluster is where the keys of this cluster are.
	Cluster Cluster
	// Lookup gives the addresses of a host that a proxy is asked for; nil is the system's.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
}

// Cluster is an API server that signs tokens of ServiceAccounts.
type Cluster struct {
	// Client asks with the operator's rights; nil where there is no API server.
	Client *http.Client
	// URL of the key set: the API server's, and /openid/v1/jwks.
	URL string
}

// Fetch asks an issuer for its set, within the limits of this package. No proxy but the source's is used, whatever the
// environment says: the address that is judged has to be that of the issuer. The error is an *Error.
func (f Fetcher) Fetch(ctx context.Context, source Source, held Validators) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(f.Timeout, Timeout))
	defer cancel()
	if source.Cluster {
		if f.Cluster.Client == nil {
			return Answer{}, refused("has no API server to read from; name the issuer instead")
		}
		return f.get(ctx, f.Cluster.Client, f.Cluster.URL, held)
	}
	way, err := f.routeTo(source)
	if err != nil {
		return Answer{}, err
	}
	defer way.CloseIdleConnections()
	client := &http.Client{Transport: way, CheckRedirect: source.checkRedirect}
	address := source.URL
	if source.Issuer != "" {
		if address, err = f.discover(ctx, client, source); err != nil {
			return Answer{}, err
		}
		if held.URL != address {
			held = Validators{}
		}
	}
	if err := source.Policy.Check(address); err != nil {
		if source.Issuer != "" {
			return Answer{}, refused("the issuer's discovery document names a key set that %v", err)
		}
		return Answer{}, err
	}
	answer, err := f.get(ctx, client, address, held)
	if source.Issuer != "" {
		answer.Validators.URL = address
	}
	return answer, err
}

// get reads a set, or a discovery document.
func (f Fetcher) get(ctx context.Context, client *http.Client, address string, held Validators) (Answer, error) {
	request, err := f.request(ctx, address, held)
	if err != nil {
		return Answer{}, err
	}
	response, err := client.Do(request)
	if err != nil {
		return Answer{}, f.describeFailure(err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := readAnswer(response, held)
	if ctx.Err() != nil { // an answer that was cut off may look like a whole one
		return Answer{}, f.describeFailure(ctx.Err())
	}
	return answer, err
}

func (f Fetcher) request(ctx context.Context, address string, held Validators) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, refused("is no URL; write it as https://host/path")
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	request.Header.Set("User-Agent", f.UserAgent)
	if held.ETag != "" {
		request.Header.Set("If-None-Match", held.ETag)
	}
	if held.LastModified != "" {
		request.Header.Set("If-Modified-Since", held.LastModified)
	}
	return request, nil
}

// CheckCA says whether certificate authorities can be read.
func (s Source) CheckCA() error {
	_, err := rootsOf(s.CA)
	return err
}

// maxCA is how many bytes of certificate authorities are taken, as each source holds its own. Those of a whole
// operating system have about 200 KiB.
const maxCA = 256 << 10

// rootsOf reads certificate authorities; nil stands for the system's.
func rootsOf(ca string) (*x509.CertPool, error) {
	if ca == "" {
		return nil, nil
	}
	if len(ca) > maxCA {
		return nil, refused("has %d bytes, and %d are taken; put only what is needed there", len(ca), maxCA)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(ca)) {
		return nil, refused("is no PEM certificate of a certificate authority; put one there")
	}
	return pool, nil
}

// transport of one fetch. The address is judged when it is dialed: what a name meant a moment ago says nothing.
func (s Source) transport(roots *x509.CertPool) *http.Transport {
	dialer := &net.Dialer{Timeout: Timeout, Control: func(_, address string, _ syscall.RawConn) error {
		dialed, err := netip.ParseAddrPort(address)
		if err != nil {
			return refused("the host has an address that is none")
		}
		return s.Policy.CheckAddress(dialed.Addr())
	}}
	return &http.Transport{
		Proxy:                  nil,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout:    Timeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		DisableKeepAlives:      true,
	}
}

// checkRedirect holds each redirect to the rules of the first address.
func (s Source) checkRedirect(next *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return refused("the issuer redirects more than %d times", maxRedirects)
	}
	if err := s.Policy.check(next.URL); err != nil {
		return refused("the issuer redirects to %s, which %v", describe(next.URL), err)
	}
	return nil
}

func (v Validators) any() bool { return v.ETag != "" || v.LastModified != "" }

func readAnswer(response *http.Response, held Validators) (Answer, error) {
	answer := Answer{
		Validators: Validators{ETag: response.Header.Get("ETag"), LastModified: response.Header.Get("Last-Modified")},
		MaxAge:     maxAge(response.Header),
	}
	switch {
	case response.StatusCode == http.StatusNotModified && held.any():
		answer.NotModified = true
		if !answer.Validators.any() {
			answer.Validators = held
		}
		return answer, nil
	case response.StatusCode != http.StatusOK:
		return Answer{}, &Error{
			Kind:       ErrUnreachable,
			Message:    fmt.Sprintf("the issuer answers %d; look at the URL, and at the issuer", response.StatusCode),
			RetryAfter: retryAfter(response.Header), notFound: response.StatusCode == http.StatusNotFound,
		}
	}
	document, err := io.ReadAll(io.LimitReader(response.Body, MaxBytes+1))
	switch {
	case err != nil:
		return Answer{}, unreachable("the issuer's answer ends early")
	case len(document) > MaxBytes:
		return Answer{}, invalid("the issuer answers with more than %d bytes", MaxBytes)
	}
	answer.Document = document
	return answer, nil
}

func unreachable(format string, args ...any) error {
	return &Error{Kind: ErrUnreachable, Message: fmt.Sprintf(format, args...)}
}

// describeFailure puts a failure of the network into words of ours: those of net/http may quote what was answered.
func (f Fetcher) describeFailure(err error) error {
	timeout := cmp.Or(f.Timeout, Timeout)
	var ours *Error
	var dns *net.DNSError
	var untrusted *tls.CertificateVerificationError
	var timedOut net.Error
	var dial *net.OpError
	if errors.As(err, &ours) {
		return ours
	}
	if failure := describeProxyFailure(err); failure != nil {
		return failure
	}
	switch {
	case errors.Is(err, context.Canceled):
		return unreachable("the fetch was stopped")
	case errors.As(err, &dns) && dns.IsNotFound:
		return unreachable("the host %s is not known to DNS", dns.Name)
	case errors.As(err, &dns):
		return unreachable("DNS does not answer for %s", dns.Name)
	case errors.As(err, &untrusted):
		return unreachable("the issuer's certificate is not trusted: %v; caSecretRef names other certificate authorities", untrusted.Err)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timedOut) && timedOut.Timeout():
		return &Error{Kind: ErrUnreachable, Message: fmt.Sprintf("the issuer does not answer within %s", timeout), TimedOut: true}
	case errors.Is(err, syscall.ECONNREFUSED):
		return unreachable("the issuer refuses the connection")
	case errors.As(err, &dial) && dial.Op == "dial":
		return unreachable("the issuer cannot be connected to")
	default:
		return unreachable("the issuer does not answer as an HTTP server over TLS does")
	}
}
