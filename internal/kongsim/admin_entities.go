package kongsim

import (
	"net/http"

	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/schema"
)

// entityEndpoint finds the endpoint of a path among those that Kong makes for each kind (kong/api/endpoints.lua):
//
//	/routes                 /routes/ROUTE            /routes/ROUTE/service
//	/services/SERVICE/routes                         /services/SERVICE/routes/ROUTE
func (a *admin) entityEndpoint(c *call) map[string]handler {
	k := kindByPath(c.segments[0], false)
	if k == nil {
		return nil
	}
	switch len(c.segments) {
	case 1:
		return a.collection(k)
	case 2:
		return a.entity(k, selectorOf(k, c.segments[1]))
	}
	at := selectorOf(k, c.segments[1])
	if target, isReference := k.references[c.segments[2]]; isReference && len(c.segments) == 3 {
		return a.reference(k, at, c.segments[2], kinds[target])
	}
	child := kindByPath(c.segments[2], true)
	if child == nil {
		return nil
	}
	field := referenceTo(child, k)
	switch {
	case field == "":
		return nil
	case len(c.segments) == 3:
		return a.childCollection(k, at, child, field)
	case len(c.segments) == 4:
		return a.childEntity(k, at, child, field, c.segments[3])
	}
	return nil
}

// collection is /routes.
func (a *admin) collection(k *kind) map[string]handler {
	return map[string]handler{
		http.MethodGet: func(c *call) (*answer, *failed) { return a.list(c, k, nil) },
		http.MethodPost: func(c *call) (*answer, *failed) {
			input, problem := a.readWith(c, k, nil)
			if problem != nil {
				return nil, problem
			}
			return a.created(k, input)
		},
	}
}

func (a *admin) created(k *kind, input object) (*answer, *failed) {
	row, problem := a.insert(k, input)
	return &answer{status: http.StatusCreated, body: row}, problem
}

// entity is /routes/ROUTE.
func (a *admin) entity(k *kind, at selector) map[string]handler {
	return map[string]handler{
		http.MethodGet: func(*call) (*answer, *failed) { return a.shown(k, at) },
		http.MethodPut: func(c *call) (*answer, *failed) { return a.put(c, k, at, nil) },
		http.MethodPatch: func(c *call) (*answer, *failed) {
			return a.patch(c, k, at)
		},
		http.MethodDelete: func(*call) (*answer, *failed) { return &answer{status: http.StatusNoContent}, a.delete(k, at) },
	}
}

func (a *admin) shown(k *kind, at selector) (*answer, *failed) {
	row, problem := a.found(k, at)
	if problem != nil {
		return nil, problem
	}
	return ok(a.library.Entities[k.name].Present(row))
}

// found is selected for what has to be there.
func (a *admin) found(k *kind, at selector) (object, *failed) {
	row, problem := a.selected(k, at)
	if problem == nil && row == nil {
		problem = notFound()
	}
	return row, problem
}

// put upserts; fixed are fields that the path sets.
func (a *admin) put(c *call, k *kind, at selector, fixed object) (*answer, *failed) {
	input, problem := a.readWith(c, k, nil)
	if problem != nil {
		return nil, problem
	}
	for name, value := range fixed {
		input[name] = value
	}
	row, problem := a.upsert(k, at, input)
	if problem != nil {
		return nil, problem
	}
	return ok(row)
}

func (a *admin) patch(c *call, k *kind, at selector) (*answer, *failed) {
	input, problem := a.readPatch(c, k, at)
	if problem != nil {
		return nil, problem
	}
	row, problem := a.update(k, at, input)
	if problem != nil {
		return nil, problem
	}
	return ok(row)
}

// readPatch reads a body. A plugin's fields are those of its name, which is looked up where the body has none.
func (a *admin) readPatch(c *call, k *kind, at selector) (object, *failed) {
	known := object{}
	if k.name == "plugins" {
		former, problem := a.found(k, at)
		if problem != nil {
			return nil, problem
		}
		known["name"] = former["name"]
	}
	return a.readWith(c, k, known)
}

