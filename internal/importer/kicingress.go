package importer

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// serviceRefField is set in a service that points at a Service of the cluster: its name and port. Kong has no such
// field.
const serviceRefField = "kubernetes_service"

// Annotations that are read, on an Ingress and on a Service. Others of the ingress controller are left.
var (
	kicOnIngress = []string{
		"plugins", "tags", "protocols", "methods", "snis", "host-aliases", "strip-path", "preserve-host", "request-buffering", "response-buffering",
		"https-redirect-status-code", "regex-priority", "regex-prefix", "path-handling",
	}
	kicOnService = []string{"plugins", "tags", "protocol", "path", "retries", "connect-timeout", "read-timeout", "write-timeout"}
)

// headerAnnotation begins the names of annotations that match headers, by name.
const headerAnnotation = "headers."

// kicBackend is what an Ingress sends requests to.
type kicBackend struct {
	service string
	port    int
}

// ingress adds a service for each backend, with a route for each host. The plugins of an Ingress are on its routes in
// Kong; as all routes of these services are of one Ingress, they are on the services here, which does the same. A
// plugin of an Ingress wins over one of its name on the Service, as in Kong.
func (r *kicReader) ingress(o kicObject) {
	r.unread(o, kicOnIngress)
	if o.spec()["defaultBackend"] != nil || o.spec()["backend"] != nil {
		r.leave(o, "its default backend: a route of a JwtProtectedService matches on something")
	}
	if o.spec()["tls"] != nil {
		r.leave(o, "its certificates (spec.tls): no resource has them; what gives them to Kong today has to go on doing so")
	}
	services, plugins := map[kicBackend]kong.Entity{}, r.plugins(o)
	rules, _ := o.spec()["rules"].([]any)
	for i, item := range rules {
		rule := kong.Fields(asObject(item))
		paths, _ := kong.Fields(rule.Object("http"))["paths"].([]any)
		byBackend := map[kicBackend][]string{}
		for _, item := range paths {
			path := kong.Fields(asObject(item))
			backend, ok := r.backend(o, path)
			if ok {
				byBackend[backend] = append(byBackend[backend], kicPaths(o, path)...)
			}
		}
		for _, backend := range slices.SortedFunc(maps.Keys(byBackend), compareBackends) {
			service, known := services[backend]
			if !known {
				service = r.ingressService(o, backend, plugins)
				services[backend] = service
			}
			fields := r.ingressRoute(o, rule.Text("host"), byBackend[backend])
			fields["name"], fields["service"] = service.Fields.Text("name")+".rule-"+strconv.Itoa(i+1), map[string]any{"id": service.ID}
			r.add(kong.Entity{Kind: kong.KindRoute, Fields: fields})
		}
	}
}

func compareBackends(a, b kicBackend) int {
	return cmp.Or(cmp.Compare(a.service, b.service), cmp.Compare(a.port, b.port))
}

func asObject(value any) map[string]any {
	fields, _ := value.(map[string]any)
	return fields
}

// unread tells of annotations that say something which is not read.
func (r *kicReader) unread(o kicObject, read []string) {
	for _, annotation := range slices.Sorted(maps.Keys(o.metadata("annotations"))) {
		name, ours := strings.CutPrefix(annotation, kicPrefix)
		if ours && !slices.Contains(read, name) && !strings.HasPrefix(name, headerAnnotation) {
			r.leave(o, "its annotation %s is not read", annotation)
		}
	}
}

// backend reads that of a path. A port that has a name is looked up in the Service's manifest.
func (r *kicReader) backend(o kicObject, path kong.Fields) (kicBackend, bool) {
	ref := kong.Fields(kong.Fields(path.Object("backend")).Object("service"))
	port := kong.Fields(ref.Object("port"))
	found := kicBackend{service: ref.Text("name"), port: int(number(port["number"]))}
	if found.service == "" {
		r.leave(o, "the backend of path %s is no Service", path.Text("path"))
		return found, false
	}
	if name := port.Text("name"); name != "" {
		ports, _ := r.objects["Service "+found.service].spec()["ports"].([]any)
		for _, item := range ports {
			if p := kong.Fields(asObject(item)); p.Text("name") == name {
				found.port = int(number(p["port"]))
			}
		}
	}
	if found.port == 0 {
		r.leave(o, "the port of Service %s on path %s: its number is neither in the Ingress nor in a Service's manifest", found.service, path.Text("path"))
		return found, false
	}
	return found, true
}

