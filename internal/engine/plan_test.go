package engine

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// model is Kong as far as a plan can offend it.
type model map[string]entry

// apply does an op as Kong would, or says why it would not.
func (m model) apply(o op) error {
	e := o.target.entry
	if o.verb == remove {
		for id, child := range m {
			if !slices.Contains(child.parents(), e.id) {
				continue
			}
			if child.kind == kong.KindRoute {
				return fmt.Errorf("service %s goes before its route %s", e.id, id)
			}
			if child.kind != kong.KindPlugin && !o.swap {
				return fmt.Errorf("%s %s goes before its %s %s", e.kind, e.id, child.kind, id)
			}
			delete(m, id) // Kong takes it along
		}
		if _, there := m[e.id]; !there {
			return fmt.Errorf("%s %s is deleted, but not there", e.kind, e.id)
		}
		delete(m, e.id)
		return nil
	}
	for _, parent := range e.parents() {
		if _, there := m[parent]; !there {
			return fmt.Errorf("%s %s is put before its parent %s", e.kind, e.id, parent)
		}
	}
	for id, other := range m {
		if id == e.id {
			continue
		}
		for _, value := range e.unique() {
			if slices.Contains(other.unique(), value) {
				return fmt.Errorf("%s %s and %s both have %q", e.kind, e.id, id, value)
			}
		}
	}
	e.unknown = false
	m[e.id] = e
	return nil
}

func modelOf(entries []entry) model {
	m := model{}
	for _, e := range entries {
		m[e.id] = e
	}
	return m
}

func wants(entries []entry) []wanted {
	list := make([]wanted, len(entries))
	for i, e := range entries {
		list[i] = wanted{entry: e}
	}
	return list
}

func claim(kind desired.UniqueKind, value string) []desired.UniqueKey {
	return []desired.UniqueKey{{Kind: kind, Value: value}}
}

// pick draws a permutation of values, so that no two entities share one and values move about between two draws.
func pick(t *rapid.T, label string, values ...string) []string {
	return rapid.Permutation(values).Draw(t, label)
}

func drawHash(t *rapid.T) (h hash) {
	h[0] = byte(rapid.IntRange(1, 2).Draw(t, "content"))
	return h
}

// content makes a hash differ where values differ, as a real one does.
func content(t *rapid.T, value string) hash {
	h := drawHash(t)
	copy(h[1:], value)
	return h
}

func drawConsumer(t *rapid.T) []entry {
	if rapid.IntRange(0, 4).Draw(t, "none") == 0 {
		return nil
	}
	name := pick(t, "username", "john", "jane")[0]
	entries := []entry{{kind: kong.KindConsumer, id: "c", hash: content(t, name), claims: claim(desired.UniqueUsername, name)}}
	keys := pick(t, "keys", "k1", "k2", "k3", "k4")
	for i := range rapid.IntRange(0, 4).Draw(t, "credentials") {
		id := []string{"j0", "j1", "j2", "j3", "j4"}[(i+rapid.IntRange(0, 1).Draw(t, "shift"))%5]
		if slices.ContainsFunc(entries, func(e entry) bool { return e.id == id }) {
			continue
		}
		entries = append(entries, entry{kind: kong.KindJWT, id: id, consumerID: "c", hash: content(t, keys[i]), claims: claim(desired.UniqueCredentialKey, keys[i])})
	}
	for _, group := range pick(t, "groups", "g1", "g2", "g3")[:rapid.IntRange(0, 3).Draw(t, "rows")] {
		entries = append(entries, entry{kind: kong.KindACL, id: "a-" + group, consumerID: "c", hash: content(t, ""), groups: []string{group}})
	}
	plugins := pick(t, "plugins", "cors", "rate-limiting", "http-log")
	for i := range rapid.IntRange(0, 3).Draw(t, "consumer plugins") {
		entries = append(entries, entry{kind: kong.KindPlugin, id: fmt.Sprintf("cp%d", i), consumer: "c", plugin: plugins[i], hash: content(t, plugins[i])})
	}
	return entries
}

func drawService(t *rapid.T) []entry {
	if rapid.IntRange(0, 4).Draw(t, "none") == 0 {
		return nil
	}
	entries := []entry{
		{kind: kong.KindService, id: "s", hash: content(t, ""), claims: claim(desired.UniqueServiceName, "api")},
		{kind: kong.KindPlugin, id: "sp-jwt", service: "s", plugin: "jwt", hash: content(t, "jwt")},
	}
	plugins := pick(t, "plugins", "cors", "rate-limiting", "acl")
	for i := range rapid.IntRange(0, 3).Draw(t, "service plugins") {
		entries = append(entries, entry{kind: kong.KindPlugin, id: fmt.Sprintf("sp%d", i), service: "s", plugin: plugins[i], hash: content(t, plugins[i])})
	}
	names := pick(t, "route names", "r-a", "r-b", "r-c")
	for i := range rapid.IntRange(0, 3).Draw(t, "routes") {
		id := fmt.Sprintf("r%d", i)
		entries = append(entries, entry{kind: kong.KindRoute, id: id, service: "s", hash: content(t, names[i]), claims: claim(desired.UniqueRouteName, names[i])})
		for n, plugin := range pick(t, "route plugins", "cors", "http-log")[:rapid.IntRange(0, 2).Draw(t, "count")] {
			entries = append(entries, entry{kind: kong.KindPlugin, id: fmt.Sprintf("rp%d-%d", i, n), route: id, plugin: plugin, hash: content(t, plugin)})
		}
	}
	return entries
}

