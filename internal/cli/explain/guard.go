package explain

import (
	"fmt"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/claims"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/explain"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/pluginconfig"
	"github.com/kongjwt/kong-jwt-operator/internal/router"
)

// guardOf is what a service's spec puts before its upstream. access says who may call, nil for everybody, and
// admitted whom its selector matches. version is Kong's.
func guardOf(
	service *v1alpha1.JwtProtectedService, access *v1alpha1.Access, admitted []v1alpha1.ConsumerReference, version string,
) (explain.Guard, error) {
	spec := service.Spec
	jwt, err := pluginconfig.JWTSettings(pluginconfig.EncodeJWT(spec.JWT))
	if err != nil {
		return explain.Guard{}, fmt.Errorf("spec.jwt: %w", err)
	}
	jwt.Version = kong.ParseVersion(version)
	guard := explain.Guard{JWT: &jwt}
	if access != nil {
		acl, err := pluginconfig.ACLSettings(desired.ACLConfig(*access, service.Namespace, admitted))
		if err != nil {
			return explain.Guard{}, fmt.Errorf("spec.access: %w", err)
		}
		guard.ACL = &acl
	}
	if spec.Claims != nil {
		rules, err := claims.Of(*spec.Claims, spec.JWT)
		if err != nil {
			return explain.Guard{}, fmt.Errorf("spec.claims.%w", err)
		}
		guard.Claims = &rules
	}
	if spec.RateLimit != nil {
		limit, err := pluginconfig.RateLimitSettings(pluginconfig.EncodeRateLimit(*spec.RateLimit, nil, "", pluginconfig.RedisRecord))
		if err != nil {
			return explain.Guard{}, fmt.Errorf("spec.rateLimit: %w", err)
		}
		guard.Limits = explain.Limits(limit)
	}
	for _, plugin := range spec.Plugins {
		if plugin.Enabled == nil || *plugin.Enabled {
			guard.Others = append(guard.Others, plugin.Plugin)
		}
	}
	return guard, nil
}

// routesOf are a service's routes as Kong's router knows them.
func routesOf(service *v1alpha1.JwtProtectedService) []*router.Route {
	var routes []*router.Route
	id := service.Namespace + "/" + service.Name
	for _, spec := range service.Spec.Routes {
		route := &router.Route{
			ID: id + "/" + spec.Name, Name: spec.Name + " of JwtProtectedService " + id, ServiceID: id,
			Methods: spec.Methods, Hosts: spec.Hosts, Paths: spec.Paths, SNIs: spec.SNIs,
		}
		for _, protocol := range spec.Protocols {
			route.Protocols = append(route.Protocols, string(protocol))
		}
		if len(route.Protocols) == 0 {
			route.Protocols = []string{"http", "https"}
		}
		if len(spec.Headers) > 0 {
			route.Headers = map[string][]string{}
			for name, values := range spec.Headers {
				route.Headers[name] = values
			}
		}
		if spec.RegexPriority != nil && *spec.RegexPriority > 0 {
			route.RegexPriority = uint32(*spec.RegexPriority)
		}
		if spec.HTTPSRedirectStatusCode != nil {
			route.RedirectStatus = int(*spec.HTTPSRedirectStatusCode)
		}
		// Among routes that are matched alike, Kong takes the greater id.
		for _, status := range service.Status.Routes {
			if status.Name == spec.Name && status.KongID != "" {
				route.ID = status.KongID
			}
		}
		routes = append(routes, route)
	}
	return routes
}
