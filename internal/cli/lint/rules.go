package lint

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/mistakes"
)

// Severity of a finding.
type Severity string

// Severities, the worst first.
const (
	// Error is what the API server, or the operator, refuses.
	Error Severity = "error"
	// Warning is what the admission policy warns of, and what is as bad: a choice that deserves a second look.
	Warning Severity = "warning"
	// Info is mostly a default of Kong's: on nearly every resource, and better written out.
	Info Severity = "info"
)

func rank(s Severity) int { return slices.Index([]Severity{Error, Warning, Info}, s) }

// Finding is one thing about one resource.
type Finding struct {
	Rule     string   `json:"rule"`
	Severity Severity `json:"severity"`
	Message  string   `json:"message"`
}

// rule is one of those that no admission policy has: what Kong's defaults trigger on nearly every resource would be
// noise at every apply.
type rule struct {
	id       string
	severity Severity
	about    string
	// check gives a message for each finding. It looks at the kinds that it knows.
	check func(object any) []string
}

// ruleInvalid is a manifest that cannot be applied.
const ruleInvalid = "invalid"

// rules are our own.
var rules = []rule{
	{"token-in-query", Info, "a service takes tokens from the query, where access logs and proxies keep them", onService(tokenInQuery)},
	{"token-in-cookie", Warning, "a service takes tokens from cookies, which browsers send along from foreign pages", onService(tokenInCookie)},
	{"default-http", Info, "a route names no protocols, and Kong's default takes http too", onService(defaultHTTP)},
	{"no-maximum-expiration", Info, "a service takes tokens however long they live", onService(noMaximumExpiration)},
	{"no-rate-limit", Info, "a service bounds no caller", onService(noRateLimit)},
	{"no-access", Info, "a service leaves it to its gateway who may call", onService(noAccess)},
	routeRule(mistakes.NoRoutes, "a service has no routes: no request reaches it"),
	routeRule(mistakes.StarInPath, "a path has a star in it, which Kong takes as it is"),
	routeRule(mistakes.ExpressionWithoutTilde, "a path looks like a regular expression, and ~ is not before it"),
	routeRule(mistakes.UnmatchedHost, "a host has capitals or a final dot: no request has"),
	routeRule(mistakes.PreflightWithoutRoute, "cors is on, and a route's methods lack OPTIONS"),
	{"upstream-clear-text", Info, "a service sends requests on over http, and their tokens with them", onService(upstreamClearText)},
	{"no-rotation", Info, "a generated credential keeps its material for ever", onConsumer(noRotation)},
	{"long-token", Warning, "a JwtToken lives longer than a day", longToken},
	{"secret-in-config", Warning, "a plugin's config holds what looks like a secret", secretInConfig},
	{"gateway-clear-text", Warning, "a gateway is reached over http, and secrets travel there", onGateway(gatewayClearText)},
	{"gateway-not-verified", Warning, "a gateway's certificate is not verified", onGateway(gatewayNotVerified)},
	{"gateway-any-identity", Info, "a gateway's tenants may claim any username, key and group", onGateway(gatewayAnyIdentity)},
	{"short-secrets", Info, "a gateway takes HMAC secrets of any length", onGateway(shortSecrets)},
}

func onService(check func(*v1alpha1.JwtProtectedServiceSpec) []string) func(any) []string {
	return func(object any) []string {
		if s, ok := object.(*v1alpha1.JwtProtectedService); ok {
			return check(&s.Spec)
		}
		return nil
	}
}

// routeRule is a rule about routes that the operator has too.
func routeRule(id mistakes.Rule, about string) rule {
	return rule{string(id), Warning, about, onService(func(s *v1alpha1.JwtProtectedServiceSpec) []string {
		return messagesOf(id, mistakes.Routes(s))
	})}
}

// messagesOf are the messages of one rule, without the final stop that findings do not have.
func messagesOf(id mistakes.Rule, found []mistakes.Mistake) []string {
	var messages []string
	for _, m := range found {
		if m.Rule == id {
			messages = append(messages, strings.TrimSuffix(m.Message, "."))
		}
	}
	return messages
}

func onConsumer(check func(*v1alpha1.JwtConsumerSpec) []string) func(any) []string {
	return func(object any) []string {
		if c, ok := object.(*v1alpha1.JwtConsumer); ok {
			return check(&c.Spec)
		}
		return nil
	}
}

func onGateway(check func(*v1alpha1.KongGatewaySpec) []string) func(any) []string {
	return func(object any) []string {
		if g, ok := object.(*v1alpha1.KongGateway); ok {
			return check(&g.Spec)
		}
		return nil
	}
}

func tokenInQuery(s *v1alpha1.JwtProtectedServiceSpec) []string {
	names := []string{"jwt"} // Kong's default
	if s.JWT.URIParamNames != nil {
		names = *s.JWT.URIParamNames
	}
	if len(names) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("spec.jwt.uriParamNames: tokens are taken from the query (?%s=), which access logs keep. Write uriParamNames: []", names[0])}
}

func tokenInCookie(s *v1alpha1.JwtProtectedServiceSpec) []string {
	if s.JWT.CookieNames == nil || len(*s.JWT.CookieNames) == 0 {
		return nil
	}
	return []string{"spec.jwt.cookieNames: browsers send cookies along from foreign pages too. Leave cookieNames out, or protect the upstream against forged requests"}
}

