package desired

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// Policy is what a KongGateway lets tenants do, made ready for Build.
type Policy struct {
	v1alpha1.GatewayPolicy
	// Gateway is the KongGateway's name, for messages.
	Gateway string
	// ClusterDomain is the cluster's DNS domain, such as cluster.local.
	ClusterDomain string
	// IsNamespace says whether the cluster has a namespace: a name such as admin.dev then leads to its Service.
	// Nil: none is known.
	IsNamespace func(string) bool
	// asksDataPlanes says that tokens are sent to data planes to learn which keys they hold.
	asksDataPlanes bool
	// admin is where the Admin API is reached: it is open to nobody.
	admin []place
}

// NewPolicy reads the policy of a gateway.
func NewPolicy(gateway *v1alpha1.KongGateway, clusterDomain string) Policy {
	return Policy{
		GatewayPolicy: gateway.Spec.Policy, Gateway: gateway.Name, ClusterDomain: clusterDomain,
		asksDataPlanes: gateway.Spec.DataPlanes != nil, admin: adminPlaces(gateway.Spec.AdminAPI, clusterDomain),
	}
}

// Admits says whether a gateway takes resources of a namespace.
func Admits(allowed v1alpha1.AllowedNamespaces, namespaceLabels map[string]string) (bool, error) {
	switch allowed.From {
	case v1alpha1.NamespacesAll:
		return true, nil
	case v1alpha1.NamespacesSelector:
		selector, err := metav1.LabelSelectorAsSelector(allowed.Selector)
		if err != nil {
			return false, fmt.Errorf("allowedNamespaces.selector: %w", err)
		}
		return selector.Matches(labels.Set(namespaceLabels)), nil
	default:
		return false, nil
	}
}

// violation says what policy forbids, and what to do instead: a sentence without its final period.
func (p Policy) violation(field, wrong, todo string) error {
	return status.Stalled(v1alpha1.ReasonPolicyViolation, "%s: %s (policy of KongGateway %s). %s.", field, wrong, p.Gateway, todo)
}

// checkIdentity holds an identity that a tenant chose against policy.identities.
func (p Policy) checkIdentity(field, namespace, value string) error {
	if p.mayClaim(namespace, value) {
		return nil
	}
	return p.violation(field, fmt.Sprintf("%q has to begin with %q", value, namespace+"."), fmt.Sprintf("Use %q, or leave it out", namespace+"."+value))
}

// mayClaim says whether a namespace may have an identity.
func (p Policy) mayClaim(namespace, value string) bool {
	return value == "" || p.Identities == v1alpha1.IdentitiesAny || strings.HasPrefix(value, namespace+".")
}

// checkGroup holds a group that a consumer is to be in against policy.identities and policy.groups.
func (p Policy) checkGroup(field, namespace, group string) error {
	if err := p.checkIdentity(field, namespace, group); err != nil {
		return err
	}
	reserved := false
	for _, rule := range p.Groups {
		if !slices.ContainsFunc(rule.Groups, func(pattern string) bool { return matchesGroup(pattern, group) }) {
			continue
		}
		if slices.Contains(rule.Namespaces, namespace) {
			return nil
		}
		reserved = true
	}
	if !reserved {
		return nil
	}
	return p.violation(field, fmt.Sprintf("%q is not for consumers of namespace %s", group, namespace),
		"Take another group, or ask for this one in policy.groups")
}

// matchesGroup says whether a group is one that policy.groups lists: by its name, or by what it begins with.
func matchesGroup(pattern, group string) bool {
	prefix, open := strings.CutSuffix(pattern, "*")
	return pattern == group || open && strings.HasPrefix(group, prefix)
}

// checkRetain holds a deletion policy against policy.retain.
func (p Policy) checkRetain(chosen v1alpha1.DeletionPolicy) error {
	if chosen != v1alpha1.DeletionPolicyRetain || p.Retain {
		return nil
	}
	return p.violation("spec.deletionPolicy", "Retain is not allowed, and counts as Delete", "Remove it, or ask for policy.retain")
}

// checkSecretLength holds an HMAC secret against policy.minSecretBytes.
func (p Policy) checkSecretLength(field string, bytes int) error {
	if bytes >= int(p.MinSecretBytes) {
		return nil
	}
	return p.violation(field, fmt.Sprintf("the secret has %d bytes, and policy.minSecretBytes asks for %d", bytes, p.MinSecretBytes),
		"Put a longer one into its Secret, or use generate")
}

// IssuerURLs are the URLs of the key sets that a namespace may follow. all says that it may follow any.
func (p Policy) IssuerURLs(namespace string) (urls []string, all bool) {
	if p.JWKS == nil || p.JWKS.Issuers == nil {
		return nil, true
	}
	for _, issuer := range p.JWKS.Issuers {
		if isFor(issuer.Namespaces, namespace) {
			urls = append(urls, issuer.URL)
		}
	}
	return urls, false
}

