package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// needing says of each op what it is, and what has to be done before: "put j1 [c]".
func needing(list []Op) (texts []string) {
	for i, text := range ops(list) {
		if len(list[i].Needs) > 0 {
			text += " [" + strings.Join(list[i].Needs, " ") + "]"
		}
		texts = append(texts, text)
	}
	return texts
}

// Where an op is refused, those that need it are not tried, and all others are: what takes access away waits for
// nothing, and nothing is put where its parent may not be.
func TestWhatAnOpNeeds(t *testing.T) {
	at := func(content byte, e Entry) Entry { e.Hash = Hash{content}; return e }
	named := func(name string, e Entry) Entry {
		e.Keys, e.Hash = uniqueKey(desired.UniqueRouteName, name), Hash{9}
		copy(e.Hash[1:], name)
		return e
	}
	keyed := func(id, key string) Entry {
		return Entry{
			Kind: kong.KindJWT, ID: id, ConsumerID: "c", Hash: Hash{key[0]}, Keys: uniqueKey(desired.UniqueCredentialKey, key),
		}
	}
	unsure := func(e Entry) Entry { e.Uncertain = true; return e }
	consumer := Entry{Kind: kong.KindConsumer, ID: "c"}
	first := Entry{Kind: kong.KindJWT, ID: "j1", ConsumerID: "c", Keys: uniqueKey(desired.UniqueCredentialKey, "a")}
	second := Entry{Kind: kong.KindJWT, ID: "j2", ConsumerID: "c", Keys: uniqueKey(desired.UniqueCredentialKey, "b")}
	withKeyOfFirst := Entry{Kind: kong.KindJWT, ID: "j2", ConsumerID: "c", Keys: first.Keys}
	row := Entry{Kind: kong.KindACL, ID: "g", ConsumerID: "c", Groups: []string{"readers"}}
	service := Entry{Kind: kong.KindService, ID: "s"}
	jwt := Entry{Kind: kong.KindPlugin, ID: "jwt", Service: "s", Plugin: "jwt"}
	moved := at(8, Entry{Kind: kong.KindPlugin, ID: "jwt", Service: "theirs", Plugin: "jwt"})
	cors := Entry{Kind: kong.KindPlugin, ID: "cors", Service: "s", Plugin: "cors"}
	otherCORS := Entry{Kind: kong.KindPlugin, ID: "cors2", Service: "s", Plugin: "cors"}
	onConsumer := Entry{Kind: kong.KindPlugin, ID: "cp", Consumer: "c", Plugin: "cors"}
	route := Entry{Kind: kong.KindRoute, ID: "r", Service: "s"}
	elsewhere := Entry{Kind: kong.KindRoute, ID: "r0", Service: "attached"}
	r1 := named("a", Entry{Kind: kong.KindRoute, ID: "r1", Service: "s"})
	r2 := named("b", Entry{Kind: kong.KindRoute, ID: "r2", Service: "s"})
	onRoute := Entry{Kind: kong.KindPlugin, ID: "rp", Route: "r", Plugin: "cors"}
	onR1 := Entry{Kind: kong.KindPlugin, ID: "rp1", Route: "r1", Plugin: "cors"}
	onR2 := Entry{Kind: kong.KindPlugin, ID: "rp2", Route: "r2", Plugin: "cors"}

	for what, c := range map[string]struct {
		current, want []Entry
		ops           []string
	}{
		"children need their parents": {
			nil, []Entry{service, jwt, route, onRoute}, []string{"put s", "put jwt [s]", "put r [s]", "put rp [r]"},
		},
		"what a consumer has needs it": {
			nil, []Entry{consumer, first, row, onConsumer}, []string{"put c", "put j1 [c]", "put g [c]", "put cp [c]"},
		},
		"a parent that is there may be refused a change: what is new waits, what goes does not": {
			[]Entry{consumer, first, row}, []Entry{at(1, consumer), second},
			[]string{"delete g", "put c", "put j2 [c]", "delete j1"},
		},
		"parents need that their children are gone": {
			[]Entry{consumer, first, row}, nil, []string{"delete g", "delete j1", "delete c [g j1]"},
		},
		"a service needs that its routes are gone": {
			[]Entry{service, jwt, route, onRoute}, nil, []string{"delete r", "delete s [r]"},
		},
		"a guard comes before a change of its service": {
			[]Entry{service, route}, []Entry{at(1, service), jwt, route}, []string{"put jwt", "put s"},
		},
		"a guard needs a service that may not be there": {
			[]Entry{unsure(service), route}, []Entry{service, jwt, route}, []string{"put s", "put jwt [s]"},
		},
		"a guard that moves needs that the routes of its service are gone, not those of another": {
			[]Entry{service, jwt, route, elsewhere}, []Entry{moved},
			[]string{"delete r", "delete r0", "put jwt [r]", "delete s [jwt r]"},
		},
		"a guard that moves does not wait for routes that stay": {
			[]Entry{jwt, route}, []Entry{moved, at(1, route)}, []string{"put jwt", "put r"},
		},
		"a plugin in the place of another of its name needs that it is gone": {
			[]Entry{service, cors}, []Entry{service, otherCORS}, []string{"delete cors", "put cors2 [cors]"},
		},
		"a guard that is missing comes before a new route": {
			[]Entry{service}, []Entry{service, jwt, {Kind: kong.KindRoute, ID: "a", Service: "s"}}, []string{"put jwt", "put a"},
		},
		"a group in the place of another row of it needs that this is gone": {
			[]Entry{consumer, row}, []Entry{consumer, {Kind: kong.KindACL, ID: "g2", ConsumerID: "c", Groups: row.Groups}},
			[]string{"delete g", "put g2 [g]"},
		},
		"three keys that go round: one goes, and comes again": {
			[]Entry{consumer, keyed("j1", "a"), keyed("j2", "b"), keyed("j3", "c")},
			[]Entry{consumer, keyed("j1", "b"), keyed("j2", "c"), keyed("j3", "a")},
			[]string{"delete j1", "put j3 [j1]", "put j2 [j3]", "put j1 [j2]"},
		},
		"a key needs that its holder lets go of it": {
			[]Entry{consumer, first}, []Entry{consumer, withKeyOfFirst},
			[]string{"delete j1", "put j2 [j1]"},
		},
		"two routes that change names: one goes, and comes again with what Kong took along": {
			[]Entry{service, r1, r2, onR1, onR2}, []Entry{service, named("b", r1), named("a", r2), onR1, onR2},
			[]string{"delete r1", "put r2 [r1]", "put r1 [r2]", "put rp1 [r1]"},
		},
		"two routes that change names, and a new plugin on one": {
			[]Entry{service, r1, r2}, []Entry{service, named("b", r1), named("a", r2), onR2},
			[]string{"delete r1", "put r2 [r1]", "put r1 [r2]", "put rp2 [r2]"},
		},
		"two routes that change names, with a plugin that goes": {
			[]Entry{service, r1, r2, onR1}, []Entry{service, named("b", r1), named("a", r2)},
			[]string{"delete rp1", "delete r1", "put r2 [r1]", "put r1 [r2]"},
		},
		"two routes that change names, with a plugin that changes": {
			[]Entry{service, r1, r2, onR1}, []Entry{service, named("b", r1), named("a", r2), at(1, onR1)},
			[]string{"delete r1", "put r2 [r1]", "put r1 [r2]", "put rp1 [r1]"},
		},
	} {
		t.Run(what, func(t *testing.T) {
			if got := needing(Diff(c.current, wants(c.want))); !slices.Equal(got, c.ops) {
				t.Errorf("got\n%v\nwant\n%v", strings.Join(got, "\n"), strings.Join(c.ops, "\n"))
			}
		})
	}
}

