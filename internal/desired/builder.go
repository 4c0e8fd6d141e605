package desired

import (
	"strings"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// builder collects the entities of one owner.
type builder struct {
	scope    Scope
	policy   Policy
	owner    Owner
	tags     []v1alpha1.Tag
	entities []kong.Entity
}

func (b *builder) add(kind kong.Kind, id, consumerID, part string, fields kong.Fields, more ...string) {
	own := make([]string, 0, len(b.tags))
	for _, tag := range b.tags {
		own = append(own, string(tag))
	}
	fields["tags"] = b.scope.Tags(b.owner, part, append(own, more...)...)
	b.entities = append(b.entities, kong.Entity{Kind: kind, ID: id, ConsumerID: consumerID, Fields: fields})
}

// addPlugin adds a plugin; its fields already say what it is on.
func (b *builder) addPlugin(part string, fields kong.Fields) {
	b.add(kong.KindPlugin, b.scope.ID(kong.KindPlugin, b.owner, part), "", part, fields)
}

// takeTags has all entities carry the tags of the spec, but for those that policy forbids. The error is about the
// first of them.
func (b *builder) takeTags(tags []v1alpha1.Tag) (first error) {
	for i, tag := range tags {
		if err := b.policy.checkVaultReferences(path("spec.tags[%d]", i), string(tag)); err == nil {
			b.tags = append(b.tags, tag)
		} else if first == nil {
			first = err
		}
	}
	return first
}

// pluginPart is the part of a plugin of the spec; those with fields of their own have their Kong name for a part.
func pluginPart(name string) string { return "plugin:" + name }

// PluginField is the field of a spec that a plugin with a part comes from.
func PluginField(part string) string {
	if name, listed := strings.CutPrefix(part, pluginPart("")); listed {
		return "spec.plugins[" + name + "]"
	}
	switch part {
	case partJWT:
		return "spec.jwt"
	case partACL:
		return "spec.access"
	case partClaims:
		return "spec.claims"
	case partRateLimit:
		return "spec.rateLimit"
	}
	return "spec"
}

// What a spec leaves out is sent as Kong 3.9's defaults (kong/db/schema/entities, kong/plugins/*/schema.lua), and not
// left to the Kong at hand: 3.14 makes a route that names no protocols https-only at its next write, and a default
// that changed would be a write of each entity. Fields without a default are left out.
var (
	serviceDefaults = map[string]any{
		"retries": 5, "connect_timeout": 60000, "read_timeout": 60000, "write_timeout": 60000, "enabled": true,
	}
	routeDefaults = map[string]any{
		"protocols": []string{"http", "https"}, "strip_path": true, "preserve_host": false, "regex_priority": 0, "path_handling": "v0",
		"https_redirect_status_code": 426, "request_buffering": true, "response_buffering": true,
	}
	// guardProtocols are those of the plugins that have fields of their own.
	guardProtocols = []string{"grpc", "grpcs", "http", "https"}
	jwtDefaults    = map[string]any{
		"uri_param_names": []string{"jwt"}, "cookie_names": []string{}, "header_names": []string{"authorization"}, "key_claim_name": "iss",
		"secret_is_base64": false, "run_on_preflight": true, "maximum_expiration": 0,
	}
	rateLimitDefaults = map[string]any{
		"limit_by": "consumer", "policy": "local", "fault_tolerant": true, "hide_client_headers": false,
	}
	redisDefaults     = map[string]any{"port": 6379, "timeout": 2000}
	flatRedisDefaults = map[string]any{"redis_port": 6379, "redis_timeout": 2000}
)

// withDefaults adds to fields what is missing of the defaults.
func withDefaults(fields, defaults map[string]any) map[string]any {
	for name, value := range defaults {
		if _, set := fields[name]; !set {
			fields[name] = value
		}
	}
	return fields
}
