package desired

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/pluginconfig"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// insteadOf names an algorithm of every Kong for one that came later, of the same kind of key where there is one.
var insteadOf = map[string]string{"PS256": "RS256", "PS384": "RS384", "PS512": "RS512", "ES512": "ES384", "EdDSA": "ES256"}

// since says from which version on Kong has something, or that no version that is known has it.
func since(what string, version kong.Version) string {
	if version == (kong.Version{}) {
		return what + " is not known to this Kong"
	}
	return fmt.Sprintf("%s needs Kong %s", what, version)
}

// VersionChange says in words that another version of Kong answers than before; empty where it is the same, or the
// first. older says that the new one takes less.
func VersionChange(before, now string) (note string, older bool) {
	if before == "" || before == now {
		return "", false
	}
	if kong.ParseVersion(now).AtLeast(kong.ParseVersion(before)) {
		return "Kong " + now + " answers, where " + before + " did", false
	}
	return "Kong " + now + " answers, which is older than " + before + ": what it does not take is refused from now on", true
}

// ShowCapabilities writes what a Kong takes as a gateway's status has it.
func ShowCapabilities(of kong.Capabilities) *v1alpha1.KongCapabilities {
	return &v1alpha1.KongCapabilities{
		Edition: of.Edition, Algorithms: of.Algorithms, JWTOptions: of.JWTOptions, Plugins: of.Plugins,
		FlatRedis: of.FlatRedis, TLSCertificateVerify: of.TLSVerify, NoLua: of.NoLua,
	}
}

// CapabilitiesOf are what a gateway's Kong takes, by its status; by version alone, if that is given.
func CapabilitiesOf(gateway *v1alpha1.KongGateway, version string) kong.Capabilities {
	if version != "" || gateway.Status.Capabilities == nil {
		return kong.CapabilitiesOf(kong.Node{Version: cmp.Or(version, gateway.Status.KongVersion)}, kong.Schemas{})
	}
	shown := gateway.Status.Capabilities
	return kong.Capabilities{
		Version: gateway.Status.KongVersion, Edition: shown.Edition, Algorithms: shown.Algorithms, JWTOptions: shown.JWTOptions,
		Plugins: shown.Plugins, FlatRedis: shown.FlatRedis, TLSVerify: shown.TLSCertificateVerify,
		NoLua: shown.NoLua,
	}
}

// Unsupported says what of a consumer BuildConsumer leaves out, since this Kong does not take it: the rest is
// programmed. The error joins a *status.StalledError for each.
func (in ConsumerInput) Unsupported(gateway string) error {
	var problems []error
	for _, c := range in.Credentials {
		if err := in.unsupported(gateway, c); err != nil {
			problems = append(problems, err)
		}
	}
	if !in.Kong.HasPlugin(partACL) && len(in.Consumer.Spec.Groups) > 0 {
		problems = append(problems, status.Stalled(v1alpha1.ReasonInvalidSpec,
			"spec.groups: Kong has no acl plugin (KongGateway %s runs %s). Remove the groups, or add acl to Kong's plugins.",
			gateway, in.Kong.Version))
	}
	for i, plugin := range in.Consumer.Spec.Plugins {
		if !in.Kong.HasPlugin(plugin.Plugin) {
			problems = append(problems, noPlugin(gateway, in.Kong, i, plugin.Plugin))
		}
	}
	return errors.Join(problems...)
}

func (in ConsumerInput) unsupported(gateway string, c Credential) error {
	algorithm := string(c.Material.Algorithm)
	needs := since(algorithm, kong.AlgorithmSince(algorithm))
	switch {
	case !in.Kong.HasPlugin(partJWT):
		return status.Stalled(v1alpha1.ReasonInvalidSpec, "%s: Kong has no jwt plugin (KongGateway %s runs %s). Add jwt to Kong's plugins.",
			c.Field, gateway, in.Kong.Version)
	case in.Kong.TakesAlgorithm(algorithm):
		return nil
	case isOfKeySet(c.Part):
		return status.Stalled(v1alpha1.ReasonInvalidSpec,
			"%s.jwks: key %s of the set: %s (KongGateway %s runs %s). Upgrade Kong; the other keys are in use.",
			c.Field, c.Material.Key, needs, gateway, in.Kong.Version)
	}
	return status.Stalled(v1alpha1.ReasonInvalidSpec, "%s.algorithm: %s (KongGateway %s runs %s). Choose %s, or upgrade Kong.",
		c.Field, needs, gateway, in.Kong.Version, cmp.Or(insteadOf[algorithm], "another"))
}

// noPlugin is the error for a plugin of the spec that this Kong does not have.
func noPlugin(gateway string, on kong.Capabilities, index int, plugin string) error {
	return status.Stalled(v1alpha1.ReasonInvalidSpec,
		"spec.plugins[%d].plugin: Kong has no %s plugin (KongGateway %s runs %s). Add it to Kong's plugins, or name another.",
		index, plugin, gateway, on.Version)
}

