package secrets_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/secrets"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

const (
	namespace = "team-a"
	name      = "john-credentials"
	field     = "spec.credentials[0].generate.secretName"
)

func TestPublish(t *testing.T) {
	c := newCluster(t, nil)
	written, err := c.store.Publish(t.Context(), consumer("john"), field, name, data("one"))
	if err != nil || !written {
		t.Fatalf("written %v, %v", written, err)
	}
	secret := c.read(t)
	controller := metav1.GetControllerOf(secret)
	if string(secret.Data["secret"]) != "one" || secret.Type != corev1.SecretTypeOpaque {
		t.Errorf("type %s, and not the data that was published", secret.Type)
	}
	if controller == nil || controller.UID != "uid-of-john" || controller.Kind != "JwtConsumer" || controller.APIVersion != "kongjwt.dev/v1alpha1" {
		t.Errorf("controller %v", controller)
	}
	for label, want := range map[string]string{
		v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelOwnerKind: "JwtConsumer", v1alpha1.LabelOwnerName: "john",
	} {
		if secret.Labels[label] != want {
			t.Errorf("label %s is %q", label, secret.Labels[label])
		}
	}

	if secret.Annotations["argocd.argoproj.io/ignore-resource-updates"] != "true" {
		t.Errorf("annotations %v: Argo CD would refresh its application at every write", secret.Annotations)
	}

	if written, err = c.store.Publish(t.Context(), consumer("john"), field, name, data("one")); err != nil || written || c.writes != 1 {
		t.Errorf("published again: written %v, %v, %d writes", written, err, c.writes)
	}

	secret.Annotations = map[string]string{"theirs": "kept"}
	secret.Data["added"] = []byte("by somebody")
	if err := c.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	if written, err = c.store.Publish(t.Context(), consumer("john"), field, name, data("two")); err != nil || !written {
		t.Fatalf("changed: written %v, %v", written, err)
	}
	secret = c.read(t)
	if string(secret.Data["secret"]) != "two" || len(secret.Data) != 1 || secret.Annotations["theirs"] != "kept" {
		t.Errorf("after a change: %d keys, annotations %v", len(secret.Data), secret.Annotations)
	}
}

func TestPublishRefusesWhatIsNotOurs(t *testing.T) {
	controlled := foreign()
	controlled.OwnerReferences = []metav1.OwnerReference{{APIVersion: "external-secrets.io/v1", Kind: "ExternalSecret", Name: "es", UID: "x", Controller: new(true)}}
	stolen := ours(t, consumer("john"), data("x"))
	stolen.OwnerReferences = controlled.OwnerReferences
	namesake := ours(t, consumer("john"), data("x"))
	namesake.OwnerReferences[0].APIVersion = "example.com/v1"
	tokenOf := consumer("john")
	tokenOf.Kind = v1alpha1.KindJwtToken
	for label, c := range map[string]struct {
		secret *corev1.Secret
		owner  secrets.Owner
		says   string
	}{
		"made by hand":                             {foreign(), consumer("john"), "does not belong to this operator"},
		"controlled by another":                    {controlled, consumer("john"), "belongs to ExternalSecret es"},
		"our labels, another's controller":         {stolen, consumer("john"), "belongs to ExternalSecret es"},
		"a kind of our name in a group of another": {namesake, consumer("john"), "belongs to JwtConsumer john"},
		"another consumer's":                       {ours(t, consumer("mary"), data("x")), consumer("john"), "belongs to JwtConsumer mary"},
		"a JwtToken's of the same name":            {ours(t, tokenOf, data("x")), consumer("john"), "belongs to JwtToken john"},
	} {
		t.Run(label, func(t *testing.T) {
			cluster := newCluster(t, nil, c.secret)
			before := cluster.read(t)
			_, err := cluster.store.Publish(t.Context(), c.owner, field, name, data("ours"))
			wantStalled(t, err, v1alpha1.ReasonSecretConflict, field, "team-a/"+name, c.says, "Name another")
			_, _, err = cluster.store.Owned(t.Context(), c.owner, field, name)
			wantStalled(t, err, v1alpha1.ReasonSecretConflict, c.says)
			for _, leave := range []error{cluster.store.LetGo(t.Context(), c.owner, name), cluster.store.Drop(t.Context(), c.owner, name)} {
				if leave != nil {
					t.Error(leave)
				}
			}
			if after := cluster.read(t); cluster.writes != 0 || after.ResourceVersion != before.ResourceVersion {
				t.Errorf("%d writes", cluster.writes)
			}
		})
	}
}

