package kong

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
