package mistakes

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// Routes finds the routes of a service, or parts of them, that no request matches.
func Routes(s *v1alpha1.JwtProtectedServiceSpec) []Mistake {
	if s.Upstream != nil && len(s.Routes) == 0 {
		return []Mistake{{
			Rule: NoRoutes, Message: "spec.routes: there is none, so no request reaches the service. Write routes: [{name: api, paths: [/api]}].",
		}}
	}
	var found []Mistake
	for i, r := range s.Routes {
		field := fmt.Sprintf("spec.routes[%d]", i)
		for _, path := range r.Paths {
			found = append(found, ofPath(field, path)...)
		}
		for _, host := range r.Hosts {
			found = append(found, ofHost(field, host)...)
		}
		if answersPreflights(s, r.Name) && len(r.Methods) > 0 && !slices.Contains(r.Methods, "OPTIONS") {
			found = append(found, Mistake{
				Rule:    PreflightWithoutRoute,
				Message: field + ".methods: the cors plugin answers preflights, and no OPTIONS request reaches it. Write OPTIONS too.",
			})
		}
	}
	return found
}

// answersPreflights says whether the cors plugin is on for a route.
func answersPreflights(s *v1alpha1.JwtProtectedServiceSpec, route string) bool {
	return slices.ContainsFunc(s.Plugins, func(p v1alpha1.ServicePlugin) bool {
		return p.Plugin == "cors" && (p.Route == "" || p.Route == route) && (p.Enabled == nil || *p.Enabled)
	})
}

// operator is what a regular expression has and a plain path does not. A star is judged by itself.
var operator = regexp.MustCompile(`\\[dwsDWS.]|\[[^]]+\]|\([^)]*\)|\.\*|\.\+|[$^|]|\+$|\{[0-9,]+\}`)

func ofPath(field, path string) []Mistake {
	var found []Mistake
	if strings.HasPrefix(path, "~") {
		return nil
	}
	if operator.MatchString(path) {
		return append(found, Mistake{Rule: ExpressionWithoutTilde, Message: fmt.Sprintf(
			"%s.paths: %s looks like a regular expression, and Kong takes it letter by letter. Write ~ before it.", field, path)})
	}
	if strings.Contains(path, "*") {
		found = append(found, Mistake{Rule: StarInPath, Message: fmt.Sprintf(
			"%s.paths: %s matches a path with a star in it alone. A path is a beginning: leave /* out.", field, path)})
	}
	return found
}

func ofHost(field, host string) []Mistake {
	name, _, _ := strings.Cut(host, ":")
	if host == strings.ToLower(host) && !strings.HasSuffix(name, ".") {
		return nil
	}
	matched := strings.ToLower(strings.TrimSuffix(name, ".") + strings.TrimPrefix(host, name))
	return []Mistake{{Rule: UnmatchedHost, Message: fmt.Sprintf(
		"%s.hosts: Kong compares hosts as they are written, and clients send them in small letters without a final dot: "+
			"%s matches no request. Write %s.", field, host, matched)}}
}
