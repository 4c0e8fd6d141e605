// Package token signs and verifies JSON Web Tokens (RFC 7519) with the material of credentials.
package token

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/kongjwt/kong-jwt-operator/internal/credential"
)

// Signed is a token, and when it is valid.
type Signed struct {
	Token                     credential.Sensitive
	IssueTime, ExpirationTime time.Time
}

// Skew is how far the clocks of this machine and of a data plane may be apart: nbf lies this long before iat, and a
// token that seems to be issued further in the future is taken for one of a clock that has been set back since.
const Skew = 30 * time.Second

// Option changes how a token is signed and verified.
type Option func(*options)

type options struct{ secretIsBase64 bool }

// SecretIsBase64 signs with what an HMAC secret decodes to as base64url, for services whose jwt.secretIsBase64 is
// true. A secret that does not decode signs nothing.
func SecretIsBase64() Option { return func(o *options) { o.secretIsBase64 = true } }

func gather(list []Option) options {
	var o options
	for _, option := range list {
		option(&o)
	}
	return o
}

// Mint signs a token. iss and kid, in the claims and in the header, carry the credential's key, so that it passes
// whichever a service reads; nbf is Skew before iat, for services that verify it: Kong refuses a token without. now
// is rounded down to the second, as NumericDate is written (RFC 7519 section 2). The error is a *status.StalledError
// with reason CredentialCannotSign where the material has nothing to sign with.
func Mint(material credential.Material, claims Claims, now time.Time, ttl time.Duration, list ...Option) (Signed, error) {
	key, err := signingKey(material, gather(list))
	if err != nil {
		return Signed{}, err
	}
	issued, expires := times(now, ttl)
	text, err := assemble(material, claims, issued, expires).SignedString(key)
	if err != nil {
		return Signed{}, fmt.Errorf("sign with %s: the key does not fit the algorithm", material.Algorithm)
	}
	return Signed{Token: credential.Conceal(text), IssueTime: issued, ExpirationTime: expires}, nil
}

func times(now time.Time, ttl time.Duration) (issued, expires time.Time) {
	issued = now.UTC().Truncate(time.Second)
	return issued, issued.Add(ttl).Truncate(time.Second)
}

// assemble makes the token that is to be signed. Equal input gives an equal header and payload.
func assemble(material credential.Material, claims Claims, issued, expires time.Time) *jwt.Token {
	payload := make(jwt.MapClaims, len(claims.Extra)+len(reserved))
	maps.Copy(payload, claims.Extra)
	payload["iss"] = material.Key
	payload["kid"] = material.Key
	payload["iat"] = issued.Unix()
	payload["nbf"] = issued.Add(-Skew).Unix()
	payload["exp"] = expires.Unix()
	if claims.Subject != "" {
		payload["sub"] = claims.Subject
	}
	if len(claims.Audience) > 0 {
		payload["aud"] = claims.Audience
	}
	unsigned := jwt.NewWithClaims(jwt.GetSigningMethod(string(material.Algorithm)), payload)
	unsigned.Header["kid"] = material.Key
	return unsigned
}

// Verify says whether a token is signed with the material and valid now, and gives its claims. Numbers in them are
// json.Number. The error quotes nothing of the token or the material.
func Verify(text string, material credential.Material, now time.Time, list ...Option) (map[string]any, error) {
	return parse(text, material, gather(list), jwt.WithTimeFunc(func() time.Time { return now }), jwt.WithExpirationRequired(), jwt.WithIssuedAt())
}

// parse checks the signature, and what the parser's options ask beyond it.
func parse(text string, material credential.Material, o options, checks ...jwt.ParserOption) (jwt.MapClaims, error) {
	var payload jwt.MapClaims
	parser := jwt.NewParser(append(checks, jwt.WithValidMethods([]string{string(material.Algorithm)}), jwt.WithJSONNumber())...)
	_, err := parser.ParseWithClaims(text, &payload, func(*jwt.Token) (any, error) { return verifyingKey(material, o) })
	if err != nil {
		return nil, verifyError(err)
	}
	return payload, nil
}

// Fresh says whether a token is what Mint would make, but for its times: signed with this material, with these claims
// and this ttl, and not due for renewal at now. issued and expires are the token's times where it is what Mint would
// make.
func Fresh(text string, material credential.Material, claims Claims, ttl, renewBefore time.Duration, now time.Time, list ...Option) (issued, expires time.Time, fresh bool) {
	if !material.CanSign() {
		return issued, expires, false
	}
	payload, err := parse(text, material, gather(list), jwt.WithoutClaimsValidation())
	if err != nil {
		return issued, expires, false
	}
	issuedAt, err := payload.GetIssuedAt()
	if err != nil || issuedAt == nil {
		return issued, expires, false
	}
	issued, expires = times(issuedAt.Time, ttl)
	// Signatures of ECDSA and PSS differ each time; what is signed does not.
	expected, err := assemble(material, claims, issued, expires).SigningString()
	if err != nil || expected != text[:strings.LastIndex(text, ".")] {
		return time.Time{}, time.Time{}, false
	}
	return issued, expires, now.Before(RenewAt(issued, expires, renewBefore)) && !issued.After(now.Add(Skew))
}

// SignedWith says whether a token, however old, is signed with the material.
func SignedWith(text string, material credential.Material, list ...Option) bool {
	_, err := parse(text, material, gather(list), jwt.WithoutClaimsValidation())
	return err == nil
}

// RenewAt is when a token is due to be replaced: renewBefore ahead of its expiry. Where that would be at once, or
// before it was issued, it is when a third of its life is left, so that a token is never renewed without end.
func RenewAt(issued, expires time.Time, renewBefore time.Duration) time.Time {
	if life := expires.Sub(issued); renewBefore >= life {
		renewBefore = life / 3
	}
	return expires.Add(-renewBefore)
}
