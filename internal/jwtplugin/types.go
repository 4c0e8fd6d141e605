package jwtplugin

import (
	"fmt"
	"log/slog"
	"net/http"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// Config is the configuration of one jwt plugin (kong/plugins/jwt/schema.lua) with Kong's defaults: in JSON it is what
// the Admin API answers.
type Config struct {
	// URIParamNames are query parameters that may carry a token; names are case-sensitive.
	URIParamNames []string `json:"uri_param_names"`
	// CookieNames are cookies that may carry a token; nginx compares their names without case.
	CookieNames []string `json:"cookie_names"`
	// HeaderNames are headers that may carry `Bearer <token>`.
	HeaderNames []string `json:"header_names"`
	// KeyClaimName is the claim, of the payload or else of the JOSE header, that names the credential.
	KeyClaimName string `json:"key_claim_name"`
	// SecretIsBase64 says that HMAC secrets are base64url text of the key.
	SecretIsBase64 bool `json:"secret_is_base64"`
	// ClaimsToVerify holds "exp", "nbf", both or neither.
	ClaimsToVerify []string `json:"claims_to_verify"`
	// MaximumExpiration is the longest time in seconds from now to exp; 0 means no bound.
	MaximumExpiration float64 `json:"maximum_expiration"`
	// Anonymous is the id or username of the consumer that stands for callers
	// without a valid token; empty means such callers are refused.
	Anonymous string `json:"anonymous"`
	// RunOnPreflight says whether OPTIONS requests need a token too.
	RunOnPreflight bool `json:"run_on_preflight"`
	// Realm is told in the WWW-Authenticate challenge; empty leaves it out. Kong 3.8 or newer.
	Realm string `json:"realm"`
	// Version is Kong's, of which the plugin is a part; the zero value is 3.9 and 3.10, the last open-source ones.
	Version kong.Version `json:"-"`
}

// DefaultConfig is the configuration of a jwt plugin created with a name only.
func DefaultConfig() Config {
	return Config{
		URIParamNames:  []string{"jwt"},
		CookieNames:    []string{},
		HeaderNames:    []string{"authorization"},
		KeyClaimName:   "iss",
		RunOnPreflight: true,
	}
}

// Request is what the plugin looks at in a request.
type Request struct {
	Method   string
	RawQuery string
	// Header has canonical names, as net/http servers deliver it, with cookies under "Cookie".
	Header http.Header
}

// Secret is HMAC key material. Every way of printing it gives "[redacted]".
type Secret string

const redacted = "[redacted]"

// String implements fmt.Stringer.
func (Secret) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (Secret) GoString() string { return redacted }

// Format implements fmt.Formatter, so that no verb prints the material.
func (Secret) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte(redacted)) }

// MarshalText implements encoding.TextMarshaler; encoding/json uses it.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// Credential is a jwt credential as the data plane knows it.
type Credential struct {
	ID         string
	Key        string
	Algorithm  string // empty means HS256
	Secret     Secret
	PublicKey  string // PEM; Kong's rsa_public_key, of whatever key type
	ConsumerID string
	// Gaps are what whoever built the Directory does not know of the credential: none, for a data plane. Trace
	// works around them.
	Gaps Gaps
}

// Gaps say what is not known of a credential.
type Gaps uint8

// Gaps of a credential.
const (
	// GapMaterial: the secret or public key may not be read.
	GapMaterial Gaps = 1 << iota
	// GapCredential: whether there is one with this key is not known, because not all may be read.
	GapCredential
)

// Consumer is a Kong consumer as the data plane knows it.
type Consumer struct {
	ID       string
	Username string
	CustomID string
}

// Directory answers what the data plane knows. Both methods are called at most
// once for a token, and Consumer once more for an anonymous consumer.
type Directory interface {
	// Credential finds a credential by its key.
	Credential(key string) (Credential, bool)
	// Consumer finds a consumer by id, or else by username.
	Consumer(ref string) (Consumer, bool)
}
