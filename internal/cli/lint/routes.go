package lint

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

func noRoutes(s *v1alpha1.JwtProtectedServiceSpec) []string {
	if s.Upstream == nil || len(s.Routes) > 0 {
		return nil
	}
	return []string{"spec.routes: there is none, so no request reaches the service. Write routes: [{name: api, paths: [/api]}]"}
}

func starInPath(s *v1alpha1.JwtProtectedServiceSpec) []string {
	var found []string
	for i, r := range s.Routes {
		for _, path := range r.Paths {
			if !strings.HasPrefix(path, "~") && strings.Contains(path, "*") {
				found = append(found, fmt.Sprintf("spec.routes[%d].paths: %s matches a path with a star in it alone. "+
					"A path is a beginning: leave /* out", i, path))
			}
		}
	}
	return found
}

// expression is what a regular expression has and a plain path does not: the star is starInPath's.
var expression = regexp.MustCompile(`\\[dwsDWS.]|\[[^]]+\]|\([^)]*\)|\.\*|\.\+|[$^|]|\+$|\{[0-9,]+\}`)

func expressionWithoutTilde(s *v1alpha1.JwtProtectedServiceSpec) []string {
	var found []string
	for i, r := range s.Routes {
		for _, path := range r.Paths {
			if !strings.HasPrefix(path, "~") && expression.MatchString(path) {
				found = append(found, fmt.Sprintf("spec.routes[%d].paths: %s looks like a regular expression, and Kong takes it letter by "+
					"letter. Write ~ before it", i, path))
			}
		}
	}
	return found
}

func unmatchedHost(s *v1alpha1.JwtProtectedServiceSpec) []string {
	var found []string
	for i, r := range s.Routes {
		for _, host := range r.Hosts {
			name, _, _ := strings.Cut(host, ":")
			if host != strings.ToLower(host) || strings.HasSuffix(name, ".") {
				found = append(found, fmt.Sprintf("spec.routes[%d].hosts: Kong compares hosts as they are written, and clients send them in "+
					"small letters without a final dot: %s matches no request. Write %s", i, host, strings.ToLower(strings.Replace(host, name, strings.TrimSuffix(name, "."), 1))))
			}
		}
	}
	return found
}

func preflightWithoutRoute(s *v1alpha1.JwtProtectedServiceSpec) []string {
	cors := func(p v1alpha1.ServicePlugin) bool { return p.Plugin == "cors" && (p.Enabled == nil || *p.Enabled) }
	if !slices.ContainsFunc(s.Plugins, cors) {
		return nil
	}
	var found []string
	for i, r := range s.Routes {
		if len(r.Methods) > 0 && !slices.Contains(r.Methods, "OPTIONS") {
			found = append(found, fmt.Sprintf("spec.routes[%d].methods: the cors plugin answers preflights, and no OPTIONS request reaches it. "+
				"Write OPTIONS too", i))
		}
	}
	return found
}
