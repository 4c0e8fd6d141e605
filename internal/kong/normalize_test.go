package kong

import (
	"encoding/json"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func schemaOf(t *testing.T, name string) Schema {
	t.Helper()
	schema, found := testSchemas(t)(name)
	if !found {
		t.Fatalf("no schema of %s", name)
	}
	return schema
}

func TestParseSchema(t *testing.T) {
	jwt := schemaOf(t, "jwt")
	if !jwt.NoConsumer || jwt.NoService || jwt.NoRoute {
		t.Errorf("the jwt plugin can be set on services and routes only: %+v", jwt)
	}
	if !slices.Equal(jwt.Protocols, []string{"grpc", "grpcs", "http", "https"}) {
		t.Errorf("protocols %v", jwt.Protocols)
	}
	if jwt.Config.Fields[0].Name != "uri_param_names" || len(jwt.Config.Fields) != 10 {
		t.Errorf("the fields are not in the schema's order: %v", jwt.Config.Fields)
	}
	claims, _ := jwt.Config.Find("claims_to_verify")
	if claims.Type != TypeSet || claims.Elements == nil || !slices.Equal(claims.Elements.OneOf, []any{"exp", "nbf"}) {
		t.Errorf("claims_to_verify is %+v", claims)
	}
	limit, _ := jwt.Config.Find("maximum_expiration")
	if limit.Default != 0.0 || !limit.HasDefault || limit.Required {
		t.Errorf("maximum_expiration is %+v", limit)
	}
	redis, _ := schemaOf(t, "rate-limiting").Config.Find("redis")
	password, _ := redis.Find("password")
	if !password.Referenceable || !password.Encrypted {
		t.Errorf("redis.password is %+v", password)
	}
	for _, body := range []string{``, `[]`, `{}`, `{"fields":[]}`, `{"fields":[{"config":{"type":"string"}}]}`} {
		if _, err := ParseSchema("x", []byte(body)); err == nil {
			t.Errorf("%q was taken for a schema", body)
		}
	}
}

func TestNormalize(t *testing.T) {
	type m = map[string]any
	cases := []struct {
		name, plugin string
		config, want m // want: the fields that matter
	}{
		{"nothing", "jwt", nil, m{"key_claim_name": "iss", "cookie_names": []any{}, "claims_to_verify": nil, "maximum_expiration": 0.0}},
		{"null where it may stay", "jwt", m{"uri_param_names": nil}, m{"uri_param_names": nil}},
		{"null where it may not", "jwt", m{"run_on_preflight": nil}, m{"run_on_preflight": true}},
		{"a set", "jwt", m{"claims_to_verify": []string{"nbf", "exp", "nbf"}}, m{"claims_to_verify": []any{"exp", "nbf"}}},
		{"an array keeps its order", "acl", m{"allow": []string{"b", "a", "b"}}, m{"allow": []any{"b", "a", "b"}}},
		{"an integer", "jwt", m{"maximum_expiration": 60}, m{"maximum_expiration": 60.0}},
		{"an empty Lua table", "jwt", m{"cookie_names": m{}}, m{"cookie_names": []any{}}},
		{"a field of a newer Kong", "acl", m{"new": m{"n": 1}}, m{"new": m{"n": 1.0}}},
		{"a deprecated name", "rate-limiting", m{"redis_host": "r"}, m{"redis_host": "r", "redis_port": 6379.0}},
		{"the new name", "rate-limiting", m{"redis": m{"host": "r", "port": 1}}, m{"redis_host": "r", "redis_port": 1.0}},
		{"both names, the new one wins", "rate-limiting", m{"redis": m{"host": "new"}, "redis_host": "old"}, m{"redis_host": "new"}},
		{"both names, the new one is null", "rate-limiting", m{"redis": m{"host": nil}, "redis_host": "old"}, m{"redis_host": "old"}},
		{"a deprecated name with null", "rate-limiting", m{"redis_port": nil}, m{"redis_port": nil}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := schemaOf(t, c.plugin).Normalize(c.config)
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range c.want {
				if value, present := got[name]; !present || !reflect.DeepEqual(value, want) {
					t.Errorf("%s is %#v, want %#v", name, value, want)
				}
			}
		})
	}
}

func TestNormalizeNestedRecords(t *testing.T) {
	got, err := schemaOf(t, "rate-limiting").Normalize(map[string]any{"redis_host": "r", "minute": 5})
	if err != nil {
		t.Fatal(err)
	}
	redis, _ := got["redis"].(map[string]any)
	if redis["host"] != "r" || redis["port"] != 6379.0 || redis["ssl"] != false || redis["password"] != nil || len(redis) != 9 {
		t.Errorf("redis is %v", redis)
	}
}