// What Kong may not have is created: propagation counts from then.
func TestWhatIsPutAgainIsCreated(t *testing.T) {
	route := func(id, name string) Entry {
		keys := uniqueKey(desired.UniqueRouteName, name)
		return Entry{Kind: kong.KindRoute, ID: id, Service: "s", Hash: Hash{name[0]}, Keys: keys}
	}
	plugin := Entry{Kind: kong.KindPlugin, ID: "rp", Route: "r1", Plugin: "cors"}
	created := map[string]bool{}
	former := []Entry{route("r1", "a"), route("r2", "b"), plugin}
	for _, o := range Diff(former, wants([]Entry{route("r1", "b"), route("r2", "a"), plugin})) {
		created[fmt.Sprint(o.Verb, " ", o.Target.ID)] = o.Create
	}
	for op, create := range map[string]bool{"delete r1": false, "put r2": false, "put r1": true, "put rp": true} {
		if got, planned := created[op]; !planned || got != create {
			t.Errorf("%s: create is %t (planned %t), want %t", op, got, planned, create)
		}
	}
}

func TestWhichHashesStandForAnEntry(t *testing.T) {
	for what, c := range map[string]struct {
		entry Entry
		want  Hash
		is    bool
	}{
		"as Kong shows it":            {Entry{Hash: Hash{1}}, Hash{1}, true},
		"as it was sent":              {Entry{Hash: Hash{1}, Sent: Hash{2}}, Hash{2}, true},
		"something else":              {Entry{Hash: Hash{1}, Sent: Hash{2}}, Hash{3}, false},
		"something else, never sent":  {Entry{Hash: Hash{1}}, Hash{3}, false},
		"nothing, never sent":         {Entry{Hash: Hash{1}}, Hash{}, false},
		"as it was, a write in doubt": {Entry{Hash: Hash{1}, Uncertain: true}, Hash{1}, false},
	} {
		if got := c.entry.Is(c.want); got != c.is {
			t.Errorf("%s: %t", what, got)
		}
	}
}

func TestAHashTellsContentsAndKeysApart(t *testing.T) {
	a := NewHasher([]byte("a"))
	if again := NewHasher([]byte("a")); a.Sum([]byte("x")) != again.Sum([]byte("x")) {
		t.Error("the same has two hashes")
	}
	if a.Sum([]byte("x")) == a.Sum([]byte("y")) {
		t.Error("two contents have one hash")
	}
	if a.Sum([]byte("x")) == NewHasher([]byte("b")).Sum([]byte("x")) {
		t.Error("the key of the process does not matter")
	}
}

