package engine

import (
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// Write is one request that a plan would send.
type Write struct {
	// Method is PUT or DELETE.
	Method string
	// Entity as it shall be, or, for a DELETE, as it is.
	Entity kong.Entity
	// Create says of a PUT that the entity is not there yet.
	Create bool
}

// DryPlan says which requests lead from what an owner wanted to what it wants, in the engine's own order. It is pure: it knows nothing of what Kong holds,
// and takes the former set to be there. Material that is not known is the same as itself.
func DryPlan(former, wanted desired.Set) []Write {
	h := hasher{key: []byte("dry")} // a key that is no secret: these hashes go nowhere
	held := map[string]kong.Entity{}
	var current []entry
	for _, w := range dryWants(h, former) {
		current = append(current, w.entry)
		held[w.id] = w.entity
	}
	var writes []Write
	for _, o := range diff(current, dryWants(h, wanted)) {
		switch o.verb {
		case put:
			writes = append(writes, Write{Method: "PUT", Entity: o.target.entity, Create: o.create})
		case remove:
			writes = append(writes, Write{Method: "DELETE", Entity: held[o.target.id]})
		}
	}
	return writes
}

func dryWants(h hasher, set desired.Set) []wanted {
	all := make([]wanted, 0, len(set.Entities))
	for _, e := range set.Entities {
		ownership, _ := desired.ParseTags(e.Fields.Tags())
		sum := h.sum(kong.Canonical(e, func(string) (kong.Schema, bool) { return kong.Schema{}, false }))
		all = append(all, wanted{entry: describe(e, set.Owner, ownership.Part, sum), entity: e})
	}
	return all
}
