package secrets_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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
			return paged(ctx, inner, list, options...)
		},
	})
	store := secrets.NewStore(counted, counted)
	store.ReadAhead(namespaces)
	return store, c, n
}

// paged lists as the API server does: sorted, and at most as many as asked for. The fake client gives all.
func paged(ctx context.Context, inner client.Client, list client.ObjectList, options ...client.ListOption) error {
	var asked client.ListOptions
	asked.ApplyOptions(options)
	limit, after := int(asked.Limit), asked.Continue
	asked.Limit, asked.Continue = 0, ""
	if err := inner.List(ctx, list, &asked); err != nil {
		return err
	}
	found, ok := list.(*corev1.SecretList)
	if !ok {
		return fmt.Errorf("%T is listed", list)
	}
	slices.SortFunc(found.Items, func(a, b corev1.Secret) int { return strings.Compare(a.Name, b.Name) })
	found.Items = slices.DeleteFunc(found.Items, func(one corev1.Secret) bool { return one.Name <= after })
	if len(found.Items) > limit {
		found.Items = found.Items[:limit]
		found.Continue = found.Items[limit-1].Name
	}
	return nil
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
	for about, namespaces := range map[string][]string{"of all namespaces": nil, "of some": {namespace, "elsewhere"}} {
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

// Ten thousand consumers do not have all their Secrets in memory at once, nor a request for each.
func TestAStartHoldsFewPages(t *testing.T) {
	const large = 10 << 10
	owners, objects := many(t, 1100)
	for i := range objects {
		if secret, ok := objects[i].(*corev1.Secret); ok {
			secret.Data["padding"] = make([]byte, large)
		}
	}
	names := make([]string, 0, len(owners))
	for _, owner := range owners {
		names = append(names, owner.Object.GetName())
	}
	slices.Sort(names)
	store, _, n := readingAhead(t, nil, nil, objects...)
	first, last := consumer(names[0]), consumer(names[len(names)-1])
	if _, err := store.Snapshot(t.Context(), first, field, names[0]); err != nil || n.lists != 1 {
		t.Fatalf("%d listings for the first of them, %v", n.lists, err)
	}
	if snapshot, err := store.Snapshot(t.Context(), last, field, names[len(names)-1]); err != nil || !snapshot.Found() || n.lists != 1 || n.gets != 1 {
		t.Errorf("a full page is held, and for the last one there are %d listings and %d single reads, %v", n.lists, n.gets, err)
	}
	for _, name := range names[1 : len(names)-1] {
		if snapshot, err := store.Snapshot(t.Context(), consumer(name), field, name); err != nil || !snapshot.Found() {
			t.Fatalf("%s: found %v, %v", name, snapshot.Found(), err)
		}
	}
	if n.lists != 2 || n.gets != 1 {
		t.Errorf("%d listings and %d single reads for %d Secrets in their order", n.lists, n.gets, len(names))
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
