package desired

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// Configs holds, by the plugin's name in the spec, what its configFrom Secrets contain, in their order.
type Configs map[string][][]byte

// pluginFields makes the Kong fields of a plugin of the spec; the caller adds what it is on.
func (b *builder) pluginFields(field string, spec v1alpha1.PluginSpec, from [][]byte) (kong.Fields, error) {
	if err := b.policy.checkPlugin(field+".plugin", spec.Plugin); err != nil {
		return nil, err
	}
	written, err := mergeConfig(field, spec.Config, nil)
	if err != nil {
		return nil, err
	}
	config, err := mergeConfig(field, spec.Config, from)
	if err != nil {
		return nil, err
	}
	if err := b.policy.checkPluginConfig(field, b.owner.Namespace, spec.Plugin, written, config); err != nil {
		return nil, err
	}
	b.separateLogQueue(spec.Plugin, config)
	fields := kong.Fields{"name": spec.Plugin, "enabled": spec.Enabled == nil || *spec.Enabled}
	if len(config) > 0 {
		fields["config"] = config
	}
	return fields, nil
}

// mergeConfig puts the objects of configFrom over config, the later over the earlier, object by object (RFC 7396
// without its deletions).
func mergeConfig(field string, base *apiextensionsv1.JSON, from [][]byte) (map[string]any, error) {
	config := map[string]any{}
	if base != nil && len(base.Raw) > 0 {
		if err := json.Unmarshal(base.Raw, &config); err != nil || config == nil {
			return nil, status.Stalled(v1alpha1.ReasonInvalidSpec,
				"%s.config: it is no object. Write name: value pairs, as Kong's documentation of the plugin shows them.", field)
		}
	}
	for i, content := range from {
		overlay := parseConfig(content) // the parser's error would quote the content, which is secret
		if overlay == nil {
			return nil, status.Stalled(v1alpha1.ReasonSecretInvalid,
				"%s.configFrom[%d]: the key of the Secret holds no JSON or YAML object of at most %d bytes. Write name: value pairs there.",
				field, i, MaxSourceBytes)
		}
		merge(config, overlay)
	}
	return config, nil
}

func merge(into, overlay map[string]any) {
	for name, value := range overlay {
		inner, isObject := value.(map[string]any)
		existing, wasObject := into[name].(map[string]any)
		if isObject && wasObject {
			merge(existing, inner)
			continue
		}
		into[name] = value
	}
}

func setText(into map[string]any, name, value string) {
	if value != "" {
		into[name] = value
	}
}

func setPointer[T any](into map[string]any, name string, value *T) {
	if value != nil {
		into[name] = *value
	}
}

func ref(id string) map[string]any { return map[string]any{"id": id} }

// escapePart makes a text fit for the part tag: Kong's filters give commas and slashes a meaning of their own.
func escapePart(text string) string { return partEscapes.Replace(text) }

var partEscapes = strings.NewReplacer("%", "%25", ",", "%2C", "/", "%2F")

func path(format string, args ...any) string { return fmt.Sprintf(format, args...) }

// separateLogQueue keeps the entries of a namespace's http-log plugins apart from those of others. Kong has one queue
// for each http_endpoint (kong/plugins/http-log/handler.lua, make_queue_name), and sends all that is in it with the
// headers of the plugin that logged last. A fragment makes the endpoint one of the namespace's own; it is not sent
// (RFC 3986 section 3.5). What a tenant wrote as a fragment goes: it could be another namespace's.
func (b *builder) separateLogQueue(plugin string, config map[string]any) {
	endpoint, isText := config["http_endpoint"].(string)
	if plugin != "http-log" || !isText {
		return
	}
	endpoint, _, _ = strings.Cut(endpoint, "#")
	config["http_endpoint"] = endpoint + "#" + strings.Trim(b.scope.Installation+"."+b.owner.Namespace, ".")
}

// IsGuard says whether a plugin keeps somebody out who gets in without it.
func IsGuard(e kong.Entity) bool { return e.Kind == kong.KindPlugin && KeepsOut(e.Fields.Text("name")) }

// KeepsOut says whether a plugin of a name keeps somebody out who gets in without it.
func KeepsOut(plugin string) bool {
	return slices.Contains([]string{"jwt", "acl", PluginClaims, "ip-restriction"}, plugin)
}

// Closed is a plugin in place of a guard that Kong does not take: it answers every request with 503.
func Closed(scope Scope, owner Owner, guard kong.Entity) kong.Entity {
	ownership, _ := ParseTags(guard.Fields.Tags())
	part := "closed:" + ownership.Part
	fields := maps.Clone(guard.Fields)
	fields["name"], fields["enabled"], fields["tags"] = "request-termination", true, scope.Tags(owner, part)
	fields["config"] = map[string]any{"status_code": 503, "message": "what protects this is not in Kong"}
	return kong.Entity{Kind: kong.KindPlugin, ID: scope.ID(kong.KindPlugin, owner, part), Fields: fields}
}
