package jwtplugin

import (
	"net/http"
	"time"
)

// Headers that the plugin sets or clears on the way upstream.
const (
	headerConsumerID   = "X-Consumer-ID"
	headerCustomID     = "X-Consumer-Custom-ID"
	headerUsername     = "X-Consumer-Username"
	headerCredentialID = "X-Credential-Identifier"
	headerAnonymous    = "X-Anonymous-Consumer"
)

// unexpected is Kong's body for a plugin that failed.
const unexpected = "An unexpected error occurred"

// Decide says what the jwt plugin does with a request at a moment. It never panics, whatever the request holds.
func Decide(cfg Config, req Request, dir Directory, now time.Time) Decision {
	a := attempt{cfg: cfg, req: req, dir: dir, now: now}
	return a.decide(false).Decision
}

// Trace is Decide with what each check finds. Unlike Kong it goes on after a check that fails, so that all that is
// wrong is seen at once. A preflight that passes without a check has no steps. The decision is that of the first
// check that failed; it is Undecided where none failed and one is unknown.
func Trace(cfg Config, req Request, dir Directory, now time.Time) Account {
	a := attempt{cfg: cfg, req: req, dir: dir, now: now}
	return a.decide(true)
}

// decide makes the checks up to the first that does not pass, or all of them.
func (a *attempt) decide(all bool) Account {
	if !a.cfg.RunOnPreflight && a.req.Method == http.MethodOptions {
		return Account{Decision: Decision{Reason: Preflight}}
	}
	steps := a.check(all)
	account := Account{Steps: steps, Header: a.token.header, Claims: a.token.claims, Token: a.text, Key: a.key}
	if a.cred.ID != "" {
		account.Credential = &a.cred
	}
	account.Decision = a.decision(steps)
	d := account.Decision
	if a.cfg.Anonymous == "" || d.Passes() || d.Refusal.Status == http.StatusInternalServerError {
		return account
	}
	account.Decision = anonymous(a.cfg, d, a.dir)
	step := Step{Check: CheckAnonymous, Outcome: Passed}
	if d := account.Decision; !d.Passes() {
		step.Outcome, step.Reason, step.Refusal = Failed, d.Reason, d.Refusal
	}
	account.Steps = append(account.Steps, step)
	return account
}

// decision is that of the first check that failed, without regard to an anonymous consumer.
func (a *attempt) decision(steps []Step) Decision {
	undecided := false
	for _, s := range steps {
		switch s.Outcome {
		case Failed:
			return a.refuse(s.Reason)
		case Unknown:
			undecided = true
		}
	}
	if undecided {
		return a.refuse(Undecided)
	}
	return a.accept()
}

// credentialKey is the key claim: the payload's, else the JOSE header's.
func credentialKey(t token, name string) (string, Reason) {
	v, ok := t.claims.lookup(name)
	if !ok {
		v, ok = t.header.lookup(name)
	}
	if !ok {
		return "", KeyClaimMissing
	}
	key, isString := v.(string)
	switch {
	case !isString:
		return "", KeyClaimNotString
	case key == "":
		return "", KeyClaimEmpty
	default:
		return key, ""
	}
}

// anonymous lets a refused caller pass as the configured consumer.
func anonymous(cfg Config, refused Decision, dir Directory) Decision {
	consumer, ok := dir.Consumer(cfg.Anonymous)
	if !ok {
		d := refuse(cfg, AnonymousNotFound)
		d.Cause = refused.Reason
		return d
	}
	return Decision{
		Reason:        Anonymous,
		Cause:         refused.Reason,
		Consumer:      &consumer,
		CredentialID:  refused.CredentialID,
		CredentialKey: refused.CredentialKey,
		Upstream:      identify(consumer, ""),
	}
}

// identify tells the upstream who calls; an empty key means anonymously.
func identify(c Consumer, key string) HeaderChange {
	change := HeaderChange{Set: map[string]string{}}
	put := func(name, value string) {
		if value == "" {
			change.Clear = append(change.Clear, name)
			return
		}
		change.Set[name] = value
	}
	put(headerConsumerID, c.ID)
	put(headerCustomID, c.CustomID)
	put(headerUsername, c.Username)
	put(headerCredentialID, key)
	if key == "" {
		change.Set[headerAnonymous] = "true"
	} else {
		change.Clear = append(change.Clear, headerAnonymous)
	}
	return change
}
