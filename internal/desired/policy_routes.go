package desired

import (
	"net"
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// checkRoute holds what a route claims against policy.routes: one of the rules for the namespace has to cover all of it.
func (p Policy) checkRoute(field, namespace string, route v1alpha1.Route) error {
	if len(p.Routes) == 0 {
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
		return p.violation(field, "policy.routes lets namespace %s claim nothing; ask for hosts and paths of its own", namespace)
	}
	return p.violation(field, "namespace %s may claim %s; set hosts and paths of the route to that", namespace, strings.Join(allowed, ", or "))
}

// covers says whether a rule's values cover all that a route claims. A rule without values covers everything; a route without them claims everything.
func covers(rule, claimed []string, covered func(rule, claimed string) bool) bool {
	if len(rule) == 0 {
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

// prefixCovers says whether a claimed path is at or below a prefix, by whole segments. What a regular expression matches cannot be told.
func prefixCovers(prefix, claimed string) bool {
	if strings.HasPrefix(claimed, "~") || strings.Contains(claimed, "..") {
		return false
	}
	return claimed == prefix || strings.HasPrefix(claimed, strings.TrimSuffix(prefix, "/")+"/")
}

func orAll(values []string) string {
	if len(values) == 0 {
		return "of any name"
	}
	return strings.Join(values, ", ")
}

// checkSecretLength holds an HMAC secret against policy.minSecretBytes.
func (p Policy) checkSecretLength(field string, bytes int) error {
	if bytes >= int(p.MinSecretBytes) {
		return nil
	}
	return p.violation(field, "the secret has %d bytes, and policy.minSecretBytes asks for %d; put a longer one into its Secret, or use generate", bytes, p.MinSecretBytes)
}
