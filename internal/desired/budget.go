package desired

import (
	"cmp"
	"fmt"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// Bounds of policy.budget where it says none.
const (
	defaultRoutes      = 1000
	defaultMatches     = 4000
	defaultConfigBytes = 1 << 20
)

// ServiceUse is what a service takes of its namespace's budget.
func ServiceUse(service *v1alpha1.JwtProtectedService, configs Configs) v1alpha1.BudgetUse {
	use := v1alpha1.BudgetUse{Routes: int32(len(service.Spec.Routes))}
	for _, route := range service.Spec.Routes {
		use.Matches += int32(len(route.Paths) + len(route.Hosts) + len(route.SNIs))
		for _, values := range route.Headers {
			use.Matches += int32(len(values))
		}
	}
	for _, plugin := range service.Spec.Plugins {
		if plugin.Config != nil {
			use.ConfigBytes += int32(len(plugin.Config.Raw))
		}
	}
	for _, sources := range configs {
		for _, source := range sources {
			use.ConfigBytes += int32(len(source))
		}
	}
	return use
}

// CheckBudget holds what a service wants to policy.budget. former is what it has, and others what the other services
// of its namespace have on the gateway. What does not grow is taken: what was admitted once is not taken away.
func (p Policy) CheckBudget(namespace string, former, wanted v1alpha1.BudgetUse, others []v1alpha1.BudgetUse) error {
	type amount struct {
		field, what, bound string
		of                 func(v1alpha1.BudgetUse) int32
		limit, fallback    int32
	}
	for _, a := range []amount{
		{"spec.routes", "routes", "routes", func(u v1alpha1.BudgetUse) int32 { return u.Routes }, p.Budget.Routes, defaultRoutes},
		{
			"spec.routes", "paths, hosts, SNIs and header values", "matches",
			func(u v1alpha1.BudgetUse) int32 { return u.Matches }, p.Budget.Matches, defaultMatches,
		},
		{
			"spec.plugins", "bytes of configuration", "configBytes",
			func(u v1alpha1.BudgetUse) int32 { return u.ConfigBytes }, p.Budget.ConfigBytes, defaultConfigBytes,
		},
	} {
		total := int64(a.of(wanted))
		for _, other := range others {
			total += int64(a.of(other))
		}
		limit := int64(cmp.Or(a.limit, a.fallback))
		if a.of(wanted) > a.of(former) && total > limit {
			return p.violation(a.field, fmt.Sprintf("with them, the services of namespace %s would have %d %s, and policy.budget.%s is %d",
				namespace, total, a.what, a.bound, limit), "Shorten them, remove others, or ask for a larger budget")
		}
	}
	return nil
}
