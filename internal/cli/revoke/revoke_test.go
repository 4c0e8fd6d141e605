package revoke_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/clitest"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/revoke"
)

func mobile() *v1alpha1.JwtConsumer {
	return &v1alpha1.JwtConsumer{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "mobile"}}
}

func revoked(t *testing.T, s *clitest.Session) bool {
	t.Helper()
	var c v1alpha1.JwtConsumer
	if err := s.Client.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "mobile"}, &c); err != nil {
		t.Fatal(err)
	}
	return c.Spec.Revoked
}

func TestItAsks(t *testing.T) {
	for answer, expected := range map[string]bool{"mobile\n": true, "mobile": true, "yes\n": false, "\n": false, "": false} {
		s := clitest.New(t, mobile())
		s.Env.Asks = func() bool { return true }
		s.In.WriteString(answer)
		err := s.Run(t, revoke.Command, "mobile")
		if (err == nil) != expected || revoked(t, s) != expected {
			t.Errorf("%q: %v", answer, err)
		}
		if !strings.Contains(s.ErrOut.String(), "Type its name") {
			t.Errorf("%q: it asked %q", answer, s.ErrOut.String())
		}
	}
}

func TestWithoutATerminal(t *testing.T) {
	s := clitest.New(t, mobile())
	s.In.WriteString("mobile\n")
	if err := s.Run(t, revoke.Command, "mobile"); err == nil || !strings.Contains(err.Error(), "--yes") || revoked(t, s) {
		t.Errorf("%v", err)
	}
	if err := s.Run(t, revoke.Command, "mobile", "--yes"); err != nil || !revoked(t, s) || s.ErrOut.Len() > 0 {
		t.Errorf("%v, %q", err, s.ErrOut.String())
	}
	if err := s.Run(t, revoke.Command, "mobile", "--undo"); err != nil || revoked(t, s) || !strings.Contains(s.Out.String(), "no longer revoked") {
		t.Errorf("%v", err)
	}
}

func TestWhoPutsItBackIsNamed(t *testing.T) {
	for by, marks := range map[string]metav1.ObjectMeta{
		"Argo CD": {Annotations: map[string]string{"argocd.argoproj.io/tracking-id": "a"}},
		"Flux":    {Labels: map[string]string{"kustomize.toolkit.fluxcd.io/name": "a"}},
		"Helm":    {Labels: map[string]string{"app.kubernetes.io/managed-by": "Helm"}},
	} {
		c := mobile()
		c.Labels, c.Annotations = marks.Labels, marks.Annotations
		s := clitest.New(t, c)
		if err := s.Run(t, revoke.Command, "mobile", "--yes"); err != nil || !strings.Contains(s.ErrOut.String(), "warning: "+by) {
			t.Errorf("%s: %v, %q", by, err, s.ErrOut.String())
		}
	}
}

func TestSuspended(t *testing.T) {
	c := mobile()
	c.Spec.Suspend = true
	s := clitest.New(t, c)
	if err := s.Run(t, revoke.Command, "mobile", "--yes"); err == nil || !strings.Contains(err.Error(), "stay in Kong until spec.suspend is false") || revoked(t, s) {
		t.Errorf("%v", err)
	}
}

func TestWait(t *testing.T) {
	c := mobile()
	c.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonRevoked, Message: "its credentials are revoked"}}
	s := clitest.New(t, c)
	if err := s.Run(t, revoke.Command, "mobile", "--yes", "--wait"); err != nil || !strings.Contains(s.Out.String(), "Revoked: its credentials are revoked") {
		t.Errorf("%v, %q", err, s.Out.String())
	}
	c.Status.Conditions[0].Status = metav1.ConditionFalse
	s = clitest.New(t, c)
	if err := s.Run(t, revoke.Command, "mobile", "--yes", "--wait", "--timeout", "10ms"); err == nil || !strings.Contains(err.Error(), "not finished in time") {
		t.Errorf("%v", err)
	}
}
