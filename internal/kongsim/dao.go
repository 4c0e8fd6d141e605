package kongsim

import (
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/schema"
)

// dao does to the database what the Admin API asks for, as kong/db/dao/init.lua does: fill, resolve references,
// validate, write.
type dao struct {
	store   *store
	library *schema.Library
	// readOnly is a gateway without a database.
	readOnly bool
}

// selector is how a request names an entity: by id, or else by the kind's lookup field.
type selector struct {
	field, value string
}

func (s selector) byID() bool { return s.field == "id" }

// selectorOf reads a name in a path.
func selectorOf(k *kind, name string) selector {
	if schema.IsUUID(name) || k.lookup == "" {
		return selector{"id", name}
	}
	return selector{k.lookup, name}
}

// selected gives the entity that a selector names, or nil.
func (d *dao) selected(k *kind, s selector) (object, *failed) {
	if s.byID() {
		if !schema.IsUUID(s.value) {
			return nil, invalidPrimaryKey()
		}
		return d.store.find(k, s.value), nil
	}
	if problem := d.checkName(k, s); problem != nil {
		return nil, problem
	}
	return d.store.findBy(k, []string{s.field}, object{s.field: s.value}), nil
}

// checkName holds the name in a path to the rules of the field that it stands for.
func (d *dao) checkName(k *kind, s selector) *failed {
	if problem, ok := d.library.Entities[k.name].ByName[s.field].Check(s.value).(string); ok {
		return invalidUnique(s.field, problem)
	}
	return nil
}

func (d *dao) insert(k *kind, input object) (object, *failed) {
	record := d.library.Entities[k.name]
	if problem := d.checkProtocols(k, input); problem != nil {
		return nil, problem
	}
	row, wrong := record.Fill(input, schema.Inserting, d.store.now())
	if len(wrong) > 0 {
		return nil, schemaViolation(wrong)
	}
	if problem := d.complete(k, row, true); problem != nil {
		return nil, problem
	}
	if d.readOnly {
		return nil, unsupported("create", k.name)
	}
	if problem := d.store.insert(k, row); problem != nil {
		return nil, problem
	}
	return record.Present(row), nil
}

// complete resolves references and validates.
func (d *dao) complete(k *kind, row object, whole bool) *failed {
	if problem := d.resolve(k, row); problem != nil {
		return problem
	}
	if wrong := d.library.Entities[k.name].Validate(row, whole); len(wrong) > 0 {
		return schemaViolation(wrong)
	}
	row["id"] = strings.ToLower(idOf(row))
	for name := range k.references {
		if to := refID(row, name); to != "" {
			row[name] = object{"id": to}
		}
	}
	return nil
}

func (d *dao) upsert(k *kind, s selector, input object) (object, *failed) {
	record := d.library.Entities[k.name]
	if s.byID() && !schema.IsUUID(s.value) {
		return nil, invalidPrimaryKey()
	}
	if !s.byID() {
		if problem := d.checkName(k, s); problem != nil {
			return nil, problem
		}
	}
	if problem := d.checkProtocols(k, input); problem != nil {
		return nil, problem
	}
	row, wrong := record.Fill(input, schema.Upserting, d.store.now())
	if len(wrong) > 0 {
		return nil, schemaViolation(wrong)
	}
	row[s.field] = s.value
	if problem := d.complete(k, row, true); problem != nil {
		return nil, problem
	}
	if d.readOnly {
		return nil, unsupported("create or update", k.name)
	}
	if former := d.store.findBy(k, []string{s.field}, row); !s.byID() && former != nil {
		row["id"] = former["id"]
	}
	if problem := d.store.put(k, row); problem != nil {
		return nil, problem
	}
	return record.Present(row), nil
}

func (d *dao) update(k *kind, s selector, input object) (object, *failed) {
	record := d.library.Entities[k.name]
	partial, wrong := record.Fill(input, schema.Updating, d.store.now())
	if len(wrong) > 0 {
		return nil, schemaViolation(wrong)
	}
	former, problem := d.selected(k, s)
	if problem != nil {
		return nil, problem
	}
	if former == nil {
		return nil, missing(s.field, s.value)
	}
	row := record.Merge(partial, former)
	if problem := d.checkProtocols(k, row); problem != nil {
		return nil, problem
	}
	row["id"] = former["id"]
	if problem := d.complete(k, row, false); problem != nil {
		return nil, problem
	}
	if d.readOnly {
		return nil, unsupported("update", k.name)
	}
	if problem := d.store.put(k, row); problem != nil {
		return nil, problem
	}
	return record.Present(row), nil
}

// delete succeeds where there is nothing to delete.
func (d *dao) delete(k *kind, s selector) *failed {
	row, problem := d.selected(k, s)
	if problem != nil || row == nil {
		return problem
	}
	if d.readOnly {
		return unsupported("remove", k.name)
	}
	return d.store.remove(k, idOf(row))
}

// resolve turns references by a unique value, as {"name": "x"}, into references by id.
func (d *dao) resolve(k *kind, row object) *failed {
	unknown := map[string]unresolved{}
	for _, field := range slices.Sorted(maps.Keys(k.references)) {
		reference, ok := row[field].(object)
		if !ok || schema.IsUUID(idOf(reference)) {
			continue
		}
		target := kinds[k.references[field]]
		for _, name := range d.library.Entities[target.name].Uniques() {
			value, isText := reference[name].(string)
			if !isText {
				continue
			}
			if found := d.store.findBy(target, []string{name}, reference); found != nil {
				row[field] = object{"id": found["id"]}
				delete(unknown, field)
				break
			}
			unknown[field] = unresolved{name, value, target.name}
		}
	}
	if len(unknown) > 0 {
		return foreignUnresolved(unknown)
	}
	return nil
}

// checkProtocols refuses a plugin that runs on none of its route's or its service's protocols
// (kong/db/dao/plugins.lua).
func (d *dao) checkProtocols(k *kind, plugin object) *failed {
	if _, given := plugin["protocols"].([]any); k.name != "plugins" || !given {
		return nil
	}
	if to := refID(plugin, "route"); to != "" {
		route := d.store.find(kinds["routes"], to)
		if route != nil && !schema.ProtocolsShared(plugin, route) {
			return schemaViolation(schema.Violations{"protocols": "must match the associated route's protocols"})
		}
		return nil
	}
	service := refID(plugin, "service")
	if service == "" {
		return nil
	}
	routes, _ := d.store.page(kinds["routes"], object{"service": object{"id": service}}, "", math.MaxInt, nil)
	if len(routes) == 0 || slices.ContainsFunc(routes, func(route object) bool { return schema.ProtocolsShared(plugin, route) }) {
		return nil
	}
	return schemaViolation(schema.Violations{"protocols": "must match the protocols of at least one route pointing to this Plugin's service"})
}
