package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Placeholders stand for what differs from run to run.
var placeholders = map[string]*regexp.Regexp{
	"<uuid>":       regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`),
	"<generated>":  regexp.MustCompile(`^[0-9A-Za-z]{32}$`),
	"<offset>":     regexp.MustCompile(`^[^"&]+$`),
	"<request_id>": regexp.MustCompile(`^[0-9a-f]{32}$`),
}

// difference is one place where an answer is not the recorded one.
type difference struct {
	at        string
	want, got any
}

func (d difference) String() string {
	return fmt.Sprintf("%s: want %s, got %s", cmp.Or(d.at, "body"), compact(d.want), compact(d.got))
}

// absent is a field that is not there, which is not the same as null.
type absent struct{}

func compact(value any) string {
	if _, ok := value.(absent); ok {
		return "nothing"
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	const longest = 600
	if len(raw) > longest {
		return string(raw[:longest]) + "..."
	}
	return string(raw)
}

// compare gives the differences between a recorded value and an answer's, both as JSON decodes them.
func compare(at string, want, got any) []difference {
	switch w := want.(type) {
	case map[string]any:
		return compareObject(at, w, got)
	case []any:
		return compareList(at, w, got)
	case string:
		if textMatches(w, got) {
			return nil
		}
	default:
		if reflect.DeepEqual(want, got) {
			return nil
		}
	}
	return []difference{{at, want, got}}
}

func compareObject(at string, want map[string]any, got any) []difference {
	object, ok := got.(map[string]any)
	if !ok {
		return []difference{{at, want, got}}
	}
	var found []difference
	for _, name := range slices.Sorted(maps.Keys(want)) {
		value, there := object[name]
		if !there {
			found = append(found, difference{join(at, name), want[name], absent{}})
			continue
		}
		found = append(found, compare(join(at, name), want[name], value)...)
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if _, there := want[name]; !there {
			found = append(found, difference{join(at, name), absent{}, object[name]})
		}
	}
	return found
}

func compareList(at string, want []any, got any) []difference {
	list, ok := got.([]any)
	if !ok || len(list) != len(want) {
		return []difference{{at, want, got}}
	}
	var found []difference
	for i := range want {
		found = append(found, compare(join(at, strconv.Itoa(i)), want[i], list[i])...)
	}
	return found
}

func join(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}

// textMatches compares a recorded text, maybe with placeholders, with an answer's value.
func textMatches(want string, got any) bool {
	if want == "<timestamp>" {
		number, ok := got.(float64)
		return ok && number > 0
	}
	text, ok := got.(string)
	if !ok {
		return false
	}
	if pattern, ok := placeholders[want]; ok {
		return pattern.MatchString(text)
	}
	// A placeholder within a text: all before and after it is literal.
	for name, pattern := range placeholders {
		before, after, found := strings.Cut(want, name)
		if found && len(text) >= len(before)+len(after) && strings.HasPrefix(text, before) && strings.HasSuffix(text, after) {
			return pattern.MatchString(text[len(before) : len(text)-len(after)])
		}
	}
	return text == want
}

// compareEntities compares pages of entities. Kong lists by id, and where ids are chosen by the gateway the recorded
// order is that of the recording: each recorded entity has to be there once, and the page has to be in order.
func compareEntities(want, got map[string]any) []difference {
	wanted, _ := want["data"].([]any)
	list, ok := got["data"].([]any)
	if !ok || len(list) != len(wanted) {
		return compareObject("", want, got)
	}
	rest := slices.Clone(list)
	for i, entity := range wanted {
		found := slices.IndexFunc(rest, func(other any) bool { return len(compare("", entity, other)) == 0 })
		if found < 0 {
			return compare(join("data", strconv.Itoa(i)), entity, list[i])
		}
		rest = slices.Delete(rest, found, found+1)
	}
	ids := make([]string, 0, len(list))
	for _, entity := range list {
		fields, _ := entity.(map[string]any)
		id, _ := fields["id"].(string)
		ids = append(ids, id)
	}
	if !slices.IsSorted(ids) {
		return []difference{{"data", "entities ordered by id", ids}}
	}
	want, got = maps.Clone(want), maps.Clone(got)
	delete(want, "data")
	delete(got, "data")
	return compareObject("", want, got)
}

// compareShape compares what a node says of itself: its numbers and texts are its own, and it has as many workers as
// it likes.
func compareShape(at string, want, got any) []difference {
	switch w := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok {
			return []difference{{at, want, got}}
		}
		var found []difference
		for _, name := range slices.Sorted(maps.Keys(w)) {
			value, there := object[name]
			if !there {
				value = absent{}
			}
			found = append(found, compareShape(join(at, name), w[name], value)...)
		}
		return found
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) == 0 {
			return []difference{{at, want, got}}
		}
		return compareShape(join(at, "0"), w[0], list[0])
	case bool:
		return compare(at, want, got)
	default:
		if reflect.TypeOf(want) == reflect.TypeOf(got) {
			return nil
		}
		return []difference{{at, want, got}}
	}
}

// plainSchema drops from a schema what the recordings leave out, and what Kong adds to it while it runs: the first
// value that is validated makes a text's `len_min` 1 and the elements of a list required.
func plainSchema(value any, element bool) any {
	switch v := value.(type) {
	case map[string]any:
		plain := make(map[string]any, len(v))
		for name, inner := range v {
			switch {
			case name == "description", name == "len_min" && inner == 1.0, name == "required" && element:
			default:
				plain[name] = plainSchema(inner, name == "elements" || name == "keys" || name == "values")
			}
		}
		return plain
	case []any:
		plain := make([]any, 0, len(v))
		for _, inner := range v {
			plain = append(plain, plainSchema(inner, false))
		}
		return plain
	default:
		return value
	}
}
