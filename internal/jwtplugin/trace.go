package jwtplugin

import (
	"net/http"
	"slices"
	"time"
)

// Check is one step of the plugin's decision. The values are stable and may be shown to people.
type Check string

// Checks in the plugin's order.
const (
	CheckToken             Check = "token"
	CheckFormat            Check = "format"
	CheckKeyClaim          Check = "key claim"
	CheckCredential        Check = "credential"
	CheckAlgorithm         Check = "algorithm"
	CheckKey               Check = "key"
	CheckSignature         Check = "signature"
	CheckClaims            Check = "claims"
	CheckMaximumExpiration Check = "maximum expiration"
	CheckConsumer          Check = "consumer"
	CheckAnonymous         Check = "anonymous"
)

// Outcome of a check.
type Outcome string

// Outcomes of a check.
const (
	Passed Outcome = "passed"
	Failed Outcome = "failed"
	// Unknown: the Directory has a gap where the check looks.
	Unknown Outcome = "unknown"
	// Skipped: there is nothing that it could look at, because of an earlier check.
	Skipped Outcome = "skipped"
)

// Step is what a check found.
type Step struct {
	Check   Check
	Outcome Outcome
	// Reason, for a check that failed.
	Reason Reason
	// Refusal is what Kong answers if this is the first check that fails.
	Refusal *Response
}

// Account is a decision with all that led to it.
type Account struct {
	Decision Decision
	// Steps in the plugin's order; none for a request that is let pass unseen, which is a preflight.
	Steps []Step
	// Header and Claims of the token, nil where it could not be read; numbers are json.Number.
	Header, Claims map[string]any
	// Key of the credential that the token names.
	Key string
	// Credential that has the key, nil where there is none.
	Credential *Credential
}

// Trace is Decide, with what each check finds. Unlike Kong it goes on behind a check that fails, so that all that is wrong is seen at once. A request that
// no check is made of, a preflight, has no steps. The decision is that of the first check that failed; it is Undecided where none failed and one is unknown.
func Trace(cfg Config, req Request, dir Directory, now time.Time) Account {
	if !cfg.RunOnPreflight && req.Method == http.MethodOptions {
		return Account{Decision: Decide(cfg, req, dir, now)}
	}
	a := attempt{cfg: cfg, req: req, dir: dir, now: now}
	steps, refused := a.trace()
	account := Account{Steps: steps, Header: a.token.header, Claims: a.token.claims, Key: a.key}
	if a.cred.ID != "" {
		account.Credential = &a.cred
	}
	undecided := slices.ContainsFunc(steps, func(s Step) bool { return s.Outcome == Unknown })
	switch {
	case refused == nil && undecided:
		account.Decision = a.refuse(Undecided)
		return account
	case refused == nil:
		account.Decision = a.accept()
		return account
	case cfg.Anonymous == "" || refused.Refusal.Status == http.StatusInternalServerError:
		account.Decision = *refused
		return account
	}
	account.Decision = anonymous(cfg, *refused, dir)
	step := Step{Check: CheckAnonymous, Outcome: Passed}
	if d := account.Decision; !d.Passes() {
		step.Outcome, step.Reason, step.Refusal = Failed, d.Reason, d.Refusal
	}
	account.Steps = append(account.Steps, step)
	return account
}

// trace makes all checks, and gives the decision of the first that failed.
func (a *attempt) trace() (steps []Step, refused *Decision) {
	outcomes := map[Check]Outcome{}
	for _, c := range order {
		step := a.step(c, outcomes)
		outcomes[c.name] = step.Outcome
		steps = append(steps, step)
		if step.Outcome == Failed && refused == nil {
			d := a.refuse(step.Reason)
			refused = &d
		}
	}
	return steps, refused
}

// step makes a check, if there is something that it can look at.
func (a *attempt) step(c check, outcomes map[Check]Outcome) Step {
	step := Step{Check: c.name, Outcome: Passed}
	for _, need := range c.needs {
		switch outcomes[need] {
		case Failed, Skipped:
			step.Outcome = Skipped
			return step
		case Unknown:
			step.Outcome = Unknown
			return step
		}
	}
	switch reason := c.run(a); reason {
	case "":
	case Undecided:
		step.Outcome = Unknown
	default:
		step.Outcome, step.Reason = Failed, reason
		step.Refusal = a.refuse(reason).Refusal
	}
	return step
}

// Checks are all, in the plugin's order.
func Checks() []Check {
	names := make([]Check, 0, len(order)+1)
	for _, c := range order {
		names = append(names, c.name)
	}
	return append(names, CheckAnonymous)
}
