package kongsim

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

type recordedKey struct {
	PrivatePEM string `json:"privatePEM"`
	PublicPEM  string `json:"publicPEM"`
}

// recordedToken says how to mint a token when its step runs.
type recordedToken struct {
	Alg            string         `json:"alg"`
	Header         map[string]any `json:"header"`
	Claims         map[string]any `json:"claims"`
	SignWith       string         `json:"signWith"`
	SecretIsBase64 bool           `json:"secretIsBase64"`
	In             string         `json:"in"`
	Prefix         *string        `json:"prefix"`
	Tamper         string         `json:"tamper"`
}

func (k recordedToken) prefix() string {
	if k.Prefix == nil {
		return "Bearer "
	}
	return *k.Prefix
}

func (k recordedToken) mint(t *testing.T, keys map[string]recordedKey, now time.Time) string {
	t.Helper()
	if raw, ok := strings.CutPrefix(k.Tamper, "raw:"); ok {
		return raw
	}
	header := map[string]any{"typ": "JWT", "alg": k.Alg}
	maps.Copy(header, k.Header)
	claims := maps.Clone(k.Claims)
	for _, name := range []string{"exp", "nbf", "iat"} {
		if text, ok := claims[name].(string); ok {
			offset, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			claims[name] = now.Unix() + offset
		}
	}
	input := encodePart(t, header) + "." + encodePart(t, claims)
	signature := ""
	if method := jwt.GetSigningMethod(k.Alg); method != nil && k.Alg != "none" {
		raw, err := method.Sign(input, k.key(t, keys))
		if err != nil {
			t.Fatal(err)
		}
		signature = base64.RawURLEncoding.EncodeToString(raw)
	}
	switch k.Tamper {
	case "signature":
		first := "A"
		if signature[:1] == first {
			first = "B"
		}
		signature = first + signature[1:]
	case "payload":
		claims["tampered"] = true
		input = encodePart(t, header) + "." + encodePart(t, claims)
	}
	return input + "." + signature
}

func encodePart(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// key is what the token is signed with.
func (k recordedToken) key(t *testing.T, keys map[string]recordedKey) any {
	t.Helper()
	if name, ok := strings.CutPrefix(k.SignWith, "key:"); ok {
		block, _ := pem.Decode([]byte(keys[name].PrivatePEM))
		if block == nil {
			t.Fatalf("no key %s", name)
		}
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	if !k.SecretIsBase64 {
		return []byte(k.SignWith)
	}
	raw, err := base64.StdEncoding.DecodeString(k.SignWith)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
