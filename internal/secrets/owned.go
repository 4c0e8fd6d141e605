package secrets

import (
	"bytes"
	"context"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// Owned reads a Secret of an owner's; found is false where there is none. The error is a *status.StalledError with
// reason SecretConflict where a Secret of that name is somebody else's.
func (s *Store) Owned(ctx context.Context, owner Owner, field, name string) (data map[string][]byte, found bool, err error) {
	snapshot, err := s.Snapshot(ctx, owner, field, name)
	if err != nil || !snapshot.Found() {
		return nil, false, err
	}
	return snapshot.secret().Data, true, nil
}

// Publish makes a Secret of an owner's hold just data, in one write. Nothing is written where it does already, nor
// for an owner that is being deleted. It is created only where there is none, and updated only as it was read: an
// apply could say neither, and would write into a Secret that somebody else made a moment ago. written says whether
// it was. What field the name is from is for messages.
func (s *Store) Publish(ctx context.Context, owner Owner, field, name string, data map[string][]byte) (written bool, err error) {
	if !owner.Object.GetDeletionTimestamp().IsZero() {
		return false, nil
	}
	current, err := s.Snapshot(ctx, owner, field, name)
	if err != nil {
		return false, err
	}
	_, written, err = s.replace(ctx, owner, name, current, data)
	return written, err
}

// LetGo takes the owner off a Secret of its, so that it stays when the owner goes. One that is somebody else's stays
// as it is.
func (s *Store) LetGo(ctx context.Context, owner Owner, name string) error {
	current, err := s.get(ctx, owner.Object.GetNamespace(), name)
	if err != nil || current == nil || !owner.holds(current) {
		return err
	}
	updated := current.DeepCopy()
	updated.OwnerReferences = owner.without(current.OwnerReferences)
	if sameSecret(current, updated) {
		return nil
	}
	return s.update(ctx, owner, updated)
}

// Drop deletes a Secret of an owner's that it no longer names. One that is somebody else's stays.
func (s *Store) Drop(ctx context.Context, owner Owner, name string) error {
	current, err := s.get(ctx, owner.Object.GetNamespace(), name)
	if err != nil || current == nil || !owner.holds(current) {
		return err
	}
	precondition := client.Preconditions{UID: &current.UID, ResourceVersion: &current.ResourceVersion}
	return writeError(client.IgnoreNotFound(s.write.Delete(ctx, current, precondition)), current)
}

func (s *Store) make(owner Owner, name string, data map[string][]byte) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:       owner.Object.GetNamespace(),
			Name:            name,
			Labels:          owner.labels(),
			Annotations:     untracked(),
			OwnerReferences: owner.with(nil),
		},
		Type: corev1.SecretTypeOpaque,
		Data: data,
	}
}

// untracked gives the annotations of what the operator writes and GitOps tools do not hold in Git. Without it Argo CD
// compares a whole application again at every write of a Secret in its tree.
func untracked() map[string]string {
	return map[string]string{"argocd.argoproj.io/ignore-resource-updates": "true"}
}

func (s *Store) create(ctx context.Context, owner Owner, secret *corev1.Secret) error {
	return s.wrote(owner, secret, func() error { return s.write.Create(ctx, secret, client.FieldOwner(v1alpha1.ManagedBy)) })
}

// wrote does a write, and remembers what came of it: the watch will report it.
func (s *Store) wrote(owner Owner, secret *corev1.Secret, write func() error) error {
	s.ahead.forget(client.ObjectKeyFromObject(secret), "")
	done := s.echoes.begin(owner, client.ObjectKeyFromObject(secret))
	err := write()
	if err != nil {
		done("")
		return writeError(err, secret)
	}
	done(secret.ResourceVersion)
	return nil
}

// update writes a Secret under the resourceVersion that it was read with.
func (s *Store) update(ctx context.Context, owner Owner, secret *corev1.Secret) error {
	switch {
	case !secret.DeletionTimestamp.IsZero():
		return status.Wait(0, v1alpha1.ReasonProgressing, "Secret %s/%s is being deleted; waiting until it is gone", secret.Namespace, secret.Name)
	case secret.Immutable != nil && *secret.Immutable:
		return status.Stalled(v1alpha1.ReasonSecretInvalid, "spec: Secret %s/%s is immutable and cannot be written (it belongs to %s). "+
			"Delete it: it is made anew at once, with what is in use.", secret.Namespace, secret.Name, owner)
	default:
		return s.wrote(owner, secret, func() error { return s.write.Update(ctx, secret, client.FieldOwner(v1alpha1.ManagedBy)) })
	}
}

// sameSecret compares all that is ever changed here.
func sameSecret(a, b *corev1.Secret) bool {
	return maps.EqualFunc(a.Data, b.Data, bytes.Equal) &&
		slices.EqualFunc(a.OwnerReferences, b.OwnerReferences, func(x, y metav1.OwnerReference) bool { return apiequality.Semantic.DeepEqual(x, y) })
}
