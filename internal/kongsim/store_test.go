package kongsim

import (
	"crypto/rand"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/dataplane"
)

// TestStoreKeepsItsWord writes and deletes at random, at two nodes. Whatever was refused or taken: unique values are
// held once, references lead somewhere, the indexes say what the rows say, and both nodes have the same.
func TestStoreKeepsItsWord(t *testing.T) {
	idPool := []string{
		"00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002", "00000000-0000-4000-8000-000000000003", "00000000-0000-4000-8000-000000000004",
	}
	folder := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		file := filepath.Join(folder, rand.Text())
		var nodes [2]*store
		for i := range nodes {
			node, err := openStore(file, time.Now)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = node.journal.Close() }()
			nodes[i] = node
		}
		reference := func(label string) any {
			if rapid.Bool().Draw(t, label+" set") {
				return object{"id": rapid.SampledFrom(idPool).Draw(t, label)}
			}
			return nil
		}
		text := func(label string) any {
			if rapid.Bool().Draw(t, label+" set") {
				return rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, label)
			}
			return nil
		}
		for range rapid.IntRange(1, 40).Draw(t, "operations") {
			s := rapid.SampledFrom(nodes[:]).Draw(t, "node")
			k := kinds[rapid.SampledFrom(kindNames).Draw(t, "kind")]
			id := rapid.SampledFrom(idPool).Draw(t, "id")
			if rapid.IntRange(0, 3).Draw(t, "what") == 0 {
				s.remove(k, id)
			} else {
				row := object{"id": id}
				for _, fields := range k.uniques {
					for _, field := range fields {
						row[field] = text(field)
					}
				}
				for field := range k.references {
					row[field] = reference(field)
				}
				if problem := s.put(k, row); problem != nil && s.tables[k.name].rows[id] != nil && reflect.DeepEqual(s.tables[k.name].rows[id], row) {
					t.Fatalf("refused and written: %v", row)
				}
			}
			checkStore(t, s)
		}
		if first, second := nodes[0].dump(), nodes[1].dump(); !reflect.DeepEqual(first, second) {
			t.Fatalf("one node has %v, the other %v", first, second)
		}
	})
}

func checkStore(t *rapid.T, s *store) {
	unique := map[string]string{}
	for name, table := range s.tables {
		k := kinds[name]
		if !slices.Equal(table.order, slices.Sorted(maps.Keys(table.rows))) {
			t.Fatalf("%s: order %v of %d rows", name, table.order, len(table.rows))
		}
		children := 0
		for id, row := range table.rows {
			for _, fields := range k.uniques {
				key := uniqueKey(k, fields, row)
				if key == "" {
					continue
				}
				if unique[key] != "" {
					t.Fatalf("%s held by %s and %s", key, unique[key], id)
				}
				unique[key] = id
			}
			for field, target := range k.references {
				to := refID(row, field)
				if to == "" {
					continue
				}
				children++
				if s.tables[target].rows[to] == nil || !table.children[field][to][id] {
					t.Fatalf("%s %s refers to %s", name, id, to)
				}
			}
		}
		for _, parents := range table.children {
			for _, found := range parents {
				children -= len(found)
			}
		}
		if children != 0 {
			t.Fatalf("%s: %d children too few in the index", name, children)
		}
	}
	if !maps.Equal(unique, s.unique) {
		t.Fatalf("unique values %v, index %v", unique, s.unique)
	}
}

// TestDeletingAnnouncesChildren: the data plane drops what goes along, later than the consumer itself.
func TestDeletingAnnouncesChildren(t *testing.T) {
	s := newStore(time.Now)
	const consumer, credential, group = aUUID, "00000000-0000-4000-8000-00000000000b", "00000000-0000-4000-8000-00000000000c"
	owner := object{"id": consumer}
	s.put(kinds["consumers"], object{"id": consumer, "username": "john"})
	s.put(kinds["jwt_secrets"], object{"id": credential, "key": "k", "consumer": owner})
	s.put(kinds["acls"], object{"id": group, "group": "g", "consumer": owner})
	var told []dataplane.Change
	s.watch(func(c dataplane.Change) { told = append(told, c) })
	s.remove(kinds["consumers"], consumer)
	want := []dataplane.Change{{Consumers: []string{consumer, "john"}, CascadeCredentials: []string{"k"}, CascadeGroups: []string{consumer}}}
	if !reflect.DeepEqual(told, want) {
		t.Errorf("told %+v, want %+v", told, want)
	}
	s.remove(kinds["consumers"], consumer)
	if len(told) != 1 {
		t.Error("deleting nothing is announced")
	}
}
