package explain

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/internal/jwtplugin"
	"github.com/kongjwt/kong-jwt-operator/internal/router"
)

// noRoute is Kong's answer to a request that is no route's.
const noRoute = "no Route matched with those values"

// Routed is which service a request goes to.
type Routed struct {
	// Route and Service are nil where none takes the request.
	Route   *router.Route
	Service *router.Service
	// Check says how that was found.
	Check Check
}

// FindRoute says which route takes a request. complete says whether routes holds all of the gateway: else one that is
// not known may take it instead.
func FindRoute(routes []*router.Route, services map[string]*router.Service, req router.Request, complete bool) Routed {
	req.Path = router.NormalizePath(req.Path)
	c := Check{Name: "route", Outcome: jwtplugin.Passed}
	match := router.New(routes, services).Find(req)
	if match == nil {
		c.Detail = fmt.Sprintf("%s %s%s is none of the routes that are known%s", req.Method, req.Host, req.Path, nearest(routes, services, req))
		c.Remedy = "Compare host, path, method and headers with spec.routes of the service."
		if !complete {
			c.Outcome = jwtplugin.Unknown
			c.Detail += "; there may be routes that you may not see"
			return Routed{Check: c}
		}
		return Routed{Check: c.fail(http.StatusNotFound, noRoute)}
	}
	c.Detail = "route " + match.Route.Name
	if early := wrongProtocol(match.Route, req, c); early != nil {
		c = *early
	}
	return Routed{Route: match.Route, Service: match.Service, Check: c}
}

// wrongProtocol is the check of a request that matched a route of another protocol (kong/runloop/handler.lua,
// access.before); nil where it goes on.
func wrongProtocol(route *router.Route, req router.Request, c Check) *Check {
	has := func(p string) bool { return slices.Contains(route.Protocols, p) }
	if !has("https") || has("http") || req.HTTPS {
		return nil
	}
	c.Detail += " takes https alone"
	c.Remedy = "Use https, or add http to the route's protocols."
	switch status := route.RedirectStatus; status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		c.Outcome, c.Answer = jwtplugin.Failed, &Answer{Status: status}
	default:
		c = c.fail(http.StatusUpgradeRequired, "Please use HTTPS protocol")
	}
	return &c
}

// nearest names the routes that would take the request by another method or host: mistakes that are made often.
func nearest(routes []*router.Route, services map[string]*router.Service, req router.Request) string {
	var names []string
	for _, route := range routes {
		relaxed := *route
		relaxed.Methods, relaxed.Hosts, relaxed.Headers, relaxed.SNIs = nil, nil, nil, nil
		if len(relaxed.Paths) == 0 || slices.Contains(relaxed.Paths, "/") {
			continue
		}
		if router.New([]*router.Route{&relaxed}, services).Find(req) != nil {
			names = append(names, route.Name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	return "; by its path alone it would be " + strings.Join(names, " or ")
}
