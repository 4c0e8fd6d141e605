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
	for name, refused := range map[string]bool{
		"john-kongjwt-state": true, "john-kongjwt-jwks": true, "john-jwt": false, "jane-kongjwt-jwks": false,
	} {
		err := CheckSecretName("john", "spec.credentials[1]", v1alpha1.Credential{Generate: &v1alpha1.Generate{SecretName: name}})
		var stalled *status.StalledError
		if refused != (errors.As(err, &stalled) && stalled.Reason == v1alpha1.ReasonInvalidSpec) || !refused && err != nil {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if err := CheckSecretName("john", "spec.credentials[1]", v1alpha1.Credential{}); err != nil {
		t.Errorf("of a credential that is not published: %v", err)
	}
}
