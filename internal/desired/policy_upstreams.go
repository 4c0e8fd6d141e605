package desired

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/address"
)

// place is a host and a port that connections lead to. Port 0 stands for all.
type place struct {
	host address.Host
	port int
}

// adminPlaces are where a gateway's Admin API is.
func adminPlaces(admin v1alpha1.AdminAPI, clusterDomain string) []place {
	if ref := admin.ServiceRef; ref != nil {
		return []place{{address.Parse(serviceHost(ref.Name, ref.Namespace, clusterDomain)), 0}}
	}
	u, err := url.Parse(admin.URL)
	if err != nil || u.Hostname() == "" {
		return nil
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		port = defaultPort(u.Scheme)
	}
	return []place{{address.Parse(u.Hostname()), port}}
}

func defaultPort(scheme string) int {
	if scheme == "https" || scheme == "grpcs" {
		return 443
	}
	return 80
}

// serviceHost is the DNS name of a Service.
func serviceHost(name, namespace, clusterDomain string) string {
	return name + "." + namespace + ".svc." + clusterDomain
}

// fullName writes the name of a Service, or of a Pod of one, in full: Kong's resolver finds name.namespace and
// name.namespace.svc by its search list.
func (p Policy) fullName(host address.Host) string {
	name, inCluster := strings.CutSuffix(strings.TrimSuffix(host.Name, "."+p.ClusterDomain), ".svc")
	if !host.IsAddress() && (inCluster || strings.Count(name, ".") == 1) {
		return name + ".svc." + p.ClusterDomain
	}
	return host.Name
}

// checkHost holds a host that a tenant named to the places that are open to its namespace. A port of 0 is not known.
func (p Policy) checkHost(field, namespace, text string, port int) error {
	wrong, todo := p.closed(namespace, address.Parse(text), port)
	if wrong == "" {
		return nil
	}
	return p.violation(field, text+" "+wrong, todo)
}

// closed says why a place is not open to a namespace, and what to do. It does not repeat the host, which may come
// from a Secret.
func (p Policy) closed(namespace string, host address.Host, port int) (wrong, todo string) {
	const ask = "ask for an entry in policy.upstreams.allow"
	switch {
	case host.Ambiguous():
		return "is neither a name nor an address in its usual form", "Write it as one"
	case slices.ContainsFunc(p.admin, func(admin place) bool { return p.isAdmin(admin, host, port) }):
		return "is Kong's Admin API, which is open to nobody", "Name another host"
	case slices.ContainsFunc(p.Upstreams.Allow, func(rule v1alpha1.AllowedUpstream) bool { return p.opens(rule, namespace, host, port) }):
		return "", ""
	case slices.ContainsFunc(p.Upstreams.Deny, func(rule string) bool { return p.names(rule, host) }):
		return "is denied by policy.upstreams.deny", "Name another host, or " + ask
	case host.IsAddress() && !host.Public():
		return "is not a public address", "Name a Service of this namespace by spec.upstream.serviceRef, or " + ask
	case !host.Public() || isInCluster(host, p.ClusterDomain, p.IsNamespace):
		return "is a name in the cluster or in a private zone", "Name a Service of this namespace by spec.upstream.serviceRef, or " + ask
	}
	return "", ""
}

// isInCluster says whether a name that could be public leads to a namespace of the cluster: Kong's resolver asks for
// admin.dev.svc.cluster.local first.
func isInCluster(host address.Host, domain string, isNamespace func(string) bool) bool {
	return strings.HasSuffix(host.Name, "."+domain) ||
		isNamespace != nil && !host.IsAddress() && isNamespace(host.Name[strings.LastIndex(host.Name, ".")+1:])
}

// isAdmin says whether a host can lead to the Admin API. A name of one label does from a Pod of the same namespace.
func (p Policy) isAdmin(admin place, host address.Host, port int) bool {
	if admin.port != 0 && port != 0 && admin.port != port {
		return false
	}
	if admin.host.Loopback() && host.Loopback() {
		return true
	}
	if admin.host.IsAddress() || host.IsAddress() {
		return admin.host.Address == host.Address && host.IsAddress()
	}
	label, _, _ := strings.Cut(admin.host.Name, ".")
	of, asked := p.fullName(admin.host), p.fullName(host)
	return host.Name == label || asked == of || strings.HasSuffix(of, ".svc."+p.ClusterDomain) && strings.HasSuffix(asked, "."+of)
}

// opens says whether an entry of policy.upstreams.allow is for a place.
func (p Policy) opens(rule v1alpha1.AllowedUpstream, namespace string, host address.Host, port int) bool {
	if !isFor(rule.Namespaces, namespace) || rule.Ports != nil && !slices.ContainsFunc(rule.Ports, func(open int32) bool { return int(open) == port }) {
		return false
	}
	if host.IsAddress() {
		return slices.ContainsFunc(rule.CIDRs, func(text string) bool { return contains(text, host.Address) })
	}
	// One spelling of the names in the cluster. A name without .svc is as it was written: it could be a Service's
	// or a private zone's.
	spelled := func(name string) string {
		if strings.HasSuffix(name, ".svc") {
			return name + "." + p.ClusterDomain
		}
		return name
	}
	return slices.ContainsFunc(rule.Hosts, func(text string) bool { return matchesName(spelled(strings.ToLower(text)), spelled(host.Name)) })
}

// names says whether an entry of policy.upstreams.deny is for a host, in one of its spellings.
func (p Policy) names(rule string, host address.Host) bool {
	rule = strings.ToLower(rule)
	if rule == "*" {
		return true
	}
	if host.IsAddress() {
		named := address.Parse(rule)
		return contains(rule, host.Address) || named.IsAddress() && named.Address == host.Address
	}
	full := p.fullName(address.Parse(rule))
	return matchesName(rule, host.Name) || matchesName(rule, p.fullName(host)) || full == p.fullName(host)
}

// contains says whether a network, as text, holds an address.
func contains(text string, of netip.Addr) bool {
	network, err := netip.ParsePrefix(text)
	return err == nil && network.Contains(of)
}

// matchesName says whether a host, or *.host, stands for a name.
func matchesName(rule, name string) bool {
	if suffix, wildcard := strings.CutPrefix(rule, "*"); wildcard {
		return strings.HasSuffix(name, suffix)
	}
	return rule == name
}
