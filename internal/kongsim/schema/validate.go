package schema

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// Violations are what is wrong with a record: a text, a list by position, or violations of its own, by field.
// "@entity" is about several fields.
type Violations = map[string]any

// Kong's words.
const (
	RequiredMissing = "required field missing"
	UnknownField    = "unknown field"
)

// Validate says what is wrong with a filled record. whole says that it is complete, which it is not while it is
// updated.
func (s *Record) Validate(input object, whole bool) Violations {
	if wrong := s.checkVariant(input); wrong != nil {
		return wrong
	}
	wrong := Violations{}
	variant := s.variant(input)
	for _, name := range slices.Sorted(maps.Keys(input)) {
		if name == "updated_at" {
			continue
		}
		f := s.ByName[name]
		if f == nil {
			wrong[name] = UnknownField
			continue
		}
		if problem := f.in(variant).Check(input[name]); problem != nil {
			wrong[name] = problem
		}
	}
	for _, f := range s.fields {
		value, there := input[f.name]
		if f.required && value == nil && (whole || there) {
			wrong[f.name] = RequiredMissing
		}
	}
	for _, c := range s.checks {
		c.run(input, whole, wrong)
	}
	if variant != nil {
		for _, c := range variant.checks {
			c.run(input, whole, wrong)
		}
	}
	return wrong
}

// checkVariant refuses an entity of no known variety for that alone.
func (s *Record) checkVariant(input object) Violations {
	if s.variantKey == "" {
		return nil
	}
	key := input[s.variantKey]
	if key == nil {
		return Violations{s.variantKey: RequiredMissing}
	}
	if s.variant(input) != nil {
		return nil
	}
	named := LuaText(key)
	if list, ok := key.([]any); ok {
		named = "nil"
		if len(list) > 0 {
			named = LuaText(list[0])
		}
	}
	return Violations{s.variantKey: fmt.Sprintf(s.unknownVariant, named)}
}

// Check gives what is wrong with a value: nil, a text, a list by position, or violations.
func (f *Field) Check(value any) any {
	if value == nil {
		return f.checkNull()
	}
	if f.mustBe != nil && *f.mustBe == nil {
		return f.say("value must be null")
	}
	if problem := f.checkKind(value); problem != nil {
		return problem
	}
	if text, ok := value.(string); ok && f.referenceable && IsReference(text) {
		return nil
	}
	for _, r := range f.rules {
		if problem := r(value); problem != "" {
			return f.say(problem)
		}
	}
	return nil
}

// IsReference says whether a text stands for a secret of a vault (kong/pdk/vault.lua).
func IsReference(text string) bool {
	return len(text) > len("{vault://}") && strings.HasPrefix(text, "{vault://") && strings.HasSuffix(text, "}")
}

func (f *Field) say(problem string) string {
	if f.message != "" {
		return f.message
	}
	return problem
}

func (f *Field) checkNull() any {
	if f.mustBe != nil && *f.mustBe != nil {
		return "value must be " + LuaText(*f.mustBe)
	}
	if f.required {
		return RequiredMissing
	}
	return nil
}

// checkKind looks at a value's type and at what it is made of.
func (f *Field) checkKind(value any) any {
	switch f.kind {
	case "string":
		if _, ok := value.(string); !ok {
			return "expected a string"
		}
	case "boolean":
		if _, ok := value.(bool); !ok {
			return "expected a boolean"
		}
	case "number":
		if _, ok := value.(float64); !ok {
			return "expected a number"
		}
	case "integer":
		if number, ok := value.(float64); !ok || number != math.Floor(number) || math.IsInf(number, 0) {
			return "expected an integer"
		}
	case "array", "set":
		return f.checkList(value)
	case "map":
		return f.checkMap(value)
	case "record":
		return f.checkRecord(value)
	case "foreign":
		return f.checkForeign(value)
	}
	return nil
}

func (f *Field) checkList(value any) any {
	list, ok := AsList(value)
	if !ok {
		if f.kind == "set" {
			return "expected a set"
		}
		return "expected an array"
	}
	var wrong []any
	for i, element := range list {
		if problem := f.elements.Check(element); problem != nil {
			wrong = append(wrong, make([]any, i-len(wrong))...)
			wrong = append(wrong, problem)
		}
	}
	if wrong == nil {
		return nil // and not a list without elements
	}
	return wrong
}

// checkMap stops at the first fault, whose place Kong does not tell.
func (f *Field) checkMap(value any) any {
	inner, ok := AsRecord(value)
	if !ok {
		return "expected a map"
	}
	for _, key := range slices.Sorted(maps.Keys(inner)) {
		if problem := f.keys.Check(key); problem != nil {
			return problem
		}
		if problem := f.values.Check(inner[key]); problem != nil {
			return problem
		}
	}
	return nil
}

func (f *Field) checkRecord(value any) any {
	inner, ok := AsRecord(value)
	if !ok {
		return "expected a record"
	}
	if wrong := f.record.Validate(inner, true); len(wrong) > 0 {
		return wrong
	}
	return nil
}

// checkForeign asks for a primary key. What else is wrong with a reference is told instead, if anything is.
func (f *Field) checkForeign(value any) any {
	reference, isObject := AsRecord(value)
	problem := ""
	switch id, there := reference["id"]; {
	case !there || id == false:
		problem = "missing primary key"
	case id == nil:
		problem = RequiredMissing
	default:
		text, isText := id.(string)
		if !isText {
			problem = "expected a string"
		} else if !IsUUID(text) {
			problem = "expected a valid UUID"
		}
	}
	if problem == "" {
		return nil
	}
	if isObject && f.foreign != nil {
		if wrong := f.foreign.Validate(reference, false); len(wrong) > 0 {
			return wrong
		}
	}
	return Violations{"id": problem}
}
