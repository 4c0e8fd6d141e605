package credential

import (
	"errors"
	"strings"
	"testing"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

func TestNamesOfOurOwnSecrets(t *testing.T) {
	for _, consumer := range []string{"john", strings.Repeat("c", 253), strings.Repeat("c", 200) + ".x"} {
		state, keySets := StateSecretName(consumer), JWKSSecretName(consumer)
		if len(state) > maxSecretName || len(keySets) > maxSecretName || state == keySets {
			t.Errorf("%s: %s and %s", consumer, state, keySets)
		}
	}
	if StateSecretName(strings.Repeat("c", 253)) == StateSecretName(strings.Repeat("c", 252)+"d") || JWKSSecretName(strings.Repeat("c", 253)) == JWKSSecretName(strings.Repeat("c", 252)+"d") {
		t.Error("two consumers share a Secret")
	}
}

func TestNothingIsPublishedOverOurOwnSecrets(t *testing.T) {
	publishing := func(names ...string) (list []v1alpha1.Credential) {
		for _, name := range names {
			list = append(list, v1alpha1.Credential{Name: "of-" + name, Generate: &v1alpha1.Generate{SecretName: name}})
		}
		return list
	}
	for _, names := range [][]string{{"john-kongjwt-state"}, {"john-kongjwt-jwks"}, {"same", "same"}} {
		var stalled *status.StalledError
		if err := CheckSecretNames("john", publishing(names...)); !errors.As(err, &stalled) || stalled.Reason != v1alpha1.ReasonInvalidSpec {
			t.Errorf("%v: got %v", names, err)
		}
	}
	if err := CheckSecretNames("john", publishing("one", "two", "jane-kongjwt-jwks")); err != nil {
		t.Error(err)
	}
}
