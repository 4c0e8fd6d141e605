package kong

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"
)

// Normalize is the configuration as Kong keeps it: defaults filled in, null for what has none, other
// names for a field put right, sets sorted without duplicates, every number a float64. The
// configuration that is sent and the one that Kong answers with come out equal. Fields that the
// schema does not know are kept. config is not changed.
//
// The error names a field whose meaning the schema does not tell, or that is no JSON; never a value.
func (s Schema) Normalize(config map[string]any) (map[string]any, error) {
	values, err := values(config)
	if err != nil {
		return nil, err
	}
	return s.Config.record(values)
}

var errNoJSON = errors.New("kong: the configuration cannot be written as JSON")

// values is a copy of the object in encoding/json's own types: what a body that is sent is for whoever reads it.
func values(object map[string]any) (map[string]any, error) {
	read, err := decoded(object)
	if out, is := read.(map[string]any); is || err != nil {
		return out, err
	}
	return map[string]any{}, nil
}

// decoded is a copy of a value in encoding/json's own types. Text is written and read again for types alone that are
// rare: each entity is looked at so at each start, for thousands of them.
func decoded(value any) (any, error) {
	switch v := value.(type) {
	case nil, bool:
		return v, nil
	case string:
		if utf8.ValidString(v) {
			return v, nil
		}
	case int:
		return float64(v), nil
	case float64:
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			return v, nil
		}
	case []string:
		return decodedList(v)
	case []any:
		return decodedList(v)
	case Fields:
		return decodedObject(v)
	case map[string]any:
		return decodedObject(v)
	}
	var out any
	body, err := json.Marshal(plain(value))
	if err != nil || json.Unmarshal(body, &out) != nil {
		return nil, errNoJSON
	}
	return out, nil
}

func decodedList[T any](list []T) (any, error) {
	if list == nil {
		return nil, nil
	}
	out := make([]any, len(list))
	for i, value := range list {
		var err error
		if out[i], err = decoded(value); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func decodedObject(object map[string]any) (any, error) {
	if object == nil {
		return nil, nil
	}
	out := make(map[string]any, len(object))
	for name, value := range object {
		if !utf8.ValidString(name) {
			return nil, errNoJSON
		}
		var err error
		if out[name], err = decoded(value); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// record normalises an object in place. It is Kong's process_auto_fields (kong/db/schema/init.lua),
// for a write and the read after it.
func (f Field) record(object map[string]any) (map[string]any, error) {
	for _, s := range f.Shorthands {
		if err := s.apply(object); err != nil {
			return nil, err
		}
	}
	for _, field := range f.Fields {
		value, present := object[field.Name]
		normal, err := field.value(value, present)
		if err != nil {
			return nil, err
		}
		object[field.Name] = normal
	}
	for _, s := range f.Shorthands {
		if s.Mirrored {
			object[s.Name] = lookup(object, s.Paths[0])
		}
	}
	return object, nil
}

// value normalises one value; present tells null from absent.
func (f Field) value(value any, present bool) (any, error) {
	if value == nil && (!present || f.Required) {
		value = f.missing()
	}
	switch v := value.(type) {
	case map[string]any:
		switch {
		case f.Type == TypeRecord:
			return f.record(v)
		case f.Type == TypeMap && f.Values != nil:
			return f.mapValues(v)
		case f.Type == TypeForeign:
			return map[string]any{"id": v["id"]}, nil
		case len(v) == 0 && (f.Type == TypeArray || f.Type == TypeSet):
			// Lua has one empty table for both.
			return []any{}, nil
		}
	case []any:
		switch {
		case f.Type == TypeArray || f.Type == TypeSet:
			return f.list(v)
		case len(v) == 0 && f.Type == TypeRecord:
			return f.record(map[string]any{})
		case len(v) == 0 && f.Type == TypeMap:
			return map[string]any{}, nil
		}
	}
	return value, nil
}

// missing is what Kong puts where a value is absent.
func (f Field) missing() any {
	if f.HasDefault {
		return clone(f.Default)
	}
	if f.Type == TypeRecord && f.Required {
		return map[string]any{}
	}
	return nil
}

func (f Field) mapValues(object map[string]any) (any, error) {
	for name, value := range object {
		normal, err := f.Values.value(value, true)
		if err != nil {
			return nil, err
		}
		object[name] = normal
	}
	return object, nil
}

func (f Field) list(list []any) (any, error) {
	out := make([]any, 0, len(list))
	for _, value := range list {
		if f.Elements != nil {
			normal, err := f.Elements.value(value, true)
			if err != nil {
				return nil, err
			}
			value = normal
		}
		out = append(out, value)
	}
	if f.Type == TypeSet {
		sortSet(&out)
	}
	return out, nil
}

// sortSet sorts the elements and drops duplicates: by their text, what is no text by its JSON, which has no quote
// before it.
func sortSet(set *[]any) {
	type element struct {
		value any
		key   string
	}
	elements := make([]element, 0, len(*set))
	for _, value := range *set {
		text, is := value.(string)
		key := `"` + text
		if !is {
			encoded, _ := json.Marshal(value) // decoded from JSON, it can be encoded
			key = string(encoded)
		}
		elements = append(elements, element{value, key})
	}
	slices.SortFunc(elements, func(a, b element) int { return cmp.Compare(a.key, b.key) })
	elements = slices.CompactFunc(elements, func(a, b element) bool { return a.key == b.key })
	*set = (*set)[:0]
	for _, e := range elements {
		*set = append(*set, e.value)
	}
}

// apply moves the value under the shorthand's name to the fields that it stands for. Where they have
// one of their own, that one holds.
func (s Shorthand) apply(object map[string]any) error {
	value, present := object[s.Name]
	if !present {
		return nil
	}
	if len(s.Paths) == 0 {
		return fmt.Errorf("kong: config field %s: an old name whose new one the schema does not tell; use the new one", s.Name)
	}
	delete(object, s.Name)
	for _, path := range s.Paths {
		set(object, path, clone(value))
	}
	return nil
}

// set puts a value where the path has none, or null.
func set(object map[string]any, path []string, value any) {
	for _, name := range path[:len(path)-1] {
		below, ok := object[name].(map[string]any)
		if !ok {
			if object[name] != nil {
				return
			}
			below = map[string]any{}
			object[name] = below
		}
		object = below
	}
	name := path[len(path)-1]
	if object[name] == nil {
		object[name] = value
	}
}

func lookup(object map[string]any, path []string) any {
	var value any = object
	for _, name := range path {
		below, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = below[name]
	}
	return clone(value)
}

// clone copies what encoding/json decodes.
func clone(value any) any {
	switch v := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, value := range v {
			out[name] = clone(value)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, value := range v {
			out[i] = clone(value)
		}
		return out
	}
	return value
}
