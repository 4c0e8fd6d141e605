package jwtplugin

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
	// Token of the request; empty where there is not exactly one.
	Token string
	// Key of the credential that the token names.
	Key string
	// Credential that has the key, nil where there is none.
	Credential *Credential
}

// Checks are all, in the plugin's order.
func Checks() []Check {
	names := make([]Check, 0, len(order)+1)
	for _, c := range order {
		names = append(names, c.name)
	}
	return append(names, CheckAnonymous)
}
