package declarative

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr"

	"github.com/kongjwt/kong-jwt-operator/internal/backend"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// fakeNode is a Kong node without a database, as far as the backend knows one.
type fakeNode struct {
	mu      sync.Mutex
	runs    []kong.Entity
	posts   int
	away    bool
	refuses func(entities []kong.Entity) error
	// shows changes an entity when it is listed, as a default made at random does.
	shows func(e kong.Entity) kong.Entity
}

func (n *fakeNode) Status(context.Context) (kong.Status, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.away {
		return kong.Status{}, &kong.UnavailableError{Cause: kong.CauseNetwork}
	}
	return kong.Status{DatabaseReachable: true, ConfigurationHash: fmt.Sprint(n.posts, len(n.runs))}, nil
}

func (n *fakeNode) PostConfig(_ context.Context, entities []kong.Entity) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.posts++
	if n.away {
		return &kong.UnavailableError{Cause: kong.CauseNetwork}
	}
	if n.refuses != nil {
		if err := n.refuses(entities); err != nil {
			return err
		}
	}
	n.runs = entities
	return nil
}

func (n *fakeNode) List(
	_ context.Context, kind kong.Kind, _ kong.ListOptions,
) iter.Seq2[kong.Entity, error] {
	n.mu.Lock()
	runs, shows := n.runs, n.shows
	n.mu.Unlock()
	return func(yield func(kong.Entity, error) bool) {
		for _, e := range runs {
			if shows != nil {
				e = shows(e)
			}
			if e.Kind == kind && !yield(e, nil) {
				return
			}
		}
	}
}

func (n *fakeNode) CloseIdle() {}

// keys are the keys of the credentials that a node runs.
func (n *fakeNode) keys() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var keys []string
	for _, e := range n.runs {
		if e.Kind == kong.KindJWT {
			keys = append(keys, e.Fields.Text("key"))
		}
	}
	slices.Sort(keys)
	return strings.Join(keys, " ")
}

func (n *fakeNode) posted() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.posts
}

// heard is a Listener that remembers.
type heard struct {
	mu       sync.Mutex
	accepted map[desired.Owner]bool
	refused  map[desired.Owner]string
	failed   []error
	restored int
}

func (h *heard) Accepted(owners []desired.Owner) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, owner := range owners {
		h.accepted[owner] = true
	}
}

func (h *heard) Refused(owner desired.Owner, _ []kong.Entity, why *status.StalledError) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refused[owner] = why.Error()
}

func (h *heard) Restored(_, _ *kong.Entity) { h.restored++ }

func (h *heard) Differs() {}

func (h *heard) Failed(err error) { h.failed = append(h.failed, err) }

func consumerOf(name string) desired.Owner { return desired.ConsumerOwner("team", name) }

// put stages a consumer with one credential.
func put(b *Backend, name string) { putOf(b, consumerOf(name), name, "a secret of a test") }

func putOf(b *Backend, owner desired.Owner, name, secret string) {
	consumer := kong.Entity{
		Kind: kong.KindConsumer, ID: scope.ID(kong.KindConsumer, owner, "consumer"),
		Fields: kong.Fields{"username": name, "tags": scope.Tags(owner, "consumer")},
	}
	credential := kong.Entity{
		Kind: kong.KindJWT, ID: scope.ID(kong.KindJWT, owner, "credential:a"), ConsumerID: consumer.ID,
		Fields: kong.Fields{
			"key": name, "algorithm": "HS256", "secret": secret, "tags": scope.Tags(owner, "credential:a"),
		},
	}
	b.staged.put(consumer)
	b.staged.put(credential)
}

func revoke(b *Backend, name string) {
	b.staged.remove(scope.ID(kong.KindJWT, consumerOf(name), "credential:a"))
}

// newBackend makes a backend of nodes and aligns it; the first is the front.
func newBackend(t *testing.T, nodes ...*fakeNode) (*Backend, *heard) {
	t.Helper()
	h := &heard{accepted: map[desired.Owner]bool{}, refused: map[desired.Owner]string{}}
	b := New(nodes[0], h, Options{
		Scope: scope, Client: kong.Config{URL: "http://front"}, Log: logr.Discard(),
		Schemas: backend.NewSchemas(schemas{}),
		Connect: func(config kong.Config) (API, error) {
			var i int
			_, err := fmt.Sscanf(config.URL, "http://node-%d", &i)
			return nodes[i], err
		},
	})
	if len(nodes) > 1 {
		var named []backend.Node
		for i := range nodes {
			named = append(named, backend.Node{Address: fmt.Sprintf("node-%d", i), Ready: true})
		}
		if _, err := b.SetNodes(named); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Align(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b, h
}

func has(entities []kong.Entity, key string) bool {
	return slices.ContainsFunc(entities, func(e kong.Entity) bool { return e.Fields.Text("key") == key })
}

// schemas are those of a Kong that has none.
type schemas struct{}

func (schemas) PluginSchema(context.Context, string) (kong.Schema, error) { return kong.Schema{}, nil }

func (schemas) EntitySchema(context.Context, kong.Kind) (kong.Field, error) { return kong.Field{}, nil }
