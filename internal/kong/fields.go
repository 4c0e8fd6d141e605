package kong

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
)

// Fields is an entity's JSON object as the Admin API reads and writes it. Values are those of
// encoding/json; in answers every number is a float64, as it is in Kong.
//
// Fields may hold secrets, so they print their names only, whatever prints them, and encoding/json
// gets the names too: only the client turns them into a body.
type Fields map[string]any

// Text returns the string of that name, or "" where it is absent, null or no string.
func (f Fields) Text(name string) string {
	s, _ := f[name].(string)
	return s
}

// Ref returns the id of the entity that the named field refers to ("service", "route",
// "consumer"), or "".
func (f Fields) Ref(name string) string {
	object := f.Object(name)
	id, _ := object["id"].(string)
	return id
}

// Object returns the object of that name, or nil.
func (f Fields) Object(name string) map[string]any {
	switch object := f[name].(type) {
	case map[string]any:
		return object
	case Fields:
		return object
	case map[string]string:
		out := make(map[string]any, len(object))
		for k, v := range object {
			out[k] = v
		}
		return out
	}
	return nil
}

// Strings returns the list of strings of that name, or nil. What is no string in it is left out.
func (f Fields) Strings(name string) []string {
	switch list := f[name].(type) {
	case []string:
		return slices.Clone(list)
	case []any:
		out := make([]string, 0, len(list))
		for _, v := range list {
			if s, ok := v.(string); ok {
				out = append(out, s)
			}
		}
		return out
	}
	return nil
}

// Tags returns the entity's tags.
func (f Fields) Tags() []string {
	return f.Strings("tags")
}

// Names returns the field names in order.
func (f Fields) Names() []string {
	return slices.Sorted(maps.Keys(f))
}

// String returns the field names.
func (f Fields) String() string {
	return "{" + strings.Join(f.Names(), ", ") + "}"
}

// GoString returns the field names.
func (f Fields) GoString() string {
	return f.String()
}

// Format writes the field names, for every verb.
func (f Fields) Format(s fmt.State, _ rune) {
	_, _ = io.WriteString(s, f.String())
}

// LogValue gives log/slog the field names.
func (f Fields) LogValue() slog.Value {
	return slog.StringValue(f.String())
}

// MarshalLog gives logr the field names.
func (f Fields) MarshalLog() any {
	return f.String()
}

// MarshalJSON gives encoding/json the field names. Use the client to send fields to Kong.
func (f Fields) MarshalJSON() ([]byte, error) {
	return json.Marshal(f.String())
}

// plain is the value with every Fields in it turned into what encoding/json writes whole.
func plain(v any) any {
	switch v := v.(type) {
	case Fields:
		return plain(map[string]any(v))
	case map[string]any:
		if v == nil {
			return nil
		}
		out := make(map[string]any, len(v))
		for name, value := range v {
			out[name] = plain(value)
		}
		return out
	case []any:
		return plainList(v)
	case []map[string]any:
		return plainList(v)
	case []Fields:
		return plainList(v)
	}
	return v
}

func plainList[T any](list []T) any {
	if list == nil {
		return nil
	}
	out := make([]any, len(list))
	for i, value := range list {
		out[i] = plain(value)
	}
	return out
}

// WithoutNulls gives the fields that have a value, at every depth: Kong shows all that a kind has, null where nothing
// is set.
func (f Fields) WithoutNulls() Fields {
	clean, _ := withoutNulls(map[string]any(f)).(map[string]any)
	return clean
}

func withoutNulls(value any) any {
	switch v := value.(type) {
	case map[string]any:
		kept := make(map[string]any, len(v))
		for name, field := range v {
			if field != nil {
				kept[name] = withoutNulls(field)
			}
		}
		return kept
	case []any:
		kept := make([]any, len(v))
		for i, item := range v {
			kept[i] = withoutNulls(item)
		}
		return kept
	default:
		return value
	}
}
