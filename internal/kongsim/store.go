package kongsim

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/dataplane"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/journal"
)

// object is an entity, or a part of one, in the Admin API's form: what encoding/json decodes. A name that is not there
// is not the same as null.
type object = map[string]any

// kind is a table of the database and a collection of the Admin API.
type kind struct {
	// name of the table, as Kong's messages have it; path of its collection, and below a parent, where they
	// differ.
	name, path, nested string
	// lookup is the field that an entity may be named by, beside its id (endpoint_key).
	lookup string
	// uniques are the sets of fields of which each combination of values is held once.
	uniques [][]string
	// references are the fields that point to other entities. Of those in restrict the target cannot go; from the
	// others, all goes with it.
	references map[string]string
	restrict   map[string]bool
}

var kinds = map[string]*kind{
	"consumers": {name: "consumers", path: "consumers", lookup: "username", uniques: [][]string{{"username"}, {"custom_id"}}},
	"jwt_secrets": {
		name: "jwt_secrets", path: "jwts", nested: "jwt", lookup: "key", uniques: [][]string{{"key"}},
		references: map[string]string{"consumer": "consumers"},
	},
	"keyauth_credentials": {
		name: "keyauth_credentials", path: "key-auths", nested: "key-auth", lookup: "key", uniques: [][]string{{"key"}},
		references: map[string]string{"consumer": "consumers"},
	},
	"acls": {
		name: "acls", path: "acls", uniques: [][]string{{"consumer", "group"}},
		references: map[string]string{"consumer": "consumers"},
	},
	"services": {name: "services", path: "services", lookup: "name", uniques: [][]string{{"name"}}},
	"routes": {
		name: "routes", path: "routes", lookup: "name", uniques: [][]string{{"name"}},
		references: map[string]string{"service": "services"}, restrict: map[string]bool{"service": true},
	},
	"plugins": {
		name: "plugins", path: "plugins", lookup: "instance_name",
		uniques:    [][]string{{"consumer", "name", "route", "service"}, {"instance_name"}},
		references: map[string]string{"consumer": "consumers", "route": "routes", "service": "services"},
	},
}

// kindNames in the order in which entities can be made: what is referred to comes first.
var kindNames = []string{"consumers", "services", "routes", "plugins", "jwt_secrets", "keyauth_credentials", "acls"}

// table holds the rows of a kind. A row is never changed in place.
type table struct {
	rows map[string]object
	// order are the ids, sorted: what a database with UUIDs as primary keys lists by.
	order []string
	// children are the ids of the rows that refer to an id, by field.
	children map[string]map[string]map[string]bool
}

// store is the database.
type store struct {
	mu     sync.RWMutex
	tables map[string]*table
	unique map[string]string // kind, fields and values to id
	now    func() time.Time
	// journal is what nodes that share the database write; nil: it is this node's alone. unheard are changes of
	// others, which the workers have not been told of.
	journal *journal.Journal
	unheard []dataplane.Change
	// watchers are told of each change, once it can be read: the workers of each node.
	watchers map[int]func(dataplane.Change)
	watched  int // how many there ever were
}

func newStore(now func() time.Time) *store {
	s := &store{tables: map[string]*table{}, unique: map[string]string{}, now: now, watchers: map[int]func(dataplane.Change){}}
	for name := range kinds {
		s.tables[name] = &table{rows: map[string]object{}, children: map[string]map[string]map[string]bool{}}
	}
	return s
}

// watch has every change told, until stop is called.
func (s *store) watch(told func(dataplane.Change)) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watched++
	number := s.watched
	s.watchers[number] = told
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watchers, number)
	}
}

// notify tells of a change. It may not be called under the lock: who is told reads.
func (s *store) notify(c dataplane.Change) {
	s.mu.RLock()
	watchers := slices.Collect(maps.Values(s.watchers))
	s.mu.RUnlock()
	for _, told := range watchers {
		told(c)
	}
}

func idOf(row object) string { id, _ := row["id"].(string); return id }

func refID(row object, name string) string {
	reference, _ := row[name].(object)
	return strings.ToLower(idOf(reference))
}

// holdsNUL says whether a text holds what PostgreSQL cannot store.
func holdsNUL(value any) bool {
	switch v := value.(type) {
	case string:
		return strings.Contains(v, "\x00")
	case []any:
		return slices.ContainsFunc(v, holdsNUL)
	case object:
		for name, inner := range v {
			if holdsNUL(name) || holdsNUL(inner) {
				return true
			}
		}
	}
	return false
}

// written is a write: a row, new or over a former one, or the id of one that goes with all that refers to it.
type written struct {
	Kind    string `json:"kind"`
	Row     object `json:"row,omitempty"`
	Removed string `json:"removed,omitempty"`
}

// write does a write, unless refused says no to what the database holds.
func (s *store) write(w written, refused func() *failed) *failed {
	change, problem := s.commit(w, refused)
	if problem == nil && change != nil {
		s.notify(*change)
	}
	return problem
}

// commit gives what changed; nil: what was to go is not there.
func (s *store) commit(w written, refused func() *failed) (*dataplane.Change, *failed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.journal != nil {
		unlock, err := s.journal.Lock()
		if err != nil {
			return nil, unexpected()
		}
		defer unlock()
		s.hear()
	}
	if w.Row == nil && s.tables[w.Kind].rows[w.Removed] == nil {
		return nil, nil
	}
	if problem := refused(); problem != nil {
		return nil, problem
	}
	if s.journal != nil {
		line, err := json.Marshal(w)
		if err != nil || s.journal.Append(line) != nil {
			return nil, unexpected()
		}
	}
	change := s.apply(w)
	return &change, nil
}

