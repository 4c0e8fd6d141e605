package main

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// token says how to mint a token when its step runs, and where it goes.
type token struct {
	Alg            string         `json:"alg"`
	Header         map[string]any `json:"header"`
	Claims         map[string]any `json:"claims"`
	SignWith       string         `json:"signWith"`
	SecretIsBase64 bool           `json:"secretIsBase64"`
	In             string         `json:"in"`
	Prefix         *string        `json:"prefix"`
	Tamper         string         `json:"tamper"`
}

// prefix is what goes before the token in a header.
func (t token) prefix() string {
	if t.Prefix == nil {
		return "Bearer "
	}
	return *t.Prefix
}

// mint makes the token, faults included.
func (t token) mint(keys map[string]key, now time.Time) (string, error) {
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
func (t token) claimsAt(now time.Time) (map[string]any, error) {
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

func (t token) signingInput(claims map[string]any) (string, error) {
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

func (t token) sign(input string, keys map[string]key) (string, error) {
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

func (t token) signingKey(keys map[string]key) (any, error) {
	if name, ok := strings.CutPrefix(t.SignWith, "key:"); ok {
		block, _ := pem.Decode([]byte(keys[name].PrivatePEM))
		if block == nil {
			return nil, fmt.Errorf("no key %s in %s", name, keysFile)
		}
		return x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	if t.SecretIsBase64 {
		return base64.StdEncoding.DecodeString(t.SignWith)
	}
	return []byte(t.SignWith), nil
}