// After a restore the owner has another UID, and after Retain there is none: the labels say whose the Secret is.
func TestPublishTakesUpItsOwn(t *testing.T) {
	restored := ours(t, consumer("john"), data("x"))
	restored.OwnerReferences[0].UID = "uid-before-the-restore"
	retained := ours(t, consumer("john"), data("x"))
	retained.OwnerReferences = nil
	second := ours(t, consumer("john"), data("x"))
	second.OwnerReferences = append(second.OwnerReferences, metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: "c", UID: "c"})
	for label, c := range map[string]struct {
		secret *corev1.Secret
		writes int
	}{"restored": {restored, 1}, "retained": {retained, 1}, "with another owner beside": {second, 0}} {
		cluster := newCluster(t, nil, c.secret)
		if _, err := cluster.store.Publish(t.Context(), consumer("john"), field, name, data("x")); err != nil {
			t.Errorf("%s: %v", label, err)
		}
		if controller := metav1.GetControllerOf(cluster.read(t)); controller == nil || controller.UID != "uid-of-john" || cluster.writes != c.writes {
			t.Errorf("%s: controller %v after %d writes", label, controller, cluster.writes)
		}
	}
}

func TestNothingIsWrittenForAnOwnerThatIsBeingDeleted(t *testing.T) {
	owner := consumer("john")
	deleted := metav1.NewTime(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))
	owner.Object.SetDeletionTimestamp(&deleted)
	c := newCluster(t, nil)
	if written, err := c.store.Publish(t.Context(), owner, field, name, data("x")); err != nil || written || c.writes != 0 {
		t.Errorf("Publish: written %v, %v, %d writes", written, err, c.writes)
	}
	_, err := c.store.Replace(t.Context(), owner, name, secrets.Snapshot{}, data("x"))
	wantWait(t, err, v1alpha1.ReasonDeleting)
	if c.writes != 0 {
		t.Errorf("Replace: %d writes", c.writes)
	}
}

// Whoever writes between our read and our write is not written over.
func TestLostRaces(t *testing.T) {
	others := func(t *testing.T, do func(client.WithWatch) error) func(client.WithWatch) error {
		t.Helper()
		done := false
		return func(inner client.WithWatch) error {
			if done {
				return nil
			}
			done = true
			return do(inner)
		}
	}
	change := func(inner client.WithWatch) error {
		var secret corev1.Secret
		if err := inner.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, &secret); err != nil {
			return err
		}
		secret.Data = data("theirs")
		return inner.Update(t.Context(), &secret)
	}
	remove := func(inner client.WithWatch) error { return inner.Delete(t.Context(), foreign()) }
	create := func(inner client.WithWatch) error { return inner.Create(t.Context(), foreign()) }
	publish := func(c *cluster) error {
		_, err := c.store.Publish(t.Context(), consumer("john"), field, name, data("ours"))
		return err
	}
	letGo := func(c *cluster) error { return c.store.LetGo(t.Context(), consumer("john"), name) }
	drop := func(c *cluster) error { return c.store.Drop(t.Context(), consumer("john"), name) }
	for label, r := range map[string]struct {
		exists bool
		other  func(client.WithWatch) error
		do     func(*cluster) error
		stays  string
	}{
		"created before we create":    {false, create, publish, "theirs"},
		"changed before we change":    {true, change, publish, "theirs"},
		"deleted before we change":    {true, remove, publish, ""},
		"changed before we let it go": {true, change, letGo, "theirs"},
		"changed before we delete it": {true, change, drop, "theirs"},
	} {
		t.Run(label, func(t *testing.T) {
			var objects []client.Object
			if r.exists {
				objects = append(objects, ours(t, consumer("john"), data("before")))
			}
			c := newCluster(t, others(t, r.other), objects...)
			wantWait(t, r.do(c), v1alpha1.ReasonProgressing)
			var secret corev1.Secret
			err := c.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, &secret)
			if client.IgnoreNotFound(err) != nil || string(secret.Data["secret"]) != r.stays {
				t.Errorf("what the other wrote did not stay: %v", err)
			}
		})
	}
}