// reference is /routes/ROUTE/service.
func (a *admin) reference(k *kind, at selector, field string, target *kind) map[string]handler {
	follow := func() (object, selector, *failed) {
		row, problem := a.found(k, at)
		if problem != nil {
			return nil, selector{}, problem
		}
		return row, selector{"id", refID(row, field)}, nil
	}
	existing := func(then func(c *call, to selector) (*answer, *failed)) handler {
		return func(c *call) (*answer, *failed) {
			_, to, problem := follow()
			if problem == nil && to.value == "" {
				problem = notFound()
			}
			if problem != nil {
				return nil, problem
			}
			return then(c, to)
		}
	}
	return map[string]handler{
		http.MethodGet:    existing(func(_ *call, to selector) (*answer, *failed) { return a.shown(target, to) }),
		http.MethodPatch:  existing(func(c *call, to selector) (*answer, *failed) { return a.patch(c, target, to) }),
		http.MethodDelete: existing(func(*call, selector) (*answer, *failed) { return nil, methodNotAllowed() }),
		http.MethodPut: func(c *call) (*answer, *failed) {
			row, to, problem := follow()
			if problem != nil {
				return nil, problem
			}
			if to.value != "" {
				return a.put(c, target, to, nil)
			}
			to.value = schema.NewID()
			result, problem := a.put(c, target, to, nil)
			if problem == nil {
				_, problem = a.update(k, selector{"id", idOf(row)}, object{field: object{"id": to.value}})
			}
			return result, problem
		},
	}
}

// childCollection is /services/SERVICE/routes.
func (a *admin) childCollection(k *kind, at selector, child *kind, field string) map[string]handler {
	return map[string]handler{
		http.MethodGet: func(c *call) (*answer, *failed) {
			parent, problem := a.found(k, at)
			if problem != nil {
				return nil, problem
			}
			return a.list(c, child, object{field: object{"id": parent["id"]}})
		},
		http.MethodPost: func(c *call) (*answer, *failed) {
			input, problem := a.readWith(c, child, nil)
			if problem != nil {
				return nil, problem
			}
			parent, problem := a.found(k, at)
			if problem != nil {
				return nil, problem
			}
			input[field] = object{"id": parent["id"]}
			return a.created(child, input)
		},
	}
}

// childEntity is /services/SERVICE/routes/ROUTE. PUT does not ask whose the child was: it becomes the parent's.
func (a *admin) childEntity(k *kind, at selector, child *kind, field, name string) map[string]handler {
	below := func(then func(c *call, to selector) (*answer, *failed)) handler {
		return func(c *call) (*answer, *failed) {
			parent, to, problem := a.childOf(k, at, child, name, false)
			if problem != nil {
				return nil, problem
			}
			row, problem := a.found(child, to)
			if problem == nil && refID(row, field) != idOf(parent) {
				problem = notFound()
			}
			if problem != nil {
				return nil, problem
			}
			return then(c, to)
		}
	}
	return map[string]handler{
		http.MethodGet:   below(func(_ *call, to selector) (*answer, *failed) { return a.shown(child, to) }),
		http.MethodPatch: below(func(c *call, to selector) (*answer, *failed) { return a.patch(c, child, to) }),
		http.MethodDelete: below(func(_ *call, to selector) (*answer, *failed) {
			return &answer{status: http.StatusNoContent}, a.delete(child, to)
		}),
		http.MethodPut: func(c *call) (*answer, *failed) {
			parent, to, problem := a.childOf(k, at, child, name, true)
			if problem != nil {
				return nil, problem
			}
			fixed := object{field: object{"id": parent["id"]}}
			if child.name == "acls" && !schema.IsUUID(name) {
				fixed["group"] = name
			}
			return a.put(c, child, to, fixed)
		},
	}
}

// childOf finds a parent, and what names its child. A group of a consumer may be named by itself
// (kong/plugins/acl/api.lua).
func (a *admin) childOf(k *kind, at selector, child *kind, name string, mayBeNew bool) (object, selector, *failed) {
	parent, problem := a.found(k, at)
	if problem != nil {
		return nil, selector{}, problem
	}
	to := selectorOf(child, name)
	if child.name != "acls" || schema.IsUUID(name) {
		return parent, to, nil
	}
	row := a.store.findBy(child, []string{"consumer", "group"}, object{"consumer": parent, "group": name})
	switch {
	case row != nil:
		to.value = idOf(row)
	case mayBeNew:
		to.value = schema.NewID()
	default:
		return nil, to, notFound()
	}
	return parent, to, nil
}
