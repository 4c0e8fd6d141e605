package explain

import (
	"fmt"
	"slices"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/jwtplugin"
)

// remedies say what to do, for each reason of the jwt plugin that is the same for every token.
var remedies = map[jwtplugin.Reason]string{
	jwtplugin.MultipleTokens:      "Send one token, in one place.",
	jwtplugin.UnrecognizableToken: "Give the query parameter a value, or leave it out.",
	jwtplugin.TokenNotJSON:        "Send the token as it was issued: three parts with dots between them. It may have been cut, or quoted, when it was copied.",
	jwtplugin.TokenAlgUnknown:     "Sign with HS256, HS384, HS512, RS256, RS384, RS512, ES256, ES384, ES512, PS256, PS384, PS512 or EdDSA.",
	jwtplugin.TokenClaimsFalse:    "The token's payload has to be a JSON object with claims.",
	jwtplugin.TokenNotObject:      "The token's header and payload have to be JSON objects.",
	jwtplugin.SignatureNotBase64:  "The signature is not base64url (RFC 7515): it was cut or changed when it was copied, or its library writes plain base64.",
	jwtplugin.CredentialNotFound: "Create a credential with this key (spec.credentials[].key of a JwtConsumer), or have the issuer put an existing key in. " +
		"After a rotation, fetch the new token: the old key is gone when its overlap ends.",
	jwtplugin.AlgorithmMismatch:   "Sign with the credential's algorithm, or set spec.credentials[].algorithm of the JwtConsumer.",
	jwtplugin.PublicKeyInvalid:    "The credential's public key cannot be parsed: give it as PEM (PKIX, BEGIN PUBLIC KEY).",
	jwtplugin.SignatureInvalid:    "The token was signed with another secret or key than the credential's, or changed afterwards. Compare: kubectl kongjwt token verify.",
	jwtplugin.SignatureLength:     "The signature has not the length that Kong asserts: PS256, PS384 and PS512 work with RSA keys of 2048 bits alone; ES* signatures are two numbers side by side (RFC 7518 section 3.4), not DER.",
	jwtplugin.ExpirationNotNumber: "exp has to be a number: seconds since 1970.",
	jwtplugin.ConsumerNotFound:    "Kong still holds the credential in its cache, and the consumer is gone. It passes by itself; create the JwtConsumer again if it is missing.",
	jwtplugin.AnonymousNotFound:   "spec.jwt.anonymous names a consumer that is not in Kong: create it, or remove the field.",
}

// remedy says what to do where the jwt plugin refuses for a reason.
func remedy(reason jwtplugin.Reason, cfg jwtplugin.Config, account jwtplugin.Account) string {
	switch reason {
	case jwtplugin.NoToken:
		if len(cfg.HeaderNames) > 0 {
			return fmt.Sprintf("Send it as the header %q with the value \"Bearer <token>\".", cfg.HeaderNames[0])
		}
		return "Send it in " + places(cfg) + "."
	case jwtplugin.KeyClaimMissing:
		for _, other := range []string{"kid", "iss"} {
			if value, found := first(other, account); found && other != cfg.KeyClaimName {
				return fmt.Sprintf("The token names its key in %s (%s): set spec.jwt.keyClaimName of the service to %s, or have the issuer put the key into %s.", other, text(value), other, cfg.KeyClaimName)
			}
		}
		return fmt.Sprintf("Have the issuer put the credential's key into the claim %s, or set spec.jwt.keyClaimName of the service to the claim that has it.", cfg.KeyClaimName)
	case jwtplugin.KeyClaimEmpty, jwtplugin.KeyClaimNotString:
		return fmt.Sprintf("Have the issuer put the credential's key into %s, as a text.", cfg.KeyClaimName)
	case jwtplugin.KeyUnusable:
		if cfg.SecretIsBase64 {
			return "The service decodes secrets as base64url (spec.jwt.secretIsBase64), and this one has characters that are not of it, such as + and /. Write the secret in base64url."
		}
		return "The credential has no public key: put one into its Secret (public.pem)."
	case jwtplugin.ClaimsRefused:
		return claimsRemedy(cfg, account)
	case jwtplugin.ExpirationTooFar:
		if at, is := milliseconds(account.Claims["exp"]); is {
			return fmt.Sprintf("exp is in milliseconds (%s) and has to be in seconds (RFC 7519 section 2).", at.Format(time.RFC3339))
		}
		return fmt.Sprintf("Issue tokens that expire within %s, or raise spec.jwt.maximumExpiration of the service.", span(seconds(cfg.MaximumExpiration)))
	default:
		return remedies[reason]
	}
}

func claimsRemedy(cfg jwtplugin.Config, account jwtplugin.Account) string {
	if at, is := milliseconds(account.Claims["nbf"]); is && slices.Contains(cfg.ClaimsToVerify, "nbf") {
		return fmt.Sprintf("nbf is in milliseconds (%s) and has to be in seconds (RFC 7519 section 2).", at.Format(time.RFC3339))
	}
	for _, name := range []string{"exp", "nbf"} {
		if _, there := account.Claims[name]; !there && slices.Contains(cfg.ClaimsToVerify, name) {
			return fmt.Sprintf("Have the issuer set %s, in seconds since 1970, or take it out of spec.jwt.claimsToVerify of the service.", name)
		}
	}
	return "Fetch a fresh token. If it is fresh, compare the clocks of the issuer and of Kong's nodes."
}
