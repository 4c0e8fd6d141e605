package kong

import (
	"fmt"
	"io"
	"log/slog"
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
	// Workspace is the workspace that all entities are in. Empty is the default one; the open-source edition has no
	// other.
	Workspace string
	// AuthHeader and AuthToken are sent with every request; AuthHeader is Kong-Admin-Token by default. No token, no
	// header.
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
