package secrets_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kongjwt/kong-jwt-operator/internal/secrets"
)

// reads counts what reaches the API server.
type reads struct{ gets, lists int }

// readingAhead is a store that lists before it reads. With refused the API server refuses listings.
func readingAhead(t *testing.T, namespaces []string, refused error, objects ...client.Object) (*secrets.Store, *cluster, *reads) {
	t.Helper()
	c, n := newCluster(t, nil, objects...), &reads{}
	underlying, ok := c.Client.(client.WithWatch)
	if !ok {
		t.Fatal("the client has no watch")
	}
	counted := interceptor.NewClient(underlying, interceptor.Funcs{
		Get: func(ctx context.Context, inner client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
			n.gets++
			return inner.Get(ctx, key, object, options...)
		},
		List: func(ctx context.Context, inner client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			n.lists++
			if refused != nil {
				return refused
			}
			return inner.List(ctx, list, options...)
		},
	})
	store := secrets.NewStore(counted, counted)
	store.ReadAhead(namespaces)
	return store, c, n
}

func many(t *testing.T, count int) (owners []secrets.Owner, objects []client.Object) {
	t.Helper()
	template := ours(t, consumer("john"), data("one"))
	for i := range count {
		owner := consumer(fmt.Sprint("john-", i))
		secret := template.DeepCopy()
		secret.Name = owner.Object.GetName()
		secret.Labels["kongjwt.dev/owner-name"] = secret.Name
		secret.OwnerReferences[0].Name = secret.Name
		owners, objects = append(owners, owner), append(objects, secret)
	}
	return owners, objects
}

func TestAStartReadsSecretsInPages(t *testing.T) {
	owners, objects := many(t, 30)
	for about, namespaces := range map[string][]string{"of all namespaces": nil, "of some": {"elsewhere", namespace}} {
		t.Run(about, func(t *testing.T) {
			store, _, n := readingAhead(t, namespaces, nil, objects...)
			for _, owner := range owners {
				snapshot, err := store.Snapshot(t.Context(), owner, field, owner.Object.GetName())
				if err != nil || string(snapshot.Value("secret")) != "one" {
					t.Fatalf("%s: found %v, %v", owner, snapshot.Found(), err)
				}
			}
			if n.gets != 0 || n.lists != max(1, len(namespaces)) {
				t.Errorf("%d single reads and %d listings for %d Secrets", n.gets, n.lists, len(owners))
			}
			if _, err := store.Snapshot(t.Context(), owners[0], field, owners[0].Object.GetName()); err != nil || n.gets != 1 {
				t.Errorf("what is read again is not read live: %d single reads, %v", n.gets, err)
			}
		})
	}
}

// What was listed is not given once it is known to be old.
func TestWhatWasListedIsNotOld(t *testing.T) {
	change := func(t *testing.T, c *cluster, name string) *corev1.Secret {
		t.Helper()
		var secret corev1.Secret
		if err := c.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, &secret); err != nil {
			t.Fatal(err)
		}
		secret.Data = data("two")
		if err := c.Update(t.Context(), &secret); err != nil {
			t.Fatal(err)
		}
		return &secret
	}
	owners, objects := many(t, 3)
	for about, learns := range map[string]func(*testing.T, *secrets.Store, *cluster){
		"a watch reports another version": func(t *testing.T, store *secrets.Store, c *cluster) {
			changed := change(t, c, "john-1")
			store.Reported("JwtConsumer", "john-1", changed, false, func() {})
		},
		"a watch reports that it is gone": func(t *testing.T, store *secrets.Store, c *cluster) {
			changed := change(t, c, "john-1")
			store.Reported("JwtConsumer", "john-1", changed, true, func() {})
		},
	} {
		t.Run(about, func(t *testing.T) {
			store, c, _ := readingAhead(t, nil, nil, objects...)
			if _, err := store.Snapshot(t.Context(), owners[0], field, "john-0"); err != nil {
				t.Fatal(err)
			}
			learns(t, store, c)
			snapshot, err := store.Snapshot(t.Context(), owners[1], field, "john-1")
			if err != nil || string(snapshot.Value("secret")) != "two" {
				t.Errorf("what was there before is given, %v", err)
			}
		})
	}
	t.Run("a watch reports another version before the first read", func(t *testing.T) {
		store, c, n := readingAhead(t, nil, nil, objects...)
		newer := change(t, c, "john-1")
		newer.ResourceVersion += "0" // the listing answers as before that write
		store.Reported("JwtConsumer", "john-1", newer, false, func() {})
		if _, err := store.Snapshot(t.Context(), owners[1], field, "john-1"); err != nil || n.gets != 1 {
			t.Errorf("%d single reads, %v", n.gets, err)
		}
	})
	t.Run("a watch reports what was listed", func(t *testing.T) {
		store, c, n := readingAhead(t, nil, nil, objects...)
		if _, err := store.Snapshot(t.Context(), owners[0], field, "john-0"); err != nil {
			t.Fatal(err)
		}
		var same corev1.Secret
		if err := c.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "john-1"}, &same); err != nil {
			t.Fatal(err)
		}
		store.Reported("JwtConsumer", "john-1", &same, false, func() {})
		if _, err := store.Snapshot(t.Context(), owners[1], field, "john-1"); err != nil || n.gets != 0 {
			t.Errorf("%d single reads, %v", n.gets, err)
		}
	})
}

func TestListingsThatAreRefusedAreDoneWithout(t *testing.T) {
	owners, objects := many(t, 3)
	store, _, n := readingAhead(t, nil, errors.New("too many requests"), objects...)
	for _, owner := range owners {
		snapshot, err := store.Snapshot(t.Context(), owner, field, owner.Object.GetName())
		if err != nil || !snapshot.Found() {
			t.Fatalf("%s: found %v, %v", owner, snapshot.Found(), err)
		}
	}
	if n.gets != len(owners) || n.lists != 1 {
		t.Errorf("%d single reads and %d listings", n.gets, n.lists)
	}
}
