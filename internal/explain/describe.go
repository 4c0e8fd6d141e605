package explain

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/internal/jwtplugin"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// describe puts the steps of the jwt plugin in words.
func describe(in Input, account jwtplugin.Account) []Check {
	if len(account.Steps) == 0 {
		return []Check{{Name: string(jwtplugin.CheckToken), Outcome: jwtplugin.Passed, Detail: "a preflight request needs no token here (runOnPreflight is false)"}}
	}
	checks := make([]Check, 0, len(account.Steps))
	for _, step := range account.Steps {
		c := Check{Name: string(step.Check), Outcome: step.Outcome}
		if step.Refusal != nil {
			c.Answer = &Answer{Status: step.Refusal.Status, Body: step.Refusal.Body(), Challenge: step.Refusal.Challenge}
		}
		c.Detail = "not looked at, after what failed"
		if step.Outcome != jwtplugin.Skipped {
			c.Detail = in.detail(step, account)
		}
		if step.Outcome == jwtplugin.Failed {
			c.Remedy = remedy(step.Reason, *in.Guard.JWT, account)
		}
		checks = append(checks, c)
	}
	return checks
}

// Some releases from failsFrom until failsUntil answer 500 to a token without dots; which ones is not known.
var failsFrom, failsUntil = kong.Version{Major: 3, Minor: 11}, kong.Version{Major: 3, Minor: 15}

// detail says what a check of the jwt plugin found.
func (in Input) detail(step jwtplugin.Step, account jwtplugin.Account) string {
	cfg := *in.Guard.JWT
	switch step.Check {
	case jwtplugin.CheckToken:
		return tokenDetail(step, cfg)
	case jwtplugin.CheckFormat:
		if step.Outcome == jwtplugin.Passed {
			return "a JSON Web Token, signed by " + algorithm(account)
		}
		if v := cfg.Version; v != (kong.Version{}) && v.AtLeast(failsFrom) && !v.AtLeast(failsUntil) && !strings.Contains(account.Token, ".") {
			return "not a token that Kong can read; some releases of Kong 3.11 to 3.14 answer 500 to one without dots"
		}
		return "not a token that Kong can read"
	case jwtplugin.CheckKeyClaim:
		if step.Outcome == jwtplugin.Passed {
			return fmt.Sprintf("%s is %s, %s", cfg.KeyClaimName, quote(account.Key), where(cfg.KeyClaimName, account))
		}
		return missingKey(cfg.KeyClaimName, account)
	case jwtplugin.CheckCredential:
		return in.credentialDetail(step, account)
	case jwtplugin.CheckAlgorithm:
		if account.Credential == nil {
			return "not known"
		}
		return fmt.Sprintf("the token's alg is %s, the credential's %s", algorithm(account), account.Credential.Algorithm)
	case jwtplugin.CheckKey, jwtplugin.CheckSignature:
		return keyDetail(step)
	case jwtplugin.CheckClaims:
		return in.claimsDetail(cfg, account)
	case jwtplugin.CheckMaximumExpiration:
		if cfg.MaximumExpiration <= 0 {
			return "any time is allowed"
		}
		return "exp may be at most " + span(seconds(cfg.MaximumExpiration)) + " from now"
	case jwtplugin.CheckConsumer:
		return consumerDetail(step, account)
	case jwtplugin.CheckAnonymous:
		return "a request without a valid token passes as the consumer " + cfg.Anonymous
	default:
		return ""
	}
}

func tokenDetail(step jwtplugin.Step, cfg jwtplugin.Config) string {
	switch step.Reason {
	case jwtplugin.NoToken:
		return "Kong finds none in " + places(cfg)
	case jwtplugin.MultipleTokens:
		return "the request carries different tokens in " + places(cfg)
	case jwtplugin.UnrecognizableToken:
		return "a query parameter that shall carry a token has no value"
	default:
		return "one token in the request"
	}
}