// Two processes that both read the state before either wrote: the second does not write over the first's material.
func TestReplaceHoldsToItsSnapshot(t *testing.T) {
	for _, exists := range []bool{false, true} {
		var objects []client.Object
		if exists {
			objects = append(objects, ours(t, consumer("john"), data("before")))
		}
		c := newCluster(t, nil, objects...)
		first, err := c.store.Snapshot(t.Context(), consumer("john"), "state", name)
		if err != nil || first.Found() != exists {
			t.Fatalf("found %v, %v", first.Found(), err)
		}
		second := first
		if first, err = c.store.Replace(t.Context(), consumer("john"), name, first, data("first")); err != nil {
			t.Fatal(err)
		}
		_, err = c.store.Replace(t.Context(), consumer("john"), name, second, data("second"))
		wantWait(t, err, v1alpha1.ReasonProgressing)
		if got := c.read(t).Data["secret"]; string(got) != "first" {
			t.Errorf("existed before: %v: the loser's data was written", exists)
		}
		// The winner goes on from what it wrote, without a read.
		if first, err = c.store.Replace(t.Context(), consumer("john"), name, first, data("first, again")); err != nil {
			t.Fatal(err)
		}
		if string(first.Value("secret")) != "first, again" || string(c.read(t).Data["secret"]) != "first, again" {
			t.Error("the winner's second write is not there")
		}
		if first.Value("nothing") != nil || (secrets.Snapshot{}).Value("secret") != nil {
			t.Error("a value where there is none")
		}
	}
}

func TestWriteErrors(t *testing.T) {
	resource := schema.GroupResource{Resource: "secrets"}
	terminating := apierrors.NewForbidden(resource, name, errors.New("being terminated"))
	terminating.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	const canary = "canary-canary-canary"
	for label, c := range map[string]struct {
		err  error
		says string
	}{
		"quota":               {apierrors.NewForbidden(resource, name, errors.New("exceeded quota: secrets=10")), "exceeded quota"},
		"webhook quotes":      {apierrors.NewForbidden(resource, name, errors.New("bad value "+canary)), "refused with 403 Forbidden"},
		"webhook quotes part": {apierrors.NewForbidden(resource, name, errors.New("bad value "+canary[:14]+"...")), "refused with 403 Forbidden"},
		"quoted in base64":    {apierrors.NewBadRequest("data: Y2FuYXJ5LWNhbmFyeS1jYW5hcnk="), "refused with 400 BadRequest"},
		"network":             {errors.New("dial tcp 10.0.0.1:443: connect: connection refused"), "connection refused"},
		"network quotes":      {errors.New("cannot send " + canary), "failed, in words that quote"},
	} {
		cluster := newCluster(t, func(client.WithWatch) error { return c.err })
		_, err := cluster.store.Publish(t.Context(), consumer("john"), field, name, data(canary))
		var failed *secrets.WriteError
		if !errors.As(err, &failed) || !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "canary-canary") {
			t.Errorf("%s: %v", label, err)
		}
	}
	cluster := newCluster(t, func(client.WithWatch) error { return terminating })
	_, err := cluster.store.Publish(t.Context(), consumer("john"), field, name, data("x"))
	wantWait(t, err, v1alpha1.ReasonDeleting)

	immutable := ours(t, consumer("john"), data("before"))
	immutable.Immutable = new(true)
	cluster = newCluster(t, nil, immutable)
	_, err = cluster.store.Publish(t.Context(), consumer("john"), field, name, data("x"))
	wantStalled(t, err, v1alpha1.ReasonSecretInvalid, "immutable", "Delete it")

	leaving := ours(t, consumer("john"), data("before"))
	leaving.Finalizers = []string{"example.com/hold"}
	cluster = newCluster(t, nil, leaving)
	if err := cluster.Delete(t.Context(), leaving); err != nil {
		t.Fatal(err)
	}
	_, err = cluster.store.Publish(t.Context(), consumer("john"), field, name, data("x"))
	wantWait(t, err, v1alpha1.ReasonProgressing)
}

