package schema

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// Library holds all schemas of a version of Kong.
type Library struct {
	Entities map[string]*Record
	// served is what GET /schemas/NAME answers; of plugins, under "plugins/NAME".
	served map[string]object // in full: Served leaves out what GET /schemas does not show
}

// libraries are read once: by file, and by whether there is a database.
var libraries struct {
	sync.Mutex
	read map[string]*Library
}

// entities that the simulation serves.
var entities = []string{"services", "routes", "consumers", "jwt_secrets", "keyauth_credentials", "acls", "plugins"}

// Load reads the schemas of a version. Without a database some differ.
func Load(dbless bool, version kong.Version, changes Changes) (*Library, error) {
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
		libraries.read = map[string]*Library{}
	}
	libraries.read[key] = l
	return l, nil
}

func newLibrary(dbless bool, file string, changes Changes) (*Library, error) {
	schemas, err := readSchemas(file)
	if err != nil {
		return nil, err
	}
	if err := schemas.alter(changes); err != nil {
		return nil, err
	}
	l := &Library{Entities: map[string]*Record{}, served: map[string]object{}}
	for name, raw := range schemas {
		if dbless && strings.HasPrefix(name, "plugins/") {
			dropClusterPolicy(raw)
		}
		l.served[name] = raw
	}
	for _, name := range entities {
		if err := l.loadEntity(name, schemas); err != nil {
			return nil, err
		}
	}
	for _, s := range l.Entities {
		l.link(s)
	}
	return l, nil
}

// loadEntity parses the schema of an entity and those of its varieties.
func (l *Library) loadEntity(name string, schemas rawSchemas) error {
	raw := schemas[name]
	s, err := parseRecord(name, raw)
	if err != nil {
		return err
	}
	l.Entities[name] = s
	if s.checks, err = parseChecks(name, raw["entity_checks"], s.Lookup); err != nil {
		return err
	}
	s.variantKey, _ = raw["subschema_key"].(string)
	s.unknownVariant, _ = raw["subschema_error"].(string)
	s.variants = map[string]*Record{}
	for _, at := range slices.Sorted(maps.Keys(schemas)) {
		if variant, is := strings.CutPrefix(at, name+"/"); is {
			if err := loadVariant(s, at, variant, schemas[at]); err != nil {
				return err
			}
		}
	}
	return nil
}

func loadVariant(s *Record, at, variant string, raw object) error {
	v, err := parseRecord(at, raw)
	if err != nil {
		return err
	}
	find := func(path string) *Field {
		head, _, _ := strings.Cut(path, ".")
		if v.ByName[head] != nil {
			return v.Lookup(path)
		}
		return s.Lookup(path)
	}
	if v.checks, err = parseChecks(at, raw["entity_checks"], find); err != nil {
		return err
	}
	keys := []string{variant}
	if also := Names(raw["subschema_of"]); len(also) > 0 {
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
func (l *Library) link(s *Record) {
	for _, f := range s.fields {
		f.foreign = l.Entities[f.reference]
	}
	for _, variant := range s.variants {
		for _, f := range variant.fields {
			f.foreign = l.Entities[f.reference]
		}
	}
}

// Plugins are the names of the plugins that there are.
func (l *Library) Plugins() []string { return slices.Sorted(maps.Keys(l.Entities["plugins"].variants)) }

// Served is what GET /schemas/NAME answers, of a plugin under "plugins/NAME"; nil where there is none. What only this
// package reads is left out.
func (l *Library) Served(name string) map[string]any {
	raw, found := l.served[name]
	if !found {
		return nil
	}
	return servedSchema(raw)
}

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