func drawPair(t *rapid.T) (current, want []entry) {
	if rapid.Bool().Draw(t, "consumer") {
		return drawConsumer(t), drawConsumer(t)
	}
	return drawService(t), drawService(t)
}

func TestDiffOfTheSameIsEmpty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entries, _ := drawPair(t)
		if ops := diff(entries, wants(entries)); len(ops) > 0 {
			t.Fatalf("%d ops for nothing: %+v", len(ops), ops[0])
		}
	})
}

// Every step is one that Kong takes: parents are there, unique values are free, nothing goes before its children. In the end all is as wanted, and
// somebody else's entities are as they were.
func TestApplyingDiffGivesWhatIsWanted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		current, want := drawPair(t)
		for i := range current {
			current[i].unknown = rapid.IntRange(0, 9).Draw(t, "unknown") == 0
		}
		stranger := entry{kind: kong.KindConsumer, id: "stranger", claims: claim(desired.UniqueUsername, "stranger")}
		m := modelOf(append(slices.Clone(current), stranger))
		for i, o := range diff(current, wants(want)) {
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
			if m[w.id].hash != w.hash || m[w.id].unknown {
				t.Fatalf("%s %s is not as wanted", w.kind, w.id)
			}
		}
	})
}

// What needs something names it, and it comes earlier: so that what is refused holds back what depends on it.
func TestDiffNeedsComeFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		current, want := drawPair(t)
		done := map[string]bool{}
		for _, o := range diff(current, wants(want)) {
			for _, id := range o.needs {
				if !done[id] {
					t.Fatalf("%s of %s comes before %s, which it needs", o.verb, o.target.id, id)
				}
			}
			done[o.target.id] = true
		}
	})
}

func ops(list []op) (texts []string) {
	for _, o := range list {
		texts = append(texts, string(o.verb)+" "+o.target.id)
	}
	return texts
}

func TestDiffOrder(t *testing.T) {
	service := entry{kind: kong.KindService, id: "s", hash: hash{1}}
	jwt := entry{kind: kong.KindPlugin, id: "jwt", service: "s", plugin: "jwt", hash: hash{1}}
	route := entry{kind: kong.KindRoute, id: "r", service: "s", hash: hash{1}}
	onRoute := entry{kind: kong.KindPlugin, id: "rp", route: "r", plugin: "cors", hash: hash{1}}
	consumer := entry{kind: kong.KindConsumer, id: "c", hash: hash{1}}
	first := entry{kind: kong.KindJWT, id: "j1", consumerID: "c", hash: hash{1}, claims: claim(desired.UniqueCredentialKey, "a")}
	second := entry{kind: kong.KindJWT, id: "j2", consumerID: "c", hash: hash{2}, claims: claim(desired.UniqueCredentialKey, "b")}
	row := entry{kind: kong.KindACL, id: "g", consumerID: "c", hash: hash{1}, groups: []string{"g"}}
	changed := service
	changed.hash = hash{9}
	firstB, secondA, secondC := first, second, second
	firstB.claims, firstB.hash = second.claims, hash{3}
	secondA.claims, secondA.hash = first.claims, hash{4}
	secondC.claims, secondC.hash = claim(desired.UniqueCredentialKey, "c"), hash{5}
	filled := jwt
	filled.hash, filled.sent = hash{7}, hash{1}
	moved := jwt
	moved.service, moved.hash = "theirs", hash{8}

	for _, c := range []struct {
		name          string
		current, want []entry
		ops           []string
	}{
		{"service in", nil, []entry{onRoute, route, jwt, service}, []string{"put s", "put jwt", "put r", "put rp"}},
		{"service out: Kong takes the plugins along", []entry{service, jwt, route, onRoute}, nil, []string{"delete r", "delete s"}},
		{"consumer in", nil, []entry{row, first, consumer}, []string{"put c", "put j1", "put g"}},
		{"consumer out", []entry{consumer, first, row}, nil, []string{"delete g", "delete j1", "delete c"}},
		{"a missing guard comes first of all", []entry{service, route}, []entry{changed, jwt, route}, []string{"put jwt", "put s"}},
		{"a renamed credential keeps its key", []entry{consumer, first}, []entry{consumer, secondA}, []string{"delete j1", "put j2"}},
		{"a key moves on to one that persists", []entry{consumer, first, second}, []entry{consumer, firstB, secondC}, []string{"put j2", "put j1"}},
		{"two keys change places", []entry{consumer, first, second}, []entry{consumer, firstB, secondA}, []string{"delete j1", "put j2", "put j1"}},
		{"what protects routes moves away once they are gone", []entry{service, jwt, route}, []entry{moved}, []string{"delete r", "put jwt", "delete s"}},
		{"what Kong fills in is no difference", []entry{service, filled}, []entry{service, jwt}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := ops(diff(c.current, wants(c.want))); !slices.Equal(got, c.ops) {
				t.Errorf("got %v, want %v", got, c.ops)
			}
		})
	}
}
