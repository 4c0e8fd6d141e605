// Package tokens is what the recordings of requests have in common: key pairs, and tokens that are minted when a
// step runs. testdata/README.md has the format.
package tokens

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// KeysFile holds the key pairs that the tokens of a folder are signed with; it is no scenario.
const KeysFile = "keys.json"

// Key is a key pair of KeysFile.
type Key struct {
	PrivatePEM string `json:"privatePEM"`
	PublicPEM  string `json:"publicPEM"`
}

// Private is the private key of a name, as PKCS #8 has it.
func Private(keys map[string]Key, name string) (any, error) {
	block, _ := pem.Decode([]byte(keys[name].PrivatePEM))
	if block == nil {
		return nil, fmt.Errorf("no key %s", name)
	}
	return x509.ParsePKCS8PrivateKey(block.Bytes)
}

// Token says how to mint a token when its step runs, and where it goes.
type Token struct {
	Alg            string         `json:"alg"`
	Header         map[string]any `json:"header"`
	Claims         map[string]any `json:"claims"`
	SignWith       string         `json:"signWith"`
	SecretIsBase64 bool           `json:"secretIsBase64"`
	In             string         `json:"in"`
	Prefix         *string        `json:"prefix"`
	Tamper         string         `json:"tamper"`
}

// Put puts a minted token where it goes in a request. inQuery is the token where that is the query.
func (t Token) Put(text string, request *http.Request) (inQuery string) {
	prefix := "Bearer "
	if t.Prefix != nil {
		prefix = *t.Prefix
	}
	where, name, _ := strings.Cut(t.In, ":")
	switch {
	case where == "query":
		if request.URL.RawQuery != "" {
			request.URL.RawQuery += "&"
		}
		request.URL.RawQuery += name + "=" + text
		return text
	case where == "cookie":
		request.AddCookie(&http.Cookie{Name: name, Value: text}) //nolint:gosec // A request's cookie has no flags.
	case name != "":
		request.Header.Add(name, prefix+text)
	default:
		request.Header.Add("Authorization", prefix+text)
	}
	return ""
}

// Mint makes the token, faults included. keys are the key pairs by their names.
func (t Token) Mint(keys map[string]Key, now time.Time) (string, error) {
	if raw, ok := strings.CutPrefix(t.Tamper, "raw:"); ok {
		return raw, nil
	}
	claims, err := t.claimsAt(now)
	if err != nil {
		return "", err
	}
	input, err := t.signingInput(claims)
	if err != nil {
		return "", err
	}
	signature, err := t.sign(input, keys)
	if err != nil {
		return "", err
	}
	switch t.Tamper {
	case "signature":
		first := "A"
		if strings.HasPrefix(signature, first) {
			first = "B"
		}
		signature = first + signature[1:]
	case "payload":
		claims["tampered"] = true
		if input, err = t.signingInput(claims); err != nil {
			return "", err
		}
	}
	return input + "." + signature, nil
}

// claimsAt turns distances from now, as "+60", into times.
func (t Token) claimsAt(now time.Time) (map[string]any, error) {
	claims := map[string]any{}
	maps.Copy(claims, t.Claims)
	for _, name := range []string{"exp", "nbf", "iat"} {
		text, ok := claims[name].(string)
		if !ok || !strings.HasPrefix(text, "+") && !strings.HasPrefix(text, "-") {
			continue
		}
		seconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("claim %s: %w", name, err)
		}
		claims[name] = now.Unix() + seconds
	}
	return claims, nil
}

func (t Token) signingInput(claims map[string]any) (string, error) {
	header := map[string]any{"typ": "JWT", "alg": t.Alg}
	maps.Copy(header, t.Header)
	var parts []string
	for _, part := range []map[string]any{header, claims} {
		raw, err := json.Marshal(part)
		if err != nil {
			return "", err
		}
		parts = append(parts, base64.RawURLEncoding.EncodeToString(raw))
	}
	return strings.Join(parts, "."), nil
}

func (t Token) sign(input string, keys map[string]Key) (string, error) {
	method := jwt.GetSigningMethod(t.Alg)
	if method == nil || t.Alg == "none" {
		return "", nil
	}
	material, err := t.signingKey(keys)
	if err != nil {
		return "", err
	}
	raw, err := method.Sign(input, material)
	if err != nil {
		return "", fmt.Errorf("sign with %s: %w", t.Alg, err)
	}
	return base64.RawURLEncoding.EncodeToString(raw), nil
}

func (t Token) signingKey(keys map[string]Key) (any, error) {
	if name, ok := strings.CutPrefix(t.SignWith, "key:"); ok {
		return Private(keys, name)
	}
	if t.SecretIsBase64 {
		return base64.StdEncoding.DecodeString(t.SignWith)
	}
	return []byte(t.SignWith), nil
}
