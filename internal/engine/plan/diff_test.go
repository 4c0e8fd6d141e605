package plan

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// model is Kong as far as a plan can offend it.
type model map[string]Entry

// apply does an Op as Kong would, or says why it would not.
func (m model) apply(o Op) error {
	e := o.Target.Entry
	if o.Verb == Delete {
		if _, there := m[e.ID]; !there && e.Uncertain {
			return nil // Kong answers 204 or 404, and both are a success
		}
		for id, child := range m {
			if !slices.Contains(child.Parents(), e.ID) {
				continue
			}
			if child.Kind == kong.KindRoute {
				return fmt.Errorf("service %s goes before its route %s", e.ID, id)
			}
			if child.Kind != kong.KindPlugin && !o.Swap {
				return fmt.Errorf("%s %s goes before its %s %s", e.Kind, e.ID, child.Kind, id)
			}
			delete(m, id) // Kong takes it along
		}
		if _, there := m[e.ID]; !there {
			return fmt.Errorf("%s %s is deleted, but not there", e.Kind, e.ID)
		}
		delete(m, e.ID)
		return nil
	}
	for _, parent := range e.Parents() {
		if _, there := m[parent]; !there {
			return fmt.Errorf("%s %s is put before its parent %s", e.Kind, e.ID, parent)
		}
	}
	for id, other := range m {
		if id == e.ID {
			continue
		}
		for _, value := range e.UniqueValues() {
			if slices.Contains(other.UniqueValues(), value) {
				return fmt.Errorf("%s %s and %s both have %q", e.Kind, e.ID, id, value)
			}
		}
	}
	e.Uncertain = false
	m[e.ID] = e
	return nil
}

func modelOf(entries []Entry) model {
	m := model{}
	for _, e := range entries {
		m[e.ID] = e
	}
	return m
}

// remove takes an entity out, and what belongs to it.
func (m model) remove(id string) {
	delete(m, id)
	for child, e := range m {
		if slices.Contains(e.Parents(), id) {
			m.remove(child)
		}
	}
}

// freeKeys are the keys of a kind that nothing holds.
func freeKeys(current []Entry, kind kong.Kind) (free [][]desired.UniqueKey) {
	pools := map[kong.Kind][]desired.UniqueKey{
		kong.KindConsumer: {{Kind: desired.UniqueUsername, Value: "john"}, {Kind: desired.UniqueUsername, Value: "jane"}},
		kong.KindRoute:    {{Kind: desired.UniqueRouteName, Value: "r-a"}, {Kind: desired.UniqueRouteName, Value: "r-b"}},
		kong.KindJWT:      {{Kind: desired.UniqueCredentialKey, Value: "k1"}, {Kind: desired.UniqueCredentialKey, Value: "k2"}},
	}
	for _, key := range pools[kind] {
		if !slices.ContainsFunc(current, func(e Entry) bool { return slices.Contains(e.Keys, key) }) {
			free = append(free, []desired.UniqueKey{key})
		}
	}
	return free
}

// drawUnknown makes the outcome of some writes unknown, as observed.RecordUncertain does, and gives what Kong holds:
// the former or the later form of an entity, or nothing of it and nothing that belonged to it.
func drawUnknown(t *rapid.T, current []Entry) model {
	m := modelOf(current)
	for i := range current {
		e := &current[i]
		if rapid.IntRange(0, 4).Draw(t, "unknown") > 0 {
			continue
		}
		isChild := func(c Entry) bool { return slices.Contains(c.Parents(), e.ID) }
		hasRoutes := slices.ContainsFunc(current, func(c Entry) bool { return isChild(c) && c.Kind == kong.KindRoute })
		done := rapid.Bool().Draw(t, "done")
		e.Uncertain = true
		switch {
		case rapid.Bool().Draw(t, "put"):
			later := m[e.ID]
			if free := freeKeys(current, e.Kind); later.ID != "" && len(free) > 0 {
				later.Keys = rapid.SampledFrom(free).Draw(t, "later")
				e.Keys = append(slices.Clone(e.Keys), later.Keys...)
			}
			if done && later.ID != "" {
				later.Hash = Hash{99}
				m[e.ID] = later
			} else if !slices.ContainsFunc(current, isChild) {
				m.remove(e.ID) // it was to be new
			}
		case !hasRoutes: // of a service with routes Kong refuses it
			for k := range current {
				current[k].Uncertain = current[k].Uncertain || isChild(current[k])
			}
			if done {
				m.remove(e.ID)
			}
		}
	}
	return m
}

func wants(entries []Entry) []Wanted {
	list := make([]Wanted, len(entries))
	for i, e := range entries {
		list[i] = Wanted{Entry: e}
	}
	return list
}

func uniqueKey(kind desired.UniqueKind, value string) []desired.UniqueKey {
	return []desired.UniqueKey{{Kind: kind, Value: value}}
}

