package kongsim

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/schema"
)

// failed is an answer that says no.
type failed struct {
	status int
	body   object
}

func message(status int, text string) *failed { return &failed{status, object{"message": text}} }

func notFound() *failed { return message(http.StatusNotFound, "Not found") }

func methodNotAllowed() *failed { return message(http.StatusMethodNotAllowed, "Method not allowed") }

func unexpected() *failed {
	return message(http.StatusInternalServerError, "An unexpected error occurred")
}

func schemaViolation(wrong schema.Violations) *failed {
	return &failed{http.StatusBadRequest, object{"code": 2, "name": "schema violation", "fields": wrong, "message": schema.ViolationMessage(wrong)}}
}

func uniqueViolation(fields []string, row object) *failed {
	values := object{}
	for _, name := range fields {
		values[name] = row[name]
		if reference, ok := row[name].(object); ok {
			values[name] = object{"id": reference["id"]}
		}
	}
	return &failed{http.StatusConflict, object{
		"code": 5, "name": "unique constraint violation", "fields": values,
		"message": "UNIQUE violation detected on '" + schema.LuaTable(values) + "'",
	}}
}

func foreignMissing(field, table, id string) *failed {
	return &failed{http.StatusBadRequest, object{
		"code": 4, "name": "foreign key violation", "fields": object{field: object{"id": id}},
		"message": "the foreign key '" + schema.LuaTable(object{"id": id}) + "' does not reference an existing '" + table + "' entity.",
	}}
}

func referenced(by, table string) *failed {
	return &failed{http.StatusBadRequest, object{
		"code": 4, "name": "foreign key violation", "fields": object{"@referenced_by": by},
		"message": "an existing '" + by + "' entity references this '" + table + "' entity",
	}}
}

// missing is the answer to a PATCH of what is not there.
func missing(field, value string) *failed {
	key, words := object{field: value}, ""
	if field == "id" {
		words = "primary key "
	}
	return &failed{http.StatusNotFound, object{
		"code": 6, "name": "not found", "fields": key, "message": "could not find the entity with " + words + "'" + schema.LuaTable(key) + "'",
	}}
}

func invalidSize(text string) *failed {
	return &failed{http.StatusBadRequest, object{"code": 9, "name": "invalid size", "message": text}}
}

func invalidOffset(offset, why string) *failed {
	return &failed{http.StatusBadRequest, object{"code": 7, "name": "invalid offset", "message": "'" + offset + "' is not a valid offset: " + why}}
}

func invalidTags(why string) *failed {
	return &failed{http.StatusBadRequest, object{
		"code": 11, "name": "invalid options", "options": object{"tags": why}, "message": "invalid option (tags: " + why + ")",
	}}
}

func primaryKeyViolation(id string) *failed {
	return &failed{http.StatusBadRequest, object{
		"code": 3, "name": "primary key violation", "fields": object{"id": id}, "message": "primary key violation on key '" + schema.LuaTable(object{"id": id}) + "'",
	}}
}

// invalidPrimaryKey is the answer to an id of a kind that has no names, and that is no id.
func invalidPrimaryKey() *failed {
	wrong := object{"id": "expected a valid UUID"}
	return &failed{http.StatusBadRequest, object{
		"code": 1, "name": "invalid primary key", "fields": wrong, "message": "invalid primary key: '" + schema.LuaTable(wrong) + "'",
	}}
}

func invalidUnique(field, why string) *failed {
	return &failed{http.StatusBadRequest, object{"code": 10, "name": "invalid unique " + field, "message": why}}
}

// foreignUnresolved is the answer to references by names that nothing has: field to the name's field and value.
func foreignUnresolved(unknown map[string]unresolved) *failed {
	fields := object{}
	var parts []string
	for _, field := range slices.Sorted(maps.Keys(unknown)) {
		u := unknown[field]
		text := "the foreign key cannot be resolved with '" + schema.LuaTable(object{u.by: u.value}) + "' for an existing '" + u.table + "' entity"
		fields[field] = object{u.by: text}
		parts = append(parts, field+"."+u.by+": "+text)
	}
	words := "foreign key unresolved ("
	if len(parts) != 1 {
		words = schema.LuaText(len(parts)) + " foreign keys unresolved ("
	}
	return &failed{http.StatusBadRequest, object{
		"code": 13, "name": "foreign keys unresolved", "fields": fields, "message": words + strings.Join(parts, "; ") + ")",
	}}
}

// unresolved is a reference by a name that nothing has.
type unresolved struct{ by, value, table string }

func unsupported(what, kindName string) *failed {
	return &failed{http.StatusMethodNotAllowed, object{
		"code": 12, "name": "operation unsupported", "message": "cannot " + what + " '" + kindName + "' entities when not using a database",
	}}
}

func invalidConfig(fields any, flattened any) *failed {
	body := object{"code": 14, "name": "invalid declarative configuration", "fields": fields, "message": "declarative config is invalid: " + schema.LuaTable(fields)}
	if flattened != nil {
		body["flattened_errors"] = flattened
	}
	return &failed{http.StatusBadRequest, body}
}
