package jwtplugin

import "net/http"

// Reason says why a request was decided as it was. The values are stable and
// may be shown to people.
type Reason string

// Reasons for letting a request pass.
const (
	// Authenticated: a valid token of a known consumer.
	Authenticated Reason = "Authenticated"
	// Preflight: OPTIONS, and run_on_preflight is false. Nobody was authenticated.
	Preflight Reason = "Preflight"
	// Anonymous: no valid token; Decision.Cause says why. The anonymous consumer stands in.
	Anonymous Reason = "Anonymous"
)

// Reasons for refusing a request with 401.
const (
	NoToken             Reason = "NoToken"
	MultipleTokens      Reason = "MultipleTokens"
	UnrecognizableToken Reason = "UnrecognizableToken" // a query parameter without "="
	TokenNotJSON        Reason = "TokenNotJSON"        // not three parts, not base64url, or not JSON
	TokenAlgUnknown     Reason = "TokenAlgUnknown"     // "alg" missing, "none", or none of Kong's
	TokenClaimsFalse    Reason = "TokenClaimsFalse"    // the payload is the JSON value false
	SignatureNotBase64  Reason = "SignatureNotBase64"
	KeyClaimMissing     Reason = "KeyClaimMissing"
	KeyClaimEmpty       Reason = "KeyClaimEmpty"
	CredentialNotFound  Reason = "CredentialNotFound"
	AlgorithmMismatch   Reason = "AlgorithmMismatch" // the token's alg is not the credential's
	KeyUnusable         Reason = "KeyUnusable"       // no public key, or a secret that is not base64url
	SignatureInvalid    Reason = "SignatureInvalid"
	ClaimsRefused       Reason = "ClaimsRefused" // exp or nbf; Response.Errors says which
	ExpirationTooFar    Reason = "ExpirationTooFar"
	ConsumerNotFound    Reason = "ConsumerNotFound" // the credential outlives its consumer in a cache
)

// Reasons for which the plugin fails and Kong answers 500.
const (
	TokenNotObject      Reason = "TokenNotObject"      // header or payload is JSON but no object
	KeyClaimNotString   Reason = "KeyClaimNotString"   // a number, a boolean, null, an object
	PublicKeyInvalid    Reason = "PublicKeyInvalid"    // cannot be parsed
	SignatureLength     Reason = "SignatureLength"     // ES*, PS*: not the length Kong insists on
	ExpirationNotNumber Reason = "ExpirationNotNumber" // maximum_expiration without exp verified
	AnonymousNotFound   Reason = "AnonymousNotFound"   // the configured anonymous consumer does not exist
)

// Undecided says that the Directory has a gap where it matters. No data plane answers this; it is for Trace, and
// where Decide meets it, it refuses.
const Undecided Reason = "Undecided"

// Response is the answer to a refused request.
type Response struct {
	Status int
	// Message is the body's "message", empty where Errors is set.
	Message string
	// Errors is the whole body where claims are at fault: claim name to fault.
	Errors map[string]string
	// Challenge is the WWW-Authenticate header, empty for none.
	Challenge string
}

// Body is the JSON object that Kong sends. For a 500 Kong adds its request_id.
func (r Response) Body() map[string]string {
	if r.Errors != nil {
		return r.Errors
	}
	return map[string]string{"message": r.Message}
}

// HeaderChange is what happens to the headers that go upstream. A cleared
// header is removed even where the client sent it.
type HeaderChange struct {
	Set   map[string]string
	Clear []string
}

// Apply changes h.
func (c HeaderChange) Apply(h http.Header) {
	for _, name := range c.Clear {
		h.Del(name)
	}
	for name, value := range c.Set {
		h.Set(name, value)
	}
}

// Decision is the outcome for one request.
type Decision struct {
	Reason Reason
	// Cause is why an anonymous caller was not authenticated, or which lookup
	// led to AnonymousNotFound; empty otherwise.
	Cause Reason
	// Refusal is the answer of a request that does not pass; nil when it passes.
	Refusal *Response
	// Consumer is whom the request counts for; nil when refused or unauthenticated.
	Consumer *Consumer
	// CredentialID and CredentialKey name the credential that the token led to,
	// also when the token was refused later on.
	CredentialID  string
	CredentialKey string
	// Token is the one that was verified, which the plugin leaves for others in kong.ctx.shared; empty where none
	// was.
	Token string
	// Upstream is how headers change before the request goes on.
	Upstream HeaderChange
}

// Passes says whether the request goes on to the next plugin.
func (d Decision) Passes() bool { return d.Refusal == nil }

// Authenticated says whether the token's own credential was accepted. It is
// false for an anonymous consumer, as Kong's "credential" is.
func (d Decision) Authenticated() bool { return d.Reason == Authenticated }
