// Package credential has the material of JWT credentials: where it comes from, how it is made, and when it is
// replaced. It decides and does no I/O.
package credential

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Sensitive is text that nothing prints: neither fmt, nor encoding/json, nor a logger. Reveal gives it.
//
// The text is behind a pointer: fmt calls no method on the unexported fields of a struct, and would print a string
// there as it is. For the same reason == says nothing; Equal does.
type Sensitive struct{ text *string }

// Conceal makes a Sensitive.
func Conceal(text string) Sensitive {
	if text == "" {
		return Sensitive{}
	}
	return Sensitive{text: &text}
}

// Reveal gives the text. Each call is a place to look at.
func (s Sensitive) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// Empty says whether there is no text.
func (s Sensitive) Empty() bool { return s.text == nil }

// Equal compares two texts in a time that depends on their lengths only.
func (s Sensitive) Equal(other Sensitive) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(other.Reveal())) == 1
}

// String gives a placeholder.
func (s Sensitive) String() string { return redacted }

// GoString gives a placeholder.
func (s Sensitive) GoString() string { return redacted }

// Format writes a placeholder, for every verb.
func (s Sensitive) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText gives encoders a placeholder.
func (s Sensitive) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue gives log/slog a placeholder.
func (s Sensitive) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalLog gives logr a placeholder.
func (s Sensitive) MarshalLog() any { return redacted }
