// Package explain says why Kong takes or refuses a request, check by check, in Kong's own order and
// words, with what to do about it. It is pure: what is known goes in, and what is not known is said
// to be unknown rather than guessed.
package explain

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/claims"
	"github.com/kongjwt/kong-jwt-operator/internal/jwtplugin"
	"github.com/kongjwt/kong-jwt-operator/internal/pluginconfig"
)

// Guard is what stands before an upstream; nil parts are not there.
type Guard struct {
	JWT *jwtplugin.Config
	ACL *pluginconfig.ACL
	// Claims are the rules of spec.claims.
	Claims *claims.Rules
	// Limits of requests.
	Limits []Limit
	// OtherClaims says that Kong checks claims by a program that is not the one of the service's spec, such as
	// that of another version: what it decides is not known.
	OtherClaims bool
	// Others are plugins that may refuse a request too, and that are not looked at.
	Others []string
}

// Limit is a bound on requests.
type Limit struct {
	Count int64
	// Window is second, minute, hour, day, month or year.
	Window string
	// By is whose requests count together.
	By string
	// Spent says that it is known to be used up.
	Spent bool
}

// Groups of a consumer; known is false where others may be missing.
type Groups func(consumerID string) (groups []string, known bool)

// Input is one request, and what is known of who shall take it.
type Input struct {
	Request jwtplugin.Request
	Guard   Guard
	// Before are checks that were made already: of resources, of the route.
	Before    []Check
	Directory jwtplugin.Directory
	Groups    Groups
	// Name gives words for a credential, by its id: which resource's it is.
	Name func(credentialID string) string
	// Keys are those of all credentials that are known.
	Keys []string
	// Doubts, where set, is asked once the checks are made: why Kong may hold something else than what is known.
	Doubts func() Doubts
	// Now is the time that claims are held against.
	Now time.Time
}

// Check is one thing that was looked at.
type Check struct {
	Name    string            `json:"name"`
	Outcome jwtplugin.Outcome `json:"outcome"`
	// Answer is what Kong says, for a check that failed.
	Answer *Answer `json:"answer,omitempty"`
	// Detail says in words what was found.
	Detail string `json:"detail,omitempty"`
	// Remedy says what to do.
	Remedy string `json:"remedy,omitempty"`
}

// Answer is what Kong sends.
type Answer struct {
	Status int `json:"status"`
	// Body without Kong's request_id.
	Body map[string]string `json:"body"`
	// Challenge is the WWW-Authenticate header: none before Kong 3.8.
	Challenge string `json:"challenge,omitempty"`
}

// String is the answer as a client sees it.
func (a Answer) String() string {
	body, err := json.Marshal(a.Body)
	if err != nil { // a map of texts always encodes
		return fmt.Sprint(a.Status)
	}
	return fmt.Sprintf("%d %s", a.Status, body)
}

// Verdict is what comes of a request.
type Verdict string

// Verdicts.
const (
	Accepted Verdict = "accepted"
	Refused  Verdict = "refused"
	// Unknown: nothing that is known refuses it, and not all is known, or Kong may hold something else.
	Unknown Verdict = "unknown"
)

// Report is the answer.
type Report struct {
	Verdict Verdict `json:"verdict"`
	// Answer is Kong's, for a verdict of refused. Where a check before it is unknown, Kong may say that it was
	// that one.
	Answer *Answer `json:"answer,omitempty"`
	// Consumer is the username of whom the request counts for.
	Consumer string `json:"consumer,omitempty"`
	// Checks in Kong's order. Behind one that failed they are what would be wrong next.
	Checks []Check `json:"checks"`
}

// Explain makes all checks.
func Explain(in Input) Report {
	r := Report{Checks: slices.Clone(in.Before)}
	var decision *jwtplugin.Decision
	var account jwtplugin.Account
	if in.Guard.JWT == nil {
		r.add(Check{Name: "jwt plugin", Outcome: jwtplugin.Passed, Detail: "there is none here: no token is asked for"})
	} else {
		account = jwtplugin.Trace(*in.Guard.JWT, in.Request, in.Directory, in.Now)
		checks := describe(in, account)
		in.noticed(checks, account)
		r.Checks = append(r.Checks, checks...)
		decision = &account.Decision
		if account.Decision.Consumer != nil {
			r.Consumer = account.Decision.Consumer.Username
		}
	}
	if in.Guard.ACL != nil {
		r.add(in.checkACL(decision))
	}
	for _, limit := range in.Guard.Limits {
		r.add(limit.check())
	}
	if len(in.Guard.Others) > 0 {
		r.add(Check{Name: "other plugins", Outcome: jwtplugin.Skipped, Detail: fmt.Sprintf("%s: not looked at; they may refuse a request too", list(in.Guard.Others))})
	}
	if in.Guard.OtherClaims {
		r.add(Check{
			Name: "claims", Outcome: jwtplugin.Unknown,
			Detail: "Kong runs another program than the one that is made of spec.claims here: what it decides is not known",
			Remedy: "Use the plugin of the operator's version (kubectl kongjwt version), and look whether the service is Ready.",
		})
	}
	if in.Guard.Claims != nil && in.Guard.JWT != nil {
		r.Checks = append(r.Checks, in.checkClaims(account)...) // last: post-function runs after all others
	}
	if in.Doubts != nil {
		in.Doubts().doubt(r.Checks)
	}
	r.conclude(decision)
	return r
}

// Precede puts checks before all others: of what was found out to matter while the others were made.
func (r *Report) Precede(checks ...Check) {
	r.Checks = slices.Concat(checks, r.Checks)
	if r.Verdict == Accepted && slices.ContainsFunc(checks, func(c Check) bool { return c.Outcome == jwtplugin.Failed || c.Outcome == jwtplugin.Unknown }) {
		r.Verdict = Unknown
	}
}

func (r *Report) add(c Check) { r.Checks = append(r.Checks, c) }

// conclude finds the first check that fails: it is what Kong answers.
func (r *Report) conclude(decision *jwtplugin.Decision) {
	anonymous := decision != nil && decision.Cause != ""
	r.Verdict = Accepted
	for _, c := range r.Checks {
		if anonymous && c.Answer != nil && c.Answer.Status == http.StatusUnauthorized && isToken(c.Name) {
			continue // the anonymous consumer stands in
		}
		switch {
		case c.Outcome == jwtplugin.Failed && c.Answer != nil:
			r.Verdict, r.Answer = Refused, c.Answer
			return
		case c.Outcome == jwtplugin.Unknown, c.Outcome == jwtplugin.Failed:
			r.Verdict = Unknown // what failed is not about the request: Kong may hold something else
		}
	}
}

// isToken says whether a check is one of the jwt plugin's.
func isToken(name string) bool {
	return slices.Contains(jwtplugin.Checks(), jwtplugin.Check(name))
}
