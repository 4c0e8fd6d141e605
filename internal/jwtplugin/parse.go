package jwtplugin

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// algorithms are those that Kong 3.9 verifies, with the signature length that
// it insists on by an assertion (0: any; a wrong one is just not valid).
var algorithms = map[string]int{
	"HS256": 0, "HS384": 0, "HS512": 0,
	"RS256": 0, "RS384": 0, "RS512": 0,
	"ES256": 64, "ES384": 96, "ES512": 132,
	"PS256": 256, "PS384": 256, "PS512": 256,
	"EdDSA": 0,
}

// token is a decoded JWT.
type token struct {
	alg          string
	signingInput string
	signature    []byte
	header       object
	claims       object
}

// object is a JSON value that Lua lets one index: an object, or an array or
// a string, on which every lookup finds nothing.
type object map[string]any

// lookup gives a member that is neither missing nor false, as Lua's `or` does.
func (o object) lookup(name string) (any, bool) {
	v, ok := o[name]
	if !ok || v == false {
		return nil, false
	}
	return v, true
}

// parseToken decodes a token. A reason other than empty says what is wrong
// with it, in the order in which Kong looks.
func (c Config) parseToken(text string) (token, Reason) {
	parts := strings.SplitN(text, ".", 3)
	if len(parts) != 3 {
		return token{}, TokenNotJSON
	}
	header, ok := c.decodeJSON(parts[0])
	if !ok {
		return token{}, TokenNotJSON
	}
	claims, ok := c.decodeJSON(parts[1])
	if !ok {
		return token{}, TokenNotJSON
	}
	headerObject, ok := indexable(header)
	if !ok {
		return token{}, TokenNotObject
	}
	alg, _ := headerObject["alg"].(string)
	if !c.verifies(alg) {
		return token{}, TokenAlgUnknown
	}
	if claims == false {
		return token{}, TokenClaimsFalse
	}
	signature, ok := c.decodeBase64(parts[2])
	if !ok {
		return token{}, SignatureNotBase64
	}
	claimsObject, ok := indexable(claims)
	if !ok {
		return token{}, TokenNotObject
	}
	return token{
		alg:          alg,
		signingInput: parts[0] + "." + parts[1],
		signature:    signature,
		header:       headerObject,
		claims:       claimsObject,
	}, ""
}

func (c Config) decodeJSON(part string) (any, bool) {
	raw, ok := c.decodeBase64(part)
	if !ok {
		return nil, false
	}
	decoder := json.NewDecoder(strings.NewReader(string(raw)))
	decoder.UseNumber() // keeps numbers beyond float64 from failing the whole token
	var v any
	if err := decoder.Decode(&v); err != nil {
		return nil, false
	}
	_, err := decoder.Token() // anything after the value makes it no JSON
	return v, errors.Is(err, io.EOF)
}

// indexable says whether Lua can index the value; null, numbers and booleans
// raise an error there.
func indexable(v any) (object, bool) {
	switch t := v.(type) {
	case map[string]any:
		return t, true
	case []any, string:
		return object{}, true
	default:
		return nil, false
	}
}

// decodeBase64URL decodes as nginx's ngx_decode_base64url does: it ends at the
// first "=", whatever follows, takes the URL alphabet only, and does not mind
// stray bits in the last character.
func decodeBase64URL(s string) ([]byte, bool) {
	// Bytes past the padding count for nothing, not even for validity.
	s, _, _ = strings.Cut(s, "=")
	if strings.ContainsAny(s, "\r\n") { // Go's decoder would skip them
		return nil, false
	}
	out, err := base64.RawURLEncoding.DecodeString(s)
	return out, err == nil
}
