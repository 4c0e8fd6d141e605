package resolve

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// A resource that is older keeps its turn for a key while its gateway is away.
func TestWhoCannotHaveAKey(t *testing.T) {
	for reason, cannot := range map[string]bool{
		"": false, v1alpha1.ReasonConflict: false, v1alpha1.ReasonKongUnreachable: false, v1alpha1.ReasonGatewayNotReady: false,
		v1alpha1.ReasonPolicyViolation: true, v1alpha1.ReasonSecretNotFound: true,
	} {
		consumer := &v1alpha1.JwtConsumer{}
		if reason != "" {
			consumer.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue, Reason: reason}}
		}
		if got := cannotHave(consumer); got != cannot {
			t.Errorf("%q: %t", reason, got)
		}
	}
}
