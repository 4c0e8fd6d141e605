package kicsim

import (
	"fmt"
	"strconv"
)

// backend is a port of a Service that a route leads to.
type backend struct {
	namespace, name, port string
	number                int
	service               *Object
}

func (b backend) upstream() string {
	return b.name + "." + b.namespace + "." + b.port + ".svc"
}

// service adds the Kong service of an Ingress's backend, and gives its id.
func (t *translation) service(b backend) string {
	name := b.namespace + "." + b.name + "." + b.port
	if t.services[name] == nil {
		t.addService(name, b.upstream(), b.number, b.service, []backend{b})
	}
	return idOf("services", name)
}

// unknownTags are those of a service without a backend.
var unknownTags = []any{
	"k8s-name:UNKNOWN", "k8s-namespace:UNKNOWN", "k8s-kind:Service",
	"k8s-uid:00000000-0000-0000-0000-000000000000", "k8s-group:core", "k8s-version:v1",
}

// addService adds a Kong service, and an upstream with what its backends resolve to.
func (t *translation) addService(name, upstream string, port int, object *Object, backends []backend) {
	service := fields{
		"id": idOf("services", name), "name": name, "host": upstream, "port": port, "protocol": "http", "path": "/",
		"retries": 5, "connect_timeout": 60000, "read_timeout": 60000, "write_timeout": 60000,
	}
	tags := unknownTags
	if object != nil {
		tags = tagsOf(object)
		if text := annotation(object, "protocol"); text != "" {
			service["protocol"] = text
		}
		if text := annotation(object, "path"); text != "" {
			service["path"] = text
		}
		for field, name := range map[string]string{
			"retries": "retries", "connect_timeout": "connect-timeout",
			"read_timeout": "read-timeout", "write_timeout": "write-timeout",
		} {
			if n, err := strconv.Atoi(annotation(object, name)); err == nil {
				service[field] = n
			}
		}
		t.name(object, object.GetNamespace(), use{service: name})
	}
	service["tags"] = tags
	t.services[name] = service
	t.upstreams[upstream] = fields{"id": idOf("upstreams", upstream), "name": upstream, "algorithm": "round-robin",
		"tags": tags}
	for _, b := range backends {
		t.targets[upstream] = append(t.targets[upstream], t.targetsOf(b)...)
	}
}

// targetsOf are the addresses of a backend: an external name, or every ready endpoint.
func (t *translation) targetsOf(b backend) []any {
	if b.service == nil {
		return nil
	}
	if textAt(b.service.Object, "spec", "type") == "ExternalName" {
		return []any{fmt.Sprintf("%s:%d", textAt(b.service.Object, "spec", "externalName"), b.number)}
	}
	var targets []any
	for _, slice := range t.of("EndpointSlice") {
		if slice.GetNamespace() != b.namespace || slice.GetLabels()["kubernetes.io/service-name"] != b.name {
			continue
		}
		for _, port := range listAt(slice.Object, "ports") {
			n, _ := number(port["port"])
			for _, endpoint := range listAt(slice.Object, "endpoints") {
				ready, given := mapAt(endpoint, "conditions")["ready"].(bool)
				for _, address := range textsAt(endpoint, "addresses") {
					if ready || !given {
						targets = append(targets, fmt.Sprintf("%s:%d", address, n))
					}
				}
			}
		}
	}
	return targets
}
