package pluginconfig

import (
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// schemaField is a field of a schema, as GET /schemas/plugins/NAME of a Kong answered it.
type schemaField struct {
	Type            string                   `json:"type"`
	Default         any                      `json:"default"`
	OneOf           []any                    `json:"one_of"`
	Elements        *schemaField             `json:"elements"`
	Fields          []map[string]schemaField `json:"fields"`
	ShorthandFields []map[string]schemaField `json:"shorthand_fields"`
}

// children are a record's fields by name.
func children(fields []map[string]schemaField) map[string]schemaField {
	byName := map[string]schemaField{}
	for _, f := range fields {
		maps.Copy(byName, f)
	}
	return byName
}

// config reads the schema of a plugin's configuration.
func config(t testing.TB, version, plugin string) schemaField {
	t.Helper()
	raw, err := os.ReadFile("testdata/schemas-" + version + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var plugins map[string]schemaField
	if err := json.Unmarshal(raw, &plugins); err != nil {
		t.Fatal(err)
	}
	record, found := children(plugins[plugin].Fields)["config"]
	if !found {
		t.Fatalf("no config of %s in the schemas of %s", plugin, version)
	}
	return record
}

var versions = []string{"3.4.2", "3.9.3"}

func optionNames[T any](options []option[T]) []string {
	var names []string
	for _, o := range options {
		names = append(names, o.name)
	}
	return names
}

// plugins are the codecs, and what each knows of its plugin's options.
var plugins = map[string]struct {
	mapped   []string // options that a field of the API type says
	reasons  map[string]string
	defaults map[string]any
}{
	"jwt":           {optionNames(jwtOptions), nil, jwtDefaults},
	"acl":           {[]string{"allow"}, aclReasons, aclDefaults},
	"rate-limiting": {optionNames(rateLimitOptions), rateLimitReasons, rateLimitDefaults},
}

// TestEveryOptionIsMappedOrListed: an option of Kong's has a field, or a reason why it has none.
func TestEveryOptionIsMappedOrListed(t *testing.T) {
	for name, codec := range plugins {
		known := map[string]bool{}
		for _, version := range versions {
			record := config(t, version, name)
			redis := map[string]schemaField{}
			for option, field := range children(record.Fields) {
				known[option] = true
				flat, isFlat := strings.CutPrefix(option, redisPrefix)
				switch {
				case isFlat:
					redis[flat] = field
					continue
				case option == "redis":
					maps.Copy(redis, children(field.Fields))
					continue
				}
				check(t, version+" "+name, option, field, codec.mapped, codec.reasons, codec.defaults)
			}
			for option := range children(record.ShorthandFields) {
				if flat, isFlat := strings.CutPrefix(option, redisPrefix); !isFlat || redis[flat].Type == "" {
					t.Errorf("%s %s: the shorthand %s stands for no option that is known", version, name, option)
				}
			}
			for option, field := range redis {
				check(t, version+" "+name, option, field, optionNames(redisOptions), redisReasons, redisDefaults)
			}
		}
		for _, option := range slices.Concat(codec.mapped, slices.Collect(maps.Keys(codec.reasons))) {
			if !known[option] {
				t.Errorf("%s: no version of Kong has the option %s", name, option)
			}
		}
	}
}

func check(t *testing.T, of, option string, field schemaField, mapped []string, reasons map[string]string, defaults map[string]any) {
	t.Helper()
	if !slices.Contains(mapped, option) && reasons[option] == "" {
		t.Errorf("%s: the option %s is neither a field nor listed with a reason", of, option)
	}
	if got := defaults[option]; !reflect.DeepEqual(got, field.Default) && (!empty(got) || !empty(field.Default)) {
		t.Errorf("%s: the default of %s is %v, and Kong's is %v", of, option, got, field.Default)
	}
}

// unmapped are fields of the API types that are no option of Kong's.
var unmapped = map[string]string{
	"Access.Consumers":              "each has a reserved group, which is an argument",
	"Access.ConsumerSelector":       "as Consumers",
	"Access.From":                   "as Consumers: a namespace has a reserved group",
	"Access.ConsumerNamespaces":     "as Consumers",
	"RateLimit.Redis":               "the server that it names is an argument",
	"RedisServer.Name":              "as RateLimit.Redis",
	"RedisServer.Namespaces":        "it says whose services may name it",
	"RedisServer.PasswordSecretRef": "its content is an argument",
}

// TestEveryFieldIsMapped sets each field of the API types alone: Kong gets it, and it is read back.
func TestEveryFieldIsMapped(t *testing.T) {
	each(t, func(t *testing.T, spec *v1alpha1.JWTPlugin) {
		got, dropped := DecodeJWT(EncodeJWT(*spec))
		readBack(t, *spec, got, dropped)
	})
	each(t, func(t *testing.T, spec *v1alpha1.Access) {
		got, dropped := DecodeACL(EncodeACL(*spec))
		readBack(t, *spec, got, dropped)
	})
	for _, form := range []RedisForm{RedisRecord, RedisFlat} {
		each(t, func(t *testing.T, spec *v1alpha1.RateLimit) {
			got, _, dropped := DecodeRateLimit(EncodeRateLimit(*spec, nil, "", form))
			readBack(t, *spec, got, dropped)
		})
		each(t, func(t *testing.T, server *v1alpha1.RedisServer) {
			_, got, dropped := DecodeRateLimit(EncodeRateLimit(v1alpha1.RateLimit{Policy: "redis"}, server, "", form))
			readBack(t, server, got, dropped)
		})
	}
}

func readBack[T any](t *testing.T, want, got T, dropped []Dropped) {
	t.Helper()
	if !reflect.DeepEqual(got, want) || len(dropped) > 0 {
		t.Errorf("%+v is read back as %+v, without %v", want, got, dropped)
	}
}

// defaultTrue are the fields whose default is true.
var defaultTrue = map[string]bool{"RunOnPreflight": true, "FaultTolerant": true}

// each calls f with one field of T set at a time, to a value that is not Kong's default.
func each[T any](t *testing.T, f func(*testing.T, *T)) {
	t.Helper()
	of := reflect.TypeFor[T]()
	for i := range of.NumField() {
		name := of.Name() + "." + of.Field(i).Name
		if unmapped[name] != "" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			spec := new(T)
			sample(reflect.ValueOf(spec).Elem().Field(i), !defaultTrue[of.Field(i).Name])
			f(t, spec)
		})
	}
}

// sample sets a field to something.
func sample(field reflect.Value, flag bool) {
	switch {
	case field.Type() == reflect.TypeFor[v1alpha1.Duration]():
		field.SetString("1m30s")
	case field.Kind() == reflect.Pointer:
		field.Set(reflect.New(field.Type().Elem()))
		sample(field.Elem(), flag)
	case field.Kind() == reflect.Slice:
		field.Set(reflect.MakeSlice(field.Type(), 1, 1))
		sample(field.Index(0), flag)
	case field.Kind() == reflect.String:
		field.SetString("ip")
	case field.Kind() == reflect.Bool:
		field.SetBool(flag)
	case field.Kind() == reflect.Struct:
		sample(field.Field(0), flag)
	default:
		field.SetInt(7)
	}
}
