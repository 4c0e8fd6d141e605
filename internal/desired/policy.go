package desired

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

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
	// IsNamespace says whether the cluster has a namespace: a name such as admin.dev then leads to its Service. Nil:
	// none is known.
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
