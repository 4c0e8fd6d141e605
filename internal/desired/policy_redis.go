package desired

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// RedisOf is the server of policy.redis that a service counts its rate limit in; nil where it counts in none, or names
// one that is not for its namespace.
func (p Policy) RedisOf(service *v1alpha1.JwtProtectedService) *v1alpha1.RedisServer {
	if service.Spec.RateLimit == nil || service.Spec.RateLimit.Redis == "" {
		return nil
	}
	i := slices.IndexFunc(p.Redis, func(server v1alpha1.RedisServer) bool {
		return server.Name == service.Spec.RateLimit.Redis && isFor(server.Namespaces, service.Namespace)
	})
	if i < 0 {
		return nil
	}
	return &p.Redis[i]
}

// checkRedis holds what a rate limit counts in to policy.redis.
func (p Policy) checkRedis(service *v1alpha1.JwtProtectedService) error {
	limit := service.Spec.RateLimit
	if limit == nil || limit.Redis == "" || p.RedisOf(service) != nil {
		return nil
	}
	var names []string
	for _, server := range p.Redis {
		if isFor(server.Namespaces, service.Namespace) {
			names = append(names, server.Name)
		}
	}
	instead := "Use policy: local"
	if len(names) > 0 {
		instead = "Use one of " + strings.Join(names, ", ")
	}
	return p.violation("spec.rateLimit.redis", fmt.Sprintf("policy.redis has no server %q for namespace %s", limit.Redis, service.Namespace),
		instead+", or ask for it to be added")
}
