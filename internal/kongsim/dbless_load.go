package kongsim

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/schema"
)

// loader builds a database out of a declarative configuration (kong/db/schema/others/declarative_config.lua).
type loader struct {
	library *schema.Library
	store   *store
	now     time.Time
	// loaded are the entities in the order of the configuration, parents before their children.
	loaded []*declared
}

// declared is an entity of a configuration.
type declared struct {
	kind  *kind
	sent  object // as it was sent
	row   object
	index int // in the list that it was sent in
	// parent is the entity that it was sent below, by its field parentField.
	parent      *declared
	parentField string
}

// loadConfig gives a database with a configuration's entities, or what is wrong with it.
func loadConfig(l *schema.Library, document object, flatten bool, now func() time.Time) (*store, *failed) {
	loading := &loader{library: l, store: newStore(now), now: now()}
	sent := schema.Clone(document)
	wrong := loading.read(document)
	if len(wrong) == 0 {
		wrong = loading.link()
	}
	if len(wrong) == 0 {
		return loading.store, nil
	}
	if !flatten {
		return nil, invalidConfig(wrong, nil)
	}
	return nil, invalidConfig(wrong, flatErrors(sent, wrong))
}

var formatVersions = []any{"1.1", "2.1", "3.0"}

// read fills and validates every entity by itself.
func (l *loader) read(document object) schema.Violations {
	wrong := schema.Violations{}
	switch version := document["_format_version"]; {
	case version == nil:
		wrong["_format_version"] = schema.RequiredMissing
	case schema.OneOf(version, formatVersions) != "":
		wrong["_format_version"] = schema.OneOf(version, formatVersions)
	}
	for _, name := range slices.Sorted(maps.Keys(document)) {
		if strings.HasPrefix(name, "_") {
			continue
		}
		if kinds[name] == nil {
			wrong[name] = schema.UnknownField
			continue
		}
		if problems := l.readList(kinds[name], document[name], nil, ""); problems != nil {
			wrong[name] = problems
		}
	}
	return wrong
}

// readList reads the entities of a list; it gives what is wrong with them, by position.
func (l *loader) readList(k *kind, value any, parent *declared, field string) any {
	if value == nil {
		return nil
	}
	list, ok := schema.AsList(value)
	if !ok {
		return "expected an array"
	}
	var wrong []any
	for i, element := range list {
		var problem any = "expected a record"
		if sent, isRecord := schema.AsRecord(element); isRecord {
			problem = nil
			if found := l.readEntity(k, sent, i, parent, field); len(found) > 0 {
				problem = found
			}
		}
		if problem != nil {
			wrong = append(wrong, make([]any, i-len(wrong))...)
			wrong = append(wrong, problem)
		}
	}
	if wrong == nil {
		return nil
	}
	return wrong
}

// readEntity fills and validates an entity and its children.
func (l *loader) readEntity(k *kind, sent object, index int, parent *declared, field string) schema.Violations {
	d := &declared{kind: k, sent: sent, index: index, parent: parent, parentField: field}
	input := schema.Clone(sent)
	children := takeChildren(k, input)
	delete(input, "_comment")
	delete(input, "_ignore")
	if parent != nil && input[field] != nil {
		return schema.Violations{field: "value must be null"}
	}
	identify(d, input)
	replaceNames(k, input)
	if parent != nil {
		input[field] = object{"id": parent.row["id"]}
	}
	record := l.library.Entities[k.name]
	row, wrong := record.Fill(input, schema.Inserting, l.now)
	if len(wrong) == 0 {
		wrong = record.Validate(row, true)
	}
	if d.row = row; row == nil {
		d.row = input
	}
	l.loaded = append(l.loaded, d)
	for _, name := range slices.Sorted(maps.Keys(children)) {
		if problems := l.readList(kinds[name], children[name], d, referenceTo(kinds[name], k)); problems != nil {
			if wrong == nil {
				wrong = schema.Violations{}
			}
			wrong[name] = problems
		}
	}
	return wrong
}

// takeChildren takes the lists of children out of an entity.
func takeChildren(k *kind, input object) map[string]any {
	children := map[string]any{}
	for name, child := range kinds {
		if list, given := input[name]; given && referenceTo(child, k) != "" {
			children[name] = list
			delete(input, name)
		}
	}
	return children
}

// referenceTo is the field by which a kind refers to another, or nothing.
func referenceTo(child, parent *kind) string {
	for field, target := range child.references {
		if target == parent.name {
			return field
		}
	}
	return ""
}

// replaceNames gives references by name, which are texts here, the form of references by id, so that an entity can be
// validated. Where they lead is looked up when all entities are known.
func replaceNames(k *kind, input object) {
	for field := range k.references {
		if name, isText := input[field].(string); isText && !schema.IsUUID(name) {
			input[field] = object{"id": placeholderID(name)}
		} else if isText {
			input[field] = object{"id": strings.ToLower(name)}
		}
	}
}