// places are where the plugin looks for a token.
func places(cfg jwtplugin.Config) string {
	var all []string
	for _, kind := range []struct {
		name   string
		values []string
	}{{"header", cfg.HeaderNames}, {"query parameter", cfg.URIParamNames}, {"cookie", cfg.CookieNames}} {
		for _, v := range kind.values {
			all = append(all, kind.name+" "+v)
		}
	}
	if len(all) == 0 {
		return "any place: the plugin looks in none"
	}
	return strings.Join(all, ", ")
}

func where(claim string, account jwtplugin.Account) string {
	if v, ok := account.Claims[claim]; ok && v != false {
		return "in its claims"
	}
	return "in its header"
}

func missingKey(claim string, account jwtplugin.Account) string {
	if value, found := first(claim, account); found {
		return fmt.Sprintf("%s is %s, and has to be a text that is not empty", claim, text(value))
	}
	other := ""
	for _, name := range []string{"kid", "iss"} {
		if value, found := first(name, account); found && name != claim {
			other = fmt.Sprintf("; the token has a %s: %s", name, text(value))
			break
		}
	}
	return fmt.Sprintf("neither the token's claims nor its header have a %s%s", claim, other)
}

func first(name string, account jwtplugin.Account) (any, bool) {
	if v, ok := account.Claims[name]; ok && v != false {
		return v, true
	}
	v, ok := account.Header[name]
	return v, ok
}

func (in Input) credentialDetail(step jwtplugin.Step, account jwtplugin.Account) string {
	switch {
	case step.Outcome == jwtplugin.Unknown && account.Key != "":
		return fmt.Sprintf("none that you may see has the key %s", quote(account.Key))
	case step.Outcome == jwtplugin.Unknown:
		return "not known"
	case account.Credential == nil:
		return fmt.Sprintf("none has the key %s", quote(account.Key))
	case in.Name != nil:
		return in.Name(account.Credential.ID)
	default:
		return account.Credential.ID
	}
}

func keyDetail(step jwtplugin.Step) string {
	switch {
	case step.Outcome == jwtplugin.Unknown:
		return "the credential's material is not known to you"
	case step.Outcome == jwtplugin.Passed && step.Check == jwtplugin.CheckKey:
		return "the credential's material can be used"
	case step.Outcome == jwtplugin.Passed:
		return "signed with this credential"
	case step.Check == jwtplugin.CheckKey:
		return "the credential's material cannot be used"
	default:
		return "not signed with this credential"
	}
}

// claimsDetail names exp and nbf in any case: a token that expired and passes is worth a line.
func (in Input) claimsDetail(cfg jwtplugin.Config, account jwtplugin.Account) string {
	var lines []string
	for _, name := range []string{"exp", "nbf"} {
		verified := slices.Contains(cfg.ClaimsToVerify, name)
		line := in.moment(name, account.Claims[name])
		switch {
		case line == "" && verified:
			line = "there is no " + name
		case line == "":
			continue
		case !verified:
			line += " (not verified here)"
		}
		lines = append(lines, line)
	}
	if len(lines) == 0 {
		return "none is verified here, and the token has neither exp nor nbf"
	}
	return strings.Join(lines, "; ")
}

func consumerDetail(step jwtplugin.Step, account jwtplugin.Account) string {
	switch {
	case step.Outcome == jwtplugin.Unknown:
		return "not known"
	case step.Outcome == jwtplugin.Failed:
		return "the credential's consumer is gone"
	case account.Decision.Consumer != nil:
		return account.Decision.Consumer.Username
	default:
		return "the credential's consumer exists"
	}
}

// algorithm of a token that could be read: one that Kong knows.
func algorithm(account jwtplugin.Account) string {
	alg, _ := account.Header["alg"].(string)
	return alg
}

// text shows a JSON value.
func text(value any) string {
	switch v := value.(type) {
	case nil:
		return "missing"
	case string:
		return quote(v)
	case json.Number:
		return v.String()
	default:
		raw, err := json.Marshal(v)
		if err != nil || len(raw) > longest {
			return "something long"
		}
		return string(raw)
	}
}

// longest text of a token that is quoted, in bytes.
const longest = 200

func quote(s string) string {
	if len(s) > longest {
		s = s[:longest] + "..."
	}
	return strconv.Quote(s)
}
