package jwtplugin

import (
	"fmt"
	"net/http"
	"slices"
	"time"
)

// attempt is one request on its way through the checks.
type attempt struct {
	cfg Config
	req Request
	dir Directory
	now time.Time

	text     string // the one token of the request
	token    token
	key      string // of the credential that the token names
	cred     Credential
	material any // what the signature is verified with
	faults   map[string]string
	consumer Consumer
}

// check is one step of the plugin's decision. An empty reason means passed.
type check struct {
	name Check
	// needs are the checks without which it has nothing to look at.
	needs []Check
	run   func(*attempt) Reason
}

// order is the plugin's: the first check that does not pass is the answer.
var order = []check{
	{CheckToken, nil, (*attempt).findToken},
	{CheckFormat, []Check{CheckToken}, (*attempt).parse},
	{CheckKeyClaim, []Check{CheckFormat}, (*attempt).readKey},
	{CheckCredential, []Check{CheckKeyClaim}, (*attempt).findCredential},
	{CheckAlgorithm, []Check{CheckCredential}, (*attempt).compareAlgorithm},
	{CheckKey, []Check{CheckAlgorithm}, (*attempt).loadKey},
	{CheckSignature, []Check{CheckKey}, (*attempt).verifySignature},
	{CheckClaims, []Check{CheckFormat}, (*attempt).verifyTimes},
	{CheckMaximumExpiration, []Check{CheckFormat}, (*attempt).compareExpiration},
	{CheckConsumer, []Check{CheckCredential}, (*attempt).findConsumer},
}

// check makes the checks in the plugin's order, up to the first that does not pass or all of them.
func (a *attempt) check(all bool) []Step {
	steps := make([]Step, 0, len(order)+1)
	for _, c := range order {
		step := a.step(c, steps)
		steps = append(steps, step)
		if step.Outcome != Passed && !all {
			break
		}
	}
	return steps
}

// step makes a check, if the earlier ones left something that it can look at.
func (a *attempt) step(c check, before []Step) Step {
	step := Step{Check: c.name, Outcome: Passed}
	for _, s := range before {
		if !slices.Contains(c.needs, s.Check) || s.Outcome == Passed {
			continue
		}
		step.Outcome = Skipped
		if s.Outcome == Unknown {
			step.Outcome = Unknown
		}
		return step
	}
	switch reason := c.run(a); reason {
	case "":
	case Undecided:
		step.Outcome = Unknown
	default:
		step.Outcome, step.Reason, step.Refusal = Failed, reason, a.refuse(reason).Refusal
	}
	return step
}

func (a *attempt) findToken() Reason {
	found := findTokens(a.cfg, a.req)
	switch {
	case found.count() == 0:
		return NoToken
	case found.count() > 1:
		return MultipleTokens
	case found.bare:
		return UnrecognizableToken
	}
	a.text = found.single()
	return ""
}

func (a *attempt) parse() (reason Reason) {
	a.token, reason = a.cfg.parseToken(a.text)
	return reason
}

func (a *attempt) readKey() (reason Reason) {
	a.key, reason = credentialKey(a.token, a.cfg.KeyClaimName)
	return reason
}

func (a *attempt) findCredential() Reason {
	cred, ok := a.dir.Credential(a.key)
	switch {
	case !ok:
		return CredentialNotFound
	case cred.Gaps&GapCredential != 0:
		return Undecided
	}
	a.cred = cred
	return ""
}

func (a *attempt) compareAlgorithm() Reason {
	algorithm := a.cred.Algorithm
	if algorithm == "" {
		algorithm = "HS256"
	}
	if a.token.alg != algorithm {
		return AlgorithmMismatch
	}
	return ""
}

func (a *attempt) loadKey() (reason Reason) {
	if a.cred.Gaps&GapMaterial != 0 {
		return Undecided
	}
	a.material, reason = a.cfg.keyOf(a.token, a.cred)
	return reason
}

func (a *attempt) verifySignature() Reason { return verify(a.token, a.material) }

func (a *attempt) verifyTimes() Reason {
	a.faults = verifyClaims(a.token.claims, a.cfg.ClaimsToVerify, a.now)
	if a.faults != nil {
		return ClaimsRefused
	}
	return ""
}

func (a *attempt) compareExpiration() Reason {
	return checkMaximum(a.token.claims, a.cfg.MaximumExpiration, a.now)
}

func (a *attempt) findConsumer() Reason {
	consumer, ok := a.dir.Consumer(a.cred.ConsumerID)
	if !ok {
		return ConsumerNotFound
	}
	a.consumer = consumer
	return ""
}

// refuse is the decision where a check did not pass.
func (a *attempt) refuse(reason Reason) Decision {
	d := refuse(a.cfg, reason)
	switch reason {
	case ClaimsRefused:
		d.Refusal.Errors = a.faults
	case ConsumerNotFound:
		d.Refusal = &Response{
			Status:  http.StatusUnauthorized,
			Message: fmt.Sprintf("Could not find consumer for '%s=%s'", a.cfg.KeyClaimName, a.cred.Key),
		}
	}
	d.CredentialID, d.CredentialKey = a.cred.ID, a.key
	return d
}

// accept is the decision where all checks passed.
func (a *attempt) accept() Decision {
	return Decision{
		Reason: Authenticated, Consumer: &a.consumer, Upstream: identify(a.consumer, a.cred.Key),
		CredentialID: a.cred.ID, CredentialKey: a.key, Token: a.text,
	}
}
