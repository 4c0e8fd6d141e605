package desired

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/pluginconfig"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// ServiceInput is what a JwtProtectedService's entities are made of.
type ServiceInput struct {
	Service *v1alpha1.JwtProtectedService
	// Upstream is the Service that spec.upstream.serviceRef names, nil where it names none or there is none.
	Upstream *corev1.Service
	// Selected are the consumers that spec.access.consumerSelector admits.
	Selected []v1alpha1.ConsumerReference
	// RedisPassword is that of the server in the gateway's policy.redis which spec.rateLimit.redis names.
	RedisPassword string
	// Configs of spec.plugins.
	Configs Configs
	// Kong is what the gateway takes; the zero value is the newest.
	Kong kong.Capabilities
}

// Parts of a JwtProtectedService.
const (
	partService   = "service"
	partJWT       = "jwt"
	partACL       = "acl"
	partRateLimit = "rate-limiting"
)

// ServiceOwner is the owner that a JwtProtectedService is.
func ServiceOwner(namespace, name string) Owner {
	return Owner{Kind: v1alpha1.KindJwtProtectedService, Namespace: namespace, Name: name}
}

// ServiceName of a protected service in Kong.
func ServiceName(service *v1alpha1.JwtProtectedService) string {
	if service.Spec.ServiceName != "" {
		return service.Spec.ServiceName
	}
	return service.Namespace + "." + service.Name
}

// BuildService says which Kong entities a JwtProtectedService wants: the service, its plugins, its routes.
// The error is a *status.StalledError where the policy forbids it or the upstream cannot be.
func BuildService(scope Scope, policy Policy, in ServiceInput) (Set, error) {
	service := in.Service
	b := builder{scope: scope, policy: policy, owner: ServiceOwner(service.Namespace, service.Name)}
	if err := b.checkService(service); err != nil {
		return Set{}, err
	}
	if err := in.Unsupported(b.policy.Gateway); err != nil {
		return Set{}, err
	}
	if service.Spec.AttachTo != nil {
		return b.attach(in)
	}
	fields, err := upstreamFields(policy, service, in.Upstream)
	if err != nil {
		return Set{}, err
	}
	id := scope.ID(kong.KindService, b.owner, partService)
	fields["name"] = ServiceName(service)
	b.add(kong.KindService, id, "", partService, fields)
	if err := b.addGuards(in, "service", id); err != nil {
		return Set{}, err
	}
	routes := b.addRoutes(service, id)
	if err := b.addPlugins(in, "service", id, routes); err != nil {
		return Set{}, err
	}
	return Set{Owner: b.owner, Entities: b.entities}, nil
}

// addPlugins adds the plugins of the spec: on one of the routes, or on what everything of the resource is on.
func (b *builder) addPlugins(in ServiceInput, parent, id string, routes map[string]string) error {
	for i, plugin := range in.Service.Spec.Plugins {
		fields, err := b.pluginFields(path("spec.plugins[%d]", i), plugin.PluginSpec, in.Configs[plugin.Name])
		if err != nil {
			return err
		}
		if err := checkCounting(path("spec.plugins[%d]", i), in.Service, fields); err != nil {
			return err
		}
		if plugin.Route != "" {
			fields["route"] = ref(routes[plugin.Route])
		} else {
			fields[parent] = ref(id)
		}
		setStrings(fields, "protocols", plugin.Protocols)
		b.addPlugin(pluginPart(plugin.Name), fields)
	}
	return nil
}

// addGuards adds the plugins that have fields of their own. They are on the service, so that no route is without
// them, or on what spec.attachTo names.
func (b *builder) addGuards(in ServiceInput, parent, id string) error {
	on := func(plugin string, config map[string]any) kong.Fields { return guardFields(plugin, parent, id, config) }
	spec := in.Service.Spec
	b.addPlugin(partJWT, on("jwt", jwtFields(spec.JWT, in.Kong)))
	if spec.Claims != nil {
		rules, err := claimRules(in.Service)
		if err != nil {
			return err
		}
		b.addPlugin(partClaims, on(PluginClaims, claimsConfig(rules)))
	}
	b.addACL(in, parent, id)
	if spec.RateLimit != nil {
		b.addPlugin(partRateLimit, on("rate-limiting", rateLimitFields(*spec.RateLimit, b.policy.RedisOf(in.Service), in.RedisPassword, in.Kong)))
	}
	return nil
}

// guardFields are those of a plugin that has fields of its own in the spec.
func guardFields(plugin, parent, id string, config map[string]any) kong.Fields {
	return kong.Fields{"name": plugin, "enabled": true, "protocols": guardProtocols, parent: ref(id), "config": config}
}