// pick draws a permutation of values, so that no two entities share one and values move about between two draws.
func pick(t *rapid.T, label string, values ...string) []string {
	return rapid.Permutation(values).Draw(t, label)
}

func drawHash(t *rapid.T) (h Hash) {
	h[0] = byte(rapid.IntRange(1, 2).Draw(t, "content"))
	return h
}

// content makes a hash differ where values differ, as a real one does.
func content(t *rapid.T, value string) Hash {
	h := drawHash(t)
	copy(h[1:], value)
	return h
}

func drawConsumer(t *rapid.T) []Entry {
	if rapid.IntRange(0, 4).Draw(t, "none") == 0 {
		return nil
	}
	name := pick(t, "username", "john", "jane")[0]
	entries := []Entry{{Kind: kong.KindConsumer, ID: "c", Hash: content(t, name), Keys: uniqueKey(desired.UniqueUsername, name)}}
	keys := pick(t, "keys", "k1", "k2", "k3", "k4")
	for i := range rapid.IntRange(0, 4).Draw(t, "credentials") {
		id := []string{"j0", "j1", "j2", "j3", "j4"}[(i+rapid.IntRange(0, 1).Draw(t, "shift"))%5]
		if slices.ContainsFunc(entries, func(e Entry) bool { return e.ID == id }) {
			continue
		}
		entries = append(entries, Entry{Kind: kong.KindJWT, ID: id, ConsumerID: "c", Hash: content(t, keys[i]), Keys: uniqueKey(desired.UniqueCredentialKey, keys[i])})
	}
	for _, group := range pick(t, "groups", "g1", "g2", "g3")[:rapid.IntRange(0, 3).Draw(t, "rows")] {
		entries = append(entries, Entry{Kind: kong.KindACL, ID: "a-" + group, ConsumerID: "c", Hash: content(t, ""), Groups: []string{group}})
	}
	plugins := pick(t, "plugins", "cors", "rate-limiting", "http-log")
	for i := range rapid.IntRange(0, 3).Draw(t, "consumer plugins") {
		entries = append(entries, Entry{Kind: kong.KindPlugin, ID: fmt.Sprintf("cp%d", i), Consumer: "c", Plugin: plugins[i], Hash: content(t, plugins[i])})
	}
	return entries
}

func drawService(t *rapid.T) []Entry {
	if rapid.IntRange(0, 4).Draw(t, "none") == 0 {
		return nil
	}
	entries := []Entry{
		{Kind: kong.KindService, ID: "s", Hash: content(t, ""), Keys: uniqueKey(desired.UniqueServiceName, "api")},
		{Kind: kong.KindPlugin, ID: "sp-jwt", Service: "s", Plugin: "jwt", Hash: content(t, "jwt")},
	}
	plugins := pick(t, "plugins", "cors", "rate-limiting", "acl")
	for i := range rapid.IntRange(0, 3).Draw(t, "service plugins") {
		entries = append(entries, Entry{Kind: kong.KindPlugin, ID: fmt.Sprintf("sp%d", i), Service: "s", Plugin: plugins[i], Hash: content(t, plugins[i])})
	}
	names := pick(t, "route names", "r-a", "r-b", "r-c")
	for i := range rapid.IntRange(0, 3).Draw(t, "routes") {
		id := fmt.Sprintf("r%d", i)
		entries = append(entries, Entry{Kind: kong.KindRoute, ID: id, Service: "s", Hash: content(t, names[i]), Keys: uniqueKey(desired.UniqueRouteName, names[i])})
		for n, plugin := range pick(t, "route plugins", "cors", "http-log")[:rapid.IntRange(0, 2).Draw(t, "count")] {
			entries = append(entries, Entry{Kind: kong.KindPlugin, ID: fmt.Sprintf("rp%d-%d", i, n), Route: id, Plugin: plugin, Hash: content(t, plugin)})
		}
	}
	return entries
}

func drawPair(t *rapid.T) (current, want []Entry) {
	if rapid.Bool().Draw(t, "consumer") {
		return drawConsumer(t), drawConsumer(t)
	}
	return drawService(t), drawService(t)
}

func TestDiffOfTheSameIsEmpty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entries, _ := drawPair(t)
		if ops := Diff(entries, wants(entries)); len(ops) > 0 {
			t.Fatalf("%d ops for nothing: %+v", len(ops), ops[0])
		}
	})
}

// Every step is one that Kong takes: parents are there, unique values are free, nothing goes before its children. In
// the end all is as wanted, and somebody else's entities are as they were.
func TestApplyingDiffGivesWhatIsWanted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		current, want := drawPair(t)
		m := drawUnknown(t, current)
		m["stranger"] = Entry{Kind: kong.KindConsumer, ID: "stranger", Keys: uniqueKey(desired.UniqueUsername, "stranger")}
		for i, o := range Diff(current, wants(want)) {
			if err := m.apply(o); err != nil {
				t.Fatalf("op %d: %v", i, err)
			}
		}
		if _, kept := m["stranger"]; !kept {
			t.Fatal("a stranger's entity is gone")
		}
		delete(m, "stranger")
		if len(m) != len(want) {
			t.Fatalf("%d entities in the end, want %d", len(m), len(want))
		}
		for _, w := range want {
			if m[w.ID].Hash != w.Hash || m[w.ID].Uncertain {
				t.Fatalf("%s %s is not as wanted", w.Kind, w.ID)
			}
		}
	})
}