// MayPublish says whether an issuer that a namespace follows may have a key under a kid. Where identities are
// Namespaced, a kid that begins as the names of another namespace do is not for an issuer for which no administrator
// answers, in policy.jwks.issuers: a key that the other would be given next could be taken before.
func MayPublish(p Policy, namespace, kid string) bool {
	first, _, dotted := strings.Cut(kid, ".")
	_, open := p.IssuerURLs(namespace)
	return !open || !dotted || first == namespace || p.Identities == v1alpha1.IdentitiesAny || p.IsNamespace == nil || !p.IsNamespace(first)
}

// isFor says whether a rule is for a namespace. Without a list of them it is for all, with an empty one for none.
func isFor(namespaces []string, namespace string) bool {
	return namespaces == nil || slices.Contains(namespaces, namespace)
}

// vaultPrefix begins a reference that Kong would resolve from its own environment or vaults.
const vaultPrefix = "{vault://"

// checkVaultReferences refuses references to Kong's vaults in anything that a tenant wrote: Kong would hand out its
// environment.
func (p Policy) checkVaultReferences(field string, value any) error {
	if at, found := findVaultReference(field, value); found {
		return p.violation(at, "vault references ({vault://...}) are not allowed", "Put the value into a Secret")
	}
	return nil
}

func findVaultReference(field string, value any) (at string, found bool) {
	switch v := value.(type) {
	case string:
		return field, strings.Contains(v, vaultPrefix)
	case []string:
		for i, element := range v {
			if strings.Contains(element, vaultPrefix) {
				return path("%s[%d]", field, i), true
			}
		}
	case []any:
		for i, element := range v {
			if at, found := findVaultReference(path("%s[%d]", field, i), element); found {
				return at, true
			}
		}
	case map[string]any:
		for name, element := range v {
			if strings.Contains(name, vaultPrefix) {
				return field, true
			}
			if at, found := findVaultReference(field+"."+name, element); found {
				return at, true
			}
		}
	}
	return "", false
}

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

// Bounds of policy.budget where it says none.
const (
	defaultRoutes      = 1000
	defaultMatches     = 4000
	defaultConfigBytes = 1 << 20
)

// pluginBytes is what a plugin counts beside its configuration: Kong keeps one without any too.
const pluginBytes = 256

// ServiceUse is what a service takes of its namespace's budget. selected are the consumers that its selector admits.
// Of those, its own namespace's count: that others make more of theirs is not to keep it from what it may have.
func ServiceUse(service *v1alpha1.JwtProtectedService, configs Configs, selected []v1alpha1.ConsumerReference) v1alpha1.BudgetUse {
	use := v1alpha1.BudgetUse{Routes: int32(len(service.Spec.Routes))}
	for _, route := range service.Spec.Routes {
		use.Matches += int32(len(route.Paths) + len(route.Hosts) + len(route.SNIs))
		for _, values := range route.Headers {
			use.Matches += int32(len(values))
		}
	}
	for _, tag := range service.Spec.Tags {
		use.ConfigBytes += int32(len(tag))
	}
	if access := service.Spec.Access; access != nil {
		for _, group := range access.Groups {
			use.ConfigBytes += int32(len(group))
		}
		for _, consumer := range access.Consumers {
			use.ConfigBytes += int32(len(consumer.Namespace) + len(consumer.Name))
		}
	}
	for _, consumer := range selected {
		if consumer.Namespace == service.Namespace {
			use.ConfigBytes += int32(len(consumer.Namespace) + len(consumer.Name))
		}
	}
	for _, plugin := range service.Spec.Plugins {
		use.ConfigBytes += pluginBytes
		if plugin.Config != nil {
			use.ConfigBytes += int32(len(plugin.Config.Raw))
		}
	}
	if service.Spec.Claims != nil {
		if rules, err := claimRules(service); err == nil { // else nothing of it is in Kong
			use.ConfigBytes += int32(rules.Size())
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
			"spec.plugins", "bytes of configuration, with spec.claims, spec.access and spec.tags", "configBytes",
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

// Bounds of the configurations that tenants write for plugins, in bytes. They are the operator's own: what is read is
// in its memory, and a few kilobytes of YAML can become megabytes there.
const (
	// MaxSourceBytes is how long the content of one configFrom may be.
	MaxSourceBytes = 128 << 10
	// MaxConfigBytes is how long all configurations of one resource may be together, Secrets included, and each of
	// them as JSON, with the aliases of YAML resolved.
	MaxConfigBytes = 256 << 10
)

// parsing is held while a configuration is parsed. What a parser needs is many times what it reads: one at a time.
var parsing sync.Mutex

// parseConfig reads a JSON or YAML object; nil where it is none, or too long once its aliases are resolved.
func parseConfig(content []byte) map[string]any {
	parsing.Lock()
	defer parsing.Unlock()
	if len(content) > MaxSourceBytes {
		return nil
	}
	raw, err := yaml.YAMLToJSON(content)
	if err != nil || len(raw) > MaxConfigBytes {
		return nil
	}
	var object map[string]any
	if json.Unmarshal(raw, &object) != nil {
		return nil
	}
	return object
}
