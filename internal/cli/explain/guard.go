package explain

import (
	"slices"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/explain"
	"github.com/kongjwt/kong-jwt-operator/internal/jwtplugin"
	"github.com/kongjwt/kong-jwt-operator/internal/router"
)

// guardOf is what a service's spec puts before its upstream.
func guardOf(service *v1alpha1.JwtProtectedService) explain.Guard {
	spec := service.Spec
	config := jwtConfig(spec.JWT)
	guard := explain.Guard{JWT: &config}
	if spec.Access != nil {
		allow := slices.Clone(spec.Access.Groups)
		if desired.NamesConsumers(spec.Access) {
			allow = append(allow, desired.AccessGroup(service.Namespace, service.Name))
		}
		guard.ACL = &explain.ACL{Allow: allow}
	}
	if spec.RateLimit != nil {
		guard.Limits = limits(*spec.RateLimit)
	}
	for _, plugin := range spec.Plugins {
		if plugin.Enabled == nil || *plugin.Enabled {
			guard.Others = append(guard.Others, plugin.Plugin)
		}
	}
	return guard
}

// jwtConfig fills Kong's defaults in.
func jwtConfig(spec v1alpha1.JWTPlugin) jwtplugin.Config {
	config := jwtplugin.DefaultConfig()
	for _, list := range []struct {
		into *[]string
		from *[]string
	}{{&config.URIParamNames, spec.URIParamNames}, {&config.CookieNames, spec.CookieNames}, {&config.HeaderNames, spec.HeaderNames}} {
		if list.from != nil {
			*list.into = *list.from
		}
	}
	config.ClaimsToVerify = spec.ClaimsToVerify
	if spec.KeyClaimName != "" {
		config.KeyClaimName = spec.KeyClaimName
	}
	if spec.SecretIsBase64 != nil {
		config.SecretIsBase64 = *spec.SecretIsBase64
	}
	if spec.RunOnPreflight != nil {
		config.RunOnPreflight = *spec.RunOnPreflight
	}
	if spec.MaximumExpiration != nil {
		config.MaximumExpiration = float64(*spec.MaximumExpiration)
	}
	config.Anonymous, config.Realm = spec.Anonymous, spec.Realm
	return config
}

func limits(spec v1alpha1.RateLimit) []explain.Limit {
	by := spec.LimitBy
	if by == "" {
		by = "consumer"
	}
	var all []explain.Limit
	for _, window := range []struct {
		name  string
		count *int32
	}{{"second", spec.Second}, {"minute", spec.Minute}, {"hour", spec.Hour}, {"day", spec.Day}, {"month", spec.Month}, {"year", spec.Year}} {
		if window.count != nil {
			all = append(all, explain.Limit{Count: int64(*window.count), Window: window.name, By: by})
		}
	}
	return all
}

// routesOf are a service's routes as Kong's router knows them.
func routesOf(service *v1alpha1.JwtProtectedService) []*router.Route {
	var routes []*router.Route
	id := service.Namespace + "/" + service.Name
	for _, spec := range service.Spec.Routes {
		route := &router.Route{
			ID: id + "/" + spec.Name, Name: spec.Name + " of JwtProtectedService " + id, ServiceID: id,
			Protocols: spec.Protocols, Methods: spec.Methods, Hosts: spec.Hosts, Paths: spec.Paths, SNIs: spec.SNIs,
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