func defaultHTTP(s *v1alpha1.JwtProtectedServiceSpec) []string {
	var names []string
	for _, r := range s.Routes {
		if len(r.Protocols) == 0 {
			names = append(names, r.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("spec.routes %s: without protocols Kong takes http too, and tokens travel in clear text. Write protocols: [https]", strings.Join(names, ", "))}
}

func noMaximumExpiration(s *v1alpha1.JwtProtectedServiceSpec) []string {
	if s.JWT.MaximumExpiration != "" {
		return nil
	}
	return []string{"spec.jwt.maximumExpiration: tokens are taken however far their exp is. Write how long yours live, such as maximumExpiration: 1h"}
}

func noRateLimit(s *v1alpha1.JwtProtectedServiceSpec) []string {
	limits := func(p v1alpha1.ServicePlugin) bool { return strings.HasPrefix(p.Plugin, "rate-limiting") }
	if s.RateLimit != nil || slices.ContainsFunc(s.Plugins, limits) {
		return nil
	}
	return []string{"spec.rateLimit: no caller is bounded. Write what one consumer may need, such as rateLimit: {minute: 600}"}
}

func noAccess(s *v1alpha1.JwtProtectedServiceSpec) []string {
	if s.Access != nil {
		return nil
	}
	return []string{"spec.access: who may call depends on the gateway: where policy.identities is Any, every consumer of it. Write access.from, access.groups, access.consumers or access.consumerSelector"}
}

func upstreamClearText(s *v1alpha1.JwtProtectedServiceSpec) []string {
	if s.Upstream == nil || !strings.HasPrefix(s.Upstream.URL, "http://") && !strings.HasPrefix(s.Upstream.URL, "grpc://") {
		return nil
	}
	return []string{"spec.upstream.url: Kong sends the token on, here in clear text. Write https://, unless the network in between encrypts"}
}

func noRotation(c *v1alpha1.JwtConsumerSpec) []string {
	var names []string
	for _, credential := range c.Credentials {
		if credential.Generate != nil && credential.Generate.Rotation == nil && credential.Key == "" {
			names = append(names, credential.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("spec.credentials %s: the material stays for ever. Write generate.rotation: {interval: 2160h}: no request is refused by a rotation", strings.Join(names, ", "))}
}

// longest is what a token may live before it is worth a word: it cannot be taken back but with its credential.
const longest = 24 * time.Hour

func longToken(object any) []string {
	t, ok := object.(*v1alpha1.JwtToken)
	if !ok || t.Spec.TTL.Or(time.Hour) <= longest {
		return nil
	}
	return []string{fmt.Sprintf("spec.ttl: a token that leaks is good for %s. The operator renews it: write a short one, such as ttl: 1h", t.Spec.TTL)}
}

// secretField are the names under which plugins have secrets.
var secretField = regexp.MustCompile(`(?i)(password|passwd|secret|token|api_?key|private_?key|credential)s?$`)

func secretInConfig(object any) []string {
	user, ok := object.(v1alpha1.GatewayUser)
	if !ok {
		return nil
	}
	var found []string
	for _, p := range user.GetPlugins() {
		var config any
		if p.Config == nil || json.Unmarshal(p.Config.Raw, &config) != nil {
			continue
		}
		for _, path := range secretPaths("config", config) {
			found = append(found, fmt.Sprintf("spec.plugins %s: %s is a secret that everyone reads who may read the resource. Put it into a Secret, and name that in configFrom", p.Name, path))
		}
	}
	return found
}

// secretPaths are the fields whose name says that their text is secret. It gives names, never values.
func secretPaths(path string, value any) []string {
	var found []string
	switch v := value.(type) {
	case map[string]any:
		for name, inner := range v {
			if text, isText := inner.(string); isText && text != "" && secretField.MatchString(name) {
				found = append(found, path+"."+name)
				continue
			}
			found = append(found, secretPaths(path+"."+name, inner)...)
		}
	case []any:
		for i, inner := range v {
			found = append(found, secretPaths(fmt.Sprintf("%s[%d]", path, i), inner)...)
		}
	}
	slices.SortFunc(found, cmp.Compare[string])
	return found
}

func gatewayClearText(g *v1alpha1.KongGatewaySpec) []string {
	ref := g.AdminAPI.ServiceRef
	if !strings.HasPrefix(g.AdminAPI.URL, "http://") && (ref == nil || ref.Scheme != "http") {
		return nil
	}
	return []string{"spec.adminAPI: every credential's secret travels there in clear text. Use https, unless the network in between encrypts"}
}

func gatewayNotVerified(g *v1alpha1.KongGatewaySpec) []string {
	var found []string
	if g.AdminAPI.TLS != nil && g.AdminAPI.TLS.InsecureSkipVerify {
		found = append(found, "spec.adminAPI.tls.insecureSkipVerify: whoever sits in between reads every secret. Write caSecretRef instead")
	}
	if g.DataPlanes != nil && g.DataPlanes.TLS != nil && g.DataPlanes.TLS.InsecureSkipVerify {
		found = append(found, "spec.dataPlanes.tls.insecureSkipVerify: whoever sits in between answers for the data planes. Write caSecretRef instead")
	}
	return found
}

func gatewayAnyIdentity(g *v1alpha1.KongGatewaySpec) []string {
	if g.Policy.Identities != v1alpha1.IdentitiesAny {
		return nil
	}
	return []string{"spec.policy.identities: with Any the first who asks gets a username, key or group, whosever it was meant to be. Write Namespaced where namespaces do not trust each other"}
}

func shortSecrets(g *v1alpha1.KongGatewaySpec) []string {
	if g.Policy.MinSecretBytes > 0 {
		return nil
	}
	return []string{"spec.policy.minSecretBytes: HMAC secrets that can be guessed are taken, with a condition only. Write minSecretBytes: 32 (RFC 7518 section 3.2)"}
}
