package importer

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// service makes a JwtProtectedService of a service with a jwt plugin. One that says something that no field does is
// not taken over, and its plugins are.
func (m *importing) service(e kong.Entity) {
	routes, plugins := m.below(e.ID, kong.KindRoute), m.below(e.ID, kong.KindPlugin)
	guard, found := find(plugins, "jwt")
	if !found {
		m.routesAlone(e, routes)
		return
	}
	config, reason := jwt(guard)
	if name := nameOf(e); reason != "" || name == "" {
		if name == "" {
			reason = "it has no name"
		}
		m.left(e, "%s", reason)
		return
	}
	s := m.protected(nameOf(e), config, e)
	upstream, reason := upstreamOf(e)
	var specs []v1alpha1.Route
	for _, route := range routes {
		spec, why := routeOf(nameOf(e), route)
		if why != "" && reason == "" {
			reason = "route " + display(route) + ": " + why
		}
		specs = append(specs, spec)
	}
	routePlugins := m.onRoutes(routes)
	if reason == "" && len(s.Name) > 0 {
		s.Spec.Upstream, s.Spec.Routes = upstream, specs
		if nameOf(e) != m.options.Namespace+"."+s.Name {
			s.Spec.ServiceName = nameOf(e)
		}
		m.add(s, plugins, "")
		for i, route := range routes {
			m.add(s, routePlugins[route.ID], specs[i].Name)
			m.sameTags(e, routePlugins[route.ID]...)
		}
		m.sameTags(e, routes...)
	} else {
		s.Spec.AttachTo = &v1alpha1.AttachTo{ServiceName: nameOf(e)}
		m.stays("service "+display(e), reason)
		m.add(s, plugins, "")
		for _, route := range routes {
			for _, p := range routePlugins[route.ID] {
				m.left(p, "it is on route %s, which is nobody's", display(route))
			}
		}
	}
	m.sameTags(e, plugins...)
	if m.holdService(s, nameOf(e)) {
		m.result.Services = append(m.result.Services, s)
	}
}

// protected makes the resource without what it is on.
func (m *importing) protected(name string, config v1alpha1.JWTPlugin, e kong.Entity) *v1alpha1.JwtProtectedService {
	s := &v1alpha1.JwtProtectedService{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.KindJwtProtectedService},
		ObjectMeta: m.meta(m.resourceName(v1alpha1.KindJwtProtectedService, name)),
	}
	s.Spec.GatewayRef.Name, s.Spec.JWT, s.Spec.Tags = m.options.Gateway, config, tags(e)
	return s
}

// routesAlone takes the plugins of those routes that have a jwt plugin of their own, where their service has none.
func (m *importing) routesAlone(e kong.Entity, routes []kong.Entity) {
	some := false
	for _, route := range routes {
		plugins := m.below(route.ID, kong.KindPlugin)
		guard, found := find(plugins, "jwt")
		if !found {
			continue
		}
		some = true
		config, reason := jwt(guard)
		if nameOf(route) == "" {
			reason = "it has a jwt plugin and no name, and is attached to by its name"
		}
		if reason != "" {
			m.left(route, "%s", reason)
			continue
		}
		s := m.protected(nameOf(route), config, route)
		s.Spec.AttachTo = &v1alpha1.AttachTo{RouteName: nameOf(route)}
		m.add(s, plugins, "")
		m.sameTags(route, plugins...)
		if m.holdService(s, nameOf(e)) {
			m.result.Services = append(m.result.Services, s)
		}
	}
	if some {
		m.left(e, "it has no jwt plugin of its own; the plugins of its routes that have one are taken over")
		return
	}
	m.left(e, "it has no jwt plugin, and would be closed by a JwtProtectedService")
}

func (m *importing) onRoutes(routes []kong.Entity) map[string][]kong.Entity {
	plugins := map[string][]kong.Entity{}
	for _, route := range routes {
		plugins[route.ID] = m.below(route.ID, kong.KindPlugin)
	}
	return plugins
}

// add adds plugins to a service: acl and rate-limiting in fields of their own where these say all of them.
func (m *importing) add(s *v1alpha1.JwtProtectedService, plugins []kong.Entity, route string) {
	for _, e := range plugins {
		name := e.Fields.Text("name")
		switch {
		case name == "jwt" && route == "":
			continue
		case name == "acl" && route == "" && access(e) != nil:
			s.Spec.Access = access(e)
			continue
		case name == "rate-limiting" && route == "":
			limit, server := rateLimit(e)
			if limit == nil {
				break
			}
			if server != nil {
				m.redis[limit.Redis] = server.Host
			}
			s.Spec.RateLimit = limit
			continue
		}
		if p, ok := m.plugin(e, route, s.Name); ok {
			s.Spec.Plugins = append(s.Spec.Plugins, p)
		}
	}
}

func find(plugins []kong.Entity, name string) (kong.Entity, bool) {
	i := slices.IndexFunc(plugins, func(e kong.Entity) bool { return e.Fields.Text("name") == name })
	if i < 0 {
		return kong.Entity{}, false
	}
	return plugins[i], true
}

