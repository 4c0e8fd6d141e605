package kong

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	defaultAuthHeader  = "Kong-Admin-Token"
	defaultUserAgent   = "kong-jwt-operator"
	defaultTimeout     = 10 * time.Second
	defaultConcurrency = 50
	// idleTimeout is shorter than nginx's keepalive_timeout (75 s), so that the side that may have a
	// request ready is the one that closes.
	idleTimeout  = 60 * time.Second
	tcpKeepAlive = 30 * time.Second
)

func (c Config) withDefaults() Config {
	if c.AuthHeader == "" {
		c.AuthHeader = defaultAuthHeader
	}
	if c.UserAgent == "" {
		c.UserAgent = defaultUserAgent
	}
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	if c.Concurrency <= 0 {
		c.Concurrency = defaultConcurrency
	}
	c.AuthToken = Secret(strings.TrimSpace(string(c.AuthToken)))
	return c
}

// base is the address that every path is appended to: scheme, host, path and workspace, without a
// slash at its end.
func (c Config) base() (string, error) {
	address, err := url.Parse(c.URL)
	switch {
	case err != nil:
		// What url.Parse says repeats the URL, which may hold a password.
		return "", errors.New("URL: not a valid URL")
	case address.Scheme != "http" && address.Scheme != "https":
		return "", errors.New("URL: must begin with http:// or https://")
	case address.Hostname() == "":
		return "", errors.New("URL: has no host")
	case address.User != nil:
		return "", errors.New("URL: must not hold a user or password; use AuthHeader Authorization instead")
	case address.RawQuery != "" || address.Fragment != "":
		return "", errors.New("URL: must not have a query or fragment")
	}
	base := address.Scheme + "://" + address.Host + strings.TrimRight(address.EscapedPath(), "/")
	if c.Workspace != "" {
		base += "/" + escape(c.Workspace)
	}
	return base, nil
}

func (c Config) validateHeaders() error {
	if strings.Trim(c.AuthHeader, tokenCharacters) != "" {
		return errors.New("AuthHeader: not a header name")
	}
	if strings.ContainsFunc(string(c.AuthToken), func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return errors.New("AuthToken: holds a line break or another control character")
	}
	if strings.ContainsFunc(c.UserAgent, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return errors.New("UserAgent: holds a control character")
	}
	return nil
}

// tokenCharacters are those of a header's name (RFC 9110 5.6.2).
const tokenCharacters = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

func (c Config) tls() (*tls.Config, error) {
	config := &tls.Config{
		MinVersion: tls.VersionTLS12,
		ServerName: c.ServerName,
		// The user asks for it, by name.
		InsecureSkipVerify: c.InsecureSkipVerify, //nolint:gosec // an explicit setting
	}
	if len(c.CA) > 0 {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(c.CA) {
			return nil, errors.New("CA: holds no PEM certificate")
		}
	}
	switch {
	case len(c.ClientCert) == 0 && len(c.ClientKey) == 0:
	case len(c.ClientKey) == 0:
		return nil, errors.New("ClientKey: missing, and ClientCert is there")
	case len(c.ClientCert) == 0:
		return nil, errors.New("ClientCert: missing, and ClientKey is there")
	default:
		pair, err := tls.X509KeyPair(c.ClientCert, c.ClientKey)
		if err != nil {
			return nil, fmt.Errorf("ClientCert, ClientKey: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// transport keeps one connection for each request in flight. HTTP/1.1 only: over HTTP/2 all requests
// would share one connection, which one of Kong's workers would serve alone.
func (c Config) transport(tlsConfig *tls.Config) *http.Transport {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	dialer := &net.Dialer{Timeout: c.Timeout, KeepAlive: tcpKeepAlive}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		TLSClientConfig:       tlsConfig,
		TLSHandshakeTimeout:   c.Timeout,
		MaxIdleConns:          c.Concurrency,
		MaxIdleConnsPerHost:   c.Concurrency,
		MaxConnsPerHost:       c.Concurrency,
		IdleConnTimeout:       idleTimeout,
		ResponseHeaderTimeout: c.Timeout,
		DisableCompression:    true,
		Protocols:             &protocols,
	}
}
