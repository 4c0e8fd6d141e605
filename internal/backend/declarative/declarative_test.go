package declarative

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/kongjwt/kong-jwt-operator/internal/backend"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

var scope = desired.Scope{Installation: "here", Gateway: "default"}

// Kong answers 500 to some contents, and an unparsable 400 to others: the owner of that content is refused, and nobody
// else waits for it.
func TestAContentThatKongFailsOnIsChargedToItsOwner(t *testing.T) {
	for name, fault := range map[string]error{
		"500":            &kong.UnavailableError{Request: kong.Request{Status: 500}, Cause: kong.CauseServer},
		"unparsable 400": &kong.InvalidError{Request: kong.Request{Status: 400}},
		"no names":       &kong.ConfigError{Request: kong.Request{Status: 400}},
	} {
		t.Run(name, func(t *testing.T) {
			node := &fakeNode{}
			b, h := newBackend(t, node)
			put(b, "leaked")
			b.push(t.Context())
			node.refuses = func(entities []kong.Entity) error {
				if has(entities, "poison") {
					return fault
				}
				return nil
			}
			for _, consumer := range []string{"ann", "poison", "zoe"} {
				put(b, consumer)
			}
			revoke(b, "leaked")
			b.push(t.Context())
			if got := node.keys(); got != "ann zoe" {
				t.Errorf("Kong has the keys %s", got)
			}
			if len(h.refused) != 1 || h.refused[consumerOf("poison")] == "" || len(h.failed) > 0 {
				t.Errorf("refused %v, failed %v", h.refused, h.failed)
			}
		})
	}
}

// A Kong that is away refuses nobody.
func TestAKongThatIsAwayRefusesNobody(t *testing.T) {
	node := &fakeNode{}
	b, h := newBackend(t, node)
	node.away = true
	put(b, "ann")
	b.push(t.Context())
	if len(h.refused) > 0 || len(h.failed) != 1 || !b.Pending(consumerOf("ann")) {
		t.Errorf("refused %v, failed %v", h.refused, h.failed)
	}
}

// A limit of size refuses those who make the configuration larger, and never a deletion.
func TestALimitOfSizeRefusesWhatGrows(t *testing.T) {
	node := &fakeNode{}
	b, h := newBackend(t, node)
	for _, name := range []string{"one", "two", "three"} {
		put(b, name)
	}
	b.push(t.Context())
	limit := len(node.runs) - 1
	node.refuses = func(entities []kong.Entity) error {
		if len(entities) > limit {
			return &kong.ConfigTooLargeError{Bytes: len(entities)}
		}
		return nil
	}
	revoke(b, "two")
	put(b, "four")
	b.push(t.Context())
	if got := node.keys(); got != "one three" {
		t.Errorf("Kong has the keys %s", got)
	}
	if len(h.refused) != 1 || !strings.Contains(h.refused[consumerOf("four")], "nginx_admin_client_max_body_size") {
		t.Errorf("refused %v", h.refused)
	}
	limit = 0
	revoke(b, "one")
	b.push(t.Context())
	if len(h.refused) != 1 || !b.Pending(consumerOf("one")) {
		t.Errorf("a deletion is refused for its size: %v", h.refused)
	}
}

// A namespace does not fill the configuration: what it would have beyond half of it is refused, and others go on.
func TestANamespaceHasHalfOfTheConfigurationAtMost(t *testing.T) {
	node := &fakeNode{}
	b, h := newBackend(t, node)
	b.options.MaxBytes = 20_000
	long := strings.Repeat("s", 3000)
	attack := func(name string) desired.Owner { return desired.ConsumerOwner("attacker", name) }
	for _, name := range []string{"a", "b", "c", "d"} {
		putOf(b, attack(name), name, long)
	}
	b.push(t.Context())
	if len(h.refused) != 0 {
		t.Fatalf("refused while nobody else has anything: %v", h.refused)
	}
	put(b, "victim")
	b.push(t.Context())
	putOf(b, attack("e"), "e", long)
	put(b, "other")
	b.staged.remove(scope.ID(kong.KindJWT, attack("a"), "credential:a"))
	b.push(t.Context())
	if got := node.keys(); got != "b c d other victim" {
		t.Errorf("Kong has the keys %s", got)
	}
	if len(h.refused) != 1 || !strings.Contains(h.refused[attack("e")], "namespace attacker") {
		t.Errorf("refused %v", h.refused)
	}
	for _, name := range []string{"b", "c"} {
		b.staged.remove(scope.ID(kong.KindJWT, attack(name), "credential:a"))
	}
	putOf(b, attack("e"), "e", long)
	b.push(t.Context())
	if got := node.keys(); got != "d e other victim" {
		t.Errorf("after it made room: %s", got)
	}
}

// By bytes, whoever shrinks goes before whoever grows.
func TestOwnersThatShrinkGoFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base, changes := configuration{}, map[string]change{}
		for i := range rapid.IntRange(0, 12).Draw(t, "entities") {
			id, owner := fmt.Sprint(i), consumerOf(fmt.Sprint(rapid.IntRange(0, 4).Draw(t, "owner")))
			entity := func(label string) kong.Entity {
				return kong.Entity{Kind: kong.KindJWT, ID: id, Fields: kong.Fields{
					"secret": strings.Repeat("s", rapid.IntRange(0, 50).Draw(t, label)), "tags": scope.Tags(owner, id),
				}}
			}
			if rapid.Bool().Draw(t, "there") {
				base[id] = entity("before")
			}
			if rapid.Bool().Draw(t, "stays") {
				e := entity("after")
				changes[id] = change{owner, &e}
			} else if _, there := base[id]; there {
				changes[id] = change{owner: owner}
			}
		}
		grows := growths(base, changes)
		owners := ownersOf(base, changes)
		for i := 1; i < len(owners); i++ {
			if grows[owners[i-1]] > grows[owners[i]] {
				t.Fatalf("%v", grows)
			}
		}
		total := 0
		for _, bytes := range grows {
			total += bytes
		}
		size := func(c configuration) (sum int) {
			for _, e := range c {
				sum += sizeOf(map[string]any(e.Fields))
			}
			return sum
		}
		if size(withChanges(base, changes)) != size(base)+total {
			t.Fatalf("%v is not the difference", grows)
		}
	})
}

