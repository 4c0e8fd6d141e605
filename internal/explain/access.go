package explain

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/internal/jwtplugin"
	"github.com/kongjwt/kong-jwt-operator/internal/pluginconfig"
)

// checkACL is the name of the check of the acl plugin.
const checkACL = "acl"

// What Kong's acl and rate-limiting plugins answer.
const (
	aclRefused   = "You cannot consume this service"
	unauthorized = "Unauthorized"
	limited      = "API rate limit exceeded"
)

// checkACL decides as kong/plugins/acl/handler.lua. The decision is the jwt plugin's, nil without one.
func (in Input) checkACL(decision *jwtplugin.Decision) Check {
	c := Check{Name: checkACL, Outcome: jwtplugin.Passed}
	if decision == nil || decision.Consumer == nil {
		return in.aclWithout(c, decision)
	}
	groups, known := in.Groups(decision.Consumer.ID)
	acl, denied := in.Guard.ACL, aclRefused
	shared := func(names []string) []string {
		return slices.DeleteFunc(slices.Clone(names), func(g string) bool { return !slices.Contains(groups, g) })
	}
	switch {
	case len(acl.Deny) > 0 && len(shared(acl.Deny)) > 0:
		c.Detail = fmt.Sprintf("%s is in %s, which may not call", decision.Consumer.Username, list(shared(acl.Deny)))
		c.Remedy = "Take the consumer out of the group, or the group off the service's deny list."
		return c.fail(http.StatusForbidden, denied)
	case len(acl.Deny) > 0:
		c.Detail = decision.Consumer.Username + " is in none of the groups that may not call"
		return c.unless(known)
	case len(shared(acl.Allow)) > 0:
		c.Detail = fmt.Sprintf("%s is in %s, which may call", decision.Consumer.Username, list(shared(acl.Allow)))
		return c
	}
	c.Detail = fmt.Sprintf("%s is in %s, and only %s may call", decision.Consumer.Username, list(groups), list(acl.Allow))
	if !known {
		return c.unless(false)
	}
	c.Remedy = "Name the consumer in the service's spec.access.consumers, or put it in one of the groups that may call (spec.groups of the JwtConsumer)."
	if len(groups) == 0 && !decision.Authenticated() {
		return c.fail(http.StatusUnauthorized, unauthorized)
	}
	return c.fail(http.StatusForbidden, denied)
}

// aclWithout is the check where the jwt plugin gave no consumer.
func (in Input) aclWithout(c Check, decision *jwtplugin.Decision) Check {
	may := "only " + list(in.Guard.ACL.Allow) + " may call"
	if len(in.Guard.ACL.Deny) > 0 {
		may = list(in.Guard.ACL.Deny) + " may not call"
	}
	switch {
	case decision != nil && decision.Reason == jwtplugin.Undecided:
		c.Outcome, c.Detail = jwtplugin.Unknown, may+"; who calls is not known"
		return c
	case decision != nil && !decision.Passes():
		c.Outcome, c.Detail = jwtplugin.Skipped, may
		return c
	}
	c.Detail = may + ", and nobody was authenticated"
	c.Remedy = "Put a jwt plugin before the acl plugin; a preflight that is let pass without a token never passes an acl plugin."
	return c.fail(http.StatusUnauthorized, unauthorized)
}

func (c Check) fail(status int, message string) Check {
	c.Outcome, c.Answer = jwtplugin.Failed, &Answer{Status: status, Body: map[string]string{"message": message}}
	return c
}

func (c Check) unless(known bool) Check {
	if !known {
		c.Outcome = jwtplugin.Unknown
		c.Detail += "; it may be in groups that you may not see"
		c.Remedy = "Ask somebody who may read all JwtConsumers and JwtProtectedServices of the gateway."
	}
	return c
}

// Limits are those of a rate-limiting plugin.
func Limits(settings pluginconfig.RateLimiting) []Limit {
	var limits []Limit
	for _, w := range settings.Windows() {
		limits = append(limits, Limit{Count: int64(w.Limit), Window: w.Name, By: settings.LimitBy})
	}
	return limits
}

// check says what is known of a limit: how much of it is left is known to Kong alone.
func (l Limit) check() Check {
	c := Check{Name: "rate limit", Outcome: jwtplugin.Passed}
	c.Detail = fmt.Sprintf("%d a %s for each %s; what is left is in the answer's RateLimit-Remaining", l.Count, l.Window, l.By)
	if l.Spent {
		c.Detail = fmt.Sprintf("%d a %s for each %s, and they are used up", l.Count, l.Window, l.By)
		c.Remedy = "Wait for as long as Retry-After says, or raise spec.rateLimit of the service."
		return c.fail(http.StatusTooManyRequests, limited)
	}
	return c
}

func list(names []string) string {
	if len(names) == 0 {
		return "no group"
	}
	return strings.Join(names, ", ")
}