// put writes a row, new or over a former one. It fails where a unique value is another's, or a row that it refers to
// is not there.
func (s *store) put(k *kind, row object) *failed {
	if holdsNUL(row) {
		return unexpected()
	}
	return s.write(written{Kind: k.name, Row: row}, func() *failed { return s.conflict(k, row) })
}

// insert is put for a row that must be new.
func (s *store) insert(k *kind, row object) *failed {
	if holdsNUL(row) {
		return unexpected()
	}
	return s.write(written{Kind: k.name, Row: row}, func() *failed {
		if s.tables[k.name].rows[idOf(row)] != nil {
			return primaryKeyViolation(idOf(row))
		}
		return s.conflict(k, row)
	})
}

// remove deletes a row and what goes with it. It fails where a row refers to it that does not go.
func (s *store) remove(k *kind, id string) *failed {
	return s.write(written{Kind: k.name, Removed: id}, func() *failed {
		if by := s.holder(k, id); by != "" {
			return referenced(by, k.name)
		}
		return nil
	})
}

// conflict is why a row cannot be written.
func (s *store) conflict(k *kind, row object) *failed {
	for _, fields := range k.uniques {
		key := uniqueKey(k, fields, row)
		if holder := s.unique[key]; key != "" && holder != "" && holder != idOf(row) {
			return uniqueViolation(fields, row)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(k.references)) {
		target := k.references[name]
		if to := refID(row, name); to != "" && s.tables[target].rows[to] == nil {
			return foreignMissing(name, target, to)
		}
	}
	return nil
}

// apply does a write that nothing forbids.
func (s *store) apply(w written) (change dataplane.Change) {
	k, t := kinds[w.Kind], s.tables[w.Kind]
	if w.Row == nil {
		s.drop(k, t.rows[w.Removed], &change, false)
		return change
	}
	id := idOf(w.Row)
	former := t.rows[id]
	if former == nil {
		at, _ := slices.BinarySearch(t.order, id)
		t.order = slices.Insert(t.order, at, id)
	} else {
		s.unindex(k, former)
	}
	t.rows[id] = w.Row
	s.index(k, w.Row)
	return changeOf(k, former, w.Row)
}

func (s *store) index(k *kind, row object) {
	for _, fields := range k.uniques {
		if key := uniqueKey(k, fields, row); key != "" {
			s.unique[key] = idOf(row)
		}
	}
	t := s.tables[k.name]
	for name := range k.references {
		to := refID(row, name)
		if to == "" {
			continue
		}
		if t.children[name] == nil {
			t.children[name] = map[string]map[string]bool{}
		}
		if t.children[name][to] == nil {
			t.children[name][to] = map[string]bool{}
		}
		t.children[name][to][idOf(row)] = true
	}
}

func (s *store) unindex(k *kind, row object) {
	for _, fields := range k.uniques {
		if key := uniqueKey(k, fields, row); key != "" {
			delete(s.unique, key)
		}
	}
	for name := range k.references {
		siblings := s.tables[k.name].children[name]
		to := refID(row, name)
		delete(siblings[to], idOf(row))
		if len(siblings[to]) == 0 {
			delete(siblings, to)
		}
	}
}

// uniqueKey gives the key of a row's values, or nothing where they are null: null is not unique, but for a plugin's
// scope.
func uniqueKey(k *kind, fields []string, row object) string {
	var key strings.Builder
	key.WriteString(k.name)
	for _, name := range fields {
		value, _ := row[name].(string)
		if reference, isReference := row[name].(object); isReference {
			value = strings.ToLower(idOf(reference))
		} else if row[name] == nil && len(fields) == 1 {
			return ""
		}
		key.WriteString("\x00" + name + "=" + value)
	}
	return key.String()
}

// holder is the kind that keeps a row from being deleted, or nothing.
func (s *store) holder(k *kind, id string) string {
	for _, name := range kindNames {
		for field := range kinds[name].restrict {
			if kinds[name].references[field] == k.name && len(s.tables[name].children[field][id]) > 0 {
				return name
			}
		}
	}
	return ""
}

// drop takes a row out with its children.
func (s *store) drop(k *kind, row object, change *dataplane.Change, cascade bool) {
	id := idOf(row)
	for _, name := range kindNames {
		for field, target := range kinds[name].references {
			if target != k.name {
				continue
			}
			for child := range maps.Clone(s.tables[name].children[field][id]) {
				s.drop(kinds[name], s.tables[name].rows[child], change, true)
			}
		}
	}
	s.unindex(k, row)
	t := s.tables[k.name]
	delete(t.rows, id)
	if at, found := slices.BinarySearch(t.order, id); found {
		t.order = slices.Delete(t.order, at, at+1)
	}
	addChange(change, changeOf(k, row, nil), cascade)
}

// swap takes another database's content for its own, all at once.
func (s *store) swap(other *store) {
	s.mu.Lock()
	s.tables, s.unique = other.tables, other.unique
	s.mu.Unlock()
	s.notify(dataplane.Change{Everything: true})
}
