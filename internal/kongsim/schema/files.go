package schema

import (
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// recorded/VERSION.json holds the schemas of a version as its Admin API serves them, or how they differ from those of
// another file. Each says in `source` where it is from. code.json has what no Admin API shows: `custom_validator` and
// `func` name code of this package.
//
//go:embed recorded/*.json
var schemaFiles embed.FS

// schemaFile is one of these files.
type schemaFile struct {
	Source string `json:"source"`
	// Entities and Plugins are schemas by name.
	Entities map[string]object `json:"entities"`
	Plugins  map[string]object `json:"plugins"`
	// From names the file that this one changes.
	From string `json:"from"`
	Changes
	// Varieties are those of routes, by protocol; Fields are what code.json adds to fields, where a version has
	// them.
	Varieties map[string]object `json:"varieties"`
	Fields    map[string]object `json:"fields"`
}

// versions are the files, and from which version of Kong on each holds.
var versions = []struct {
	since kong.Version
	file  string
}{
	{kong.Version{}, "3.4.2"},
	{kong.Version{Major: 3, Minor: 6}, "3.6"},
	{kong.Version{Major: 3, Minor: 7}, "3.7"},
	{kong.Version{Major: 3, Minor: 8}, "3.9.3"},
	{kong.Version{Major: 3, Minor: 14}, "3.14"},
}

// fileOf names the file with the schemas of a version.
func fileOf(version kong.Version) string {
	file := ""
	for _, one := range versions {
		if version.AtLeast(one.since) {
			file = one.file
		}
	}
	return file
}

func readSchemaFile(name string) (*schemaFile, error) {
	content, err := schemaFiles.ReadFile("recorded/" + name + ".json")
	if err != nil {
		return nil, err
	}
	file := &schemaFile{}
	if err := json.Unmarshal(content, file); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return file, nil
}

// rawSchemas are the schemas of a version by name: "services", "plugins/jwt", "routes/http".
type rawSchemas map[string]object

// readSchemas reads the schemas of a version, with what only this package reads.
func readSchemas(name string) (rawSchemas, error) {
	schemas, err := servedSchemas(name)
	if err != nil {
		return nil, err
	}
	code, err := readSchemaFile("code")
	if err != nil {
		return nil, err
	}
	schemas.add("", code.Entities)
	schemas.add("plugins/", code.Plugins)
	schemas.add("routes/", code.Varieties)
	for path, rules := range code.Fields {
		if definition := schemas.locate(path); definition != nil {
			maps.Copy(definition, rules)
		}
	}
	if name == versions[0].file {
		schemas.locate("routes.paths.elements")["custom_validator"] = "route_path_pcre"
	}
	if name == versions[0].file || name == versions[1].file { // before 3.7 an SNI has no wildcard
		schemas.locate("routes.snis.elements")["custom_validator"] = "server_name"
	}
	for _, schema := range schemas {
		nameReplacements(schema)
	}
	return schemas, nil
}

// servedSchemas reads a file, and those that it changes.
func servedSchemas(name string) (rawSchemas, error) {
	file, err := readSchemaFile(name)
	if err != nil {
		return nil, err
	}
	schemas := rawSchemas{}
	if file.From != "" {
		if schemas, err = servedSchemas(file.From); err != nil {
			return nil, err
		}
	}
	schemas.add("", file.Entities)
	schemas.add("plugins/", file.Plugins)
	if err := schemas.alter(file.Changes); err != nil {
		return nil, fmt.Errorf("recorded/%s.json: %w", name, err)
	}
	return schemas, nil
}

// add lays schemas over those of the same names.
func (s rawSchemas) add(prefix string, more map[string]object) {
	for name, schema := range more {
		if s[prefix+name] == nil {
			s[prefix+name] = object{}
		}
		maps.Copy(s[prefix+name], schema)
	}
}

// locate finds a field's definition, or a part of a check, or nil: "services.host",
// "plugins/cors.config.origins.elements", "jwt_secrets.entity_checks.0.conditional.then_match".
func (s rawSchemas) locate(path string) object {
	name, rest, inside := strings.Cut(path, ".")
	definition := s[name]
	for inside && definition != nil {
		var part string
		part, rest, inside = strings.Cut(rest, ".")
		inner, isObject := definition[part].(object)
		switch {
		case part == "entity_checks":
			var at, kind string
			at, rest, _ = strings.Cut(rest, ".")
			kind, rest, inside = strings.Cut(rest, ".")
			definition = checkOf(definition, at, kind)
		case isObject && slices.Contains([]string{"elements", "keys", "values", "if_match", "then_match"}, part):
			definition = inner
		default:
			definition = fieldOf(definition, part)
		}
	}
	return definition
}

func fieldOf(record object, name string) object {
	fields, _ := record["fields"].([]any)
	for _, one := range fields {
		named, _ := one.(object)
		if definition, ok := named[name].(object); ok {
			return definition
		}
	}
	return nil
}

func checkOf(record object, at, kind string) object {
	checks, _ := record["entity_checks"].([]any)
	index, err := strconv.Atoi(at)
	if err != nil || index >= len(checks) {
		return nil
	}
	named, _ := checks[index].(object)
	check, _ := named[kind].(object)
	return check
}

// nameReplacements puts back what the recordings leave out of shorthands: redis_host stands for redis.host.
func nameReplacements(value any) {
	switch v := value.(type) {
	case object:
		shorthands, _ := v["shorthand_fields"].([]any)
		for _, one := range shorthands {
			named, _ := one.(object)
			for name, definition := range named {
				field, _ := definition.(object)
				if inner, found := strings.CutPrefix(name, "redis_"); found && field["deprecation"] == nil {
					field["deprecation"] = object{"replaced_with": []any{object{"path": []any{"redis", inner}}}}
				}
			}
		}
		for _, inner := range v {
			nameReplacements(inner)
		}
	case []any:
		for _, inner := range v {
			nameReplacements(inner)
		}
	}
}

// Changes are how the schemas of a Kong differ from those of its version. Fields are named by their schema and their
// place in it: "services.enabled", "plugins/http-log.config.queue.concurrency_limit".
type Changes struct {
	// Lacking are fields that it does not have.
	Lacking []string `json:"lacking"`
	// Added are fields that it has beside, each as GET /schemas shows a field.
	Added map[string]map[string]any `json:"added"`
	// Changed are fields with other attributes: a default, the values that are taken.
	Changed map[string]map[string]any `json:"changed"`
}

func (s Changes) none() bool { return len(s.Lacking) == 0 && len(s.Added) == 0 && len(s.Changed) == 0 }

// alter makes the changes. Each has to have its place.
func (s rawSchemas) alter(changes Changes) error {
	missing := func(path string) error { return fmt.Errorf("%s: there is no such field", path) }
	for _, path := range changes.Lacking {
		parent, name := parentOf(path)
		record := s.locate(parent)
		fields, _ := record["fields"].([]any)
		at := slices.IndexFunc(fields, func(one any) bool { named, _ := one.(object); return named[name] != nil })
		if at < 0 {
			return missing(path)
		}
		record["fields"] = slices.Delete(fields, at, at+1)
	}
	for path, definition := range changes.Added {
		parent, name := parentOf(path)
		record := s.locate(parent)
		if record == nil {
			return missing(path)
		}
		fields, _ := record["fields"].([]any)
		record["fields"] = append(fields, object{name: Clone(definition)})
	}
	for path, attributes := range changes.Changed {
		definition := s.locate(path)
		if definition == nil {
			return missing(path)
		}
		maps.Copy(definition, Clone(attributes))
	}
	return nil
}

func parentOf(path string) (parent, name string) {
	at := strings.LastIndexByte(path, '.')
	return path[:max(at, 0)], path[at+1:]
}