// upstreamOf reads a service; the reason says what no field of spec.upstream does.
func upstreamOf(e kong.Entity) (upstream *v1alpha1.Upstream, reason string) {
	for _, field := range []string{"client_certificate", "ca_certificates", "tls_sans"} {
		if value, set := e.Fields[field]; set && fmt.Sprint(value) != "[]" {
			return nil, "no field says " + field
		}
	}
	if e.Fields["enabled"] == false {
		return nil, "it is disabled"
	}
	if host := e.Fields.Text("host"); strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		return nil, "host: no URL has an IPv6 address without brackets; write them in Kong, and import again"
	}
	protocol, host, port := e.Fields.Text("protocol"), e.Fields.Text("host"), int(number(e.Fields["port"]))
	if !slices.Contains([]string{"http", "https", "grpc", "grpcs"}, protocol) {
		return nil, "protocol " + protocol
	}
	if _, given := e.Fields["port"]; given && port == 0 {
		return nil, "no URL has port 0"
	}
	upstream = &v1alpha1.Upstream{}
	if ref := kong.Fields(e.Fields.Object(serviceRefField)); len(ref) > 0 {
		upstream.ServiceRef, upstream.Path = &v1alpha1.UpstreamServiceReference{Name: ref.Text("name"), Port: int32(number(ref["port"]))}, e.Fields.Text("path")
		if protocol != "http" {
			upstream.ServiceRef.Scheme = v1alpha1.Protocol(protocol)
		}
	} else {
		upstream.URL = addressOf(protocol, host, port) + e.Fields.Text("path")
	}
	if n, set := e.Fields["retries"]; set && number(n) != 5 {
		upstream.Retries = pointer(int32(number(n)))
	}
	for field, into := range map[string]*v1alpha1.Duration{
		"connect_timeout": &upstream.ConnectTimeout, "read_timeout": &upstream.ReadTimeout, "write_timeout": &upstream.WriteTimeout,
	} {
		if n := number(e.Fields[field]); n > 0 && n != 60000 {
			*into = v1alpha1.Duration((time.Duration(n) * time.Millisecond).String())
		}
	}
	if verify, set := e.Fields["tls_verify"].(bool); set {
		upstream.TLSVerify = &verify
	}
	if n, set := e.Fields["tls_verify_depth"]; set {
		upstream.TLSVerifyDepth = pointer(int32(number(n)))
	}
	return upstream, ""
}

// addressOf is a URL without the port that its scheme has by itself.
func addressOf(protocol, host string, port int) string {
	address := host
	if fallback := map[string]int{"http": 80, "grpc": 80, "https": 443, "grpcs": 443}[protocol]; port != 0 && port != fallback {
		address += ":" + strconv.Itoa(port)
	}
	return protocol + "://" + address
}

// routeOf reads a route of a service; the reason says what no field does. Kong's name of a route is <service>.<name>.
func routeOf(service string, e kong.Entity) (route v1alpha1.Route, reason string) {
	name, ours := strings.CutPrefix(nameOf(e), service+".")
	if !ours || !label(name) {
		return route, fmt.Sprintf("a JwtProtectedService names it %s.<name>, with a name of small letters, digits and -", service)
	}
	for _, field := range []string{"sources", "destinations", "expression"} {
		if _, set := e.Fields[field]; set {
			return route, "no field says " + field
		}
	}
	route = v1alpha1.Route{
		Name: name, Paths: e.Fields.Strings("paths"), Hosts: e.Fields.Strings("hosts"), Methods: e.Fields.Strings("methods"),
		SNIs: e.Fields.Strings("snis"), Protocols: protocolsOf(e),
	}
	for header := range e.Fields.Object("headers") {
		if route.Headers == nil {
			route.Headers = map[string]v1alpha1.HeaderValues{}
		}
		route.Headers[header] = kong.Fields(e.Fields.Object("headers")).Strings(header)
	}
	for field, into := range map[string]**bool{
		"strip_path": &route.StripPath, "preserve_host": &route.PreserveHost,
		"request_buffering": &route.RequestBuffering, "response_buffering": &route.ResponseBuffering,
	} {
		fallback := field != "preserve_host"
		if value, set := e.Fields[field].(bool); set && value != fallback {
			*into = &value
		}
	}
	if n := number(e.Fields["regex_priority"]); n != 0 {
		route.RegexPriority = pointer(int32(n))
	}
	if handling := e.Fields.Text("path_handling"); handling != "v0" {
		route.PathHandling = v1alpha1.PathHandling(handling)
	}
	if n := number(e.Fields["https_redirect_status_code"]); n != 0 && n != 426 {
		route.HTTPSRedirectStatusCode = pointer(int32(n))
	}
	return route, ""
}

// label says whether a name is one of a route in a spec.
func label(name string) bool {
	if name == "" || len(name) > 63 || strings.HasPrefix(name, "-") || strings.HasSuffix(name, "-") {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' })
}

// protocolsOf reads the protocols of a route or plugin.
func protocolsOf(e kong.Entity) (protocols []v1alpha1.Protocol) {
	for _, protocol := range e.Fields.Strings("protocols") {
		protocols = append(protocols, v1alpha1.Protocol(protocol))
	}
	return protocols
}
