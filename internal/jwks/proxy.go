package jwks

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/http/httpproxy"

	"github.com/kongjwt/kong-jwt-operator/internal/address"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
)

const (
	// proxyTimeout of a connection to a proxy: it leaves some of Timeout, so that one who waits learns which of
	// the two did not answer.
	proxyTimeout = Timeout / 2
	// lookupTimeout of the name of an issuer that a proxy looks up too.
	lookupTimeout = 2 * time.Second
)

// Proxy is the way to issuers where there is no other. Its zero value is none.
type Proxy struct {
	// URL of the proxy, http or https; empty: issuers are reached directly.
	URL string
	// Username and Password are sent to the proxy (RFC 9110 section 11.7); both empty: none.
	Username string
	Password credential.Sensitive
	// CA are the certificate authorities to trust an https proxy by, in PEM. None: the system's.
	CA string
	// NoProxy are the issuers that are reached directly, as in the environment variable NO_PROXY.
	NoProxy []string
}

// CheckCA says whether certificate authorities can be read.
func (p Proxy) CheckCA() error {
	_, err := rootsOf(p.CA)
	return err
}

// route sends each request of a fetch, redirects among them, to the proxy or past it.
type route struct {
	policy Policy
	// proxyFor gives the proxy of a URL, nil for none.
	proxyFor   func(*url.URL) (*url.URL, error)
	direct, by *http.Transport
	lookup     func(ctx context.Context, host string) ([]netip.Addr, error)
}

// routeTo is the way to a source by its proxy.
func (f Fetcher) routeTo(source Source) (*route, error) {
	roots, err := rootsOf(source.CA)
	if err != nil {
		return nil, err
	}
	r := &route{policy: source.Policy, direct: source.transport(roots), lookup: f.Lookup}
	if r.lookup == nil {
		r.lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if source.Proxy.URL == "" {
		return r, nil
	}
	proxy, err := url.Parse(source.Proxy.URL)
	if err != nil {
		return nil, refused("the proxy's URL cannot be read; correct spec.egressProxy.url of the KongGateway")
	}
	proxyRoots, err := rootsOf(source.Proxy.CA)
	if err != nil {
		return nil, err
	}
	past := &httpproxy.Config{HTTPProxy: source.Proxy.URL, HTTPSProxy: source.Proxy.URL, NoProxy: strings.Join(source.Proxy.NoProxy, ",")}
	r.proxyFor = past.ProxyFunc()
	if password := source.Proxy.Password.Reveal(); source.Proxy.Username != "" || password != "" {
		proxy.User = url.UserPassword(source.Proxy.Username, password)
	}
	dialer := &net.Dialer{Timeout: proxyTimeout}
	overTLS := &tls.Dialer{NetDialer: dialer, Config: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: proxyRoots}}
	r.by = source.transport(roots)
	r.by.Proxy = http.ProxyURL(proxy)
	r.by.DialContext, r.by.DialTLSContext = dialer.DialContext, overTLS.DialContext
	r.by.OnProxyConnectResponse = checkConnect
	return r, nil
}

// checkConnect puts what a proxy says instead of a connection into words of ours.
func checkConnect(_ context.Context, _ *url.URL, _ *http.Request, response *http.Response) error {
	switch response.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusProxyAuthRequired:
		return unreachable("the proxy answers 407; look at spec.egressProxy.credentialsSecretRef of the KongGateway")
	}
	return unreachable("the proxy answers %d instead of a connection to the issuer; look at its rules", response.StatusCode)
}

// RoundTrip implements http.RoundTripper.
func (r *route) RoundTrip(request *http.Request) (*http.Response, error) {
	if r.proxyFor == nil {
		return r.direct.RoundTrip(request)
	}
	proxy, err := r.proxyFor(request.URL)
	if err != nil {
		return nil, refused("the proxy's URL cannot be read; correct spec.egressProxy.url of the KongGateway")
	}
	if proxy == nil {
		return r.direct.RoundTrip(request)
	}
	if err := r.checkHost(request.Context(), request.URL.Hostname()); err != nil {
		return nil, err
	}
	return r.by.RoundTrip(request)
}

// CloseIdleConnections ends what is left of a fetch.
func (r *route) CloseIdleConnections() {
	r.direct.CloseIdleConnections()
	if r.by != nil {
		r.by.CloseIdleConnections()
	}
}

// checkHost says why a proxy is not asked for a host. The proxy dials, so that what is dialed cannot be judged: the
// name has to be one of the Internet, and so has every address that it has here. One that is unknown here is left to
// the proxy, whose rules bound it.
func (r *route) checkHost(ctx context.Context, name string) error {
	host := address.Parse(name)
	switch {
	case r.policy.AllowPrivateAddresses:
		return nil
	case host.IsAddress():
		return r.policy.CheckAddress(host.Address)
	case !host.Public():
		return refused("the host %s is no name of the Internet, and a proxy would look it up (policy.jwks.allowPrivateAddresses permits it)",
			host.Name)
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	addresses, err := r.lookup(ctx, host.Name)
	if err != nil {
		return nil
	}
	for _, ip := range addresses {
		if err := r.policy.CheckAddress(ip); err != nil {
			return err
		}
	}
	return nil
}

// describeProxyFailure says what is wrong with the connection to a proxy; nil for any other failure.
func describeProxyFailure(err error) error {
	var operation *net.OpError
	if !errors.As(err, &operation) || operation.Op != "proxyconnect" {
		return nil
	}
	var dns *net.DNSError
	var untrusted *tls.CertificateVerificationError
	var notTLS tls.RecordHeaderError
	var timedOut net.Error
	const where = "; look at spec.egressProxy of the KongGateway"
	switch {
	case errors.As(operation.Err, &dns):
		return unreachable("the proxy's name does not resolve" + where)
	case errors.As(operation.Err, &untrusted):
		return unreachable("the proxy's certificate is not trusted; spec.egressProxy.caSecretRef of the KongGateway names other authorities")
	case errors.As(operation.Err, &notTLS):
		return unreachable("the proxy does not speak TLS" + where)
	case errors.Is(operation.Err, syscall.ECONNREFUSED):
		return unreachable("the proxy refuses the connection" + where)
	case errors.As(operation.Err, &timedOut) && timedOut.Timeout():
		return &Error{Kind: ErrUnreachable, Message: "the proxy does not answer; look at spec.egressProxy of the KongGateway", TimedOut: true}
	}
	return unreachable("the proxy cannot be connected to" + where)
}
