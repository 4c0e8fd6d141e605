package tokeninput

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Decoded is a token taken apart (RFC 7515 section 3.1). Nothing of it was verified.
type Decoded struct {
	// Header and Claims as they were written.
	Header, Claims json.RawMessage
	// HeaderFields and ClaimFields are the same, read; numbers are json.Number.
	HeaderFields, ClaimFields map[string]any
	// SignatureBytes is how long the signature is.
	SignatureBytes int
}

// Decode takes a token apart. Errors never quote it.
func Decode(text string) (Decoded, error) {
	parts := strings.Split(text, ".")
	if len(parts) == 5 {
		return Decoded{}, errors.New("the token is encrypted (five parts, RFC 7516); Kong's jwt plugin takes signed ones only")
	}
	if len(parts) != 3 {
		return Decoded{}, fmt.Errorf("this is no token: it has %d parts between dots, and a signed token has 3", len(parts))
	}
	var d Decoded
	var err error
	if d.Header, d.HeaderFields, err = object(parts[0], "header"); err != nil {
		return Decoded{}, err
	}
	if d.Claims, d.ClaimFields, err = object(parts[1], "payload"); err != nil {
		return Decoded{}, err
	}
	signature, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[2], "="))
	if err != nil {
		return Decoded{}, errors.New("the token's signature is not base64url; it may have been cut or changed when it was copied")
	}
	d.SignatureBytes = len(signature)
	return d, nil
}

func object(part, name string) (json.RawMessage, map[string]any, error) {
	content, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(part, "="))
	if err != nil {
		return nil, nil, fmt.Errorf("the token's %s is not base64url; it may have been cut or changed when it was copied", name)
	}
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.UseNumber()
	var fields map[string]any
	if err := decoder.Decode(&fields); err != nil || fields == nil {
		return nil, nil, fmt.Errorf("the token's %s is no JSON object", name)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, nil, fmt.Errorf("something follows the JSON object of the token's %s", name)
	}
	return content, fields, nil
}

// Text gives a field that is text: a claim, else one of the header, as Kong's jwt plugin looks for its key.
func (d Decoded) Text(name string) string {
	for _, fields := range []map[string]any{d.ClaimFields, d.HeaderFields} {
		if text, ok := fields[name].(string); ok && text != "" {
			return text
		}
	}
	return ""
}

// Algorithm is the header's alg.
func (d Decoded) Algorithm() string {
	text, _ := d.HeaderFields["alg"].(string)
	return text
}

// Time gives a claim that is a NumericDate (RFC 7519 section 2); false where it is none.
func (d Decoded) Time(name string) (time.Time, bool) {
	number, ok := d.ClaimFields[name].(json.Number)
	if !ok {
		return time.Time{}, false
	}
	seconds, err := number.Float64()
	// Years beyond 9999 are no dates that anybody meant, and time cannot write them.
	if err != nil || seconds < 0 || seconds > 253402300799 {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(seconds * 1000)).UTC(), true
}
