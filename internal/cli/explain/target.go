package explain

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/inventory"
	"github.com/kongjwt/kong-jwt-operator/internal/explain"
	"github.com/kongjwt/kong-jwt-operator/internal/jwtplugin"
	"github.com/kongjwt/kong-jwt-operator/internal/router"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// target is the service that is asked about.
type target struct {
	service *v1alpha1.JwtProtectedService
	gateway string
	// routed is the check of the route, where a URL was given.
	routed *explain.Check
}

// asked is the request that is asked about.
type asked struct {
	method string
	url    *url.URL
	header http.Header
}

func parseAsked(method, raw string, headers []string) (asked, error) {
	a := asked{method: strings.ToUpper(method), url: &url.URL{Path: "/"}, header: http.Header{}}
	if raw != "" {
		u, err := url.Parse(raw)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			// The parser's error would quote the URL, which may have a token in its query.
			return asked{}, errors.New("--url: write it like https://kong.example.com/orders")
		}
		a.url = u
	}
	for _, header := range headers {
		name, value, found := strings.Cut(header, ":")
		if !found {
			return asked{}, fmt.Errorf("--header %s: write it like \"X-Version: 2\"", name)
		}
		a.header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	return a, nil
}

func (a asked) routerRequest() router.Request {
	port, err := strconv.Atoi(a.url.Port())
	if err != nil {
		port = map[string]int{"http": 80, "https": 443}[a.url.Scheme]
	}
	path := a.url.EscapedPath()
	if path == "" {
		path = "/"
	}
	host := a.url.Host
	if h := a.header.Get("Host"); h != "" {
		host = h
	}
	https := a.url.Scheme == "https"
	return router.Request{Method: a.method, Host: host, Port: port, Path: path, HTTPS: https, SNI: a.url.Hostname(), Headers: a.header}
}

// find finds the service that a request goes to.
func (c *cluster) find(a asked, namespace, name string) (target, error) {
	switch {
	case name != "":
		for i := range c.Services {
			if s := &c.Services[i]; s.Namespace == namespace && s.Name == name {
				return target{service: s, gateway: s.Spec.GatewayRef.Name}, nil
			}
		}
		return target{}, fmt.Errorf("there is no JwtProtectedService %s/%s that you may see", namespace, name)
	case a.url.Host != "":
		return c.findByURL(a)
	default:
		return c.onlyOne(namespace)
	}
}

// findByURL matches the routes of each gateway: of what is in Kong, or else of what shall be. Which gateway a host's
// name leads to is not known: where several take the request, the caller has to say.
func (c *cluster) findByURL(a asked) (target, error) {
	matched, refused := c.match(a, c.inKong)
	if len(matched) == 0 {
		if waiting, _ := c.match(a, func(s *v1alpha1.JwtProtectedService) bool { return !c.inKong(s) }); len(waiting) > 0 {
			matched = waiting[:1]
			matched[0].routed.Outcome = jwtplugin.Unknown
			matched[0].routed.Detail += ", which Kong does not have: " + c.doubt(v1alpha1.KindJwtProtectedService, matched[0].service)
			matched[0].routed.Remedy = "kubectl kongjwt status says what it waits for."
		}
	}
	switch {
	case len(matched) == 1:
		return matched[0], nil
	case len(matched) > 1:
		var names []string
		for _, m := range matched {
			names = append(names, fmt.Sprintf("%s/%s (gateway %s)", m.service.Namespace, m.service.Name, m.gateway))
		}
		return target{}, fmt.Errorf("several gateways have a service for this URL: %s; name one with --service",
			strings.Join(names, ", "))
	case refused == nil:
		return target{}, errors.New("there is no JwtProtectedService that you may see")
	default:
		return target{routed: refused}, nil
	}
}

// match finds the services that take a request, one for a gateway, among those that count, and what is said where
// none does.
func (c *cluster) match(a asked, counts func(*v1alpha1.JwtProtectedService) bool) (matched []target, refused *explain.Check) {
	for _, gateway := range c.gatewayNames() {
		var routes []*router.Route
		services := map[string]*router.Service{}
		for _, s := range c.servicesOf(gateway) {
			if counts(s) {
				services[s.Namespace+"/"+s.Name] = &router.Service{ID: s.Namespace + "/" + s.Name, Enabled: true}
				routes = append(routes, routesOf(s)...)
			}
		}
		routed := explain.FindRoute(routes, services, a.routerRequest(), false)
		if routed.Route == nil {
			if refused == nil || strings.Contains(routed.Check.Detail, "by its path alone") {
				refused = &routed.Check
			}
			continue
		}
		for _, s := range c.servicesOf(gateway) {
			if s.Namespace+"/"+s.Name == routed.Service.ID {
				matched = append(matched, target{service: s, gateway: gateway, routed: &routed.Check})
			}
		}
	}
	return matched, refused
}

func (c *cluster) gatewayNames() []string {
	var names []string
	for i := range c.Services {
		names = append(names, c.Services[i].Spec.GatewayRef.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// onlyOne is the service of a namespace that has one only.
func (c *cluster) onlyOne(namespace string) (target, error) {
	var names []string
	var one *v1alpha1.JwtProtectedService
	for i := range c.Services {
		if s := &c.Services[i]; s.Namespace == namespace {
			one, names = s, append(names, s.Name)
		}
	}
	switch len(names) {
	case 0:
		return target{}, fmt.Errorf("namespace %s has no JwtProtectedService that you may see; name one with --service NAMESPACE/NAME, or give --url", namespace)
	case 1:
		return target{service: one, gateway: one.Spec.GatewayRef.Name}, nil
	default:
		return target{}, fmt.Errorf("namespace %s has several JwtProtectedServices: %s; name one with --service, or give --url", namespace, strings.Join(names, ", "))
	}
}

// conditions are checks of the resources themselves: what is not in Kong as its spec says cannot be explained by its
// spec.
func (c *cluster) conditions(kind, namespace, name, remedy string) []explain.Check {
	r := c.health(kind, namespace, name)
	if r == nil {
		return nil
	}
	check := explain.Check{Name: kind + " " + r.Path(), Outcome: jwtplugin.Passed, Detail: string(r.Health)}
	switch r.Health {
	case inventory.Ready:
		return nil
	case inventory.Warning:
		check.Detail = "works; " + r.Message
	case inventory.Suspended:
		check.Outcome, check.Detail = jwtplugin.Unknown, "suspended: Kong may hold what it held before, not what the spec says"
		check.Remedy = "Set spec.suspend to false."
	case inventory.NotSeen:
		check.Outcome, check.Remedy = jwtplugin.Unknown, remedy
		check.Detail = r.Message
	case inventory.Progressing, inventory.Stalled:
		if r.Health == inventory.Stalled && !status.AwaitsGateway(r.Reason) {
			check.Outcome, check.Detail = jwtplugin.Failed, fmt.Sprintf("%s (%s): %s", r.Health, r.Reason, r.Message)
			check.Remedy = remedy
			break
		}
		// Of a consumer, the credentials in its status tell what is in Kong.
		if kind != v1alpha1.KindJwtConsumer {
			check.Outcome, check.Remedy = jwtplugin.Unknown, remedy
		}
		check.Detail = fmt.Sprintf("%s (%s): %s", r.Health, r.Reason, r.Message)
	default:
		check.Outcome, check.Detail = jwtplugin.Failed, fmt.Sprintf("%s (%s): %s", r.Health, r.Reason, r.Message)
		check.Remedy = remedy
	}
	return []explain.Check{check}
}
