package schema

import (
	"crypto/rand"
	"encoding/base64"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// occasion is why an entity is processed: what is filled in depends on it.
type occasion int

const (
	// Inserting is POST.
	Inserting occasion = iota
	// Updating is PATCH.
	Updating
	// Upserting is PUT.
	Upserting
)

// Fill gives a copy of an entity with what Kong fills in before it validates: ids, times, generated values, defaults,
// and null for what has no default; shorthands are expanded (process_auto_fields). The errors are those of
// shorthands.
func (s *Record) Fill(input object, why occasion, now time.Time) (map[string]any, Violations) {
	data := Clone(input)
	if wrong := s.expandShorthands(data); len(wrong) > 0 {
		return nil, wrong
	}
	var wrong Violations
	s.Each(data, func(f *Field) {
		value, there := data[f.name]
		if f.auto {
			value, there = f.automatic(value, there, why, now)
		}
		value, there, problem := f.adjust(value, there, why, now)
		if problem != nil && wrong == nil {
			wrong = problem
		}
		if there {
			data[f.name] = value
		}
	})
	return data, wrong
}

// automatic gives the value of a field that Kong sets itself.
func (f *Field) automatic(value any, there bool, why occasion, now time.Time) (any, bool) {
	fresh := why != Updating
	switch {
	case f.uuid:
		if fresh && !there {
			return NewID(), true
		}
	case f.kind == "string":
		if fresh && !there {
			return randomText(), true
		}
	case f.name == "created_at" && fresh && value == nil, f.name == "updated_at":
		return float64(now.Unix()), true
	}
	return value, there
}

// adjust fills a value's own structure, and what is missing.
func (f *Field) adjust(value any, there bool, why occasion, now time.Time) (any, bool, Violations) {
	if f.abstract {
		return value, there, nil
	}
	switch f.kind {
	case "record":
		if why == Updating && !there || there && value == nil || !there && !f.required {
			break
		}
		if !there {
			value, there = f.missing(now)
		}
		switch inner := value.(type) {
		case object:
			filled, wrong := f.record.Fill(inner, why, now)
			return filled, true, wrong
		case string, float64, bool:
			panic(LuaError("attempt to index a scalar, field '" + f.name + "'"))
		}
	case "array", "set":
		if list, ok := AsList(value); ok && there {
			if f.kind == "set" {
				list = withoutDoubles(list)
			}
			for i, element := range list {
				adjusted, _, wrong := f.elements.adjust(element, true, why, now)
				if wrong != nil {
					return nil, false, wrong
				}
				list[i] = adjusted
			}
			return list, true, nil
		}
	case "map":
		if inner, ok := value.(object); ok {
			for name, element := range inner {
				inner[name], _, _ = f.values.adjust(element, true, why, now)
			}
		}
	}
	if !there && why != Updating {
		value, there = f.missing(now)
	}
	return value, there, nil
}

// missing is what stands for a value that is not there. A required one without a default stays missing, and is
// refused later.
func (f *Field) missing(now time.Time) (any, bool) {
	switch {
	case f.generated:
		return randomText(), true
	case f.hasDefault:
		return clone(f.fallback), true
	case !f.required:
		return nil, true
	case f.kind == "record" && !f.abstract:
		filled, _ := f.record.Fill(object{}, Inserting, now)
		return filled, true
	default:
		return nil, false
	}
}

// AsList takes a value for a list. To Lua, an empty object is one.
func AsList(value any) ([]any, bool) {
	switch v := value.(type) {
	case []any:
		return v, true
	case object:
		return []any{}, len(v) == 0
	default:
		return nil, false
	}
}

// AsRecord takes a value for a record. To Lua, an empty list is one.
func AsRecord(value any) (map[string]any, bool) {
	switch v := value.(type) {
	case object:
		return v, true
	case []any:
		return object{}, len(v) == 0
	default:
		return nil, false
	}
}

func withoutDoubles(list []any) []any {
	kept := make([]any, 0, len(list))
	for _, value := range list {
		if !slices.ContainsFunc(kept, func(other any) bool { return sameScalar(value, other) }) {
			kept = append(kept, value)
		}
	}
	return kept
}

// sameScalar compares as Lua does: two tables are never the same.
func sameScalar(a, b any) bool {
	switch a.(type) {
	case string, float64, bool, nil:
		return a == b
	default:
		return false
	}
}

func (s *Record) expandShorthands(data object) Violations {
	wrong := Violations{}
	for _, short := range s.shorthands {
		name := short.field.name
		value, there := data[name]
		if !there {
			continue
		}
		if problem := short.field.Check(value); problem != nil {
			wrong[name] = problem
			continue
		}
		if len(short.path) == 0 {
			delete(data, name)
			for field, expanded := range short.expand(value) {
				data[field] = expanded
			}
			continue
		}
		newer := indexed(data, short.path)
		if value != nil && newer != nil && !reflect.DeepEqual(value, newer) {
			wrong[name] = "both deprecated and new field are used but their values mismatch: " +
				name + " = " + LuaText(value) + " vs " + strings.Join(short.path, ".") + " = " + LuaText(newer)
			continue
		}
		delete(data, name)
		if newer == nil {
			SetPath(data, short.path, value)
		}
	}
	return wrong
}

// indexed is the value at a path, as Kong looks it up (kong/tools/table.lua, table_path): null on the way fails the
// request.
func indexed(data object, path []string) any {
	for _, name := range path[:len(path)-1] {
		inner, there := data[name]
		if there && inner == nil {
			panic(LuaError("attempt to index a userdata value, field '" + name + "'"))
		}
		record, ok := inner.(object)
		if !ok {
			return nil
		}
		data = record
	}
	return data[path[len(path)-1]]
}

// LuaError is a fault of Kong's own code, which is answered 500.
type LuaError string

// Present gives an entity as answers show it: former names of nested fields are there too.
func (s *Record) Present(row object) map[string]any {
	shown := make(object, len(row))
	for name, value := range row {
		shown[name] = value
	}
	s.Each(row, func(f *Field) {
		inner, ok := row[f.name].(object)
		if f.kind == "record" && f.record != nil && ok {
			shown[f.name] = f.record.Present(inner)
		}
	})
	for _, short := range s.shorthands {
		if len(short.path) > 0 {
			shown[short.field.name], _ = PathOf(row, strings.Join(short.path, "."))
		}
	}
	return shown
}

// Merge lays a partial entity over a whole one. Records are merged, lists are replaced.
func (s *Record) Merge(top, bottom object) map[string]any {
	merged := make(object, len(bottom))
	for name, value := range bottom {
		merged[name] = value
	}
	for name, value := range top {
		merged[name] = value
	}
	s.Each(bottom, func(f *Field) {
		inner, ok := top[f.name].(object)
		below, _ := bottom[f.name].(object)
		if ok && f.kind == "record" && f.record != nil {
			merged[f.name] = f.record.Merge(inner, below)
		}
	})
	return merged
}

// randomText is what Kong generates for a key or a secret: 32 letters and digits.
func randomText() string {
	var raw [24]byte
	_, _ = rand.Read(raw[:]) // never fails
	return strings.NewReplacer("+", "a", "/", "A").Replace(base64.StdEncoding.EncodeToString(raw[:]))
}

// NewID makes an id at random.
func NewID() string { return uuid.NewString() }
