package status_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/clitest"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/status"
)

// TestOneResource: its credentials with what is due, who may call, and its events; the exit says whether it works.
func TestOneResource(t *testing.T) {
	meta := func(namespace, name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: namespace, Name: name}
	}
	ready := []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonSucceeded, Message: "fine"}}
	rotation := metav1.NewTime(clitest.Now.Add(72 * time.Hour))
	worker := &v1alpha1.JwtConsumer{ObjectMeta: meta("default", "worker")}
	worker.Spec.GatewayRef.Name, worker.Spec.Groups = "main", []string{"buyers"}
	worker.Status.Conditions = ready
	worker.Status.Credentials = []v1alpha1.CredentialStatus{{
		Name: "primary", Key: "default.worker.primary", State: v1alpha1.CredentialActive, Algorithm: "HS256", SecretName: "worker", RotationTime: &rotation,
	}}
	stranger := &v1alpha1.JwtConsumer{ObjectMeta: meta("other", "stranger")}
	stranger.Spec.GatewayRef.Name = "main"
	orders := &v1alpha1.JwtProtectedService{ObjectMeta: meta("default", "orders")}
	orders.Spec.GatewayRef.Name, orders.Spec.Access = "main", &v1alpha1.Access{Groups: []string{"buyers"}}
	orders.Status.Conditions = []metav1.Condition{{
		Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonConflict, Message: "spec.serviceName: it is taken",
	}}
	open := &v1alpha1.JwtProtectedService{ObjectMeta: meta("default", "open")}
	open.Spec.GatewayRef.Name = "main"
	event := &corev1.Event{
		ObjectMeta: meta("default", "e"), Reason: "Rotated", Message: "new material", LastTimestamp: metav1.NewTime(clitest.Now.Add(-time.Hour)),
		InvolvedObject: corev1.ObjectReference{Kind: v1alpha1.KindJwtConsumer, Namespace: "default", Name: "worker"},
	}
	for reference, c := range map[string]struct {
		want  []string
		lacks string
		fails bool
	}{
		"jwtc/worker": {[]string{
			"JwtConsumer default/worker on gateway main\nReady  Succeeded: fine\n",
			"Credential primary  Active, key default.worker.primary, HS256, Secret worker, rotates in 3d\n",
			"May call  default/open, default/orders\n", "Event  60m ago, Rotated: new material\n",
		}, "Callable by", false},
		"jwtps/orders": {[]string{"Stalled  Conflict: spec.serviceName: it is taken", "Callable by  default/worker\n"}, "stranger", true},
		"jwtps/open":   {[]string{"Callable by  default/worker, other/stranger\n"}, "Event", true},
	} {
		s := clitest.New(t, worker, stranger, orders, open, event)
		err := s.Run(t, status.Command, reference)
		if errors.Is(err, env.ErrNegative) != c.fails || !c.fails && err != nil {
			t.Errorf("%s ended with %v", reference, err)
		}
		for _, part := range c.want {
			if !strings.Contains(s.Out.String(), part) {
				t.Errorf("%s: %q is not in\n%s", reference, part, s.Out)
			}
		}
		if strings.Contains(s.Out.String(), c.lacks) {
			t.Errorf("%s: %q is in\n%s", reference, c.lacks, s.Out)
		}
	}
	s := clitest.New(t)
	if err := s.Run(t, status.Command, "jwtc/a", "jwtc/b"); err == nil || !strings.Contains(err.Error(), "takes one KIND/NAME") {
		t.Errorf("two at once: %v", err)
	}
}
