package desired

import (
	"fmt"
	"net/netip"
	"net/url"
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
	// AdminHosts are the hosts, in lower case, at which the Admin API is reached: no upstream may be one of them.
	AdminHosts []string
	// ClusterDomain is the cluster's DNS domain, such as cluster.local.
	ClusterDomain string
}

// NewPolicy reads the policy of a gateway.
func NewPolicy(gateway *v1alpha1.KongGateway, clusterDomain string) Policy {
	policy := Policy{GatewayPolicy: gateway.Spec.Policy, Gateway: gateway.Name, ClusterDomain: clusterDomain}
	admin := gateway.Spec.AdminAPI
	if ref := admin.ServiceRef; ref != nil {
		policy.AdminHosts = append(policy.AdminHosts, serviceHosts(ref.Name, ref.Namespace, clusterDomain)...)
	}
	if u, err := url.Parse(admin.URL); err == nil && u.Host != "" {
		policy.AdminHosts = append(policy.AdminHosts, strings.ToLower(u.Host))
	}
	return policy
}

// serviceHosts are the DNS names of a Service, from the shortest that another namespace can use.
func serviceHosts(name, namespace, clusterDomain string) []string {
	short := name + "." + namespace
	return []string{short, short + ".svc", short + ".svc." + clusterDomain}
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

func (p Policy) violation(field, format string, args ...any) error {
	return status.Stalled(v1alpha1.ReasonPolicyViolation, "%s: %s (policy of KongGateway %s)", field, fmt.Sprintf(format, args...), p.Gateway)
}

// checkIdentity holds an identity that a tenant chose against policy.identities.
func (p Policy) checkIdentity(field, namespace, value string) error {
	if value == "" || p.Identities == v1alpha1.IdentitiesAny || strings.HasPrefix(value, namespace+".") {
		return nil
	}
	return p.violation(field, "%q has to begin with %q: use %q, or leave it out", value, namespace+".", namespace+"."+value)
}

// checkHost holds the host of an upstream against policy.upstreams. Names are judged as written: Kong resolves them, not the operator.
func (p Policy) checkHost(field, host string, port int) error {
	host = strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
	address, isAddress := parseAddress(host)
	if !isAddress && looksLikeAddress(host) {
		return p.violation(field, "%q is neither a name nor an address in its usual form; write it as one", host)
	}
	for _, rule := range p.Upstreams.Deny {
		if p.denies(rule, host, address, isAddress, port) {
			return p.violation(field, "host %s is denied by policy.upstreams.deny: %s", host, rule)
		}
	}
	return nil
}

func (p Policy) denies(rule, host string, address netip.Addr, isAddress bool, port int) bool {
	switch rule {
	case v1alpha1.DenyLoopback:
		return host == "localhost" || strings.HasSuffix(host, ".localhost") || isAddress && (address.IsLoopback() || address.IsUnspecified())
	case v1alpha1.DenyLinkLocal:
		return isAddress && (address.IsLinkLocalUnicast() || address.IsLinkLocalMulticast())
	case v1alpha1.DenyAdminAPI:
		return slices.Contains(p.AdminHosts, host) || slices.Contains(p.AdminHosts, fmt.Sprintf("%s:%d", host, port)) ||
			slices.Contains(p.AdminHosts, fmt.Sprintf("[%s]:%d", host, port))
	case v1alpha1.DenyExternalName:
		return false // a matter of the Service, not of its name: see UpstreamService
	}
	if network, err := netip.ParsePrefix(rule); err == nil {
		return isAddress && network.Contains(address)
	}
	rule = strings.ToLower(rule)
	if suffix, ok := strings.CutPrefix(rule, "*"); ok {
		return strings.HasSuffix(host, suffix)
	}
	return host == rule
}

// parseAddress reads an IP address; an IPv4 address inside IPv6 counts as what it is.
func parseAddress(host string) (netip.Addr, bool) {
	address, err := netip.ParseAddr(host)
	return address.Unmap().WithZone(""), err == nil
}

// looksLikeAddress finds the spellings that resolvers of C libraries take for IPv4 addresses and Go does not: 127.1, 0x7f.0.0.1, 2130706433.
func looksLikeAddress(host string) bool {
	last := host[strings.LastIndex(host, ".")+1:]
	if strings.HasPrefix(last, "0x") {
		return true
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
}

// vaultPrefix begins a reference that Kong would resolve from its own environment or vaults.
const vaultPrefix = "{vault://"

// checkVaultReferences refuses references to Kong's vaults in anything that a tenant wrote: Kong would hand out its environment.
func (p Policy) checkVaultReferences(field string, value any) error {
	switch v := value.(type) {
	case string:
		if strings.Contains(v, vaultPrefix) {
			return p.violation(field, "vault references ({vault://...}) are not allowed; put the value in a Secret")
		}
	case []string:
		for i, element := range v {
			if err := p.checkVaultReferences(fmt.Sprintf("%s[%d]", field, i), element); err != nil {
				return err
			}
		}
	case []any:
		for i, element := range v {
			if err := p.checkVaultReferences(fmt.Sprintf("%s[%d]", field, i), element); err != nil {
				return err
			}
		}
	case map[string]any:
		for name, element := range v {
			if strings.Contains(name, vaultPrefix) {
				return p.violation(field, "vault references ({vault://...}) are not allowed; put the value in a Secret")
			}
			if err := p.checkVaultReferences(field+"."+name, element); err != nil {
				return err
			}
		}
	}
	return nil
}
