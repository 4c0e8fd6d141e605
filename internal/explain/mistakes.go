package explain

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/jwtplugin"
)

// otherForm is a form of a secret that people sign with by mistake.
type otherForm struct {
	// detail says what the token was signed with, remedy what to do.
	detail, remedy string
	forms          func(secret string) []string
}

var otherForms = []otherForm{
	{
		"signed with the credential's secret without the line break at its end",
		"Take the line break out of the Secret (printf instead of echo), or sign with it.",
		func(s string) []string { return []string{strings.TrimRight(s, "\r\n"), strings.TrimSpace(s)} },
	},
	{
		"signed with the credential's secret and a line break behind it",
		"Sign with the secret alone: the client reads it from a file or a variable that ends in a line break.",
		func(s string) []string { return []string{s + "\n", s + "\r\n"} },
	},
	{
		"signed with the base64 text of the credential's secret",
		"Decode the Secret's value before you sign (base64 -d): Kubernetes shows it in base64.",
		func(s string) []string {
			return []string{base64.StdEncoding.EncodeToString([]byte(s)), base64.URLEncoding.EncodeToString([]byte(s)),
				base64.RawURLEncoding.EncodeToString([]byte(s))}
		},
	},
	{
		"signed with the bytes that the credential's secret is the base64 text of",
		"Sign with the text as it is, or set spec.jwt.secretIsBase64 of the service (Kong reads base64url, without + and /).",
		decodings,
	},
}

// decodings are what a secret is in base64, in any of its forms.
func decodings(secret string) []string {
	var all []string
	for _, encoding := range []*base64.Encoding{
		base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding,
	} {
		if decoded, err := encoding.DecodeString(strings.TrimSpace(secret)); err == nil {
			all = append(all, string(decoded))
		}
	}
	return all
}

// one is a Directory of one credential.
type one struct {
	jwtplugin.Directory
	credential jwtplugin.Credential
}

func (o one) Credential(string) (jwtplugin.Credential, bool) { return o.credential, true }

// otherFormOf finds the form of the credential's secret that a token was signed with, nil where it is none.
func (in Input) otherFormOf(account jwtplugin.Account) *otherForm {
	if account.Credential == nil || account.Credential.Secret == "" {
		return nil
	}
	cfg := *in.Guard.JWT
	cfg.SecretIsBase64 = false
	for i, form := range otherForms {
		for _, secret := range form.forms(string(account.Credential.Secret)) {
			other := *account.Credential
			other.Secret = jwtplugin.Secret(secret)
			if secret == string(account.Credential.Secret) && !in.Guard.JWT.SecretIsBase64 || secret == "" {
				continue
			}
			steps := jwtplugin.Trace(cfg, in.Request, one{in.Directory, other}, in.Now).Steps
			if slices.ContainsFunc(steps, func(s jwtplugin.Step) bool {
				return s.Check == jwtplugin.CheckSignature && s.Outcome == jwtplugin.Passed
			}) {
				return &otherForms[i]
			}
		}
	}
	return nil
}

// similar finds a key that differs from the token's in case or in spaces around it; empty where none does.
func (in Input) similar(key string) string {
	for _, known := range in.Keys {
		if known != key && strings.EqualFold(strings.TrimSpace(known), strings.TrimSpace(key)) {
			return known
		}
	}
	return ""
}

// milliseconds says that a NumericDate was written in milliseconds: as one it is near, as seconds far beyond any date.
func milliseconds(value any) (time.Time, bool) {
	number, isNumber := value.(json.Number)
	if !isNumber {
		return time.Time{}, false
	}
	n, err := number.Float64()
	// From 2001 to 2100, in milliseconds.
	if err != nil || n < 1e12 || n > 4.1e12 {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(n)).UTC(), true
}

// noticed adds to the checks what is known of mistakes that are made often.
func (in Input) noticed(checks []Check, account jwtplugin.Account) {
	for i := range checks {
		c := &checks[i]
		switch {
		case c.Name == string(jwtplugin.CheckCredential) && c.Outcome == jwtplugin.Failed:
			if known := in.similar(account.Key); known != "" {
				c.Detail += fmt.Sprintf("; there is one with the key %s", quote(known))
				c.Remedy = fmt.Sprintf("Write the key in the token as it is in the credential, %s: capitals and spaces count.",
					quote(known))
			}
		case c.Name == string(jwtplugin.CheckSignature) && c.Outcome == jwtplugin.Failed:
			if form := in.otherFormOf(account); form != nil {
				c.Detail, c.Remedy = form.detail, form.remedy
			}
		case c.Name == string(jwtplugin.CheckClaims) && c.Remedy == "":
			if at, is := milliseconds(account.Claims["exp"]); is {
				c.Remedy = fmt.Sprintf("exp is in milliseconds (%s) and has to be in seconds (RFC 7519 section 2): "+
					"as it is, the token never expires.", at.Format(time.RFC3339))
			}
		}
	}
}
