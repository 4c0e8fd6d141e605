package desired

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	jwtclaims "github.com/kongjwt/kong-jwt-operator/internal/claims"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// Spec.claims becomes Kong's post-function plugin, with the operator's own program. Tenants never write Lua: what they
// ask for is data in it.
const (
	partClaims = "claims"
	// PluginClaims is the plugin that checks claims.
	PluginClaims = "post-function"
)

// writtenByProxies are the headers that Kong and proxies write, or that say how a message is read: none is made of a
// claim, whatever policy says. A name that ends in - stands for all that begin with it.
var writtenByProxies = []string{
	"accept-", "authorization", "connection", "content-", "cookie", "expect", "forwarded", "host", "keep-alive", "kong-",
	"proxy-", "te", "trailer", "transfer-encoding", "upgrade", "via",
	"x-anonymous-consumer", "x-consumer-", "x-credential-", "x-forwarded-", "x-kong-", "x-real-ip",
}

// answerThemselves are the plugins that can answer a request before its claims are checked: with what another's request
// got, or by calling a service of their own.
var answerThemselves = []string{
	"ai-proxy", "ai-proxy-advanced", "aws-lambda", "azure-functions", "forward-proxy", "graphql-proxy-cache-advanced",
	"openwhisk", "proxy-cache", "proxy-cache-advanced",
}

// checkClaims says what of spec.claims cannot be, or is forbidden.
func (b *builder) checkClaims(service *v1alpha1.JwtProtectedService) error {
	spec := service.Spec.Claims
	if spec == nil {
		return nil
	}
	if _, err := claimRules(service); err != nil {
		return err
	}
	for i, header := range spec.Headers {
		if err := b.policy.checkClaimHeader(path("spec.claims.headers[%d].header", i), header.Header); err != nil {
			return err
		}
	}
	for i, plugin := range service.Spec.Plugins {
		if slices.Contains(answerThemselves, plugin.Plugin) {
			return status.Stalled(v1alpha1.ReasonInvalidSpec,
				"spec.plugins[%d].plugin: %s answers requests before their claims are checked. Remove it, or spec.claims.",
				i, plugin.Plugin)
		}
	}
	return nil
}

// checkClaimHeader holds the name of a header that is made of a claim to what policy lets services set.
func (p Policy) checkClaimHeader(field, name string) error {
	prefixes := p.Claims.Headers
	if prefixes == nil {
		prefixes = []string{"X-Token-"} // the CRD's default
	}
	begins := func(prefix string) bool { return strings.HasPrefix(strings.ToLower(name), strings.ToLower(prefix)) }
	reserved := slices.ContainsFunc(writtenByProxies, func(one string) bool {
		return strings.EqualFold(name, one) || strings.HasSuffix(one, "-") && begins(one)
	})
	switch {
	case reserved:
		return p.violation(field,
			fmt.Sprintf("header %s is Kong's own, or another proxy's, and cannot be made of a claim", name), "Choose another")
	case slices.ContainsFunc(prefixes, begins):
		return nil
	case len(prefixes) == 0:
		return p.violation(field, "no header may be made of a claim", "Remove it, or ask for policy.claims.headers")
	}
	return p.violation(field, fmt.Sprintf("header %s begins with none of policy.claims.headers", name),
		"Begin it with "+strings.Join(prefixes, " or "))
}

// claimRules are what a service asks of claims.
func claimRules(service *v1alpha1.JwtProtectedService) (jwtclaims.Rules, error) {
	rules, err := jwtclaims.Of(*service.Spec.Claims, service.Spec.JWT)
	if wrong, isField := errors.AsType[*jwtclaims.FieldError](err); isField {
		return rules, status.Stalled(v1alpha1.ReasonInvalidSpec,
			"spec.claims.%s: %s. %s.", wrong.Field, wrong.Wrong, wrong.Todo)
	}
	return rules, err
}

// claimsConfig is the configuration of the plugin that checks claims: its program, and nothing in any other phase.
func claimsConfig(rules jwtclaims.Rules) map[string]any {
	config := map[string]any{"access": []string{rules.Program()}}
	for _, phase := range []string{"certificate", "rewrite", "header_filter", "body_filter", "log"} {
		config[phase] = []string{}
	}
	return config
}

// noClaims is the error for a Kong that cannot check claims; nil for one that can.
func noClaims(spec v1alpha1.JwtProtectedServiceSpec, gateway string, on kong.Capabilities) error {
	switch {
	case spec.Claims == nil:
		return nil
	case !on.HasPlugin(PluginClaims):
		return status.Stalled(v1alpha1.ReasonInvalidSpec,
			"spec.claims: Kong has no post-function plugin (KongGateway %s runs %s). "+
				"Add post-function to plugins in kong.conf, where bundled has it, or remove spec.claims.", gateway, on.Version)
	case on.NoLua:
		return status.Stalled(v1alpha1.ReasonInvalidSpec,
			"spec.claims: Kong runs no Lua of plugins (KongGateway %s has untrusted_lua = off). "+
				"Set untrusted_lua = sandbox in kong.conf and restart Kong, or remove spec.claims.", gateway)
	}
	return nil
}
