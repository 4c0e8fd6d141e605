package objects

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// inline are the plugins whose configuration never holds what came from a Secret: it is in the KongClusterPlugin
// itself. That of all others is in a Secret of the operator's namespace.
var inline = []string{"jwt", "acl", desired.PluginClaims}

// addPlugin adds a plugin's KongClusterPlugin.
func (b *builder) addPlugin(e kong.Entity) {
	ownership, _ := desired.ParseTags(e.Fields.Tags())
	name := b.name(b.set.Owner, "plugin", ownership.Part)
	content := map[string]any{"plugin": e.Fields.Text("name")}
	enabled, given := e.Fields["enabled"].(bool)
	o := b.of(e, Reference{GroupKong, KindClusterPlugin, "", name}, content)
	b.objects = append(b.objects, b.configured(o, e.Fields.Object("config"), given && !enabled, e.Fields.Strings("protocols"),
		meta{annotations: map[string]string{AnnotationClass: b.Class}, tags: e.Fields.Tags()})...)
	for _, field := range []string{"service", "route", "consumer"} {
		if id := e.Fields.Ref(field); id != "" {
			b.plugins[id] = append(b.plugins[id], name)
		}
	}
}

// Configured gives a plugin with another configuration, after the Secret that it is in where it may be secret.
func (s Settings) Configured(plugin Object, config map[string]any, off bool, protocols []string) []Object {
	return s.configured(plugin, config, off, protocols, meta{annotations: written(plugin)})
}

func (s Settings) configured(plugin Object, config map[string]any, off bool, protocols []string, metadata meta) []Object {
	var all []Object
	content := map[string]any{"plugin": plugin.Content["plugin"]}
	if slices.Contains(inline, fmt.Sprint(content["plugin"])) {
		content["config"] = plain(config)
	} else {
		raw, err := json.Marshal(config)
		if err != nil {
			raw = []byte("{}") // cannot be: it is made of JSON values
		}
		secret := s.finish(Object{
			Reference: Reference{
				groupCore, kindSecret, s.Namespace, s.contentName(plugin.Owner, "config", plugin.Part, string(raw)),
			},
			Owner: plugin.Owner, Part: plugin.Part,
			Content: map[string]any{"type": "Opaque", "immutable": true, "stringData": map[string]any{"config": string(raw)}},
		}, meta{labels: map[string]string{labelSecret: "true"}})
		all = append(all, secret)
		content["configFrom"] = map[string]any{
			"secretKeyRef": map[string]any{"name": secret.Name, "namespace": secret.Namespace, "key": "config"},
		}
	}
	if off {
		content["disabled"] = true
	}
	if len(protocols) > 0 {
		content["protocols"] = plain(protocols)
	}
	plugin.Content = content
	return append(all, s.finish(plugin, metadata))
}

// addService adds the Service that a service's host is behind, with all that its annotations say.
func (b *builder) addService(e kong.Entity) error {
	host := e.Fields.Text("host")
	if strings.HasPrefix(host, "[") {
		return status.Stalled(v1alpha1.ReasonInvalidSpec, "spec.upstream.url: behind an ingress controller an upstream is "+
			"a name or an IPv4 address, and this is an IPv6 address (KongGateway %s). Write a name.", b.Scope.Gateway)
	}
	annotations := b.annotations(e.ID)
	delete(annotations, AnnotationClass)
	for field, name := range map[string]string{
		"protocol": "protocol", "path": "path", "retries": "retries", "connect_timeout": "connect-timeout",
		"read_timeout": "read-timeout", "write_timeout": "write-timeout", "tls_verify": "tls-verify",
		"tls_verify_depth": "tls-verify-depth",
	} {
		if value := e.Fields[field]; value != nil {
			annotations[annotationPrefix+name] = fmt.Sprint(value)
		}
	}
	r := Reference{groupCore, kindService, b.home(), b.serviceName(e)}
	o := b.of(e, r, map[string]any{"spec": map[string]any{
		"type": "ExternalName", "externalName": host,
		"ports": []any{map[string]any{"name": "kong", "port": e.Fields["port"], "protocol": "TCP"}},
	}})
	b.objects = append(b.objects, b.finish(o, meta{annotations: annotations, tags: e.Fields.Tags()}))
	return nil
}

// serviceName is the name of the Service of a service.
func (b *builder) serviceName(e kong.Entity) string {
	ownership, _ := desired.ParseTags(e.Fields.Tags())
	return b.name(b.set.Owner, "service", ownership.Part)
}

// home is the namespace of an owner's objects.
func (b *builder) home() string {
	if b.set.Owner.Namespace == "" {
		return b.Namespace
	}
	return b.set.Owner.Namespace
}

// addRoute adds the Ingress of a route.
func (b *builder) addRoute(e kong.Entity) error {
	annotations := b.annotations(e.ID)
	delete(annotations, AnnotationClass) // spec.ingressClassName says it
	if err := b.routeAnnotations(e, annotations); err != nil {
		return err
	}
	var name string
	var port any
	for _, other := range b.set.Entities {
		if other.Kind == kong.KindService && other.ID == e.Fields.Ref("service") {
			name, port = b.serviceName(other), other.Fields["port"]
		}
	}
	var paths []any
	for _, path := range orAny(e.Fields.Strings("paths"), "/") {
		if strings.HasPrefix(path, "~") {
			path = "/" + path
		}
		paths = append(paths, map[string]any{
			"path": path, "pathType": "ImplementationSpecific",
			"backend": map[string]any{"service": map[string]any{
				"name": name, "port": map[string]any{"number": port},
			}},
		})
	}
	rule := map[string]any{"http": map[string]any{"paths": paths}}
	if hosts := e.Fields.Strings("hosts"); len(hosts) > 0 {
		if strings.HasSuffix(hosts[0], ".*") {
			return unsayable("hosts", "a host that ends with *", b.Scope.Gateway)
		}
		rule["host"] = hosts[0]
		if len(hosts) > 1 {
			annotations[annotationPrefix+"host-aliases"] = strings.Join(hosts[1:], ",")
		}
	}
	ownership, _ := desired.ParseTags(e.Fields.Tags())
	r := Reference{groupIngress, kindIngress, b.home(), b.name(b.set.Owner, "route", ownership.Part)}
	o := b.of(e, r, map[string]any{"spec": map[string]any{"ingressClassName": b.Class, "rules": []any{rule}}})
	b.objects = append(b.objects, b.finish(o, meta{annotations: annotations, tags: e.Fields.Tags()}))
	return nil
}