// After a restart the newest configuration wins, not the largest: what was revoked while a node was away stays
// revoked.
func TestTheNewestConfigurationWins(t *testing.T) {
	for name, end := range map[string]func(*Backend){
		"a credential is revoked": func(b *Backend) { revoke(b, "leaked") },
		"all is deleted": func(b *Backend) {
			for _, name := range []string{"leaked", "ann"} {
				b.staged.remove(scope.ID(kong.KindConsumer, consumerOf(name), "consumer"))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			there, away := &fakeNode{}, &fakeNode{}
			b, _ := newBackend(t, there, away)
			put(b, "leaked")
			put(b, "ann")
			b.push(t.Context())
			if there.keys() != away.keys() {
				t.Fatal("the nodes run different configurations")
			}
			if _, err := b.SetNodes([]backend.Node{{Address: "node-0", Ready: true}}); err != nil {
				t.Fatal(err)
			}
			end(b)
			b.push(t.Context())
			newBackend(t, there, away) // another process, and the node is back
			if strings.Contains(away.keys()+there.keys(), "leaked") || there.keys() != away.keys() {
				t.Errorf("the nodes have the keys %q and %q", there.keys(), away.keys())
			}
		})
	}
}

// What Kong makes up differs from node to node and from read to read: it is no reason to push again.
func TestADefaultMadeAtRandomIsNotPushedAgain(t *testing.T) {
	reads := 0
	show := func(e kong.Entity) kong.Entity {
		if e.Kind == kong.KindConsumer && e.Fields.Text("username") == "ann" {
			reads++
			e.Fields = maps.Clone(e.Fields)
			e.Fields["custom_id"] = fmt.Sprint(reads)
		}
		return e
	}
	one, two := &fakeNode{shows: show}, &fakeNode{shows: show}
	b, h := newBackend(t, one, two)
	put(b, "ann")
	b.push(t.Context())
	posts := one.posted() + two.posted()
	for range 3 {
		if err := b.Align(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if now := one.posted() + two.posted(); now != posts || h.restored > 0 {
		t.Errorf("%d further pushes, %d drifts", now-posts, h.restored)
	}
}

// A node that asks for a pause is given the configuration again, and the others are not.
func TestAPauseIsThatOfOneNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calm, busy := &fakeNode{}, &fakeNode{}
		b, h := newBackend(t, calm, busy)
		asked := false
		busy.refuses = func([]kong.Entity) error {
			if asked {
				return nil
			}
			asked = true
			return &kong.ThrottledError{RetryAfter: time.Second}
		}
		put(b, "ann")
		b.push(t.Context())
		if calm.posted() != 1 || busy.posted() != 2 || !h.accepted[consumerOf("ann")] {
			t.Errorf("%d and %d pushes", calm.posted(), busy.posted())
		}
	})
}

// What one node refuses, another does not go on with: nobody would take it out there again.
func TestNoNodeRunsWhatAnotherRefuses(t *testing.T) {
	id := scope.ID(kong.KindJWT, consumerOf("jane"), "credential:a")
	for what, refusal := range map[string]error{
		"named":     &kong.ConfigError{Entities: map[string]map[string]string{id: {"algorithm": "is wrong"}}},
		"not named": &kong.InvalidError{Code: kong.CodeDeclarativeConfig},
	} {
		for _, former := range []string{"", "john"} {
			one, two := &fakeNode{}, &fakeNode{}
			b, h := newBackend(t, one, two)
			if former != "" {
				put(b, former)
				b.push(t.Context())
			}
			two.refuses = func(entities []kong.Entity) error {
				if has(entities, "jane") {
					return refusal
				}
				return nil
			}
			put(b, "jane")
			b.push(t.Context())
			if one.keys() != former || two.keys() != former || h.refused[consumerOf("jane")] == "" {
				t.Errorf("%s: the nodes run %q and %q, want %q", what, one.keys(), two.keys(), former)
			}
			if err := b.Align(t.Context()); err != nil || one.keys() != former || !b.Confirmed(t.Context()) {
				t.Errorf("%s: afterwards a node runs %q, %v", what, one.keys(), err)
			}
		}
	}
}

// Pods that are not ready are not waited for, but a configuration that none of them took is in no Kong.
func TestWhatNoNodeTookIsNotAccepted(t *testing.T) {
	one, two := &fakeNode{}, &fakeNode{}
	b, h := newBackend(t, one, two)
	for _, n := range []*fakeNode{one, two} {
		n.away = true
	}
	if _, err := b.SetNodes([]backend.Node{{Address: "node-0"}, {Address: "node-1"}}); err != nil {
		t.Fatal(err)
	}
	put(b, "john")
	b.push(t.Context())
	if err := b.Healthy(t.Context()); err == nil {
		t.Error("no node answers, and Kong is healthy")
	}
	b.push(t.Context())
	if h.accepted[consumerOf("john")] || len(h.failed) == 0 {
		t.Errorf("accepted: %v; failures: %v", h.accepted, h.failed)
	}
	two.mu.Lock()
	two.away = false
	two.mu.Unlock()
	if err := b.Align(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b.push(t.Context()); !h.accepted[consumerOf("john")] || two.keys() != "john" {
		t.Errorf("the node that is there runs %q", two.keys())
	}
}
