package kongsim

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/schema"
)

// flatErrors takes the errors of a configuration's entities out of wrong and gives them one by one, each with its
// entity (flatten_errors of kong/db/errors.lua). What is about no single entity stays in wrong. An empty list is an
// empty object, as Lua has it.
func flatErrors(sent object, wrong schema.Violations) any {
	flat := []any{}
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(wrong))) {
		problems, isList := wrong[name].([]any)
		entities, areSent := sent[name].([]any)
		if !isList || !areSent {
			continue
		}
		delete(wrong, name)
		for i, problem := range slices.Backward(problems) {
			if entity, ok := entities[i].(object); ok && problem != nil {
				flat = flattenEntity(flat, kinds[name], entity, problem)
			}
		}
	}
	if len(flat) == 0 {
		return object{}
	}
	return flat
}

func isTable(problem any) bool { _, ok := problem.(object); return ok }

// flattenEntity adds an entity's errors, those of its children first.
func flattenEntity(flat []any, k *kind, entity object, problem any) []any {
	wrong, isObject := problem.(object)
	if !isObject {
		wrong = schema.Violations{"@entity": []any{problem}}
	}
	wrong = maps.Clone(wrong)
	shown := maps.Clone(entity)
	for _, name := range kindNames {
		for field, target := range kinds[name].references {
			children, nested := shown[name].([]any)
			if target != k.name || !nested {
				continue
			}
			problems, _ := wrong[name].([]any)
			delete(shown, name)
			delete(wrong, name)
			for i, inner := range problems {
				child, ok := children[i].(object)
				if inner == nil || !ok {
					continue
				}
				child = maps.Clone(child)
				if child[field] == nil && schema.IsUUID(idOf(entity)) {
					child[field] = object{"id": entity["id"]}
				}
				flat = flattenEntity(flat, kinds[name], child, inner)
			}
		}
	}
	if len(wrong) == 0 {
		return flat
	}
	one := object{"entity": shown, "entity_type": strings.TrimSuffix(k.name, "s"), "errors": entityErrors("", wrong, nil)}
	if name := textOf(shown, "name"); name != "" {
		one["entity_name"] = name
	}
	if schema.IsUUID(idOf(shown)) {
		one["entity_id"] = shown["id"]
	}
	if tags, ok := shown["tags"].([]any); ok && len(schema.Names(tags)) == len(tags) && !slices.Contains(schema.Names(tags), "") {
		one["entity_tags"] = tags
	}
	return append(flat, one)
}

// entityErrors lists errors, each with the path of its field.
func entityErrors(path string, wrong schema.Violations, found []any) []any {
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(wrong))) {
		field := name
		if path != "" {
			field = path + "." + name
		}
		problem := wrong[name]
		switch inner := problem.(type) {
		case []any:
			for i, one := range inner {
				switch {
				case one == nil:
				case name == "@entity":
					found = append(found, object{"type": "entity", "message": one})
				case isTable(one):
					nested, _ := one.(object)
					found = entityErrors(field+"."+strconv.Itoa(i+1), nested, found)
				default:
					found = append(found, object{"type": "field", "field": field + "." + strconv.Itoa(i+1), "message": one})
				}
			}
		case object:
			found = entityErrors(field, inner, found)
		default:
			found = append(found, object{"type": "field", "field": field, "message": problem})
		}
	}
	return found
}