func (b *builder) routeAnnotations(e kong.Entity, annotations map[string]string) error {
	for _, name := range []string{"methods", "protocols", "snis"} {
		if list := e.Fields.Strings(name); len(list) > 0 {
			annotations[annotationPrefix+name] = strings.Join(list, ",")
		}
	}
	for field, name := range map[string]string{
		"strip_path": "strip-path", "preserve_host": "preserve-host", "regex_priority": "regex-priority",
		"path_handling": "path-handling", "https_redirect_status_code": "https-redirect-status-code",
		"request_buffering": "request-buffering", "response_buffering": "response-buffering",
	} {
		if value := e.Fields[field]; value != nil {
			annotations[annotationPrefix+name] = fmt.Sprint(value)
		}
	}
	headers := e.Fields.Object("headers")
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		values := kong.Fields(headers).Strings(name)
		if slices.ContainsFunc(values, func(value string) bool { return strings.Contains(value, ",") }) {
			return unsayable("headers", "a header's value with a comma", b.Scope.Gateway)
		}
		annotations[annotationPrefix+"headers."+strings.ToLower(name)] = strings.Join(values, ",")
	}
	return nil
}

func unsayable(field, what, gateway string) error {
	return status.Stalled(v1alpha1.ReasonInvalidSpec,
		"spec.routes: %s of a route cannot have %s behind an ingress controller (KongGateway %s). Change it.",
		field, what, gateway)
}

// Guard gives a route as nobody can reach it: under a host that never resolves and a header with a value that nobody
// knows. The controller takes it in with its plugins; then it gets its own hosts.
func (s Settings) Guard(o Object) Object {
	guarded := o
	guarded.Content = clone(o.Content)
	guarded.Guarded = true
	secret := s.digest("guard", o.ID)
	annotations := written(o)
	for name := range annotations {
		if strings.HasPrefix(name, annotationPrefix+"headers.") || name == annotationPrefix+"host-aliases" {
			delete(annotations, name)
		}
	}
	annotations[annotationGuard] = secret
	spec, _ := guarded.Content["spec"].(map[string]any)
	rules, _ := spec["rules"].([]any)
	rule, _ := rules[0].(map[string]any)
	rule["host"] = secret + guardHost
	return s.finish(guarded, meta{annotations: annotations})
}

// Where a guarded route is: the header, and the end of its host.
const (
	annotationGuard = annotationPrefix + "headers.x-kongjwt-guard"
	guardHost       = ".kongjwt-guard.invalid"
)

// IsGuard says whether an Ingress is as Guard gives it, by what the controller makes of it, and not by what it says of
// itself.
func IsGuard(annotations map[string]string, ingress map[string]any) bool {
	spec, _ := ingress["spec"].(map[string]any)
	rules, _ := spec["rules"].([]any)
	return annotations[annotationGuard] != "" && len(rules) > 0 && spec["defaultBackend"] == nil &&
		!slices.ContainsFunc(rules, func(one any) bool {
			rule, _ := one.(map[string]any)
			host, _ := rule["host"].(string)
			return !strings.HasSuffix(host, guardHost)
		}) && annotations[annotationPrefix+"host-aliases"] == ""
}

// Naming gives an object that names more plugins than it does.
func (s Settings) Naming(o Object, more []string) Object {
	annotations := written(o)
	names := append(Plugins(annotations), more...)
	slices.Sort(names)
	annotations[annotationPlugins] = strings.Join(slices.Compact(names), ",")
	return s.finish(o, meta{annotations: annotations})
}

// written are the annotations of an object that the controller reads.
func written(o Object) map[string]string {
	metadata, _ := o.Content["metadata"].(map[string]any)
	all, _ := metadata["annotations"].(map[string]any)
	annotations := map[string]string{}
	for name, value := range all {
		if text, is := value.(string); is && !strings.HasPrefix(name, "kongjwt.dev/") {
			annotations[name] = text
		}
	}
	return annotations
}

func orAny(list []string, fallback string) []string {
	if len(list) == 0 {
		return []string{fallback}
	}
	return list
}

// plain gives a value as JSON has it.
func plain(value any) any {
	raw, err := json.Marshal(value)
	var same any
	if err == nil {
		_ = json.Unmarshal(raw, &same) // it was encoded just now
	}
	return integers(same)
}

// integers gives whole numbers the type that objects have them in.
func integers(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for name, inner := range v {
			v[name] = integers(inner)
		}
	case []any:
		for i, inner := range v {
			v[i] = integers(inner)
		}
	case float64:
		if whole, err := strconv.ParseInt(strconv.FormatFloat(v, 'f', -1, 64), 10, 64); err == nil {
			return whole
		}
	}
	return value
}

func clone(content map[string]any) map[string]any {
	copied, _ := plain(content).(map[string]any)
	return copied
}
