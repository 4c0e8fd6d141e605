package ingress

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// mint makes a token that is valid for an hour where its recording names no other time.
func (t token) mint(keys map[string]key) (string, error) {
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
		block, _ := pem.Decode([]byte(keys[name].PrivatePEM))
		if block == nil {
			return "", fmt.Errorf("no key %s", name)
		}
		var err error
		if material, err = x509.ParsePKCS8PrivateKey(block.Bytes); err != nil {
			return "", err
		}
	}
	return unsigned.SignedString(material)
}
