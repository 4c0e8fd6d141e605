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

// Decide says what the jwt plugin does with a request at a moment. It never
// panics, whatever the request holds.
func Decide(cfg Config, req Request, dir Directory, now time.Time) Decision {
	if !cfg.RunOnPreflight && req.Method == http.MethodOptions {
		return Decision{Reason: Preflight}
	}
	d := authenticate(cfg, req, dir, now)
	if cfg.Anonymous == "" || d.Passes() || d.Refusal.Status == http.StatusInternalServerError {
		return d
	}
	return anonymous(cfg, d, dir)
}

// authenticate is the decision without regard to an anonymous consumer.
func authenticate(cfg Config, req Request, dir Directory, now time.Time) Decision {
	a := attempt{cfg: cfg, req: req, dir: dir, now: now}
	for _, c := range order {
		if reason := c.run(&a); reason != "" {
			return a.refuse(reason)
		}
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
