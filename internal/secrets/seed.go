package secrets

import (
	"context"
	"crypto/rand"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

const (
	// seedKey is the Secret key that a seed is under.
	seedKey = "seed"
	// seedBytes is the length of a seed: as much as SHA-256 takes in.
	seedBytes = 32
)

// Seed reads the operator's own random bytes from a Secret, and makes them where there is none. It belongs to no
// resource: the installation keeps it. One that is lost is made anew, and what was derived from the former changes.
// The error is a *status.StalledError where a Secret of that name is somebody else's or holds no seed, and a
// *status.WaitError where another replica made it just now. field is what needs the seed.
func (s *Store) Seed(ctx context.Context, field, namespace, name string) ([]byte, error) {
	secret, err := s.get(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	if secret == nil {
		seed := make([]byte, seedBytes)
		_, _ = rand.Read(seed) // never fails, see its documentation
		secret = &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: namespace, Name: name, Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy},
				Annotations: untracked(),
			},
			Type: corev1.SecretTypeOpaque,
			Data: map[string][]byte{seedKey: seed},
		}
		return seed, writeError(s.write.Create(ctx, secret, client.FieldOwner(v1alpha1.ManagedBy)), secret)
	}
	if secret.Labels[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy {
		return nil, status.Stalled(v1alpha1.ReasonSecretConflict,
			"%s: Secret %s/%s, in which the operator keeps random bytes of its own, is somebody else's. "+
				"Rename it there; the operator makes its own.", field, namespace, name)
	}
	if len(secret.Data[seedKey]) < seedBytes {
		return nil, status.Stalled(v1alpha1.ReasonSecretInvalid,
			"%s: Secret %s/%s, in which the operator keeps random bytes of its own, holds no seed. "+
				"Delete it: it is made anew.", field, namespace, name)
	}
	return secret.Data[seedKey], nil
}
