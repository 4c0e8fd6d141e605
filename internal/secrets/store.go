// Package secrets is the one place that reads and writes Kubernetes Secrets. It reads live: the operator watches
// Secrets as metadata and keeps no content, but for the first minute (ReadAhead).
package secrets

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// Store reads and writes Secrets.
type Store struct {
	live   client.Reader
	write  client.Client
	echoes *echoes
	ahead  *ahead // nil where nothing is listed before it is read
	// seal of what the operator keeps in namespaces of tenants, once its seed was read.
	seed    client.ObjectKey
	sealing sync.Mutex
	seal    Seal
}

// NewStore makes a Store that reads through live, which must not be a cache, and writes through write.
func NewStore(live client.Reader, write client.Client) *Store {
	return &Store{live: live, write: write, echoes: newEchoes()}
}

// Data reads the content of a Secret that a user owns. The error is a *status.StalledError with reason SecretNotFound
// where there is none.
func (s *Store) Data(ctx context.Context, field, namespace, name string) (map[string][]byte, error) {
	secret, err := s.get(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	if secret == nil {
		return nil, status.Stalled(v1alpha1.ReasonSecretNotFound, "%s: Secret %s/%s does not exist. Create it, or name another.", field, namespace, name)
	}
	return secret.Data, nil
}

// Key reads one key of a Secret that a user owns. The error is a *status.StalledError where the Secret or the key is
// missing or empty.
func (s *Store) Key(ctx context.Context, field, namespace, name, key string) ([]byte, error) {
	data, err := s.Data(ctx, field, namespace, name)
	if err != nil {
		return nil, err
	}
	value, found := data[key]
	if !found || len(value) == 0 {
		has := strings.Join(slices.Sorted(maps.Keys(data)), ", ")
		if has == "" {
			has = "nothing"
		}
		return nil, status.Stalled(v1alpha1.ReasonSecretInvalid, "%s: Secret %s/%s has no value under %s (it has %s). Put one there, or name another key.", field, namespace, name, key, has)
	}
	return value, nil
}

// get reads a Secret live; nil where there is none.
func (s *Store) get(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	key := client.ObjectKey{Namespace: namespace, Name: name}
	if secret, listed := s.ahead.take(ctx, key); listed {
		return secret, nil
	}
	var secret corev1.Secret
	err := s.live.Get(ctx, key, &secret)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read Secret %s/%s: %w", namespace, name, err)
	}
	return &secret, nil
}