// isOfKeySet says whether a part is of a key of an issuer's set: see KeySetPart.
func isOfKeySet(part string) bool { return strings.Count(part, ":") > 1 }

// Unsupported says what of a service this Kong does not take: nothing of it is programmed.
func (in ServiceInput) Unsupported(gateway string) error {
	spec, on := in.Service.Spec, in.Kong
	switch {
	case !on.HasPlugin(partJWT):
		return status.Stalled(v1alpha1.ReasonInvalidSpec, "spec.jwt: Kong has no jwt plugin (KongGateway %s runs %s). Add jwt to Kong's plugins.",
			gateway, on.Version)
	case spec.JWT.Realm != "" && !on.TakesJWTOption("realm"):
		return status.Stalled(v1alpha1.ReasonInvalidSpec, "spec.jwt.realm: %s (KongGateway %s runs %s). Remove it, or upgrade Kong.",
			since("realm", kong.JWTOptionSince("realm")), gateway, on.Version)
	case spec.Access != nil && !on.HasPlugin(partACL):
		return status.Stalled(v1alpha1.ReasonInvalidSpec,
			"spec.access: Kong has no acl plugin (KongGateway %s runs %s). Remove it, or add acl to Kong's plugins.", gateway, on.Version)
	case spec.RateLimit != nil && !on.HasPlugin(partRateLimit):
		return status.Stalled(v1alpha1.ReasonInvalidSpec,
			"spec.rateLimit: Kong has no rate-limiting plugin (KongGateway %s runs %s). Remove it, or add rate-limiting to Kong's plugins.",
			gateway, on.Version)
	case spec.Upstream != nil && spec.Upstream.TLSVerify != nil && !*spec.Upstream.TLSVerify && on.TLSVerify:
		return status.Stalled(v1alpha1.ReasonInvalidSpec,
			"spec.upstream.tlsVerify: Kong refuses false while its tls_certificate_verify is on (KongGateway %s runs %s). "+
				"Set it to true, or remove it.", gateway, on.Version)
	}
	for i, plugin := range spec.Plugins {
		if !on.HasPlugin(plugin.Plugin) {
			return noPlugin(gateway, on, i, plugin.Plugin)
		}
	}
	if err := noHeaders(spec.Routes, gateway, on); err != nil {
		return err
	}
	return noClaims(spec, gateway, on)
}

// headerExpression begins a header's value that is a regular expression.
const headerExpression = "~*"

// noHeaders is the error for a header's regular expression that is none, where Kong does not say so.
func noHeaders(routes []v1alpha1.Route, gateway string, on kong.Capabilities) error {
	if on.ChecksHeaders() {
		return nil
	}
	for i, route := range routes {
		for _, name := range slices.Sorted(maps.Keys(route.Headers)) {
			if slices.ContainsFunc(route.Headers[name], isNoExpression) {
				return status.Stalled(v1alpha1.ReasonInvalidSpec,
					"spec.routes[%d].headers.%s: no regular expression follows ~*, and Kong would leave the route out without a word "+
						"(KongGateway %s runs %s). Correct it.", i, name, gateway, on.Version)
			}
		}
	}
	return nil
}

// isNoExpression says whether a header's value is meant as a regular expression, and is none.
func isNoExpression(value string) bool {
	expression, isMeant := strings.CutPrefix(value, headerExpression)
	_, err := syntax.Parse(expression, syntax.Perl)
	return isMeant && err != nil
}

// jwtFields makes the jwt plugin's configuration for this Kong.
func jwtFields(spec v1alpha1.JWTPlugin, on kong.Capabilities) map[string]any {
	config := withDefaults(pluginconfig.EncodeJWT(spec), jwtDefaults)
	for name := range config {
		if !on.TakesJWTOption(name) {
			delete(config, name)
		}
	}
	return config
}

// rateLimitFields makes the rate-limiting plugin's configuration for this Kong.
func rateLimitFields(spec v1alpha1.RateLimit, server *v1alpha1.RedisServer, password string, on kong.Capabilities) map[string]any {
	if on.FlatRedis {
		config := pluginconfig.EncodeRateLimit(spec, server, password, pluginconfig.RedisFlat)
		if server != nil {
			withDefaults(config, flatRedisDefaults)
		}
		return withDefaults(config, rateLimitDefaults)
	}
	config := pluginconfig.EncodeRateLimit(spec, server, password, pluginconfig.RedisRecord)
	if redis, ok := config["redis"].(map[string]any); ok {
		withDefaults(redis, redisDefaults)
	}
	return withDefaults(config, rateLimitDefaults)
}