// addACL adds the plugin that lets in those who may call, where not everybody may.
func (b *builder) addACL(in ServiceInput, parent, id string) {
	if access := b.policy.Access(in.Service); access != nil {
		config := ACLConfig(*access, b.owner.Namespace, in.Selected)
		b.addPlugin(partACL, guardFields("acl", parent, id, config))
	}
}

// BuildAccess says who may call a service: the plugin of BuildService that lets them in, and nothing beside it, so
// that it can be narrowed where the service cannot be programmed. It is empty where everybody may call.
func BuildAccess(scope Scope, policy Policy, in ServiceInput) Set {
	b := builder{scope: scope, policy: policy, owner: ServiceOwner(in.Service.Namespace, in.Service.Name)}
	_ = b.takeTags(in.Service.Spec.Tags) // BuildService says what is wrong with them
	attach := AttachTarget(in.Service)
	if attach != nil {
		b.addACL(in, attach.Kind.Singular(), AttachedID)
	} else {
		b.addACL(in, "service", scope.ID(kong.KindService, b.owner, partService))
	}
	return Set{Owner: b.owner, Entities: b.entities, Attach: attach}
}

// addRoutes adds the routes and gives their ids by name.
func (b *builder) addRoutes(service *v1alpha1.JwtProtectedService, serviceID string) map[string]string {
	ids := make(map[string]string, len(service.Spec.Routes))
	for _, route := range service.Spec.Routes {
		part := "route:" + route.Name
		id := b.scope.ID(kong.KindRoute, b.owner, part)
		ids[route.Name] = id
		fields := b.policy.routeFields(route)
		fields["name"] = ServiceName(service) + "." + route.Name
		fields["service"] = ref(serviceID)
		b.add(kong.KindRoute, id, "", part, fields, hostTags(b.policy)...)
	}
	return ids
}

// CheckService says what in the spec of a JwtProtectedService policy forbids, without its Secrets. The error is a
// *status.StalledError.
func CheckService(policy Policy, service *v1alpha1.JwtProtectedService) error {
	b := builder{policy: policy, owner: ServiceOwner(service.Namespace, service.Name)}
	if err := b.checkService(service); err != nil {
		return err
	}
	if upstream := service.Spec.Upstream; upstream != nil && upstream.URL != "" {
		return urlFields(policy, kong.Fields{}, service.Namespace, upstream.URL)
	}
	return nil
}

func (b *builder) checkService(service *v1alpha1.JwtProtectedService) error {
	spec := service.Spec
	if err := checkPairs(service); err != nil {
		return err
	}
	if err := b.policy.checkIdentity("spec.serviceName", service.Namespace, spec.ServiceName); err != nil {
		return err
	}
	if err := b.policy.checkIdentity("spec.jwt.anonymous", service.Namespace, spec.JWT.Anonymous); err != nil {
		return err
	}
	if err := b.checkExpiry(service); err != nil {
		return err
	}
	if err := b.policy.checkRetain(spec.DeletionPolicy); err != nil {
		return err
	}
	if err := b.takeTags(spec.Tags); err != nil {
		return err
	}
	if err := b.policy.checkVaultReferences("spec.jwt", pluginconfig.EncodeJWT(spec.JWT)); err != nil {
		return err
	}
	if spec.Access != nil {
		if err := b.policy.checkVaultReferences("spec.access.groups", spec.Access.Groups); err != nil {
			return err
		}
	}
	for i, route := range spec.Routes {
		if err := b.policy.checkVaultReferences(path("spec.routes[%d]", i), map[string]any(routeFields(route))); err != nil {
			return err
		}
		if err := b.policy.checkRoute(path("spec.routes[%d]", i), service.Namespace, route); err != nil {
			return err
		}
	}
	if err := b.checkClaims(service); err != nil {
		return err
	}
	return b.policy.checkRedis(service)
}

// MaxRoutePairs is how many pairs of a host and a path the routes of a service may have, as the CRD says: each is a
// unique key, and a few kilobytes of YAML would else be tens of thousands.
const MaxRoutePairs = 512

// checkPairs refuses a service with too many pairs that was made before the CRD had the bound.
func checkPairs(service *v1alpha1.JwtProtectedService) error {
	pairs := 0
	for _, route := range service.Spec.Routes {
		pairs += max(1, len(route.Hosts)) * max(1, len(route.Paths))
	}
	if pairs <= MaxRoutePairs {
		return nil
	}
	return status.Stalled(v1alpha1.ReasonInvalidSpec,
		"spec.routes: they have %d pairs of a host and a path (a service may have %d). Shorten the lists, or use another service.",
		pairs, MaxRoutePairs)
}

