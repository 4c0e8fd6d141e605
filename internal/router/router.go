package router

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// Route is a route as the router knows it.
type Route struct {
	ID, Name       string
	ServiceID      string
	Protocols      []string
	Methods        []string
	Hosts          []string
	Paths          []string
	Headers        map[string][]string
	SNIs           []string
	RegexPriority  uint32
	StripPath      bool
	PreserveHost   bool
	RedirectStatus int
}

// Service is a service as the router knows it.
type Service struct {
	ID, Name       string
	Protocol       string
	Host           string
	Port           int
	Path           string
	Enabled        bool
	ConnectTimeout int // milliseconds, as all timeouts of Kong
	ReadTimeout    int
	TLSVerify      bool
}

// Request is what a request is matched by.
type Request struct {
	Method  string
	Host    string // as in the Host header, maybe with a port
	Port    int    // the port that the request came in by
	Path    string // normalised
	HTTPS   bool
	SNI     string
	Headers map[string][]string // canonical names
}

// Match is the route of a request.
type Match struct {
	Route   *Route
	Service *Service // nil for a route without a service
	Prefix  string   // the part of the path that matched; empty where the route has no paths
}

// Router matches requests like Kong's traditional_compatible router: every
// route, split by the length of its paths, has a priority; the first that
// matches wins (kong/router/transform.lua). It never changes once built.
type Router struct {
	entries []routerEntry
}

type routerEntry struct {
	id       string
	priority uint64
	route    *Route
	service  *Service
	match    matcher
}

// New compiles routes. Those of a disabled service, or for TCP and its
// kin, are left out, as are routes with an expression that cannot be compiled.
func New(routes []*Route, services map[string]*Service) *Router {
	r := &Router{}
	for _, route := range routes {
		service := services[route.ServiceID]
		if !ServesHTTP(route.Protocols) || service != nil && !service.Enabled {
			continue
		}
		groups := groupPaths(route.Paths)
		for i, paths := range groups {
			m, err := compileMatcher(route, paths)
			if err != nil {
				continue
			}
			id := route.ID
			if len(groups) > 1 {
				id = splitID(route.ID, i+1)
			}
			r.entries = append(r.entries, routerEntry{
				id: id, priority: priorityOf(route, paths), route: route, service: service, match: m,
			})
		}
	}
	slices.SortFunc(r.entries, func(a, b routerEntry) int {
		// Of equal priority the greater id goes first: the engine walks its
		// ordered map from the end.
		return cmp.Or(cmp.Compare(b.priority, a.priority), strings.Compare(b.id, a.id))
	})
	return r
}

// Find gives the route of a request, or nil.
func (r *Router) Find(req Request) *Match {
	for _, e := range r.entries {
		if prefix, ok := e.match.matches(req); ok {
			return &Match{Route: e.route, Service: e.service, Prefix: prefix}
		}
	}
	return nil
}

// ServesHTTP says whether any of the protocols is one of HTTP requests.
func ServesHTTP(protocols []string) bool {
	return slices.ContainsFunc(protocols, func(p string) bool {
		return p == "http" || p == "https" || p == "grpc" || p == "grpcs"
	})
}

// groupPaths puts prefixes of one length together, and all expressions: each
// group is a route of its own to the router. No paths make one empty group.
func groupPaths(paths []string) [][]string {
	if len(paths) == 0 {
		return [][]string{nil}
	}
	var groups [][]string
	at := map[int]int{}
	for _, p := range paths {
		key := len(p)
		if isRegexPath(p) {
			key = 0
		}
		i, seen := at[key]
		if !seen {
			i = len(groups)
			at[key] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], p)
	}
	return groups
}

func isRegexPath(p string) bool { return strings.HasPrefix(p, "~") }

// splitNamespace is the namespace of the ids that Kong gives to the parts of a
// split route; they decide between equal priorities.
var splitNamespace = uuid.MustParse("7f145bf9-0dce-4f91-98eb-debbce4b9f6b")

func splitID(routeID string, part int) string {
	return uuid.NewSHA1(splitNamespace, []byte(routeID+"#"+strconv.Itoa(part))).String()
}

// priorityOf packs, from the most significant bit: the number of kinds of
// attributes (3 bits), whether all hosts are plain, the number of headers
// (8 bits), whether paths are expressions, their regex_priority (32 bits), and
// the length of the prefixes (19 bits).
func priorityOf(route *Route, paths []string) uint64 {
	var kinds uint64
	for _, has := range []bool{
		len(route.Methods) > 0, len(route.Hosts) > 0, len(route.Headers) > 0, len(route.SNIs) > 0, len(paths) > 0,
	} {
		if has {
			kinds++
		}
	}
	p := kinds<<61 | uint64(min(len(route.Headers), 255))<<52
	wildcard := slices.ContainsFunc(route.Hosts, func(h string) bool { return strings.Contains(h, "*") })
	if len(route.Hosts) > 0 && !wildcard {
		p |= 1 << 60
	}
	if len(paths) == 0 {
		return p
	}
	if isRegexPath(paths[0]) {
		return p | 1<<51 | uint64(route.RegexPriority)<<19
	}
	return p | uint64(len(paths[0]))&0x7FFFF
}
