package pluginconfig

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// Dropped is an option of Kong's that a configuration sets and that no field of the API type can say.
type Dropped struct {
	// Option is Kong's name, such as header_name or redis.password.
	Option string
	// Reason says why. It never holds the option's value, which may be a secret.
	Reason string
}

// Names are the options of a list, for a message.
func Names(dropped []Dropped) string {
	names := make([]string, 0, len(dropped))
	for _, d := range dropped {
		names = append(names, d.Option)
	}
	return strings.Join(names, ", ")
}

// option is one option of a plugin, and the field of the API type T that says it.
type option[T any] struct {
	// name is Kong's.
	name string
	// get reads the field as Kong's value: nil where it is not set.
	get func(*T) any
	// set writes Kong's value to the field: false where the field cannot hold it.
	set func(*T, any) bool
}

// optional is an option whose field is a pointer: nil leaves it to Kong.
func optional[T, V any](name string, field func(*T) **V) option[T] {
	return option[T]{
		name: name,
		get: func(spec *T) any {
			if value := *field(spec); value != nil {
				return *value
			}
			return nil
		},
		set: func(spec *T, value any) bool {
			into, ok := convert[V](value)
			if ok {
				*field(spec) = &into
			}
			return ok
		},
	}
}

// plain is an option whose field is left to Kong where it is empty.
func plain[T, V any](name string, field func(*T) *V) option[T] {
	return option[T]{
		name: name,
		get: func(spec *T) any {
			if value := reflect.ValueOf(field(spec)).Elem(); !empty(value.Interface()) {
				return asText(value)
			}
			return nil
		},
		set: func(spec *T, value any) bool {
			into, ok := convert[V](value)
			if ok {
				*field(spec) = into
			}
			return ok
		},
	}
}

// asText gives a value whose type names an enumeration of the API, or a list of such, as Kong's: a string, or strings.
func asText(value reflect.Value) any {
	switch {
	case value.Kind() == reflect.String:
		return value.String()
	case value.Kind() == reflect.Slice && value.Type().Elem().Kind() == reflect.String:
		texts := make([]string, 0, value.Len())
		for i := range value.Len() {
			texts = append(texts, value.Index(i).String())
		}
		return texts
	default:
		return value.Interface()
	}
}

// always is an option that is written where its field is empty too.
func always[T, V any](name string, field func(*T) *V) option[T] {
	o := plain(name, field)
	o.get = func(spec *T) any { return asText(reflect.ValueOf(field(spec)).Elem()) }
	return o
}

// duration is an option that Kong counts in units of time, as a whole number.
func duration[T any](name string, unit time.Duration, field func(*T) *v1alpha1.Duration) option[T] {
	return option[T]{
		name: name,
		get: func(spec *T) any {
			if value := field(spec).Or(0); value > 0 {
				return int64(value / unit)
			}
			return nil
		},
		set: func(spec *T, value any) bool {
			n, ok := convert[int64](value)
			if ok && n > 0 {
				*field(spec) = v1alpha1.NewDuration(time.Duration(n) * unit)
			}
			return ok
		},
	}
}

// encode gives the options that a spec sets.
func encode[T any](options []option[T], spec *T) map[string]any {
	config := map[string]any{}
	for _, o := range options {
		if value := o.get(spec); value != nil {
			config[o.name] = value
		}
	}
	return config
}

// decode reads a configuration into a spec. What equals Kong's default is left to Kong.
func decode[T any](options []option[T], config, defaults map[string]any, spec *T) {
	for _, o := range options {
		if value, given := config[o.name]; given && value != nil && !reflect.DeepEqual(value, defaults[o.name]) {
			o.set(spec, value)
		}
	}
}

// compare gives the options of a configuration that mean something else, or nothing, in what was made of it.
func compare(config, made, defaults map[string]any, reasons map[string]string) []Dropped {
	meant := maps.Clone(defaults)
	maps.Copy(meant, jsonObject(made))
	var dropped []Dropped
	for _, name := range slices.Sorted(maps.Keys(config)) {
		given, other := config[name], meant[name]
		if reflect.DeepEqual(given, other) || empty(given) && empty(other) {
			continue
		}
		reason := reasons[name]
		_, known := meant[name]
		switch {
		case reason != "":
		case known:
			reason = "its field cannot hold the value"
		default:
			reason = "no field says it"
		}
		dropped = append(dropped, Dropped{Option: name, Reason: reason})
	}
	return dropped
}

// settings reads a configuration as Kong does: what is absent is Kong's default, null is nothing.
func settings[T any](config, defaults map[string]any) (into T, err error) {
	whole := maps.Clone(defaults)
	maps.Copy(whole, config)
	raw, err := json.Marshal(whole)
	if err != nil {
		return into, fmt.Errorf("encode a plugin's configuration: %w", err)
	}
	if err := json.Unmarshal(raw, &into); err != nil {
		return into, fmt.Errorf("decode a plugin's configuration: %w", err)
	}
	return into, nil
}

// jsonObject gives a value in the types of encoding/json: numbers are float64, lists []any. A value that is no object
// gives an empty one.
func jsonObject(value any) map[string]any {
	object, _ := convert[map[string]any](value)
	if object == nil {
		object = map[string]any{}
	}
	return object
}

// convert gives a value in another type, by way of JSON.
func convert[V any](value any) (into V, ok bool) {
	raw, err := json.Marshal(value)
	if err != nil {
		return into, false
	}
	return into, json.Unmarshal(raw, &into) == nil
}

// empty says whether a value says nothing: null, false, 0, "", and lists and objects that are empty.
func empty(value any) bool {
	v := reflect.ValueOf(value)
	switch {
	case !v.IsValid():
		return true
	case v.Kind() == reflect.Slice || v.Kind() == reflect.Map:
		return v.Len() == 0
	default:
		return v.IsZero()
	}
}
