package explain

import (
	"fmt"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/internal/claims"
	"github.com/kongjwt/kong-jwt-operator/internal/jwtplugin"
)

// checkPayload is the name of the check whether the claims can be read at all.
const checkPayload = "payload"

// claimRemedies say what to do, for each problem of a token's claims.
var claimRemedies = map[claims.Problem]string{
	claims.NoToken: "Send a token. Where requests without one may pass, set spec.claims.allowAnonymous beside spec.jwt.anonymous " +
		"of the service.",
	claims.Unreadable: "Have the issuer write claims that every reader takes for the same: strict JSON (RFC 8259) in UTF-8, each name " +
		"once, at most 16 objects and lists in one another.",
	claims.WrongIssuer: "Fetch the token from an issuer of the service, or add its iss, to the letter, to spec.claims.issuers " +
		"of the service.",
	claims.WrongAudience: "Ask the issuer for a token for this service, or add the audience to spec.claims.audiences of the service.",
	claims.IssuedInFuture: "Compare the clocks of the issuer and of Kong's nodes, or raise spec.claims.clockSkew; iat is a number of " +
		"seconds since 1970.",
	claims.Insufficient: "Ask the issuer for a token with this claim, or change spec.claims.required of the service.",
	claims.NoHeader: "Have the issuer leave out line breaks, spaces at the ends and, in lists, commas and objects; or take the claim " +
		"out of spec.claims.headers of the service.",
}

// checkClaims judges the claims of a token that the jwt plugin has looked at.
func (in Input) checkClaims(account jwtplugin.Account) []Check {
	decision, rules := account.Decision, *in.Guard.Claims
	request := claims.Request{Token: account.Token, Method: in.Request.Method}
	switch {
	case decision.Cause != "", decision.Reason == jwtplugin.Preflight:
		request.Token = "" // what was sent, if anything, was not verified
	case account.Token == "":
		return []Check{{Name: checkPayload, Outcome: jwtplugin.Skipped, Detail: "not looked at, after what failed"}}
	}
	judged := rules.Decide(request, in.Now)
	if request.Token == "" && judged.Passes() {
		return []Check{{Name: checkPayload, Outcome: jwtplugin.Passed, Detail: "there are no claims to check without a token"}}
	}
	checks := make([]Check, 0, len(judged.Checks))
	for _, found := range judged.Checks {
		c := Check{Name: strings.TrimPrefix(found.Field, "spec."), Outcome: jwtplugin.Passed}
		c.Detail = claimDetail(found, judged, account)
		if found.Claim == "" {
			c.Name = checkPayload
		}
		if found.Problem != "" {
			c.Remedy = claimRemedies[found.Problem]
			c = c.fail(judged.Status, judged.Message)
		}
		checks = append(checks, c)
	}
	return checks
}

func claimDetail(found claims.Check, judged claims.Decision, account jwtplugin.Account) string {
	switch {
	case found.Problem == claims.NoToken:
		return "no token was verified, and the claims of one are asked for"
	case found.Problem == claims.Unreadable:
		return "the token's claims are not strict JSON"
	case found.Claim == "":
		return "the token's claims can be read"
	}
	said := fmt.Sprintf("%s is %s", found.Claim, text(valueAt(found.Claim, account.Claims)))
	if found.Problem != "" {
		return said + ", and has to be " + found.Wants
	}
	if strings.Contains(found.Field, "headers") {
		if value, sent := judged.Set[found.Wants]; sent {
			return fmt.Sprintf("the upstream gets %s: %s", found.Wants, quote(value))
		}
		return fmt.Sprintf("%s, and the upstream gets no %s", said, found.Wants)
	}
	return said + ": it is " + found.Wants
}

// valueAt gives the value at a path to a claim, nil where there is none.
func valueAt(path string, values map[string]any) any {
	parsed, err := claims.ParsePath(path)
	if err != nil {
		return nil
	}
	var value any = values
	for _, name := range parsed.Names {
		inner, _ := value.(map[string]any)
		value = inner[name]
	}
	return value
}