// placeholderID stands for the id of an entity that was named.
func placeholderID(name string) string {
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte("name "+name)).String()
}

// idSpace is the namespace of the ids that Kong gives to entities without one.
var idSpace = uuid.MustParse("fd02801f-0957-4a15-a55a-c8d9606f30b5")

// identify gives an entity the id that Kong makes out of its name, so that it is the same the next time.
func identify(d *declared, input object) {
	if input["id"] != nil {
		return
	}
	key := ""
	switch d.kind.name {
	case "plugins":
		parts := []string{d.kind.name, "*", textOf(input, "name")}
		for _, field := range []string{"route", "service", "consumer"} {
			part := textOf(input, field)
			if d.parentField == field {
				part = idOf(d.parent.row)
			}
			parts = append(parts, part)
		}
		key = strings.Join(parts, ":")
	case "acls":
		owner := textOf(input, "consumer")
		if d.parent != nil {
			owner = idOf(d.parent.row)
		}
		key = strings.Join([]string{d.kind.name, "*", owner, textOf(input, "group")}, ":")
	case "jwt_secrets", "keyauth_credentials":
		return // at random
	default:
		if key = textOf(input, d.kind.lookup); key == "" {
			return
		}
	}
	input["id"] = uuid.NewSHA1(uuid.NewSHA1(idSpace, []byte(d.kind.name)), []byte(key)).String()
}

// link looks for values that were declared twice and for references that lead nowhere, and fills the database.
func (l *loader) link() schema.Violations {
	wrong := schema.Violations{}
	byID, byName := map[string]*declared{}, map[string]*declared{}
	for _, d := range l.loaded {
		declare(d, byID, byName, wrong)
	}
	if len(wrong) > 0 {
		return wrong
	}
	slices.SortStableFunc(l.loaded, func(a, b *declared) int {
		return slices.Index(kindNames, a.kind.name) - slices.Index(kindNames, b.kind.name)
	})
	for _, d := range l.loaded {
		if problem := resolve(d, byID, byName); problem != "" {
			wrong[d.kind.name] = object{d.place(): []any{problem}}
			return wrong
		}
		if l.store.conflict(d.kind, d.row) != nil {
			field := d.kind.uniques[len(d.kind.uniques)-1][0]
			wrong[d.kind.name] = object{d.place(): uniquenessText(d.kind.name, field, textOf(d.row, field))}
			return wrong
		}
		l.store.apply(written{Kind: d.kind.name, Row: d.row})
	}
	return wrong
}

// place is how an error names an entity.
func (d *declared) place() string {
	if name := textOf(d.row, d.kind.lookup); name != "" {
		return name
	}
	if id := idOf(d.row); id != "" {
		return id
	}
	return strconv.Itoa(d.index + 1)
}

func uniquenessText(kind, field, value string) string {
	return "uniqueness violation: '" + kind + "' entity with " + field + " set to '" + value + "' already declared"
}

// declare notes an entity by its id and its name.
func declare(d *declared, byID, byName map[string]*declared, wrong schema.Violations) {
	problem := ""
	id, name := d.kind.name+" "+idOf(d.row), textOf(d.row, d.kind.lookup)
	switch {
	case name != "" && byName[d.kind.name+" "+name] != nil:
		problem = uniquenessText(d.kind.name, d.kind.lookup, name)
	case byID[id] != nil:
		problem = uniquenessText(d.kind.name, "primary key", idOf(d.row))
	}
	if problem != "" {
		list, _ := wrong[d.kind.name].([]any)
		list = append(list, make([]any, max(0, d.index+1-len(list)))...)
		list[d.index] = problem
		wrong[d.kind.name] = list
		return
	}
	byID[id] = d
	if name != "" {
		byName[d.kind.name+" "+name] = d
	}
}

// resolve puts ids where an entity names others.
func resolve(d *declared, byID, byName map[string]*declared) string {
	for field, target := range d.kind.references {
		to := refID(d.row, field)
		if to == "" || byID[target+" "+to] != nil {
			continue
		}
		named := textOf(d.sent, field)
		if reference, isObject := d.sent[field].(object); isObject {
			for _, value := range reference {
				named, _ = value.(string)
			}
		}
		found := byName[target+" "+named]
		if found == nil {
			shown := named
			if reference, isObject := d.sent[field].(object); isObject {
				raw, _ := encode(reference) // it came as JSON
				shown = string(raw)
			}
			return "invalid reference '" + field + ": " + shown + "' (no such entry in '" + target + "')"
		}
		d.row[field] = object{"id": found.row["id"]}
	}
	return ""
}
