package ingress

import (
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/kongjwt/kong-jwt-operator/test/contract/tokens"
)

// mint makes a token that is valid for an hour where its recording names no other time.
func (t token) mint(keys map[string]tokens.Key) (string, error) {
	distance := time.Hour
	if t.Exp != "" {
		parsed, err := time.ParseDuration(t.Exp)
		if err != nil {
			return "", err
		}
		distance = parsed
	}
	claims := jwt.MapClaims{"exp": time.Now().Add(distance).Unix()}
	if t.Iss != "" {
		claims["iss"] = t.Iss
	}
	method := jwt.GetSigningMethod(t.Alg)
	if method == nil {
		return "", fmt.Errorf("no algorithm %q", t.Alg)
	}
	unsigned := jwt.NewWithClaims(method, claims)
	if t.Kid != "" {
		unsigned.Header["kid"] = t.Kid
	}
	var material any = []byte(t.SignWith)
	if name, is := strings.CutPrefix(t.SignWith, "key:"); is {
		var err error
		if material, err = tokens.Private(keys, name); err != nil {
			return "", err
		}
	}
	return unsigned.SignedString(material)
}
