package kong

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Codes that Kong's own errors carry (kong/db/errors.lua), as in InvalidError.Code.
const (
	CodeSchemaViolation     = 2
	CodePrimaryKey          = 3
	CodeForeignKey          = 4
	CodeUnique              = 5
	CodeNotFound            = 6
	CodeInvalidOffset       = 7
	CodeInvalidSize         = 9
	CodeInvalidOptions      = 11
	CodeUnsupported         = 12
	CodeDeclarativeConfig   = 14
	CodeReferencedByAnother = 19
)

// Request is the request that an error is about. It names no entity.
type Request struct {
	// Method is the HTTP method.
	Method string
	// Path is the path's template: "/consumers/{id}/jwt/{id}".
	Path string
	// Status is the HTTP status of the answer, 0 where none came.
	Status int
}

func (r Request) describe(what string) string {
	if r.Status == 0 {
		return fmt.Sprintf("kong: %s %s: %s", r.Method, r.Path, what)
	}
	return fmt.Sprintf("kong: %s %s: %s (status %d)", r.Method, r.Path, what, r.Status)
}

// NotFoundError says that Kong does not have the entity, or not its parent.
type NotFoundError struct{ Request }

func (e *NotFoundError) Error() string { return e.describe("not found") }

// ConflictError says that another entity holds a value that must be unique. Kong's own message
// repeats values and is left out.
type ConflictError struct {
	Request
	// Fields are the names of the fields that together are taken, in order.
	Fields []string
}

func (e *ConflictError) Error() string {
	if len(e.Fields) == 0 {
		return e.describe("another entity holds a value that must be unique")
	}
	return e.describe("another entity holds this " + strings.Join(e.Fields, ", "))
}

// InvalidError says that Kong refuses the request for what is in it: sending it again changes nothing.
type InvalidError struct {
	Request
	// Code is Kong's own: one of the Code constants, 0 where the answer has none.
	Code int
	// Fields has Kong's reason for each field it refuses, by dotted path: "config.redis.port",
	// "paths[0]", "@entity". What could repeat a secret in it is redacted.
	Fields map[string]string
}

func (e *InvalidError) Error() string {
	what := "refused"
	if name, known := codeNames[e.Code]; known {
		what += ": " + name
	}
	reasons := make([]string, 0, len(e.Fields))
	for _, field := range slices.Sorted(maps.Keys(e.Fields)) {
		reasons = append(reasons, field+": "+e.Fields[field])
	}
	if len(reasons) > 0 {
		what += ": " + strings.Join(reasons, "; ")
	}
	return e.describe(what)
}

var codeNames = map[int]string{
	CodeSchemaViolation:     "schema violation",
	CodePrimaryKey:          "primary key violation",
	CodeForeignKey:          "foreign key violation",
	CodeInvalidOffset:       "invalid offset",
	CodeInvalidSize:         "invalid size",
	CodeInvalidOptions:      "invalid options",
	CodeDeclarativeConfig:   "invalid declarative configuration",
	CodeReferencedByAnother: "referenced by others",
}

// ThrottledError says that Kong, or what stands before it, asks for a pause.
type ThrottledError struct {
	Request
	// RetryAfter is how long, zero where the answer does not say.
	RetryAfter time.Duration
}

func (e *ThrottledError) Error() string {
	if e.RetryAfter == 0 {
		return e.describe("throttled")
	}
	return e.describe("throttled, try again in " + e.RetryAfter.String())
}

// UnavailableError says that nothing can be known of the request: it may have been done or not.
type UnavailableError struct {
	Request
	// Cause tells the network from the server.
	Cause Cause
	// err is safe to print: whatever could hold part of an answer was left out of it.
	err error
}

func (e *UnavailableError) Error() string {
	what := "unavailable, " + string(e.Cause)
	if e.err != nil {
		what += ": " + e.err.Error()
	}
	return e.describe(what)
}

// Unwrap returns what the network said, if anything: context.DeadlineExceeded for a timeout.
func (e *UnavailableError) Unwrap() error { return e.err }

// Cause is why the Admin API is unavailable.
type Cause string

// The causes of an UnavailableError.
const (
	CauseNetwork  Cause = "network"
	CauseTLS      Cause = "TLS"
	CauseTimeout  Cause = "timeout"
	CauseServer   Cause = "server error"
	CauseTooLarge Cause = "answer too large"
)

// The causes of an UnavailableError that say what is at the address instead of an Admin API.
const (
	CauseNotKong Cause = "not an Admin API's answer"
	// CauseTLSPort: the port wants TLS, and was spoken to without. CausePlainPort is the other way round.
	CauseTLSPort   Cause = "a port for TLS"
	CausePlainPort Cause = "a port without TLS"
	// CauseProxyPort: Kong's proxy answers.
	CauseProxyPort Cause = "Kong's proxy port"
	CauseRedirect  Cause = "a redirect"
	CauseWebPage   Cause = "a web page"
)

// UnauthorizedError says that the Admin API does not accept the token, or the token may not do this.
type UnauthorizedError struct {
	Request
	// Stranger says that the answer is not one of Kong: a mesh or a proxy stands before it.
	Stranger bool
}

func (e *UnauthorizedError) Error() string {
	return e.describe("the token is missing, wrong or may not do this")
}

// UnlicensedError says that an Enterprise takes no writes, because its license is missing or expired. It reads as
// ever.
type UnlicensedError struct{ Request }

func (e *UnlicensedError) Error() string {
	return e.describe("Kong's Enterprise license is missing or expired")
}

// UnsupportedError says that this Kong cannot do it: a write to one that has no database.
type UnsupportedError struct{ Request }

func (e *UnsupportedError) Error() string { return e.describe("this Kong cannot do that") }
