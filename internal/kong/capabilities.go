package kong

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
)

// Capabilities are what one Kong takes, as far as versions, editions and plugins differ. The zero value is the newest
// Kong with all that this client writes.
type Capabilities struct {
	// Version is Kong's, as it says it; Edition is "community" or "enterprise".
	Version, Edition string
	// Algorithms are those that credentials may have; nil for all.
	Algorithms []string
	// JWTOptions are the options of the jwt plugin; nil for all.
	JWTOptions []string
	// FlatRedis tells that the Redis of the rate-limiting plugin is config.redis_host and its like, not the record
	// config.redis.
	FlatRedis bool
	// Plugins are the plugins that the node can run; nil for all.
	Plugins []string
	// TLSVerify tells that no upstream may go unverified (tls_certificate_verify of Kong 3.14 or newer).
	TLSVerify bool
	// NoLua tells that post-function answers 500 for each request: kong.conf has untrusted_lua = off
	// (kong/tools/sandbox.lua).
	NoLua bool
}

// Schemas are what a Kong's schemas say of its capabilities. What is nil was not read, and follows from the version.
type Schemas struct {
	// Credential is the entity jwt_secrets; JWT and RateLimiting are plugins.
	Credential        *Field
	JWT, RateLimiting *Schema
}

// CapabilitiesOf reads the capabilities out of what a node says of itself and of its schemas.
func CapabilitiesOf(node Node, schemas Schemas) Capabilities {
	version := ParseVersion(node.Version)
	c := Capabilities{
		Version: node.Version, Edition: node.Edition, TLSVerify: node.TLSCertificateVerify,
		FlatRedis: !version.AtLeast(sinceRedisRecord), NoLua: node.UntrustedLua == "off",
	}
	if node.Plugins != nil {
		c.Plugins = []string{}
	}
	for name := range node.Plugins {
		c.Plugins = append(c.Plugins, name)
	}
	slices.Sort(c.Plugins)
	c.Algorithms = schemas.algorithms()
	if c.Algorithms == nil {
		c.Algorithms = namesUpTo(algorithmsSince, version)
	}
	if schemas.JWT != nil {
		for _, field := range schemas.JWT.Config.Fields {
			c.JWTOptions = append(c.JWTOptions, field.Name)
		}
	} else {
		c.JWTOptions = namesUpTo(jwtOptionsSince, version)
	}
	if schemas.RateLimiting != nil {
		_, isRecord := schemas.RateLimiting.Config.Find("redis")
		c.FlatRedis = !isRecord
	}
	return c
}

func (s Schemas) algorithms() []string {
	if s.Credential == nil {
		return nil
	}
	field, _ := s.Credential.Find("algorithm")
	var names []string
	for _, one := range field.OneOf {
		if name, ok := one.(string); ok {
			names = append(names, name)
		}
	}
	return names
}

// TakesAlgorithm says whether credentials may have an algorithm.
func (c Capabilities) TakesAlgorithm(name string) bool {
	return c.Algorithms == nil || slices.Contains(c.Algorithms, name)
}

// TakesJWTOption says whether the jwt plugin has an option.
func (c Capabilities) TakesJWTOption(name string) bool {
	return c.JWTOptions == nil || slices.Contains(c.JWTOptions, name)
}

// ChecksHeaders says whether Kong refuses a route with a regular expression for a header that is none. One that does
// not leaves the route out without a word.
func (c Capabilities) ChecksHeaders() bool {
	return c.Version == "" || ParseVersion(c.Version).AtLeast(sinceCheckedHeaders)
}

// HasPlugin says whether the node can run a plugin.
func (c Capabilities) HasPlugin(name string) bool {
	return c.Plugins == nil || slices.Contains(c.Plugins, name)
}

// Kinds are those of Kinds that this Kong has: credentials and groups are the jwt and the acl plugin's.
func (c Capabilities) Kinds() []Kind {
	return slices.DeleteFunc(Kinds(), func(kind Kind) bool { return !c.HasKind(kind) })
}

// HasKind says whether this Kong can hold entities of a kind.
func (c Capabilities) HasKind(kind Kind) bool {
	return kind.Plugin() == "" || c.HasPlugin(kind.Plugin())
}

// Plugin names the plugin that brings a kind of entity; empty for what every Kong has.
func (k Kind) Plugin() string { return pluginOf[k] }

var pluginOf = map[Kind]string{
	KindJWT: "jwt", KindACL: "acl", KindKeyAuth: "key-auth", KindBasicAuth: "basic-auth", KindHMACAuth: "hmac-auth", KindOAuth2: "oauth2",
}

// Capabilities reads what the node takes. A schema that it does not show follows from its version.
func (c *Client) Capabilities(ctx context.Context, node Node) (Capabilities, error) {
	var schemas Schemas
	if credential, err := c.EntitySchema(ctx, KindJWT); unlessNotFound(err) != nil {
		return Capabilities{}, err
	} else if err == nil && len(credential.Fields) > 0 {
		schemas.Credential = &credential
	}
	for name, into := range map[string]**Schema{"jwt": &schemas.JWT, "rate-limiting": &schemas.RateLimiting} {
		schema, err := c.PluginSchema(ctx, name)
		if unlessNotFound(err) != nil {
			return Capabilities{}, err
		}
		if err == nil {
			*into = &schema
		}
	}
	return CapabilitiesOf(node, schemas), nil
}

// EntitySchema reads the schema of a kind of entity, as a record; one that cannot be read as a schema has no fields.
// The error for a kind that the node does not have is a NotFoundError.
func (c *Client) EntitySchema(ctx context.Context, kind Kind) (Field, error) {
	name := string(kind)
	if kind == KindJWT {
		name = "jwt_secrets"
	}
	call := call{method: http.MethodGet, kind: kindSchema, template: "/schemas/{name}", path: "/schemas/" + name}
	var body json.RawMessage
	if err := c.do(ctx, call, nil, &body); err != nil {
		return Field{}, err
	}
	schema, _ := ParseEntitySchema(body)
	return schema, nil
}

// unlessNotFound is nil for a NotFoundError.
func unlessNotFound(err error) error {
	if _, missing := errors.AsType[*NotFoundError](err); missing {
		return nil
	}
	return err
}

// ParseEntitySchema reads the answer to GET /schemas/ENTITY as a record.
func ParseEntitySchema(body []byte) (Field, error) {
	var raw rawField
	if json.Unmarshal(body, &raw) != nil || len(raw.Fields) == 0 {
		return Field{}, errNoSchema
	}
	raw.Type = TypeRecord
	return raw.field(""), nil
}
