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
	"proxy-", "server", "te", "trailer", "transfer-encoding", "upgrade", "via",
	// kong/constants.lua, kong/plugins/oauth2/access.lua and kong/plugins/session/access.lua
	"x-anonymous-consumer", "x-authenticated-", "x-consumer-", "x-credential-", "x-forwarded-", "x-host-override",
	"x-kong-", "x-real-ip",
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
	return checkAnswering(service)
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
	if size := rules.Size(); size > MaxConfigBytes {
		return rules, status.Stalled(v1alpha1.ReasonInvalidSpec,
			"spec.claims: it makes %d bytes of configuration in Kong (a plugin may have %d). Shorten it, or leave some out.",
			size, MaxConfigBytes)
	}
	return rules, err
}

// ClaimsPluginID is the id, as the operator gives it, of the plugin that checks claims for a service.
func ClaimsPluginID(scope Scope, service *v1alpha1.JwtProtectedService) string {
	return scope.ID(kong.KindPlugin, ServiceOwner(service.Namespace, service.Name), partClaims)
}

// RunsClaims says whether a Kong can check claims, as far as its Admin API's node says so.
func RunsClaims(on kong.Capabilities) bool { return on.HasPlugin(PluginClaims) && !on.NoLua }

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

// TakesAnyAudience says whether a service takes tokens whatever they were issued for.
func TakesAnyAudience(service *v1alpha1.JwtProtectedService) bool {
	return service.Spec.Claims == nil || len(service.Spec.Claims.Audiences) == 0
}

// FollowsIssuer says whether a consumer is whoever an issuer signs tokens for.
func FollowsIssuer(consumer *v1alpha1.JwtConsumer) bool {
	return slices.ContainsFunc(consumer.Spec.Credentials, func(c v1alpha1.Credential) bool { return c.JWKS != nil })
}

// Chooses says whether a service lets a consumer of its gateway in by its own choice: it names it, or a group of it
// that policy lets it be in, or it is of its own namespace and the service names nobody.
func Chooses(p Policy, service *v1alpha1.JwtProtectedService, consumer *v1alpha1.JwtConsumer) bool {
	access := service.Spec.Access
	if access == nil || access.From == v1alpha1.AccessFromAnyNamespace {
		return service.Namespace == consumer.Namespace
	}
	shared := func(group string) bool {
		return slices.Contains(consumer.Spec.Groups, group) && p.checkGroup("", consumer.Namespace, group) == nil
	}
	named, err := NamesConsumer(service, consumer)
	return named && err == nil || slices.ContainsFunc(access.Groups, shared)
}

// AnyAudience says, of a service that takes tokens whatever they were issued for, which consumers that follow an
// issuer it lets in. following are those of its gateway. warning is empty where it lets in none. The error is a
// *status.StalledError where policy asks for an audience; consumers of others that the service did not choose are no
// reason for it, since their owners could stop the service so.
func (p Policy) AnyAudience(
	service *v1alpha1.JwtProtectedService, following []*v1alpha1.JwtConsumer,
) (warning string, err error) {
	if !TakesAnyAudience(service) {
		return "", nil
	}
	everybody := p.Access(service) == nil
	var names []string
	chosen := ""
	for _, consumer := range following {
		chooses := Chooses(p, service, consumer)
		if !chooses && !everybody {
			continue
		}
		name := consumer.Namespace + "/" + consumer.Name
		names = append(names, name)
		if chooses && (chosen == "" || name < chosen) {
			chosen = name
		}
	}
	if len(names) == 0 {
		return "", nil
	}
	required := p.Identities != v1alpha1.IdentitiesAny
	if p.Claims.RequireAudience != nil {
		required = *p.Claims.RequireAudience
	}
	if chosen != "" && required {
		err = p.violation("spec.claims.audiences",
			fmt.Sprintf("JwtConsumer %s follows an issuer, and all its tokens would pass, whatever they were issued for", chosen),
			"Name the audience of this service")
	}
	slices.Sort(names)
	return fmt.Sprintf("spec.claims.audiences: every token of the issuers that JwtConsumer %s follows passes, whatever it was "+
		"issued for (KongGateway %s). Name the audience of this service.",
		strings.Join(names[:min(len(names), maxNamed)], ", "), p.Gateway), err
}

// maxNamed is how many consumers a message names.
const maxNamed = 5

// answerThemselves are the plugins that can answer a request before the claims of its token are checked, with what
// only the check should open: what another request got, the answer of a service or a model, messages of a queue. Those
// that send the request there are with them. Post-function has the priority -1000: the access phase of each of them is
// before it (kong/plugins/*/handler.lua, 3.4 to 3.9, and Kong's documentation of the others). A plugin that refuses,
// or answers a text of its own configuration, is none of them.
var answerThemselves = []string{
	// Kong's: 777, 770 and 768, then 750, 749 and 100.
	"ai-request-transformer", "ai-proxy", "ai-response-transformer", "aws-lambda", "azure-functions", "proxy-cache",
	// Kong Gateway Enterprise's, and openwhisk, which was Kong's.
	"ai-a2a-proxy", "ai-mcp-proxy", "ai-proxy-advanced", "ai-semantic-cache", "confluent", "confluent-consume",
	"datakit", "forward-proxy", "graphql-proxy-cache-advanced", "kafka-consume", "kafka-upstream",
	"openwhisk", "proxy-cache-advanced", "request-callout", "solace-consume", "solace-upstream",
}

// AnswersBeforeClaims says whether a plugin answers requests before the claims of their tokens are checked.
func AnswersBeforeClaims(plugin string) bool { return slices.Contains(answerThemselves, plugin) }

// checkAnswering refuses, beside spec.claims, the plugins that answer before claims are checked.
func checkAnswering(service *v1alpha1.JwtProtectedService) error {
	for i, plugin := range service.Spec.Plugins {
		if AnswersBeforeClaims(plugin.Plugin) {
			return status.Stalled(v1alpha1.ReasonInvalidSpec,
				"spec.plugins[%d].plugin: %s answers requests before their claims are checked. Remove it, or spec.claims.",
				i, plugin.Plugin)
		}
	}
	return nil
}

// checkConsumerAnswering refuses a consumer's plugin that answers before claims are checked: Kong runs it on each
// service that lets the consumer in, and any of them may have spec.claims.
func checkConsumerAnswering(p Policy, field, plugin string) error {
	if !AnswersBeforeClaims(plugin) {
		return nil
	}
	return p.violation(field, "plugin "+plugin+" answers requests before services check the claims of their tokens",
		"Put it on a service that has no spec.claims")
}

// checkCounting refuses a plugin that counts requests by a header which is made of a claim. Rate limits run before
// post-function, so they count by what the client sent under that name.
func checkCounting(field string, service *v1alpha1.JwtProtectedService, plugin kong.Fields) error {
	config := plugin.Object("config")
	if service.Spec.Claims == nil || config["limit_by"] != "header" && config["identifier"] != "header" {
		return nil
	}
	counted, _ := config["header_name"].(string)
	for i, header := range service.Spec.Claims.Headers {
		if headerKey(header.Header) == headerKey(counted) {
			return status.Stalled(v1alpha1.ReasonInvalidSpec,
				"%s.config.header_name: requests are counted by %s before spec.claims.headers[%d].header sets it, so by what "+
					"the client sends. Count by consumer, or by another header.", field, header.Header, i)
		}
	}
	return nil
}

// headerKey is the same for the names of headers that Kong reads as one.
func headerKey(name string) string { return strings.ReplaceAll(strings.ToLower(name), "_", "-") }
