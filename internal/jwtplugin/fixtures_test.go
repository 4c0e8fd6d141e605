package jwtplugin_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/kongjwt/kong-jwt-operator/internal/jwtplugin"
)

const hmacSecret = "an-hmac-secret-of-32-bytes-or-so"

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// directory is what a data plane knows, in memory.
type directory struct {
	credentials map[string]jwtplugin.Credential
	consumers   map[string]jwtplugin.Consumer
}

func (d directory) Credential(key string) (jwtplugin.Credential, bool) {
	c, ok := d.credentials[key]
	return c, ok
}

func (d directory) Consumer(ref string) (jwtplugin.Consumer, bool) {
	for id, c := range d.consumers {
		if ref == id || ref == c.Username {
			return c, true
		}
	}
	return jwtplugin.Consumer{}, false
}

// john has the HMAC credential k and, under k-ALG, one for every algorithm.
func john(t testing.TB) directory {
	t.Helper()
	d := directory{
		credentials: map[string]jwtplugin.Credential{
			"k":      {ID: "cred-k", Key: "k", Secret: hmacSecret, ConsumerID: "id-john"},
			"b64":    {ID: "cred-b64", Key: "b64", Secret: "YW4taG1hYy1zZWNyZXQtb2YtMzItYnl0ZXMtb3Itc28=", ConsumerID: "id-john"},
			"plus":   {ID: "cred-plus", Key: "plus", Secret: "+/+/+/+/", ConsumerID: "id-john"},
			"orphan": {ID: "cred-orphan", Key: "orphan", Secret: hmacSecret, ConsumerID: "id-gone"},
			"no-pem": {ID: "cred-no-pem", Key: "no-pem", Algorithm: "ES256", ConsumerID: "id-john"},
			"bad-pem": {
				ID: "cred-bad-pem", Key: "bad-pem", Algorithm: "RS256", PublicKey: "not a key", ConsumerID: "id-john",
			},
			"ec-for-rs": {
				ID: "cred-ec", Key: "ec-for-rs", Algorithm: "RS256", PublicKey: publicPEM(t, keyOf("ES256")), ConsumerID: "id-john",
			},
		},
		consumers: map[string]jwtplugin.Consumer{
			"id-john":   {ID: "id-john", Username: "john", CustomID: "cid-john"},
			"id-nobody": {ID: "id-nobody", Username: "nobody"},
		},
	}
	for _, alg := range allAlgorithms {
		c := jwtplugin.Credential{ID: "cred-" + alg, Key: "k-" + alg, Algorithm: alg, Secret: hmacSecret, ConsumerID: "id-john"}
		if alg[:2] != "HS" {
			c.PublicKey = publicPEM(t, keyOf(alg))
		}
		d.credentials[c.Key] = c
	}
	return d
}

var allAlgorithms = []string{
	"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "EdDSA",
}

var makeKeys = sync.OnceValue(func() map[string]crypto.Signer {
	rsaKey := func(bits int) crypto.Signer { k, _ := rsa.GenerateKey(rand.Reader, bits); return k }
	ecKey := func(c elliptic.Curve) crypto.Signer { k, _ := ecdsa.GenerateKey(c, rand.Reader); return k }
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	two := rsaKey(2048)
	return map[string]crypto.Signer{
		"RS256": two, "RS384": two, "RS512": two, "PS256": two, "PS384": two, "PS512": two,
		"ES256": ecKey(elliptic.P256()), "ES384": ecKey(elliptic.P384()), "ES512": ecKey(elliptic.P521()),
		"EdDSA": ed, "rsa3072": rsaKey(3072),
	}
})

func keyOf(alg string) crypto.Signer { return makeKeys()[alg] }

func publicPEM(t testing.TB, key crypto.Signer) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// sign mints a token; a nil key means the HMAC secret.
func sign(t testing.TB, alg string, key any, header, claims map[string]any) string {
	t.Helper()
	if key == nil {
		key = []byte(hmacSecret)
	}
	minted := jwt.NewWithClaims(jwt.GetSigningMethod(alg), jwt.MapClaims(claims))
	for name, v := range header {
		minted.Header[name] = v
	}
	text, err := minted.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func bearerRequest(token string) jwtplugin.Request {
	return jwtplugin.Request{Method: http.MethodGet, Header: http.Header{"Authorization": {"Bearer " + token}}}
}
