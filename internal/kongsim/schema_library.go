package kongsim

import (
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
)

// Kong's schemas, in the form in which the Admin API serves them, and with what it cannot show: `custom_validator` and `func` name code of this package.
//
//go:embed schemas
var schemaFiles embed.FS

// library holds all schemas.
type library struct {
	entities map[string]*recordSchema
	// served is what GET /schemas/NAME answers; of plugins, under "plugins/NAME".
	served map[string]json.RawMessage
	// dbless: the schemas of a gateway without a database.
	dbless bool
	// version is how they differ from those in the files.
	version Schemas
}

// Both libraries are read once.
var (
	databaseLibrary = sync.OnceValues(func() (*library, error) { return newLibrary(false, Schemas{}) })
	dblessLibrary   = sync.OnceValues(func() (*library, error) { return newLibrary(true, Schemas{}) })
)

func loadLibrary(dbless bool, version Schemas) (*library, error) {
	switch {
	case !version.none():
		return newLibrary(dbless, version)
	case dbless:
		return dblessLibrary()
	}
	return databaseLibrary()
}

func newLibrary(dbless bool, version Schemas) (*library, error) {
	l := &library{entities: map[string]*recordSchema{}, served: map[string]json.RawMessage{}, dbless: dbless, version: version}
	for name := range kinds {
		if err := l.loadEntity(name); err != nil {
			return nil, err
		}
	}
	for _, s := range l.entities {
		l.link(s)
	}
	return l, nil
}

// loadEntity reads the schema of an entity and those of its varieties.
func (l *library) loadEntity(name string) error {
	raw, err := readSchema("schemas/" + name + ".json")
	if err != nil {
		return err
	}
	if err := l.version.alter(name, raw); err != nil {
		return err
	}
	s, err := parseRecord(name, raw)
	if err != nil {
		return err
	}
	l.entities[name] = s
	if s.checks, err = parseChecks(name, raw["entity_checks"], s.lookup); err != nil {
		return err
	}
	if l.served[name], err = servedSchema(raw); err != nil {
		return err
	}
	s.variantKey, _ = raw["subschema_key"].(string)
	s.unknownVariant, _ = raw["subschema_error"].(string)
	if s.variantKey == "" {
		return nil
	}
	files, err := schemaFiles.ReadDir("schemas/" + name)
	if err != nil {
		return err
	}
	s.variants = map[string]*recordSchema{}
	for _, file := range files {
		variant := strings.TrimSuffix(file.Name(), ".json")
		if err := l.loadVariant(s, name, variant); err != nil {
			return err
		}
	}
	return nil
}

func (l *library) loadVariant(s *recordSchema, entity, variant string) error {
	at := entity + "/" + variant
	raw, err := readSchema("schemas/" + at + ".json")
	if err != nil {
		return err
	}
	if err := l.version.alter(at, raw); err != nil {
		return err
	}
	if l.dbless {
		dropClusterPolicy(raw)
	}
	v, err := parseRecord(at, raw)
	if err != nil {
		return err
	}
	find := func(path string) *schemaField {
		head, _, _ := strings.Cut(path, ".")
		if v.byName[head] != nil {
			return v.lookup(path)
		}
		return s.lookup(path)
	}
	if v.checks, err = parseChecks(at, raw["entity_checks"], find); err != nil {
		return err
	}
	keys := []string{variant}
	if also := names(raw["subschema_of"]); len(also) > 0 {
		keys = also
	}
	for _, key := range keys {
		s.variants[key] = v
	}
	l.served[at], err = servedSchema(raw)
	return err
}

// dropClusterPolicy takes the policy that counts in the database from the plugins that have one.
func dropClusterPolicy(plugin object) {
	_ = eachNamed(plugin["fields"], func(name string, config object) error { // nothing fails
		if name != "config" {
			return nil
		}
		return eachNamed(config["fields"], func(name string, policy object) error {
			if options, ok := policy["one_of"].([]any); ok && name == "policy" {
				policy["one_of"] = slices.DeleteFunc(options, func(option any) bool { return option == "cluster" })
			}
			return nil
		})
	})
}

// link gives foreign fields the schema that they refer to.
func (l *library) link(s *recordSchema) {
	for _, f := range s.fields {
		f.foreign = l.entities[f.reference]
	}
	for _, variant := range s.variants {
		for _, f := range variant.fields {
			f.foreign = l.entities[f.reference]
		}
	}
}

// plugins are the names of the plugins that there are.
func (l *library) plugins() []string { return slices.Sorted(maps.Keys(l.entities["plugins"].variants)) }

func readSchema(file string) (object, error) {
	content, err := schemaFiles.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var raw object
	if err := json.Unmarshal(content, &raw); err != nil {
		return nil, fmt.Errorf("%s: %w", path.Base(file), err)
	}
	return raw, nil
}

// servedSchema is a schema without what only this package reads.
func servedSchema(raw object) (json.RawMessage, error) {
	shown := object{"fields": withoutCode(raw["fields"]), "entity_checks": []any{}}
	if checks := raw["entity_checks"]; checks != nil {
		shown["entity_checks"] = withoutCode(checks)
	}
	return json.Marshal(shown)
}

func withoutCode(value any) any {
	switch v := value.(type) {
	case object:
		shown := object{}
		for name, inner := range v {
			if name != "custom_validator" && name != "func" {
				shown[name] = withoutCode(inner)
			}
		}
		return shown
	case []any:
		shown := make([]any, 0, len(v))
		for _, inner := range v {
			shown = append(shown, withoutCode(inner))
		}
		return shown
	default:
		return value
	}
}
