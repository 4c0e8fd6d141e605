package kicsim

import (
	"fmt"
	"strconv"
	"strings"
)

// httpRoute translates an HTTPRoute that names a Gateway of the controller's class: a Kong route for each match.
func (t *translation) httpRoute(o *Object) {
	if len(t.gatewaysOf(o)) == 0 {
		return
	}
	prefix := "httproute." + o.GetNamespace() + "." + o.GetName()
	for i, rule := range listAt(o.Object, "spec", "rules") {
		service := t.ruleService(o, fmt.Sprintf("%s.%d", prefix, i), rule)
		matches := listAt(rule, "matches")
		if len(matches) == 0 {
			matches = []map[string]any{{}}
		}
		for j, match := range matches {
			name := fmt.Sprintf("%s.%d.%d", prefix, i, j)
			route := t.newRoute(o, name, service, "")
			if hosts := textsAt(o.Object, "spec", "hostnames"); len(hosts) > 0 {
				route["hosts"] = texts(hosts)
			}
			route["paths"] = matchPaths(match)
			if method := textAt(match, "method"); method != "" {
				route["methods"] = []any{method}
			}
			headers := fields{}
			for _, header := range listAt(match, "headers") {
				headers[strings.ToLower(textAt(header, "name"))] = []any{textAt(header, "value")}
			}
			if len(headers) > 0 {
				route["headers"] = headers
			}
			t.routes = append(t.routes, route)
			t.name(o, o.GetNamespace(), use{route: name})
			t.filters(o, rule, use{route: name})
		}
	}
}

// gatewaysOf are the Gateways of the controller's class that a route names.
func (s snapshot) gatewaysOf(o *Object) []*Object {
	var found []*Object
	for _, parent := range listAt(o.Object, "spec", "parentRefs") {
		namespace := textAt(parent, "namespace")
		if namespace == "" {
			namespace = o.GetNamespace()
		}
		if gateway := s.get("Gateway", namespace, textAt(parent, "name")); gateway != nil {
			found = append(found, gateway)
		}
	}
	return found
}

// ruleService adds the Kong service of a rule, and gives its id.
func (t *translation) ruleService(o *Object, name string, rule fields) string {
	var backends []backend
	for _, ref := range listAt(rule, "backendRefs") {
		b := backend{namespace: o.GetNamespace(), name: textAt(ref, "name")}
		if namespace := textAt(ref, "namespace"); namespace != "" {
			b.namespace = namespace
		}
		b.number, _ = number(ref["port"])
		b.port = strconv.Itoa(b.number)
		b.service = t.get("Service", b.namespace, b.name)
		backends = append(backends, b)
	}
	var object *Object
	port := 80
	if len(backends) > 0 {
		object, port = backends[0].service, backends[0].number
	}
	if t.options.CombinedServices && len(backends) > 0 {
		parts := []string{"httproute", o.GetNamespace(), "svc"}
		for _, b := range backends {
			parts = append(parts, b.namespace, b.name, b.port, "1") // its weight
		}
		name = strings.Join(parts, ".")
	}
	if t.services[name] == nil {
		t.addService(name, name, port, object, backends)
	}
	return idOf("services", name)
}

// matchPaths are the paths of a Kong route for a match.
func matchPaths(match fields) []any {
	path, kind := textAt(match, "path", "value"), textAt(match, "path", "type")
	switch {
	case path == "":
		return []any{"/"}
	case kind == "Exact":
		return []any{"~" + path + "$"}
	case kind == "RegularExpression":
		return []any{"~" + path}
	}
	path = strings.TrimSuffix(path, "/")
	if path == "" {
		return []any{"~/$", "/"}
	}
	return []any{"~" + path + "$", path + "/"}
}

// filters puts the plugins of a rule's ExtensionRef filters on its routes.
func (t *translation) filters(o *Object, rule fields, on use) {
	for _, filter := range listAt(rule, "filters") {
		ref := mapAt(filter, "extensionRef")
		if textAt(filter, "type") == "ExtensionRef" && textAt(ref, "kind") == "KongPlugin" {
			t.attach(o, o.GetNamespace(), textAt(ref, "name"), on)
		}
	}
}
