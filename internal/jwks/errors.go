package jwks

import (
	"errors"
	"time"
)

// What can be wrong with a key set. Errors of Fetch and Parse are one of these to errors.Is.
var (
	// ErrRefused says that the address of the set, or of a redirect, is not allowed. Only a change of the policy
	// or of the address helps.
	ErrRefused = errors.New("refused")
	// ErrUnreachable says that the issuer did not answer, or not with a set.
	ErrUnreachable = errors.New("unreachable")
	// ErrInvalid says that what the issuer answered is no key set.
	ErrInvalid = errors.New("invalid")
)

// Error is why there is no key set. Its message quotes nothing of what the issuer answered.
type Error struct {
	// Kind is ErrRefused, ErrUnreachable or ErrInvalid.
	Kind error
	// Message says what is wrong and what to do.
	Message string
	// RetryAfter is how long the issuer asked to be left alone (RFC 9110 section 10.2.3), if it did.
	RetryAfter time.Duration
	// TimedOut says that the issuer took all the time that it had.
	TimedOut bool
	// notFound says that the issuer answered 404.
	notFound bool
}

// Error gives the message.
func (e *Error) Error() string { return e.Message }

// Unwrap gives the kind.
func (e *Error) Unwrap() error { return e.Kind }
