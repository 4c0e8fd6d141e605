package kong

import (
	"encoding/json"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Known are the schemas by which entities are compared. What is not known is not compared.
type Known struct {
	// Plugins gives the schema of a plugin.
	Plugins func(name string) (Schema, bool)
	// Entities gives the schema of a kind of entity.
	Entities func(kind Kind) (Field, bool)
}

// Canonical is an entity in the one form that is compared: JSON of the fields that we manage, as Kong keeps them, and
// of each other field whose value is not its schema's default. Two entities that mean the same to Kong have the same
// canonical form, whether one was built by us and the other answered by Kong, whatever its version.
//
// A plugin's configuration whose schema is not known is compared as it is. The id is not part of the form. The form
// holds secrets: keep a hash of it, never the form.
func Canonical(e Entity, known Known) []byte {
	fields, err := values(e.Fields)
	if err != nil {
		// Such an entity cannot be sent either; Put says so. It equals no other.
		return []byte("invalid " + string(e.Kind) + " " + e.ID)
	}
	var out map[string]any
	switch e.Kind {
	case KindConsumer:
		out = project(consumerFields, fields)
	case KindJWT:
		out = canonicalJWT(fields)
	case KindACL:
		out = project(aclFields, fields)
	case KindService:
		applyURL(fields)
		out = project(serviceFields, fields)
	case KindRoute:
		out = canonicalRoute(fields)
	case KindPlugin:
		out = canonicalPlugin(fields, known.Plugins)
	default:
		out = fields
	}
	known.addUnmanaged(e.Kind, fields, out)
	if tags, ok := out["tags"].([]any); ok && len(tags) == 0 {
		// No tag can be found by an empty set of them.
		out["tags"] = nil
	}
	out["@kind"] = string(e.Kind)
	if e.Kind.underConsumer() {
		out["@consumer"] = e.ConsumerID
	}
	body, err := json.Marshal(out)
	if err != nil {
		return []byte("invalid " + string(e.Kind) + " " + e.ID)
	}
	return body
}

// computed are fields that an Enterprise fills in from others, and whose schema does not say so.
var computed = []string{"ws_id", "username_lower"}

// addUnmanaged adds the fields of an entity that we do not manage, where they are not as Kong fills them in.
func (k Known) addUnmanaged(kind Kind, object, out map[string]any) {
	if k.Entities == nil {
		return
	}
	schema, found := k.Entities(kind)
	if !found {
		return
	}
	for _, field := range schema.Fields {
		_, managed := out[field.Name]
		parent := kind.underConsumer() && field.Name == "consumer"
		value, there := object[field.Name]
		if !there || managed || parent || field.Auto || slices.Contains(computed, field.Name) {
			continue
		}
		is, err := field.value(value, true)
		unset, errUnset := field.value(nil, false)
		if err == nil && errUnset == nil && !isEmpty(is) && !reflect.DeepEqual(is, unset) {
			out[field.Name] = is
		}
	}
}

// isEmpty says whether a value stands for none: Lua has one empty table for lists and maps.
func isEmpty(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

// project is the object of these fields alone, normalised.
func project(fields []Field, object map[string]any) map[string]any {
	out := make(map[string]any, len(fields)+2)
	for _, field := range fields {
		value, present := object[field.Name]
		normal, err := field.value(value, present)
		if err != nil {
			normal = value
		}
		out[field.Name] = normal
	}
	return out
}

// canonicalJWT leaves the secret of an asymmetric credential out: Kong demands one, generates it where
// there is none, and never uses it.
func canonicalJWT(object map[string]any) map[string]any {
	out := project(jwtFields, object)
	if algorithm, _ := out["algorithm"].(string); !strings.HasPrefix(algorithm, "HS") {
		delete(out, "secret")
	}
	if pem, ok := out["rsa_public_key"].(string); ok {
		out["rsa_public_key"] = strings.TrimRight(pem, " \t\r\n")
	}
	return out
}

// canonicalRoute minds that strip_path is off by default for gRPC (kong/db/schema/entities/routes_subschemas.lua).
func canonicalRoute(object map[string]any) map[string]any {
	out := project(routeFields, object)
	protocols, _ := out["protocols"].([]any)
	grpc := slices.Contains(protocols, any("grpc")) || slices.Contains(protocols, any("grpcs"))
	if grpc && object["strip_path"] == nil {
		out["strip_path"] = false
	}
	return out
}

func canonicalPlugin(object map[string]any, plugins func(string) (Schema, bool)) map[string]any {
	out := project(pluginFields, object)
	name, _ := object["name"].(string)
	config, _ := object["config"].(map[string]any)
	if config == nil {
		config = map[string]any{}
	}
	out["config"] = config
	if plugins == nil {
		return out
	}
	schema, known := plugins(name)
	if !known {
		return out
	}
	if object["protocols"] == nil && schema.Protocols != nil {
		out["protocols"] = sortedSet(schema.Protocols)
	}
	if normal, err := schema.Normalize(config); err == nil {
		out["config"] = normal
	}
	return out
}

func sortedSet(names []string) []any {
	set := make([]any, len(names))
	for i, name := range names {
		set[i] = name
	}
	sortSet(&set)
	return set
}

// applyURL takes a service's url apart as Kong does (kong/db/schema/entities/services.lua).
func applyURL(object map[string]any) {
	raw, ok := object["url"].(string)
	if !ok {
		return
	}
	address, err := url.Parse(raw)
	if err != nil {
		return
	}
	port, err := strconv.ParseFloat(address.Port(), 64)
	protocol := address.Scheme
	switch {
	case protocol == "" && port == 443:
		protocol = "https"
	case protocol == "":
		protocol = "http"
	}
	switch {
	case err == nil:
	case protocol == "https":
		port = 443
	default:
		port = 80
	}
	object["protocol"], object["host"], object["port"], object["path"] = protocol, address.Hostname(), port, nil
	if address.Path != "" {
		object["path"] = address.EscapedPath()
	}
}

// The fields that we manage, with the defaults of kong/db/schema/entities and kong/plugins/*/daos.lua.
// Required tells, as in Kong, that null becomes the default too.
var (
	tagsField = stringSet("tags")

	consumerFields = []Field{text("username"), text("custom_id"), tagsField}

	jwtFields = []Field{
		text("key"), text("secret"), text("rsa_public_key"), optional(text("algorithm"), "HS256"), tagsField,
	}

	aclFields = []Field{text("group"), tagsField}

	serviceFields = []Field{
		text("name"), text("host"), text("path"),
		required(text("protocol"), "http"),
		required(number("port"), 80.0),
		optional(number("retries"), 5.0),
		optional(number("connect_timeout"), 60000.0),
		optional(number("read_timeout"), 60000.0),
		optional(number("write_timeout"), 60000.0),
		required(boolean("enabled"), true),
		boolean("tls_verify"), number("tls_verify_depth"),
		{Name: "ca_certificates", Type: TypeArray, Elements: &Field{Type: TypeString}},
		foreign("client_certificate"),
		tagsField,
	}

	routeFields = []Field{
		text("name"),
		required(stringSet("protocols"), []any{"http", "https"}),
		stringSet("methods"), stringArray("hosts"), stringArray("paths"), stringSet("snis"),
		{Name: "headers", Type: TypeMap, Values: &Field{Type: TypeArray, Elements: &Field{Type: TypeString}}},
		endpoints("sources"), endpoints("destinations"),
		required(boolean("strip_path"), true),
		required(boolean("preserve_host"), false),
		optional(number("regex_priority"), 0.0),
		optional(text("path_handling"), "v0"),
		required(number("https_redirect_status_code"), 426.0),
		required(boolean("request_buffering"), true),
		required(boolean("response_buffering"), true),
		foreign("service"),
		tagsField,
	}

	pluginFields = []Field{
		text("name"), text("instance_name"),
		required(boolean("enabled"), true),
		required(stringSet("protocols"), []any{"grpc", "grpcs", "http", "https"}),
		foreign("service"), foreign("route"), foreign("consumer"),
		tagsField,
	}
)

func text(name string) Field    { return Field{Name: name, Type: TypeString} }
func number(name string) Field  { return Field{Name: name, Type: TypeNumber} }
func boolean(name string) Field { return Field{Name: name, Type: TypeBoolean} }
func foreign(name string) Field { return Field{Name: name, Type: TypeForeign} }

func stringArray(name string) Field {
	return Field{Name: name, Type: TypeArray, Elements: &Field{Type: TypeString}}
}

func stringSet(name string) Field {
	return Field{Name: name, Type: TypeSet, Elements: &Field{Type: TypeString}}
}

// endpoints is a set of addresses and ports, which only stream routes have.
func endpoints(name string) Field {
	return Field{Name: name, Type: TypeSet, Elements: &Field{
		Type: TypeRecord, Fields: []Field{text("ip"), number("port")},
	}}
}

func optional(f Field, value any) Field {
	f.HasDefault, f.Default = true, value
	return f
}

func required(f Field, value any) Field {
	f.Required = true
	return optional(f, value)
}
