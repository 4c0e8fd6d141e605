package secrets

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// Snapshot is a Secret of an owner's as it was read, or that there was none.
//
// The Secret is behind a function, since fmt looks into structs, and pointers to structs, past every method that
// would stop it.
type Snapshot struct{ secret func() *corev1.Secret }

func snapshotOf(secret *corev1.Secret) Snapshot {
	return Snapshot{secret: func() *corev1.Secret { return secret }}
}

// Found says whether there was one.
func (s Snapshot) Found() bool { return s.secret != nil }

// Value is what is under a key; nil where there is nothing.
func (s Snapshot) Value(key string) []byte {
	if s.secret == nil {
		return nil
	}
	return s.secret().Data[key]
}

// Data is all that is in it; nil where there was none.
func (s Snapshot) Data() map[string][]byte {
	if s.secret == nil {
		return nil
	}
	return s.secret().Data
}

// Format writes a placeholder, for every verb.
func (s Snapshot) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[redacted]") }

// Snapshot reads a Secret of an owner's live. The error is a *status.StalledError with reason SecretConflict where a
// Secret of that name is somebody else's.
func (s *Store) Snapshot(ctx context.Context, owner Owner, field, name string) (Snapshot, error) {
	secret, err := s.get(ctx, owner.Object.GetNamespace(), name)
	if err != nil || secret == nil {
		return Snapshot{}, err
	}
	if !owner.holds(secret) {
		return Snapshot{}, owner.conflict(field, secret)
	}
	return snapshotOf(secret), nil
}

// Replace writes data where a snapshot was read: it creates the Secret where there was none, and else changes it only
// as it was read. What was decided from a snapshot is so never written over what somebody else decided meanwhile. The
// error is a *status.WaitError where a Secret was made, changed or deleted since: read it again, and decide again.
// The snapshot that it gives is of what was written. Nothing but the operator reads the Secret: one that somebody
// made immutable is deleted and made anew.
func (s *Store) Replace(ctx context.Context, owner Owner, name string, from Snapshot, data map[string][]byte) (Snapshot, error) {
	if from.Found() {
		if held := from.secret(); held.Immutable != nil && *held.Immutable && !maps.EqualFunc(held.Data, data, bytes.Equal) {
			precondition := client.Preconditions{UID: &held.UID, ResourceVersion: &held.ResourceVersion}
			if err := writeError(client.IgnoreNotFound(s.write.Delete(ctx, held, precondition)), held); err != nil {
				return from, err
			}
			from = Snapshot{}
		}
	}
	next, _, err := s.replace(ctx, owner, name, from, data)
	return next, err
}

// Own makes a Secret that was read one of its owner's again: after a restore from a backup it may have no reference
// to it, or to a former one, and would outlive its owner or be deleted with nobody. One that is being deleted stays
// as it is.
func (s *Store) Own(ctx context.Context, owner Owner, name string, from Snapshot) (Snapshot, error) {
	if !from.Found() || !from.secret().DeletionTimestamp.IsZero() || !owner.Object.GetDeletionTimestamp().IsZero() {
		return from, nil
	}
	return s.Replace(ctx, owner, name, from, from.Data())
}

// PublishOver is Replace for a Secret that clients read; written says whether it was, or holds data already. A read
// that was done for another reason is so not done twice.
func (s *Store) PublishOver(ctx context.Context, owner Owner, name string, from Snapshot, data map[string][]byte) (next Snapshot, written bool, err error) {
	return s.replace(ctx, owner, name, from, data)
}

func (s *Store) replace(ctx context.Context, owner Owner, name string, from Snapshot, data map[string][]byte) (next Snapshot, written bool, err error) {
	namespace := owner.Object.GetNamespace()
	if !owner.Object.GetDeletionTimestamp().IsZero() {
		return from, false, status.Wait(0, v1alpha1.ReasonDeleting, "%s is being deleted: Secret %s/%s is not written for it any more", owner, namespace, name)
	}
	if !from.Found() {
		secret := s.make(owner, name, data)
		if err := s.create(ctx, owner, secret); err != nil {
			return from, false, err
		}
		return snapshotOf(secret), true, nil
	}
	secret := from.secret().DeepCopy()
	secret.Data = data
	secret.OwnerReferences = owner.with(secret.OwnerReferences)
	if sameSecret(from.secret(), secret) {
		return from, false, nil
	}
	if err := s.update(ctx, owner, secret); err != nil {
		return from, false, err
	}
	return snapshotOf(secret), true, nil
}

// retryLostRace is the pause after somebody else wrote first.
const retryLostRace = 200 * time.Millisecond
