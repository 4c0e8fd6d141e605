package jwtplugin

import (
	"fmt"
	"net/http"
)

// refuse is the decision for a reason, with Kong's status, text and challenge.
func refuse(cfg Config, reason Reason) Decision {
	switch reason {
	case TokenNotObject, KeyClaimNotString, PublicKeyInvalid, SignatureLength,
		ExpirationNotNumber, AnonymousNotFound, Undecided:
		return Decision{Reason: reason, Refusal: &Response{
			Status:  http.StatusInternalServerError,
			Message: unexpected,
		}}
	}
	answer := &Response{
		Status:    http.StatusUnauthorized,
		Message:   message(reason, cfg.KeyClaimName),
		Challenge: cfg.challenge(reason != NoToken),
	}
	if reason == ExpirationTooFar {
		answer.Errors = map[string]string{"exp": "exceeds maximum allowed expiration"}
	}
	return Decision{Reason: reason, Refusal: answer}
}

// message is Kong's text for a reason; empty where the body names claims.
func message(reason Reason, keyClaim string) string {
	switch reason {
	case NoToken:
		return "Unauthorized"
	case MultipleTokens:
		return "Multiple tokens provided"
	case UnrecognizableToken:
		return "Unrecognizable token"
	case TokenNotJSON:
		return "Bad token; invalid JSON"
	case TokenAlgUnknown:
		return "Bad token; invalid alg"
	case TokenClaimsFalse:
		return "Bad token; invalid claims"
	case SignatureNotBase64:
		return "Bad token; invalid signature"
	case KeyClaimMissing:
		return fmt.Sprintf("No mandatory '%s' in claims", keyClaim)
	case KeyClaimEmpty:
		return fmt.Sprintf("Invalid '%s' in claims", keyClaim)
	case CredentialNotFound:
		return fmt.Sprintf("No credentials found for given '%s'", keyClaim)
	case AlgorithmMismatch:
		return "Invalid algorithm"
	case KeyUnusable:
		return "Invalid key/secret"
	case SignatureInvalid:
		return "Invalid signature"
	default:
		return ""
	}
}

// challenge is the WWW-Authenticate header, empty where this version sends none. Kong 3.8 to 3.10 put a space between
// realm and error, where RFC 9110 asks for a comma.
func (c Config) challenge(tokenSent bool) string {
	if !c.challenges() {
		return ""
	}
	text := "Bearer"
	if c.Realm != "" {
		text += fmt.Sprintf(` realm="%s"`, c.Realm)
		if tokenSent && c.separatesByComma() {
			text += ","
		}
	}
	if tokenSent {
		text += ` error="invalid_token"`
	}
	return text
}