// Versions of Kong tell in different ways what an old name stands for.
func TestShorthands(t *testing.T) {
	const schema = `{"fields":[{"config":{"type":"record","fields":[
		{"new":{"type":"string"}},
		{"sub":{"type":"record","fields":[{"a":{"type":"string"}},{"b":{"type":"string"}}]}}],
		"shorthand_fields":[SHORTHAND]}}]}`
	cases := []struct {
		name, shorthand string
		want            map[string]any
	}{
		{"replaced_with", `{"old":{"type":"string","deprecation":{"replaced_with":[{"path":["sub","a"]},{"path":["sub","b"]}]}}}`,
			map[string]any{"new": nil, "old": "v", "sub": map[string]any{"a": "v", "b": "v"}}},
		{"translate_backwards", `{"old":{"type":"string","translate_backwards":["sub","a"]}}`,
			map[string]any{"new": nil, "old": "v", "sub": map[string]any{"a": "v", "b": nil}}},
		{"its message alone", `{"old":{"type":"string","deprecation":{"message":"X: config.old is deprecated, please use config.new instead"}}}`,
			map[string]any{"new": "v", "sub": map[string]any{"a": nil, "b": nil}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			parsed, err := ParseSchema("x", []byte(strings.Replace(schema, "SHORTHAND", c.shorthand, 1)))
			if err != nil {
				t.Fatal(err)
			}
			got, err := parsed.Normalize(map[string]any{"old": "v"})
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
	parsed, err := ParseSchema("x", []byte(strings.Replace(schema, "SHORTHAND", `{"old":{"type":"string"}}`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parsed.Normalize(map[string]any{"old": "canary"}); err == nil || !strings.Contains(err.Error(), "old") || strings.Contains(err.Error(), "canary") {
		t.Errorf("an old name that nothing explains: %v", err)
	}
	if _, err := parsed.Normalize(map[string]any{"new": func() {}}); err == nil {
		t.Error("a function was taken for JSON")
	}
}

func TestNormalizeIsIdempotentAndLeavesItsInputAlone(t *testing.T) {
	schemas := []Schema{schemaOf(t, "jwt"), schemaOf(t, "acl"), schemaOf(t, "rate-limiting"), schemaOf(t, "cors")}
	rapid.Check(t, func(t *rapid.T) {
		schema := rapid.SampledFrom(schemas).Draw(t, "schema")
		if rapid.Bool().Draw(t, "made up") {
			schema = Schema{Config: recordField(2).Draw(t, "config schema")}
		}
		config := recordValue(schema.Config).Draw(t, "config")
		before, err := values(config)
		if err != nil {
			t.Fatal(err)
		}
		once, err := schema.Normalize(config)
		if err != nil {
			t.Fatal(err)
		}
		if after, _ := values(config); !reflect.DeepEqual(before, after) {
			t.Fatalf("the input changed from %v to %v", before, after)
		}
		twice, err := schema.Normalize(once)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(once, twice) {
			t.Fatalf("once  %v\ntwice %v", once, twice)
		}
	})
}

// Sending a default and leaving it out come to the same.
func TestNormalizeDefaultsAreWhatIsLeftOut(t *testing.T) {
	schema := schemaOf(t, "jwt")
	rapid.Check(t, func(t *rapid.T) {
		config := recordValue(schema.Config).Draw(t, "config")
		full := maps.Clone(config)
		for _, field := range schema.Config.Fields {
			if _, present := full[field.Name]; !present && field.HasDefault {
				full[field.Name] = field.Default
			}
		}
		a, err := schema.Normalize(config)
		if err != nil {
			t.Fatal(err)
		}
		b, err := schema.Normalize(full)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("without %v\nwith    %v", a, b)
		}
	})
}

// recordField makes up a record of a schema.
func recordField(depth int) *rapid.Generator[Field] {
	return rapid.Custom(func(t *rapid.T) Field {
		record := Field{Type: TypeRecord, Required: rapid.Bool().Draw(t, "required")}
		for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d"}), 0, 4, rapid.ID[string]).Draw(t, "names") {
			field := anyField(depth-1).Draw(t, name)
			field.Name = name
			record.Fields = append(record.Fields, field)
		}
		if len(record.Fields) > 0 && rapid.Bool().Draw(t, "has shorthand") {
			target := rapid.SampledFrom(record.Fields).Draw(t, "target")
			record.Shorthands = []Shorthand{{Name: "old", Paths: [][]string{{target.Name}}, Mirrored: rapid.Bool().Draw(t, "mirrored")}}
		}
		return record
	})
}

func anyField(depth int) *rapid.Generator[Field] {
	return rapid.Custom(func(t *rapid.T) Field {
		types := []Type{TypeString, TypeNumber, TypeBoolean, TypeForeign}
		if depth > 0 {
			types = append(types, TypeArray, TypeSet, TypeMap, TypeRecord)
		}
		field := Field{Type: rapid.SampledFrom(types).Draw(t, "type")}
		switch field.Type {
		case TypeRecord:
			field = recordField(depth).Draw(t, "record")
		case TypeArray, TypeSet:
			elements := anyField(depth-1).Draw(t, "elements")
			field.Elements = &elements
		case TypeMap:
			values := anyField(depth-1).Draw(t, "values")
			field.Values = &values
		}
		field.Required = rapid.Bool().Draw(t, "required")
		if rapid.Bool().Draw(t, "has default") {
			field.HasDefault, field.Default = true, fieldValue(field).Draw(t, "default")
		}
		return field
	})
}

// recordValue makes a configuration of the record's fields and shorthands, with some left out.
func recordValue(record Field) *rapid.Generator[map[string]any] {
	return rapid.Custom(func(t *rapid.T) map[string]any {
		out := map[string]any{}
		if rapid.IntRange(0, 9).Draw(t, "empty") == 9 {
			return out
		}
		for _, field := range record.Fields {
			if rapid.Bool().Draw(t, "set "+field.Name) {
				out[field.Name] = fieldValue(field).Draw(t, field.Name)
			}
		}
		for _, s := range record.Shorthands {
			if rapid.Bool().Draw(t, "set "+s.Name) {
				out[s.Name] = rapid.SampledFrom([]any{nil, "x", "y"}).Draw(t, s.Name)
			}
		}
		return out
	})
}

func fieldValue(field Field) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		if rapid.IntRange(0, 4).Draw(t, "null") == 0 {
			return nil
		}
		switch field.Type {
		case TypeNumber, TypeInteger:
			return float64(rapid.IntRange(-3, 70000).Draw(t, "number"))
		case TypeBoolean:
			return rapid.Bool().Draw(t, "boolean")
		case TypeArray, TypeSet:
			list := []any{}
			for range rapid.IntRange(0, 3).Draw(t, "length") {
				list = append(list, fieldValue(*field.Elements).Draw(t, "element"))
			}
			return list
		case TypeMap:
			return map[string]any{"k": fieldValue(*field.Values).Draw(t, "value")}
		case TypeRecord:
			return recordValue(field).Draw(t, "record")
		case TypeForeign:
			return map[string]any{"id": rapid.SampledFrom([]string{"1", "2"}).Draw(t, "id"), "name": "n"}
		}
		return rapid.SampledFrom([]string{"", "x", "y", "iss"}).Draw(t, "string")
	})
}

// A schema is shared by everything that is compared: what one configuration got by default must not be
// another's.
func TestNormalizeSharesNoDefault(t *testing.T) {
	schema, err := ParseSchema("x", []byte(`{"fields":[{"config":{"type":"record","fields":[
		{"sub":{"type":"record","default":{"a":"x"},"fields":[{"a":{"type":"string"}},{"b":{"type":"string"}}]}}]}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		got, err := schema.Normalize(nil)
		if err != nil {
			t.Fatal(err)
		}
		sub, _ := got["sub"].(map[string]any)
		if want := (map[string]any{"a": "x", "b": nil}); !reflect.DeepEqual(sub, want) {
			t.Fatalf("%v, want %v", sub, want)
		}
		sub["a"] = "changed"
	}
}

// TestValuesAreAsSentAndRead holds a value that is taken over against one that was written as a body and read again.
func TestValuesAreAsSentAndRead(t *testing.T) {
	object := map[string]any{
		"null": nil, "yes": true, "text": "<é & \u2028>", "bytes": "a\xff\xfe", "int": 80, "long": int64(1) << 60, "number": 0.1,
		"list": []any{1, "a", nil, []string{"b"}}, "strings": []string{"a", "b"}, "no strings": []string(nil), "no list": []any(nil),
		"object": map[string]any{"a": Fields{"b": []Fields{{"c": 1}}}}, "no object": map[string]any(nil), "no fields": Fields(nil),
		"texts": map[string]string{"a": "b"}, "objects": []map[string]any{{"a": 1}}, "struct": struct{ A int }{1}, "empty": []any{},
	}
	body, err := Fields(object).body()
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]any
	if err := json.Unmarshal(body, &want); err != nil {
		t.Fatal(err)
	}
	got, err := values(object)
	if err != nil {
		t.Fatal(err)
	}
	for name := range object {
		if !reflect.DeepEqual(got[name], want[name]) {
			t.Errorf("%s: %#v, and %#v as JSON", name, got[name], want[name])
		}
	}
	got["list"].([]any)[0], got["object"].(map[string]any)["a"] = "another", "another"
	if object["list"].([]any)[0] != 1 || object["object"].(map[string]any)["a"].(Fields) == nil {
		t.Error("a copy was changed, and what it is of with it")
	}
	for what, bad := range map[string]any{"NaN": math.NaN(), "a name that is no text": map[string]any{"\xff": 1}, "a function": func() {}} {
		if _, err := values(map[string]any{"a": bad}); err == nil {
			t.Errorf("%s was taken", what)
		}
	}
	if got, err := values(nil); err != nil || got == nil || len(got) > 0 {
		t.Errorf("nothing is %v, %v", got, err)
	}
}
