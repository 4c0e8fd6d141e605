package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// Claims are what a token says beside who signed it and when.
type Claims struct {
	Subject  string
	Audience []string
	Extra    map[string]any
}

// reserved claims are the operator's own. sub and aud have fields of their own.
var reserved = []string{"aud", "exp", "iat", "iss", "kid", "nbf", "sub"}

// NewClaims reads the claims of a JwtToken; numbers keep every digit. The error is a *status.StalledError that names
// claims which may not be set. It quotes no values.
func NewClaims(spec v1alpha1.JwtTokenSpec) (Claims, error) {
	claims := Claims{Subject: spec.Subject, Audience: spec.Audience, Extra: map[string]any{}}
	if spec.Claims != nil && len(spec.Claims.Raw) > 0 {
		extra, err := object(spec.Claims.Raw)
		if err != nil {
			return Claims{}, status.Stalled(v1alpha1.ReasonInvalidSpec,
				"spec.claims: it is no object. Write name: value pairs.")
		}
		claims.Extra = extra
	}
	var taken []string
	for name := range claims.Extra {
		if slices.Contains(reserved, name) {
			taken = append(taken, name)
		}
	}
	if len(taken) > 0 {
		slices.Sort(taken)
		return Claims{}, status.Stalled(v1alpha1.ReasonInvalidSpec,
			"spec.claims: %s may not be set here. Remove it: the operator sets iss, kid, iat, exp and nbf, "+
				"spec.subject is sub and spec.audience is aud.",
			strings.Join(taken, ", "))
	}
	return claims, nil
}

// object reads one JSON object. Numbers stay as they are written: a float64 would change ids of more than 53 bits.
func object(text []byte) (map[string]any, error) {
	var fields map[string]any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&fields); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) || fields == nil {
		return nil, errors.New("not one object")
	}
	return fields, nil
}