// ServiceUniqueKeys lists the unique keys of a JwtProtectedService's spec under a policy: to find older rivals. One
// with too many pairs of hosts and paths gets none.
func ServiceUniqueKeys(policy Policy, service *v1alpha1.JwtProtectedService) []UniqueKey {
	if service.Spec.Upstream == nil || checkPairs(service) != nil {
		return nil
	}
	keys := []UniqueKey{{Kind: UniqueServiceName, Value: ServiceName(service)}}
	for _, route := range service.Spec.Routes {
		fields := policy.routeFields(route)
		fields["name"] = ServiceName(service) + "." + route.Name
		fields["tags"] = Scope{Installation: "any", Gateway: "any"}.Tags(ServiceOwner(service.Namespace, service.Name), "route", hostTags(policy)...)
		keys = append(keys, UniqueKeys(kong.Entity{Kind: kong.KindRoute, Fields: fields})...)
	}
	return keys
}

// ServiceBuckets gives, instead of each of a service's unique keys, one key for each bucket that they are in: hosts
// and paths are not multiplied. It is the same under every policy.
func ServiceBuckets(service *v1alpha1.JwtProtectedService) []UniqueKey {
	if service.Spec.Upstream == nil || checkPairs(service) != nil {
		return nil
	}
	keys := []UniqueKey{{Kind: UniqueServiceName, Value: ServiceName(service)}}
	for _, route := range service.Spec.Routes {
		keys = append(keys, UniqueKey{Kind: UniqueRouteName, Value: ServiceName(service) + "." + route.Name})
		keys = append(keys, routeBuckets(route)...)
	}
	return keys
}

// ServiceEntities gives the ids in Kong of what a JwtProtectedService wants, for its status.
func ServiceEntities(scope Scope, policy Policy, service *v1alpha1.JwtProtectedService) (serviceID string, routes, plugins []v1alpha1.EntityStatus) {
	owner := ServiceOwner(service.Namespace, service.Name)
	if service.Spec.AttachTo == nil {
		serviceID = scope.ID(kong.KindService, owner, partService)
	}
	for _, route := range service.Spec.Routes {
		routes = append(routes, v1alpha1.EntityStatus{Name: route.Name, KongID: scope.ID(kong.KindRoute, owner, "route:"+route.Name)})
	}
	add := func(name, part string) {
		plugins = append(plugins, v1alpha1.EntityStatus{Name: name, KongID: scope.ID(kong.KindPlugin, owner, part)})
	}
	add(partJWT, partJWT)
	if service.Spec.Claims != nil {
		add(PluginClaims, partClaims)
	}
	if policy.Access(service) != nil {
		add(partACL, partACL)
	}
	if service.Spec.RateLimit != nil {
		add(partRateLimit, partRateLimit)
	}
	for _, plugin := range service.Spec.Plugins {
		add(plugin.Name, pluginPart(plugin.Name))
	}
	return serviceID, routes, plugins
}

// NoExpiry says what is wrong with a service that reads its keys from kid and verifies no expiry, or nothing. Each
// rotated key and each issuer's comes as kid. A maximum expiration alone takes tokens that have expired
// (kong/plugins/jwt/handler.lua).
func NoExpiry(service *v1alpha1.JwtProtectedService) string {
	jwt := service.Spec.JWT
	if jwt.KeyClaimName != "kid" || slices.Contains(jwt.ClaimsToVerify, "exp") {
		return ""
	}
	return "spec.jwt.claimsToVerify: it has no exp, so that a token passes for as long as its key is in Kong, expired or not. Set [exp]."
}

// checkExpiry refuses a service that takes tokens without expiry, where policy.claims.requireExpiry asks for one.
func (b *builder) checkExpiry(service *v1alpha1.JwtProtectedService) error {
	required := b.policy.asksDataPlanes
	if chosen := b.policy.Claims.RequireExpiry; chosen != nil {
		required = *chosen
	}
	if NoExpiry(service) == "" || !required {
		return nil
	}
	return b.policy.violation("spec.jwt.claimsToVerify", "exp is not in it, and the keys of tokens come from kid", "Set [exp]")
}

// MaximumExpiration is the longest time to live that a service takes a token with; zero where it takes any.
func MaximumExpiration(service *v1alpha1.JwtProtectedService) time.Duration {
	return service.Spec.JWT.MaximumExpiration.Or(0)
}

// ServiceClaims are the unique keys of a JwtProtectedService that policy lets it have: all or none.
func ServiceClaims(policy Policy, service *v1alpha1.JwtProtectedService) []UniqueKey {
	if CheckService(policy, service) != nil {
		return nil
	}
	return ServiceUniqueKeys(policy, service)
}
