package secrets_test

import (
	"bytes"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/secrets"
)

// Whoever may write Secrets can neither make one that counts, nor copy, nor change one that does.
func TestSealTellsWhoWroteASecret(t *testing.T) {
	owner, other := consumer("john"), consumer("mary")
	seal := secrets.NewSeal(bytes.Repeat([]byte{1}, 32))
	intact := func(seal secrets.Seal, secret *corev1.Secret, owner secrets.Owner) bool {
		t.Helper()
		snapshot, err := newCluster(t, nil, secret).store.Snapshot(t.Context(), owner, field, secret.Name)
		if err != nil {
			t.Fatal(err)
		}
		return seal.Intact(snapshot)
	}
	sealed := func() *corev1.Secret { return ours(t, owner, seal.Close(namespace, name, data("state"))) }
	if !intact(seal, sealed(), owner) {
		t.Fatal("what was written is not taken for the operator's")
	}
	restored := sealed()
	restored.UID, restored.OwnerReferences = "another", nil
	if !intact(seal, restored, owner) {
		t.Error("what was restored from a backup is not taken for the operator's")
	}
	for what, change := range map[string]func(*corev1.Secret){
		"an edited value":    func(s *corev1.Secret) { s.Data["secret"] = []byte("statf") },
		"one key more":       func(s *corev1.Secret) { s.Data["more"] = nil },
		"moved to a key":     func(s *corev1.Secret) { s.Data["secre"], s.Data["secret"] = s.Data["secret"], nil },
		"no seal":            func(s *corev1.Secret) { delete(s.Data, "mac") },
		"a seal of nonsense": func(s *corev1.Secret) { s.Data["mac"] = []byte("zz") },
		"another name":       func(s *corev1.Secret) { s.Name += "-copy" },
	} {
		secret := sealed()
		change(secret)
		if intact(seal, secret, owner) {
			t.Errorf("%s is taken for the operator's", what)
		}
	}
	copied := sealed()
	copied.Labels = ours(t, other, nil).Labels
	copied.OwnerReferences, copied.Namespace = nil, namespace
	copied.Name = "mary"
	if intact(seal, copied, other) {
		t.Error("a copy is taken for another consumer's")
	}
	if intact(secrets.NewSeal(bytes.Repeat([]byte{2}, 32)), sealed(), owner) {
		t.Error("another installation's is taken for this one's")
	}
}

func TestSealOfOneSeed(t *testing.T) {
	c := newCluster(t, nil)
	c.store.SealBy(namespace, "seed")
	if _, err := c.store.Keep(t.Context(), consumer("john"), name, secrets.Snapshot{}, data("state")); err != nil {
		t.Fatal(err)
	}
	// Another process, or this one after a restart.
	again := secrets.NewStore(c.Client, c.Client)
	again.SealBy(namespace, "seed")
	if _, intact, err := again.Kept(t.Context(), consumer("john"), name); err != nil || !intact {
		t.Errorf("what another process wrote is not known: %v", err)
	}
	edited := c.read(t)
	edited.Data["secret"] = []byte("theirs")
	if err := c.Update(t.Context(), edited); err != nil {
		t.Fatal(err)
	}
	if _, intact, err := again.Kept(t.Context(), consumer("john"), name); err != nil || intact {
		t.Errorf("what somebody edited is taken for the operator's: %v", err)
	}
}

// After a restore the references are gone, or name an owner of before: the garbage collector would take the Secret,
// or leave it when it should go.
func TestOwnedAgainAfterARestore(t *testing.T) {
	for what, references := range map[string][]metav1.OwnerReference{
		"none": nil,
		"a former owner": {{
			APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.KindJwtConsumer, Name: "john", UID: types.UID("of before"), Controller: new(true),
		}},
	} {
		secret := ours(t, consumer("john"), data("state"))
		secret.OwnerReferences = references
		c := newCluster(t, nil, secret)
		for range 2 {
			snapshot, err := c.store.Snapshot(t.Context(), consumer("john"), field, name)
			if err == nil {
				_, err = c.store.Own(t.Context(), consumer("john"), name, snapshot)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		controller := metav1.GetControllerOf(c.read(t))
		if controller == nil || controller.UID != "uid-of-john" || len(c.read(t).OwnerReferences) != 1 || c.writes != 1 {
			t.Errorf("%s: controller %v after %d writes", what, controller, c.writes)
		}
	}
}

// A foreground deletion takes along what refers to its owner, before the operator is asked.
func TestRetainedSecretsReferToNobody(t *testing.T) {
	owner := consumer("john")
	c := newCluster(t, nil, ours(t, owner, data("one")))
	owner.Retain = true
	if _, err := c.store.Publish(t.Context(), owner, field, name, data("two")); err != nil {
		t.Fatal(err)
	}
	if references := c.read(t).OwnerReferences; len(references) != 0 {
		t.Errorf("references %v", references)
	}
	owner.Retain = false
	if _, err := c.store.Publish(t.Context(), owner, field, name, data("two")); err != nil {
		t.Fatal(err)
	}
	if metav1.GetControllerOf(c.read(t)) == nil {
		t.Error("it is not owned again")
	}
}

// Nobody but the operator reads its state: that somebody made it immutable stops nothing.
func TestImmutableStateIsMadeAnew(t *testing.T) {
	secret := ours(t, consumer("john"), data("one"))
	secret.Immutable = new(true)
	c := newCluster(t, nil, secret)
	snapshot, err := c.store.Snapshot(t.Context(), consumer("john"), field, name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.store.Replace(t.Context(), consumer("john"), name, snapshot, data("two")); err != nil {
		t.Fatal(err)
	}
	if after := c.read(t); string(after.Data["secret"]) != "two" || after.Immutable != nil {
		t.Errorf("it holds %q", after.Data["secret"])
	}
}
