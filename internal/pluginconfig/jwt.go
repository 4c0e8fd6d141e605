package pluginconfig

import (
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/jwtplugin"
)

// jwtOptions are those of kong/plugins/jwt/schema.lua.
var jwtOptions = []option[v1alpha1.JWTPlugin]{
	optional("uri_param_names", func(s *v1alpha1.JWTPlugin) **[]string { return &s.URIParamNames }),
	optional("cookie_names", func(s *v1alpha1.JWTPlugin) **[]string { return &s.CookieNames }),
	optional("header_names", func(s *v1alpha1.JWTPlugin) **[]string { return &s.HeaderNames }),
	plain("claims_to_verify", func(s *v1alpha1.JWTPlugin) *[]v1alpha1.TimeClaim { return &s.ClaimsToVerify }),
	plain("key_claim_name", func(s *v1alpha1.JWTPlugin) *string { return &s.KeyClaimName }),
	plain("anonymous", func(s *v1alpha1.JWTPlugin) *string { return &s.Anonymous }),
	plain("realm", func(s *v1alpha1.JWTPlugin) *string { return &s.Realm }),
	optional("secret_is_base64", func(s *v1alpha1.JWTPlugin) **bool { return &s.SecretIsBase64 }),
	optional("run_on_preflight", func(s *v1alpha1.JWTPlugin) **bool { return &s.RunOnPreflight }),
	duration("maximum_expiration", time.Second, func(s *v1alpha1.JWTPlugin) *v1alpha1.Duration { return &s.MaximumExpiration }),
}

var jwtDefaults = jsonObject(jwtplugin.DefaultConfig())

// EncodeJWT makes the configuration of a jwt plugin. What the spec leaves out is left to Kong.
func EncodeJWT(spec v1alpha1.JWTPlugin) map[string]any { return encode(jwtOptions, &spec) }

// DecodeJWT reads the configuration of a jwt plugin, and gives what the spec does not say of it.
func DecodeJWT(config map[string]any) (v1alpha1.JWTPlugin, []Dropped) {
	var spec v1alpha1.JWTPlugin
	config = jsonObject(config)
	decode(jwtOptions, config, jwtDefaults, &spec)
	return spec, compare(config, EncodeJWT(spec), jwtDefaults, nil)
}

// JWTSettings is what a jwt plugin with a configuration does.
func JWTSettings(config map[string]any) (jwtplugin.Config, error) {
	return settings[jwtplugin.Config](config, jwtDefaults)
}
