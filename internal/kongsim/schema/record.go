package schema

import (
	"encoding/json"
	"fmt"
	"strings"
)

// object is an entity, or a part of one, in the Admin API's form: what encoding/json decodes. A name that is not
// there is not the same as null.
type object = map[string]any

// Record says what a record is made of: an entity, or a field of one (kong/db/schema/init.lua).
type Record struct {
	fields     []*Field
	ByName     map[string]*Field
	shorthands []*shorthand
	checks     []*entityCheck
	// An entity may come in varieties: routes by their protocols, plugins by their name. variants holds what each
	// adds or replaces.
	variantKey     string
	variants       map[string]*Record
	unknownVariant string // a format for the value that names none
}

// Field is a field of a record, or the elements of a list.
type Field struct {
	name string
	kind string // Kong's `type`
	attributes
	parts

	hasDefault bool
	fallback   any // Kong's `default`, which may be null

	reference string  // the table that a foreign field points to
	foreign   *Record // its schema

	rules   []rule // in Kong's order
	mustBe  *any   // Kong's `eq`
	message string // Kong's `err`: said instead of what a rule says

	raw object
}

// attributes of a field that are true or false.
type attributes struct {
	required, auto, uuid, timestamp, abstract bool
	// generated fields have a default that is made at random.
	generated bool
	// referenceable texts may be references to a vault, which no rule looks at.
	referenceable bool
}

// parts are what a list, a map or a record is made of.
type parts struct {
	elements, keys, values *Field
	record                 *Record
}

// shorthand is a field that stands for others and is not kept (`url` of a service), or the former name of a nested
// one.
type shorthand struct {
	field *Field
	// path is the nested field that replaces a former one; empty where expand says what the value stands for.
	path   []string
	expand func(value any) object
}

// schemaError says that a schema file is not what this package understands.
type schemaError struct{ at, what string }

func (e *schemaError) Error() string { return "schema of " + e.at + ": " + e.what }