func TestWhatAnEntryIsOn(t *testing.T) {
	plugin := func(service, route, consumer string) Entry {
		return Entry{Kind: kong.KindPlugin, Service: service, Route: route, Consumer: consumer}
	}
	for what, c := range map[string]struct {
		entry  Entry
		guards bool
		parent kong.Kind
	}{
		"a plugin on a service":               {plugin("s", "", ""), true, kong.KindService},
		"a plugin on a route":                 {plugin("", "r", ""), false, kong.KindRoute},
		"a plugin on a consumer":              {plugin("", "", "c"), false, kong.KindConsumer},
		"a plugin on a consumer at a service": {plugin("s", "", "c"), false, kong.KindConsumer},
		"a plugin on a service at one route":  {plugin("s", "r", ""), false, kong.KindService},
		"a route":                             {Entry{Kind: kong.KindRoute, Service: "s"}, false, kong.KindService},
		"a credential":                        {Entry{Kind: kong.KindJWT, ConsumerID: "c"}, false, kong.KindConsumer},
	} {
		if got := c.entry.Guards(); got != c.guards {
			t.Errorf("%s guards a service: %t", what, got)
		}
		if got := c.entry.ParentKind(); got != c.parent {
			t.Errorf("%s is on a %s, want %s", what, got, c.parent)
		}
		moves := plugin("other", "", "").MovesFrom(c.entry)
		if moves != c.guards {
			t.Errorf("%s leaves a service that it guards: %t", what, moves)
		}
	}
	if plugin("s", "", "").MovesFrom(plugin("s", "", "")) {
		t.Error("what stays moves")
	}
}

func TestWhatIsKeptOfAnEntity(t *testing.T) {
	owner := desired.Owner{Kind: "JwtConsumer", Namespace: "a", Name: "john"}
	for what, c := range map[string]struct {
		entity kong.Entity
		want   Entry
	}{
		"groups that an acl plugin lets in": {
			kong.Entity{Kind: kong.KindPlugin, ID: "p", Fields: kong.Fields{
				"name": "acl", "service": map[string]any{"id": "s"}, "config": map[string]any{"allow": []any{"readers", "writers"}},
			}},
			Entry{Kind: kong.KindPlugin, ID: "p", Plugin: "acl", Service: "s", Groups: []string{"readers", "writers"}},
		},
		"no groups of another plugin": {
			kong.Entity{Kind: kong.KindPlugin, ID: "p", Fields: kong.Fields{
				"name": "other", "route": map[string]any{"id": "r"}, "config": map[string]any{"allow": []any{"readers"}},
			}},
			Entry{Kind: kong.KindPlugin, ID: "p", Plugin: "other", Route: "r"},
		},
		"the group of a row": {
			kong.Entity{Kind: kong.KindACL, ID: "a", ConsumerID: "c", Fields: kong.Fields{"group": "readers"}},
			Entry{Kind: kong.KindACL, ID: "a", ConsumerID: "c", Groups: []string{"readers"}},
		},
	} {
		c.want.Owner, c.want.Part, c.want.Hash = owner, "part", Hash{7}
		if got := Describe(c.entity, owner, "part", Hash{7}); fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", c.want) {
			t.Errorf("%s: got %+v, want %+v", what, got, c.want)
		}
	}
}

// What a person is shown before they apply is what the engine would send.
func TestDryRun(t *testing.T) {
	consumer := func(groups ...string) desired.Set {
		set := desired.Set{Owner: desired.Owner{Kind: "JwtConsumer", Namespace: "a", Name: "john"}}
		john := kong.Entity{Kind: kong.KindConsumer, ID: "c", Fields: kong.Fields{"username": "john"}}
		set.Entities = append(set.Entities, john)
		for _, group := range groups {
			set.Entities = append(set.Entities, kong.Entity{
				Kind: kong.KindACL, ID: "row-" + group, ConsumerID: "c", Fields: kong.Fields{"group": group},
			})
		}
		return set
	}
	for what, c := range map[string]struct {
		former, wanted desired.Set
		writes         []string
	}{
		"the same":  {consumer("a"), consumer("a"), nil},
		"all new":   {desired.Set{}, consumer("a"), []string{"PUT c john true", "PUT row-a a true"}},
		"one group": {consumer("a", "b"), consumer("b", "c"), []string{"PUT row-c c true", "DELETE row-a a false"}},
		"all gone":  {consumer("a"), desired.Set{}, []string{"DELETE row-a a false", "DELETE c john false"}},
	} {
		var got []string
		for _, w := range Dry(c.former, c.wanted) {
			name := w.Entity.Fields.Text("username") + w.Entity.Fields.Text("group")
			got = append(got, fmt.Sprintf("%s %s %s %t", w.Method, w.Entity.ID, name, w.Create))
		}
		if !slices.Equal(got, c.writes) {
			t.Errorf("%s: got %q, want %q", what, got, c.writes)
		}
	}
}
