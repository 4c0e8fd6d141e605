// Package issuer is an identity provider of the tests' own: it has keys, publishes their set over TLS, replaces them,
// and signs tokens.
package issuer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

// Issuer has keys and publishes them. It is safe for concurrent use.
type Issuer struct {
	server *httptest.Server

	mu   sync.Mutex
	keys []key
	// documents by their path. Where there are any, the set is at its own path alone, and nothing is elsewhere.
	documents map[string]string
	setPath   string
	header    map[string]string
	status    int
	asked     int
	matched   int
}

type key struct {
	id, algorithm string
	signer        crypto.Signer
	published     bool
}

// Start serves an issuer without keys on this machine, over TLS. Close ends it.
func Start() *Issuer {
	i := &Issuer{header: map[string]string{}, documents: map[string]string{}, setPath: "/jwks", status: http.StatusOK}
	i.server = httptest.NewUnstartedServer(http.HandlerFunc(i.serve))
	// Who does not trust the issuer is a case of the tests, and nothing to be printed.
	i.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	i.server.StartTLS()
	return i
}

// Close ends the issuer.
func (i *Issuer) Close() { i.server.Close() }

// Base is the address that all of the issuer is below.
func (i *Issuer) Base() string { return i.server.URL }

// URL of the key set.
func (i *Issuer) URL() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.server.URL + i.setPath
}

// Serve puts a document at a path.
func (i *Issuer) Serve(path, document string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.documents[path] = document
}

// PutSet moves the set to a path.
func (i *Issuer) PutSet(path string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.setPath = path
}

// CA is the certificate of the issuer in PEM, for who shall trust it.
func (i *Issuer) CA() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.server.Certificate().Raw}))
}

// Add makes a key and publishes it.
func (i *Issuer) Add(id, algorithm string) error {
	signer, err := generate(algorithm)
	if err != nil {
		return fmt.Errorf("make a key for %s: %w", algorithm, err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = append(i.keys, key{id: id, algorithm: algorithm, signer: signer, published: true})
	return nil
}

// Withdraw takes a key out of the set. Sign goes on with it.
func (i *Issuer) Withdraw(id string) { i.publish(id, false) }

// Publish puts a withdrawn key back.
func (i *Issuer) Publish(id string) { i.publish(id, true) }

func (i *Issuer) publish(id string, published bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for n := range i.keys {
		if i.keys[n].id == id {
			i.keys[n].published = published
		}
	}
}

// Answer sets the status of the answers to come, 200 being the set.
func (i *Issuer) Answer(status int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.status = status
}

// Header sets a header of the answers to come.
func (i *Issuer) Header(name, value string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.header[name] = value
}

// Asked says how often the set was asked for, and how many of these requests were answered 304.
func (i *Issuer) Asked() (all, notModified int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked, i.matched
}

// Sign signs a token with a key, published or not. kid is in its header.
func (i *Issuer) Sign(id string, claims map[string]any) (string, error) {
	i.mu.Lock()
	n := slices.IndexFunc(i.keys, func(k key) bool { return k.id == id })
	if n < 0 {
		i.mu.Unlock()
		return "", fmt.Errorf("the issuer has no key %s", id)
	}
	with := i.keys[n]
	i.mu.Unlock()
	token := jwt.NewWithClaims(jwt.GetSigningMethod(with.algorithm), jwt.MapClaims(claims))
	token.Header["kid"] = id
	return token.SignedString(with.signer)
}

// PublicKey gives a key's public half.
func (i *Issuer) PublicKey(id string) crypto.PublicKey {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, k := range i.keys {
		if k.id == id {
			return k.signer.Public()
		}
	}
	return nil
}

// Set is the document that the issuer publishes.
func (i *Issuer) Set() ([]byte, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.set()
}

func (i *Issuer) set() ([]byte, error) {
	set := jwkset.JWKSMarshal{Keys: []jwkset.JWKMarshal{}}
	for _, k := range i.keys {
		if !k.published {
			continue
		}
		jwk, err := jwkset.NewJWKFromKey(k.signer.Public(), jwkset.JWKOptions{
			Metadata: jwkset.JWKMetadataOptions{ALG: jwkset.ALG(k.algorithm), KID: k.id, USE: jwkset.UseSig},
		})
		if err != nil {
			return nil, err
		}
		set.Keys = append(set.Keys, jwk.Marshal())
	}
	return json.Marshal(set)
}

// serve answers as identity providers do: with an entity tag, and 304 to who holds the set already.
func (i *Issuer) serve(w http.ResponseWriter, request *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if document, found := i.documents[request.URL.Path]; found {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, document)
		return
	}
	if len(i.documents) > 0 && request.URL.Path != i.setPath {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	i.asked++
	for _, name := range slices.Sorted(maps.Keys(i.header)) {
		w.Header().Set(name, i.header[name])
	}
	if i.status != http.StatusOK {
		w.WriteHeader(i.status)
		return
	}
	document, err := i.set()
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	sum := sha256.Sum256(document)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	w.Header().Set("ETag", tag)
	if request.Header.Get("If-None-Match") == tag {
		i.matched++
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Type", "application/jwk-set+json")
	_, _ = w.Write(document)
}

func generate(algorithm string) (crypto.Signer, error) {
	switch {
	case strings.HasPrefix(algorithm, "RS"), strings.HasPrefix(algorithm, "PS"):
		return rsa.GenerateKey(rand.Reader, 2048)
	case algorithm == "ES256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case algorithm == "ES384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case algorithm == "ES512":
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case algorithm == "EdDSA":
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	default:
		return nil, fmt.Errorf("no issuer publishes keys for %q", algorithm)
	}
}
