// Package drift judges what somebody else changed in Kong, and remembers it until it is as it was, or is written.
//
// A finding comes from observed.Judge. Under the policy Correct the next Sync of the owner writes the entity, as it
// does with any difference, and tells that it was drift. Under Report the ledger says which differences a Sync leaves.
// What Kong fills in itself, and what another process of the operator writes, is no drift.
package drift

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"

	"github.com/kongjwt/kong-jwt-operator/internal/engine/observed"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// Drift is an entity that somebody else changed in Kong.
type Drift struct {
	Kind kong.Kind
	// Name is the plugin's name, or what the entity is for its owner, such as "route:web".
	Name string
	// ID is the one that the operator gives, whatever it is in Kong.
	ID string
	// Change is observed.Changed, observed.Deleted or observed.Appeared.
	Change observed.Verdict
	// Fields that differ from what is wanted, such as "config.key_claim_name": names, and never a value.
	Fields []string
	// Corrected says that it was put back. Else it was left.
	Corrected bool
}

// Differing names the fields in which two canonical forms of an entity differ, those of a configuration one by one.
// nil where one of them is no JSON object.
func Differing(a, b []byte) []string {
	var one, other map[string]any
	if json.Unmarshal(a, &one) != nil || json.Unmarshal(b, &other) != nil {
		return nil
	}
	var fields []string
	for name := range union(one, other) {
		if reflect.DeepEqual(one[name], other[name]) {
			continue
		}
		inOne, oneNested := one[name].(map[string]any)
		inOther, otherNested := other[name].(map[string]any)
		if name != "config" || !oneNested || !otherNested {
			fields = append(fields, name)
			continue
		}
		for inner := range union(inOne, inOther) {
			if !reflect.DeepEqual(inOne[inner], inOther[inner]) {
				fields = append(fields, name+"."+inner)
			}
		}
	}
	slices.Sort(fields)
	return fields
}

func union(a, b map[string]any) map[string]any {
	both := maps.Clone(a)
	if both == nil {
		both = map[string]any{}
	}
	maps.Copy(both, b)
	return both
}