func TestLetGoAndDrop(t *testing.T) {
	c := newCluster(t, nil, ours(t, consumer("john"), data("x")))
	for range 2 {
		if err := c.store.LetGo(t.Context(), consumer("john"), name); err != nil {
			t.Fatal(err)
		}
	}
	if secret := c.read(t); len(secret.OwnerReferences) != 0 || string(secret.Data["secret"]) != "x" || c.writes != 1 {
		t.Errorf("let go: owners %v, %d writes", secret.OwnerReferences, c.writes)
	}
	for range 2 {
		if err := c.store.Drop(t.Context(), consumer("john"), name); err != nil {
			t.Fatal(err)
		}
	}
	if _, found, err := c.store.Owned(t.Context(), consumer("john"), field, name); err != nil || found || c.writes != 2 {
		t.Errorf("dropped: found %v, %v, %d writes", found, err, c.writes)
	}
	if err := c.store.LetGo(t.Context(), consumer("john"), name); err != nil {
		t.Errorf("letting go of nothing: %v", err)
	}
}

func TestReadingAUsersSecret(t *testing.T) {
	c := newCluster(t, nil, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Data:       map[string][]byte{"b": []byte("canary"), "a": []byte("canary"), "blank": {}},
	})
	_, err := c.store.Data(t.Context(), "spec.x", namespace, "missing")
	wantStalled(t, err, v1alpha1.ReasonSecretNotFound, "spec.x: Secret team-a/missing does not exist", "Create it")
	for _, key := range []string{"c", "blank"} {
		_, err = c.store.Key(t.Context(), "spec.x", namespace, name, key)
		wantStalled(t, err, v1alpha1.ReasonSecretInvalid, "under "+key, "a, b, blank")
		if strings.Contains(err.Error(), "canary") {
			t.Errorf("quoted: %v", err)
		}
	}
	if value, err := c.store.Key(t.Context(), "spec.x", namespace, name, "b"); err != nil || string(value) != "canary" {
		t.Errorf("a value that is there: %v", err)
	}
	failing := errors.New("no route to host")
	broken := interceptor.NewClient(fake.NewClientBuilder().Build(), interceptor.Funcs{
		Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
			return failing
		},
	})
	_, err = secrets.NewStore(broken, c.Client).Data(t.Context(), "spec.x", namespace, name)
	var stalled *status.StalledError
	if !errors.Is(err, failing) || errors.As(err, &stalled) {
		t.Errorf("a read that fails is no missing Secret: %v", err)
	}
}

// Names of owners over 63 bytes do not fit a label; those that differ must still not hold each other's Secrets.
func TestLongNamesOfOwners(t *testing.T) {
	long := strings.Repeat("a", 200)
	c := newCluster(t, nil, ours(t, consumer(long+"-one"), data("x")))
	if value := c.read(t).Labels[v1alpha1.LabelOwnerName]; len(value) != 63 {
		t.Errorf("label %q has %d bytes", value, len(value))
	}
	if _, found, err := c.store.Owned(t.Context(), consumer(long+"-one"), field, name); err != nil || !found {
		t.Errorf("its own: found %v, %v", found, err)
	}
	_, _, err := c.store.Owned(t.Context(), consumer(long+"-two"), field, name)
	wantStalled(t, err, v1alpha1.ReasonSecretConflict)
}
