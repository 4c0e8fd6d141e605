package kongsim

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// library holds all schemas of a version of Kong.
type library struct {
	entities map[string]*recordSchema
	// served is what GET /schemas/NAME answers; of plugins, under "plugins/NAME".
	served map[string]object // in full: servedSchema leaves out what GET /schemas does not show
}

// libraries are read once: by file, and by whether there is a database.
var libraries struct {
	sync.Mutex
	read map[string]*library
}

// loadLibrary reads the schemas of a version. Without a database some differ.
func loadLibrary(dbless bool, version kong.Version, changes Schemas) (*library, error) {
	file := fileOf(version)
	if !changes.none() {
		return newLibrary(dbless, file, changes)
	}
	libraries.Lock()
	defer libraries.Unlock()
	key := file
	if dbless {
		key += " without a database"
	}
	if l := libraries.read[key]; l != nil {
		return l, nil
	}
	l, err := newLibrary(dbless, file, changes)
	if err != nil {
		return nil, err
	}
	if libraries.read == nil {
		libraries.read = map[string]*library{}
	}
	libraries.read[key] = l
	return l, nil
}

func newLibrary(dbless bool, file string, changes Schemas) (*library, error) {
	schemas, err := readSchemas(file)
	if err != nil {
		return nil, err
	}
	if err := schemas.alter(changes); err != nil {
		return nil, err
	}
	l := &library{entities: map[string]*recordSchema{}, served: map[string]object{}}
	for name, raw := range schemas {
		if dbless && strings.HasPrefix(name, "plugins/") {
			dropClusterPolicy(raw)
		}
		l.served[name] = raw
	}
	for name := range kinds {
		if err := l.loadEntity(name, schemas); err != nil {
			return nil, err
		}
	}
	for _, s := range l.entities {
		l.link(s)
	}
	return l, nil
}

// loadEntity parses the schema of an entity and those of its varieties.
func (l *library) loadEntity(name string, schemas rawSchemas) error {
	raw := schemas[name]
	s, err := parseRecord(name, raw)
	if err != nil {
		return err
	}
	l.entities[name] = s
	if s.checks, err = parseChecks(name, raw["entity_checks"], s.lookup); err != nil {
		return err
	}
	s.variantKey, _ = raw["subschema_key"].(string)
	s.unknownVariant, _ = raw["subschema_error"].(string)
	s.variants = map[string]*recordSchema{}
	for _, at := range slices.Sorted(maps.Keys(schemas)) {
		if variant, is := strings.CutPrefix(at, name+"/"); is {
			if err := loadVariant(s, at, variant, schemas[at]); err != nil {
				return err
			}
		}
	}
	return nil
}

func loadVariant(s *recordSchema, at, variant string, raw object) error {
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
	return nil
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

// servedSchema is a schema without what only this package reads.
func servedSchema(raw object) object {
	shown := object{"fields": withoutCode(raw["fields"]), "entity_checks": []any{}}
	if checks := raw["entity_checks"]; checks != nil {
		shown["entity_checks"] = withoutCode(checks)
	}
	return shown
}

func withoutCode(value any) any {
	switch v := value.(type) {
	case object:
		shown := object{}
		for name, inner := range v {
			switch name {
			case "custom_validator", "func":
			case "generated": // made anew by each worker when it starts
				shown["default"] = randomText()
			default:
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