// ingressService adds the service of a backend, with its plugins.
func (r *kicReader) ingressService(o kicObject, backend kicBackend, plugins []kong.Entity) kong.Entity {
	target, known := r.objects["Service "+backend.service]
	name := o.name
	if name != backend.service {
		name += "-" + backend.service
	}
	if r.manyPorts(o, backend) {
		name += "-" + strconv.Itoa(backend.port)
	}
	fields := kong.Fields{
		"name": r.namespace + "." + name, "protocol": "http", "tags": o.tags(),
		serviceRefField: map[string]any{"name": backend.service, "port": float64(backend.port)},
	}
	if known {
		r.unread(target, kicOnService)
		if path := target.annotation("path"); path != "" {
			fields["path"] = path
		}
		if protocol := target.annotation("protocol"); protocol != "" {
			fields["protocol"] = protocol
		}
		for annotation, field := range map[string]string{
			"retries": "retries", "connect-timeout": "connect_timeout", "read-timeout": "read_timeout", "write-timeout": "write_timeout",
		} {
			r.number(target, annotation, fields, field)
		}
		plugins = slices.Concat(plugins, r.plugins(target))
	} else {
		r.leave(o, "the manifest of Service %s is not in the folder: its annotations are not known", backend.service)
	}
	service := kong.Entity{Kind: kong.KindService, Fields: fields}
	service.ID = r.add(service)
	var taken []string
	for _, plugin := range plugins {
		if slices.Contains(taken, plugin.Fields.Text("name")) {
			continue
		}
		taken = append(taken, plugin.Fields.Text("name"))
		plugin.Fields = maps.Clone(plugin.Fields)
		plugin.Fields["service"], plugin.Fields["tags"] = map[string]any{"id": service.ID}, o.tags()
		r.add(plugin)
	}
	return service
}

// manyPorts says whether an Ingress has the same Service as a backend with another port.
func (r *kicReader) manyPorts(o kicObject, backend kicBackend) bool {
	rules, _ := o.spec()["rules"].([]any)
	for _, item := range rules {
		paths, _ := kong.Fields(kong.Fields(asObject(item)).Object("http"))["paths"].([]any)
		for _, item := range paths {
			ref := kong.Fields(kong.Fields(kong.Fields(asObject(item)).Object("backend")).Object("service"))
			port := kong.Fields(ref.Object("port"))
			if ref.Text("name") == backend.service && int(number(port["number"])) != backend.port && port["number"] != nil {
				return true
			}
		}
	}
	return false
}

func (r *kicReader) number(o kicObject, annotation string, fields kong.Fields, field string) {
	text := o.annotation(annotation)
	if text == "" {
		return
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		r.leave(o, "its annotation %s%s is no number", kicPrefix, annotation)
		return
	}
	fields[field] = float64(n)
}

// ingressRoute is a route as the ingress controller makes it: other than Kong by itself it keeps the path and the
// host.
func (r *kicReader) ingressRoute(o kicObject, host string, paths []string) kong.Fields {
	fields := kong.Fields{"tags": o.tags(), "strip_path": o.annotation("strip-path") == "true", "preserve_host": o.annotation("preserve-host") != "false"}
	hosts := words(o.annotation("host-aliases"))
	if host != "" {
		hosts = append([]string{host}, hosts...)
	}
	for field, values := range map[string][]string{
		"hosts": hosts, "paths": paths, "protocols": words(o.annotation("protocols")), "methods": words(o.annotation("methods")), "snis": words(o.annotation("snis")),
	} {
		if len(values) > 0 {
			fields[field] = list(values)
		}
	}
	for annotation, field := range map[string]string{"request-buffering": "request_buffering", "response-buffering": "response_buffering"} {
		if o.annotation(annotation) == "false" {
			fields[field] = false
		}
	}
	if handling := o.annotation("path-handling"); handling != "" {
		fields["path_handling"] = handling
	} else {
		fields["path_handling"] = "v0"
	}
	r.number(o, "regex-priority", fields, "regex_priority")
	r.number(o, "https-redirect-status-code", fields, "https_redirect_status_code")
	headers := map[string]any{}
	for annotation, value := range o.metadata("annotations") {
		if header, ok := strings.CutPrefix(annotation, kicPrefix+headerAnnotation); ok {
			text, _ := value.(string)
			headers[header] = list(words(text))
		}
	}
	if len(headers) > 0 {
		fields["headers"] = headers
	}
	return fields
}

func list(values []string) []any {
	all := make([]any, len(values))
	for i, value := range values {
		all[i] = value
	}
	return all
}

// kicPaths are Kong's paths for one of an Ingress. Kong's match by prefix ends anywhere, that of an Ingress (pathType
// Prefix) at a slash.
func kicPaths(o kicObject, path kong.Fields) []string {
	text, trimmed := cmp.Or(path.Text("path"), "/"), strings.TrimRight(path.Text("path"), "/")
	switch path.Text("pathType") {
	case "Exact":
		return []string{"~" + regexp.QuoteMeta(text) + "$"}
	case "Prefix":
		if trimmed == "" {
			return []string{"/"}
		}
		return []string{trimmed + "/", "~" + regexp.QuoteMeta(trimmed) + "$"}
	}
	prefix := cmp.Or(o.annotation("regex-prefix"), "/~")
	if pattern, ok := strings.CutPrefix(text, prefix); ok {
		return []string{"~" + pattern}
	}
	return []string{text}
}
