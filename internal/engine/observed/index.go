package observed

import (
	"maps"
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/plan"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// index finds entries. It has no lock: Store has. byOwner and byKey point into entries, so that each entity is kept
// once.
type index struct {
	scope   desired.Scope
	entries map[string]*plan.Entry
	// adopted has, by the id that the operator would have given, the entries that have another id.
	adopted map[string]map[string]*plan.Entry
	// byOwner and byKey have few entries under each of many keys.
	byOwner map[desired.Owner][]*plan.Entry
	byKey   map[lookupKey][]*plan.Entry
}

// lookupKey is a unique key without the methods of a route, which only decide whether two keys overlap.
type lookupKey struct {
	kind  desired.UniqueKind
	value string
}

func keyOf(k desired.UniqueKey) lookupKey { return lookupKey{k.Kind, k.Value} }

// newIndex makes an empty index; scope says which ids the operator gives.
func newIndex(scope desired.Scope) *index {
	return &index{
		scope:   scope,
		entries: map[string]*plan.Entry{},
		adopted: map[string]map[string]*plan.Entry{},
		byOwner: map[desired.Owner][]*plan.Entry{},
		byKey:   map[lookupKey][]*plan.Entry{},
	}
}

// set puts an entry in, over a former one of the same id.
func (x *index) set(e plan.Entry) {
	x.remove(e.ID)
	x.entries[e.ID] = &e
	if given := x.given(e); given != e.ID {
		insert(x.adopted, given, &e)
	}
	add(x.byOwner, e.Owner, &e)
	for _, key := range e.Keys {
		add(x.byKey, keyOf(key), &e)
	}
}

// remove takes an entry out.
func (x *index) remove(id string) {
	e := x.entries[id]
	if e == nil {
		return
	}
	drop(x.adopted, x.given(*e), id)
	subtract(x.byOwner, e.Owner, e)
	for _, key := range e.Keys {
		subtract(x.byKey, keyOf(key), e)
	}
	delete(x.entries, id)
}

// of lists the entries of an owner, by id.
func (x *index) of(owner desired.Owner) []plan.Entry {
	entries := make([]plan.Entry, 0, len(x.byOwner[owner]))
	for _, e := range x.byOwner[owner] {
		entries = append(entries, *e)
	}
	slices.SortFunc(entries, func(a, b plan.Entry) int { return strings.Compare(a.ID, b.ID) })
	return entries
}

// given is the id that the operator gives to what an entry stands for, told by its owner and part alone. An ACL row is
// told by its group, since that is what its id is made of (desired.Scope.ACLID).
func (x *index) given(e plan.Entry) string {
	if e.Kind == kong.KindACL && len(e.Groups) == 1 {
		return x.scope.ACLID(desired.ConsumerID(x.scope, e.Owner.Namespace, e.Owner.Name), e.Groups[0])
	}
	return x.scope.ID(e.Kind, e.Owner, e.Part)
}

// actual is the id in Kong of what the operator would give an id: another one where it was adopted, or where somebody
// else adopted what had the id. It is read from the tags in Kong and from nowhere else, so that it survives whatever
// Kubernetes loses.
func (x *index) actual(given string) string {
	if e := x.entries[given]; e != nil && x.given(*e) == given {
		return given
	}
	// Two entities may carry the same tags, such as a copy that somebody made: one of them is taken, always the
	// same.
	if len(x.adopted[given]) > 0 {
		return slices.Min(slices.Collect(maps.Keys(x.adopted[given])))
	}
	// A resource left it in Kong when it was deleted, another took it over, and the first is made again: a PUT of
	// the id would take it from the other, with all that hangs on it.
	id := given
	for x.entries[id] != nil {
		id = desired.OtherID(id)
	}
	return id
}

func insert(index map[string]map[string]*plan.Entry, key string, e *plan.Entry) {
	if index[key] == nil {
		index[key] = map[string]*plan.Entry{}
	}
	index[key][e.ID] = e
}

func drop(index map[string]map[string]*plan.Entry, key, id string) {
	delete(index[key], id)
	if len(index[key]) == 0 {
		delete(index, key)
	}
}

// add puts an entry in once: a route may have two keys that differ in their methods alone.
func add[K comparable](index map[K][]*plan.Entry, key K, e *plan.Entry) {
	held := index[key]
	if slices.Contains(held, e) {
		return
	}
	// One is what most keys have: append would take room for more.
	grown := make([]*plan.Entry, len(held)+1)
	copy(grown, held)
	grown[len(held)] = e
	index[key] = grown
}

func subtract[K comparable](index map[K][]*plan.Entry, key K, e *plan.Entry) {
	held := slices.DeleteFunc(index[key], func(other *plan.Entry) bool { return other == e })
	if len(held) == 0 {
		delete(index, key)
		return
	}
	index[key] = held
}
