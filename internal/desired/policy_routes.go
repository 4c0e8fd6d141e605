package desired

import (
	"net"
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/address"
)

// checkRoute holds what a route claims against what is reserved, policy.regularExpressions and policy.routes.
func (p Policy) checkRoute(field, namespace string, route v1alpha1.Route) error {
	if err := p.checkReserved(field, route); err != nil {
		return err
	}
	if at, found := regularExpression(field, route); found && !p.RegularExpressions {
		return p.violation(at, "regular expressions are not allowed", "Write a plain path or value, or ask for policy.regularExpressions")
	}
	if err := p.checkReach(field, route); err != nil {
		return err
	}
	return p.checkClaim(field, namespace, route)
}

// checkReach keeps routes from going before those of other namespaces: Kong prefers what matches on more fields, so
// that a route on any host with a path and a header beats one with a host alone. With paths only, a route on any host
// goes behind each that has a host and a path. Where tenants may claim any identity, they trust each other.
func (p Policy) checkReach(field string, route v1alpha1.Route) error {
	if !bindsHosts(p) {
		return nil
	}
	for i, host := range route.Hosts {
		if wide(host) {
			return p.violation(path("%s.hosts[%d]", field, i), host+" holds hosts of more than one domain", "Name a domain, such as *.example.com")
		}
	}
	if p.Routes != nil && route.PathHandling == "v1" {
		return p.violation(field+".pathHandling", "v1 does not go with policy.routes, by which paths end at a segment", "Remove it")
	}
	if len(route.Hosts) > 0 {
		return nil
	}
	if len(route.Methods)+len(route.Headers)+len(route.SNIs) > 0 {
		return p.violation(field,
			"a route on any host, with methods, headers or SNIs, would go before routes of other namespaces", "Set hosts")
	}
	for i, claimed := range route.Paths {
		if strings.HasPrefix(claimed, "~") && literalPrefix(claimed) == "" {
			return p.violation(path("%s.paths[%d]", field, i),
				"a regular expression on any host would go before routes of other namespaces, where it begins with no segment",
				"Set hosts, or begin it with a segment, such as ~/orders/")
		}
	}
	return nil
}

// wide says whether a host of a route has a wildcard that holds more than one registered domain.
func wide(host string) bool {
	host = hostOf(host)
	rest, wildcard := strings.CutPrefix(host, "*.")
	if !wildcard {
		return strings.HasSuffix(host, "*")
	}
	// Of a name that is in the domain, as all below it are.
	return address.Parse("a."+rest).Domain() == "a."+address.Parse(rest).Name
}

// checkReserved keeps routes off what the operator's probes are matched by: a route that answered them could feign
// that a data plane has a credential.
func (p Policy) checkReserved(field string, route v1alpha1.Route) error {
	const todo = "Choose another"
	for name := range route.Headers {
		if strings.EqualFold(name, probeHeader) {
			return p.violation(field+".headers", "the header "+probeHeader+" is reserved for the operator's probes", todo)
		}
	}
	for i, host := range route.Hosts {
		if takesProbes(host) {
			return p.violation(path("%s.hosts[%d]", field, i), "names below "+probeDomain+" are reserved for the operator's probes", todo)
		}
	}
	for i, sni := range route.SNIs {
		if takesProbes(sni) {
			return p.violation(path("%s.snis[%d]", field, i), "names below "+probeDomain+" are reserved for the operator's probes", todo)
		}
	}
	return nil
}

// takesProbes says whether a host of a route, which may have a wildcard, matches hosts of probes.
func takesProbes(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if suffix, wildcard := strings.CutPrefix(host, "*"); wildcard {
		return strings.HasSuffix("."+probeDomain, suffix) || strings.HasSuffix(suffix, "."+probeDomain)
	}
	return host == probeDomain || strings.HasSuffix(host, "."+probeDomain)
}

// regularExpression finds the first path or header value of a route that is one.
func regularExpression(field string, route v1alpha1.Route) (at string, found bool) {
	for i, claimed := range route.Paths {
		if strings.HasPrefix(claimed, "~") {
			return path("%s.paths[%d]", field, i), true
		}
	}
	for name, values := range route.Headers {
		if slices.ContainsFunc(values, func(value string) bool { return strings.HasPrefix(value, "~*") }) {
			return field + ".headers." + name, true
		}
	}
	return "", false
}

// checkClaim holds what a route claims against policy.routes: one of the rules for the namespace has to cover all of
// it.
func (p Policy) checkClaim(field, namespace string, route v1alpha1.Route) error {
	if p.Routes == nil {
		return nil
	}
	var allowed []string
	for _, rule := range p.Routes {
		if !slices.Contains(rule.Namespaces, namespace) {
			continue
		}
		if covers(rule.Hosts, route.Hosts, hostCovers) && covers(rule.PathPrefixes, route.Paths, prefixCovers) {
			return nil
		}
		allowed = append(allowed, "hosts "+orAll(rule.Hosts)+" with paths below "+orAll(rule.PathPrefixes))
	}
	if len(allowed) == 0 {
		return p.violation(field, "policy.routes lets namespace "+namespace+" claim nothing", "Ask for hosts and paths of its own")
	}
	return p.violation(field, "namespace "+namespace+" may claim "+strings.Join(allowed, ", or "), "Set hosts and paths of the route to that")
}

// covers says whether a rule's values cover all that a route claims. A rule without a list of them covers everything,
// one with an empty list nothing; a route without values claims everything.
func covers(rule, claimed []string, covered func(rule, claimed string) bool) bool {
	if rule == nil {
		return true
	}
	if len(claimed) == 0 {
		return false
	}
	return !slices.ContainsFunc(claimed, func(c string) bool {
		return !slices.ContainsFunc(rule, func(r string) bool { return covered(r, c) })
	})
}

// hostCovers says whether a rule's host covers a claimed one, which may have a port and a wildcard of its own.
func hostCovers(rule, claimed string) bool {
	if host, _, err := net.SplitHostPort(claimed); err == nil {
		claimed = host
	}
	rule, claimed = strings.ToLower(rule), strings.ToLower(claimed)
	if suffix, wildcard := strings.CutPrefix(rule, "*"); wildcard {
		return strings.HasSuffix(claimed, suffix) && len(claimed) > len(suffix)
	}
	return rule == claimed
}

// prefixCovers says whether a claimed path is at or below a prefix, by whole segments. What a regular expression
// matches cannot be told.
func prefixCovers(prefix, claimed string) bool {
	if strings.HasPrefix(claimed, "~") || strings.Contains(claimed, "..") {
		return false
	}
	return claimed == prefix || strings.HasPrefix(claimed, strings.TrimSuffix(prefix, "/")+"/")
}

func orAll(values []string) string {
	if values == nil {
		return "of any name"
	}
	return strings.Join(values, ", ")
}
