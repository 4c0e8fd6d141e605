package kong

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Secret is a string that does not print. string(s) is its value.
type Secret string

const redacted = "[redacted]"

// String returns "[redacted]", or "" for an empty secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString returns what String does.
func (s Secret) GoString() string { return s.String() }

// Format writes what String returns, for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue gives log/slog what String returns.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalLog gives logr what String returns.
func (s Secret) MarshalLog() any { return s.String() }

// MarshalText gives encoders what String returns.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Config says where an Admin API is and how to talk to it.
type Config struct {
	// URL is the Admin API's address, http or https, with the path it is served under if any.
	URL string
	// Workspace is the workspace that all entities are in. Empty is the default one; the open-source edition has
	// no other.
	Workspace string
	// AuthHeader and AuthToken are sent with every request; AuthHeader is Kong-Admin-Token by default. No token,
	// no header.
	AuthHeader string
	AuthToken  Secret
	// CA holds the certificates to trust (PEM), instead of the system's.
	CA []byte
	// ClientCert and ClientKey (PEM) are what the client shows of itself; both or neither.
	ClientCert, ClientKey []byte
	// ServerName is the name that the Admin API's certificate must be for, where it is not the URL's.
	ServerName string
	// InsecureSkipVerify takes any certificate.
	InsecureSkipVerify bool
	// Timeout is for one request, from the moment it is sent to the last byte of its answer; 10 s by default.
	Timeout time.Duration
	// Concurrency is how many requests are in flight at once, each on a connection of its own; 50 by default.
	// More requests wait, and their waiting is not counted against Timeout.
	Concurrency int
	// UserAgent is kong-jwt-operator by default.
	UserAgent string
	// Observer, where set, is told of every request once it has ended. It is called from many goroutines.
	Observer func(Observation)
}

// Observation is one request that has ended, for metrics.
type Observation struct {
	// Verb is the HTTP method.
	Verb string
	// Kind is the kind of entity, or "node", "status" or "schemas".
	Kind Kind
	// Code is the HTTP status, 0 where no answer came.
	Code int
	// Duration is from sending the request to the end of its answer.
	Duration time.Duration
}

// String returns the address and workspace only: the rest holds secrets or says little.
func (c Config) String() string {
	if base, err := c.base(); err == nil {
		return base
	}
	return "invalid URL"
}

// GoString returns what String does.
func (c Config) GoString() string { return c.String() }

// Format writes what String returns, for every verb.
func (c Config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// LogValue gives log/slog what String returns.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalLog gives logr what String returns.
func (c Config) MarshalLog() any { return c.String() }

// MarshalText gives encoders what String returns.
func (c Config) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

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
