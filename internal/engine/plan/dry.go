package plan

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

// Dry says which requests lead from what an owner wanted to what it wants, in the engine's own order. It knows nothing
// of what Kong holds, and takes the former set to be there. Material that is not known is the same as itself. kubectl
// kongjwt diff says by it what a change would do, without a Kong.
func Dry(former, wanted desired.Set) []Write {
	h := NewHasher([]byte("dry")) // a key that is no secret: these hashes leave this function nowhere
	held := map[string]kong.Entity{}
	var current []Entry
	for _, w := range dryWants(h, former) {
		current = append(current, w.Entry)
		held[w.ID] = w.Entity
	}
	var writes []Write
	for _, o := range Diff(current, dryWants(h, wanted)) {
		switch o.Verb {
		case Put:
			writes = append(writes, Write{Method: "PUT", Entity: o.Target.Entity, Create: o.Create})
		case Delete:
			writes = append(writes, Write{Method: "DELETE", Entity: held[o.Target.ID]})
		}
	}
	return writes
}

// dryWants describes a set without asking a Kong for its schemas.
func dryWants(h Hasher, set desired.Set) []Wanted {
	all := make([]Wanted, 0, len(set.Entities))
	for _, e := range set.Entities {
		ownership, _ := desired.ParseTags(e.Fields.Tags())
		sum := h.Sum(kong.Canonical(e, kong.Known{}))
		all = append(all, Wanted{Entry: Describe(e, set.Owner, ownership.Part, sum), Entity: e})
	}
	return all
}