func parseRecord(at string, raw object) (*Record, error) {
	s := &Record{ByName: map[string]*Field{}}
	err := eachNamed(raw["fields"], func(name string, definition object) error {
		f, err := parseField(at+"."+name, name, definition)
		if err != nil {
			return err
		}
		s.fields = append(s.fields, f)
		s.ByName[name] = f
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = eachNamed(raw["shorthand_fields"], func(name string, definition object) error {
		short, err := parseShorthand(at, name, definition)
		s.shorthands = append(s.shorthands, short)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// eachNamed visits a list of objects with one name each, which is how Kong keeps fields in order.
func eachNamed(list any, visit func(name string, definition object) error) error {
	entries, _ := list.([]any)
	for _, entry := range entries {
		one, _ := entry.(object)
		for name, definition := range one {
			inner, ok := definition.(object)
			if !ok {
				return &schemaError{name, "no object"}
			}
			if err := visit(name, inner); err != nil {
				return err
			}
		}
	}
	return nil
}

func parseField(at, name string, raw object) (*Field, error) {
	f := &Field{name: name, raw: raw}
	f.kind, _ = raw["type"].(string)
	f.required, _ = raw["required"].(bool)
	f.auto, _ = raw["auto"].(bool)
	f.uuid, _ = raw["uuid"].(bool)
	f.timestamp, _ = raw["timestamp"].(bool)
	f.abstract, _ = raw["abstract"].(bool)
	f.generated, _ = raw["generated"].(bool)
	f.referenceable, _ = raw["referenceable"].(bool)
	f.reference, _ = raw["reference"].(string)
	f.message, _ = raw["err"].(string)
	f.fallback, f.hasDefault = raw["default"]
	if wanted, there := raw["eq"]; there {
		f.mustBe = &wanted
	}
	var err error
	for part, into := range map[string]**Field{"elements": &f.elements, "keys": &f.keys, "values": &f.values} {
		definition, ok := raw[part].(object)
		if !ok {
			continue
		}
		if *into, err = parseField(at+"."+part, part, definition); err != nil {
			return nil, err
		}
		(*into).required = true
	}
	if f.kind == "record" && !f.abstract {
		if f.record, err = parseRecord(at, raw); err != nil {
			return nil, err
		}
		if f.record.checks, err = parseChecks(at, raw["entity_checks"], f.record.Lookup); err != nil {
			return nil, err
		}
	}
	f.rules, err = parseRules(at, f.kind, raw)
	return f, err
}

func parseShorthand(at, name string, definition object) (*shorthand, error) {
	f, err := parseField(at+"."+name, name, definition)
	if err != nil {
		return nil, err
	}
	if expansion, ok := definition["func"].(string); ok {
		if expansions[expansion] == nil {
			return nil, &schemaError{at, "unknown function " + expansion}
		}
		return &shorthand{field: f, expand: expansions[expansion]}, nil
	}
	var former struct {
		Deprecation struct {
			With []struct {
				Path []string `json:"path"`
			} `json:"replaced_with"`
		} `json:"deprecation"`
	}
	if err := recode(definition, &former); err != nil {
		return nil, err
	}
	if len(former.Deprecation.With) == 0 {
		return nil, &schemaError{at, "shorthand " + name + " stands for nothing"}
	}
	return &shorthand{field: f, path: former.Deprecation.With[0].Path}, nil
}

// Lookup finds a field by its path, "config.redis.host".
func (s *Record) Lookup(path string) *Field {
	head, tail, nested := strings.Cut(path, ".")
	f := s.ByName[head]
	if !nested || f == nil {
		return f
	}
	if f.record == nil {
		return nil
	}
	return f.record.Lookup(tail)
}

// variant is the variety of an entity, or nil. A list names it by the first of its elements that does.
func (s *Record) variant(input object) *Record {
	if s.variantKey == "" {
		return nil
	}
	switch key := input[s.variantKey].(type) {
	case string:
		return s.variants[key]
	case []any:
		for _, element := range key {
			if name, ok := element.(string); ok && s.variants[name] != nil {
				return s.variants[name]
			}
		}
	}
	return nil
}

// Each visits the fields in order, as the variety of input has them.
func (s *Record) Each(input object, visit func(*Field)) {
	variant := s.variant(input)
	for _, f := range s.fields {
		visit(f.in(variant))
	}
}

// in is the field as a variety has it.
func (f *Field) in(variant *Record) *Field {
	if variant != nil && variant.ByName[f.name] != nil {
		return variant.ByName[f.name]
	}
	return f
}

// Uniques are the names of the fields whose values no other entity has.
func (s *Record) Uniques() (names []string) {
	for _, f := range s.fields {
		if unique, _ := f.raw["unique"].(bool); unique {
			names = append(names, f.name)
		}
	}
	return names
}

// recode turns one Go form of a JSON value into another.
func recode(from, into any) error {
	raw, err := json.Marshal(from)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	return nil
}

// PathOf gives the value at a path, "config.redis.host", and whether there is one.
func PathOf(record object, path string) (any, bool) {
	head, tail, nested := strings.Cut(path, ".")
	value, there := record[head]
	if !nested {
		return value, there
	}
	inner, ok := value.(object)
	if !ok {
		return nil, false
	}
	return PathOf(inner, tail)
}

// SetPath puts a value at a path and makes the records on the way. What is no record stays.
func SetPath(record object, path []string, value any) {
	for _, name := range path[:len(path)-1] {
		inner, ok := record[name].(object)
		if !ok {
			if record[name] != nil {
				return
			}
			inner = object{}
			record[name] = inner
		}
		record = inner
	}
	record[path[len(path)-1]] = value
}

// clone copies a JSON value.
func clone(value any) any {
	switch v := value.(type) {
	case object:
		copied := make(object, len(v))
		for name, inner := range v {
			copied[name] = clone(inner)
		}
		return copied
	case []any:
		copied := make([]any, len(v))
		for i, inner := range v {
			copied[i] = clone(inner)
		}
		return copied
	default:
		return value
	}
}

// Clone copies a record and all in it.
func Clone(record object) map[string]any {
	copied, _ := clone(record).(object)
	return copied
}
