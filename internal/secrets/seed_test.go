package secrets_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

func TestSeedIsMadeOnce(t *testing.T) {
	c := newCluster(t, nil)
	first, err := c.store.Seed(t.Context(), "spec.ingressController", namespace, "seed")
	if err != nil || len(first) != 32 {
		t.Fatalf("%d bytes, %v", len(first), err)
	}
	again, err := c.store.Seed(t.Context(), "spec.ingressController", namespace, "seed")
	if err != nil || !bytes.Equal(first, again) || c.writes != 1 {
		t.Errorf("another seed, %v, after %d writes", err, c.writes)
	}
	if other, err := c.store.Seed(t.Context(), "spec.ingressController", namespace, "other"); err != nil || bytes.Equal(first, other) {
		t.Errorf("the same seed in another Secret: %v", err)
	}
}

func TestSeedLeavesOthersSecretsAlone(t *testing.T) {
	ours := map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}
	for reason, secret := range map[string]*corev1.Secret{
		v1alpha1.ReasonSecretConflict: {ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "seed"}, Data: map[string][]byte{"seed": make([]byte, 32)}},
		v1alpha1.ReasonSecretInvalid:  {ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "seed", Labels: ours}, Data: map[string][]byte{"seed": {1}}},
	} {
		c := newCluster(t, nil, secret)
		_, err := c.store.Seed(t.Context(), "spec.ingressController", namespace, "seed")
		var stalled *status.StalledError
		if !errors.As(err, &stalled) || stalled.Reason != reason || c.writes != 0 ||
			!strings.HasPrefix(err.Error(), "spec.ingressController: ") {
			t.Errorf("%v after %d writes, not %s", err, c.writes, reason)
		}
	}
}
