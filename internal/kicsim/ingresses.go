package kicsim

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
)

// ingress translates an Ingress: a route for each host, Service and port.
func (t *translation) ingress(o *Object) {
	made := map[string]fields{}
	for _, rule := range listAt(o.Object, "spec", "rules") {
		host := textAt(rule, "host")
		for _, path := range listAt(rule, "http", "paths") {
			b, found := t.ingressBackend(o, path)
			if !found {
				continue
			}
			name := strings.Join([]string{o.GetNamespace(), o.GetName(), b.name, host, b.port}, ".")
			route := made[name]
			if route == nil {
				route = t.newRoute(o, name, t.service(b), host)
				made[name] = route
				t.routes = append(t.routes, route)
				t.name(o, o.GetNamespace(), use{route: name})
			}
			paths, _ := route["paths"].([]any)
			route["paths"] = append(paths, ingressPaths(textAt(path, "path"), textAt(path, "pathType"))...)
		}
	}
}

// ingressBackend finds what a path leads to. A Service that is not there leaves the route, without targets.
func (t *translation) ingressBackend(o *Object, path fields) (backend, bool) {
	service := mapAt(path, "backend", "service")
	if service == nil {
		return backend{}, false
	}
	b := backend{namespace: o.GetNamespace(), name: textAt(service, "name")}
	b.service = t.get("Service", b.namespace, b.name)
	port := mapAt(service, "port")
	if n, ok := number(port["number"]); ok {
		b.number, b.port = n, strconv.Itoa(n)
	} else if b.port = textAt(port, "name"); b.service != nil {
		for _, one := range listAt(b.service.Object, "spec", "ports") {
			if textAt(one, "name") == b.port {
				b.number, _ = number(one["port"])
			}
		}
	}
	if b.service == nil {
		t.fail(o, fmt.Sprintf("failed to resolve Kubernetes Service for backend: failed to fetch Service %[1]s/%[2]s: "+
			"Service %[1]s/%[2]s not found", b.namespace, b.name))
		t.fail(o, fmt.Sprintf("can't add target for backend %s: no kubernetes service found", b.name))
	}
	return b, true
}

// ingressPaths are the paths of a Kong route for one of an Ingress.
func ingressPaths(path, kind string) []any {
	switch {
	case kind == "Exact":
		return []any{"~" + path + "$"}
	case kind == "Prefix" && path != "/":
		path = strings.TrimSuffix(path, "/")
		return []any{path + "/", "~" + path + "$"}
	case path == "":
		return []any{"/"}
	}
	if expression, is := strings.CutPrefix(path, "/~"); is {
		return []any{"~" + expression}
	}
	return []any{path}
}

// newRoute makes a route of an object's annotations.
func (t *translation) newRoute(o *Object, name, service, host string) fields {
	route := fields{
		"id": idOf("routes", name), "name": name, "service": reference(service), "tags": tagsOf(o),
		"protocols": []any{"http", "https"}, "https_redirect_status_code": 426, "path_handling": "v0", "regex_priority": 0,
		"preserve_host": true, "strip_path": false, "request_buffering": true, "response_buffering": true,
	}
	if host != "" {
		route["hosts"] = texts(append([]string{host}, split(annotation(o, "host-aliases"))...))
	}
	for field, name := range map[string]string{"methods": "methods", "protocols": "protocols", "snis": "snis"} {
		if list := split(annotation(o, name)); len(list) > 0 {
			route[field] = texts(list)
		}
	}
	for field, name := range map[string]string{
		"preserve_host": "preserve-host", "strip_path": "strip-path",
		"request_buffering": "request-buffering", "response_buffering": "response-buffering",
	} {
		if is, err := strconv.ParseBool(annotation(o, name)); err == nil {
			route[field] = is
		}
	}
	for field, name := range map[string]string{"https_redirect_status_code": "https-redirect-status-code",
		"regex_priority": "regex-priority"} {
		if n, err := strconv.Atoi(annotation(o, name)); err == nil {
			route[field] = n
		}
	}
	if text := annotation(o, "path-handling"); text != "" {
		route["path_handling"] = text
	}
	headers := fields{}
	for name := range maps.Keys(o.GetAnnotations()) {
		if header, is := strings.CutPrefix(name, annotationPrefix+"headers."); is {
			headers[header] = texts(split(o.GetAnnotations()[name]))
		}
	}
	if len(headers) > 0 {
		route["headers"] = headers
	}
	return route
}

func texts(list []string) []any {
	all := make([]any, 0, len(list))
	for _, one := range list {
		all = append(all, one)
	}
	return all
}