// What needs something names it, and it comes earlier: so that what is refused holds back what depends on it.
func TestDiffNeedsComeFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		current, want := drawPair(t)
		done := map[string]bool{}
		for _, o := range Diff(current, wants(want)) {
			for _, id := range o.Needs {
				if !done[id] {
					t.Fatalf("%s of %s comes before %s, which it needs", o.Verb, o.Target.ID, id)
				}
			}
			done[o.Target.ID] = true
		}
	})
}

func ops(list []Op) (texts []string) {
	for _, o := range list {
		texts = append(texts, string(o.Verb)+" "+o.Target.ID)
	}
	return texts
}

func TestDiffOrder(t *testing.T) {
	service := Entry{Kind: kong.KindService, ID: "s", Hash: Hash{1}}
	jwt := Entry{Kind: kong.KindPlugin, ID: "jwt", Service: "s", Plugin: "jwt", Hash: Hash{1}}
	route := Entry{Kind: kong.KindRoute, ID: "r", Service: "s", Hash: Hash{1}}
	onRoute := Entry{Kind: kong.KindPlugin, ID: "rp", Route: "r", Plugin: "cors", Hash: Hash{1}}
	consumer := Entry{Kind: kong.KindConsumer, ID: "c", Hash: Hash{1}}
	first := Entry{Kind: kong.KindJWT, ID: "j1", ConsumerID: "c", Hash: Hash{1}, Keys: uniqueKey(desired.UniqueCredentialKey, "a")}
	second := Entry{Kind: kong.KindJWT, ID: "j2", ConsumerID: "c", Hash: Hash{2}, Keys: uniqueKey(desired.UniqueCredentialKey, "b")}
	row := Entry{Kind: kong.KindACL, ID: "g", ConsumerID: "c", Hash: Hash{1}, Groups: []string{"g"}}
	changed := service
	changed.Hash = Hash{9}
	firstB, secondA, secondC := first, second, second
	firstB.Keys, firstB.Hash = second.Keys, Hash{3}
	secondA.Keys, secondA.Hash = first.Keys, Hash{4}
	secondC.Keys, secondC.Hash = uniqueKey(desired.UniqueCredentialKey, "c"), Hash{5}
	renamed, changedRow := consumer, row
	renamed.Hash, changedRow.Hash = Hash{6}, Hash{6}
	filled := jwt
	filled.Hash, filled.Sent = Hash{7}, Hash{1}
	moved := jwt
	moved.Service, moved.Hash = "theirs", Hash{8}

	for _, c := range []struct {
		name          string
		current, want []Entry
		ops           []string
	}{
		{"service in", nil, []Entry{onRoute, route, jwt, service}, []string{"put s", "put jwt", "put r", "put rp"}},
		{"service out: Kong takes the plugins along", []Entry{service, jwt, route, onRoute}, nil, []string{"delete r", "delete s"}},
		{"consumer in", nil, []Entry{row, first, consumer}, []string{"put c", "put j1", "put g"}},
		{"consumer out", []Entry{consumer, first, row}, nil, []string{"delete g", "delete j1", "delete c"}},
		{"a missing guard comes first of all", []Entry{service, route}, []Entry{changed, jwt, route}, []string{"put jwt", "put s"}},
		{"a renamed credential keeps its key", []Entry{consumer, first}, []Entry{consumer, secondA}, []string{"delete j1", "put j2"}},
		{"a key moves on to one that persists", []Entry{consumer, first, second}, []Entry{consumer, firstB, secondC}, []string{"put j2", "put j1"}},
		{"two keys change places", []Entry{consumer, first, second}, []Entry{consumer, firstB, secondA}, []string{"delete j1", "put j2", "put j1"}},
		{"what protects routes moves away once they are gone", []Entry{service, jwt, route}, []Entry{moved}, []string{"delete r", "put jwt", "delete s"}},
		{
			"access that is taken away goes before anything else",
			[]Entry{consumer, first, row}, []Entry{renamed, changedRow},
			[]string{"delete j1", "put c", "put g"},
		},
		{
			"a credential goes after the one that replaces it",
			[]Entry{consumer, first, row}, []Entry{consumer, second, changedRow},
			[]string{"put j2", "delete j1", "put g"},
		},
		{"what Kong fills in is no difference", []Entry{service, filled}, []Entry{service, jwt}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := ops(Diff(c.current, wants(c.want))); !slices.Equal(got, c.ops) {
				t.Errorf("got %v, want %v", got, c.ops)
			}
		})
	}
}
