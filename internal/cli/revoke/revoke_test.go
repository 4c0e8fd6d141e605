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
	if err := s.Run(t, revoke.Command, "mobile", "--undo"); err != nil || revoked(t, s) || !strings.Contains(s.Out.String(), "the end of the revocation is requested") {
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
	if err := s.Run(t, revoke.Command, "mobile", "--yes", "--wait"); err != nil || !strings.HasSuffix(s.Out.String(), "jwtconsumer.kongjwt.dev/mobile revoked: Kong refuses its tokens\n") {
		t.Errorf("%v, %q", err, s.Out.String())
	}
	c.Status.Conditions[0].Status, c.Status.Conditions[0].Reason = metav1.ConditionFalse, v1alpha1.ReasonKongUnreachable
	s = clitest.New(t, c)
	if err := s.Run(t, revoke.Command, "mobile", "--yes", "--wait", "--timeout", "10ms"); err == nil || !strings.Contains(err.Error(), "and Kong may accept its tokens; last: KongUnreachable") {
		t.Errorf("%v", err)
	}
}

// TestRequestedIsNotDone: until the operator has acted, Kong accepts the tokens, and it is said why it may take long.
func TestRequestedIsNotDone(t *testing.T) {
	c := mobile()
	c.Status.Conditions = []metav1.Condition{{
		Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonKongUnreachable, Message: "spec.adminAPI: it is away",
	}}
	s := clitest.New(t, c)
	want := "jwtconsumer.kongjwt.dev/mobile revocation requested; Kong accepts its tokens until the operator has acted " +
		"(KongUnreachable: spec.adminAPI: it is away)\n"
	if err := s.Run(t, revoke.Command, "mobile", "--yes"); err != nil || s.Out.String() != want {
		t.Errorf("%v, %s", err, s.Out)
	}
}

// TestMany: by label, in every namespace; the number is asked for, and one that is suspended stops no other.
func TestMany(t *testing.T) {
	consumer := func(namespace, name string, suspend bool) *v1alpha1.JwtConsumer {
		c := &v1alpha1.JwtConsumer{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"team": "blue"}}}
		c.Spec.Suspend = suspend
		return c
	}
	s := clitest.New(t, consumer("a", "one", false), consumer("a", "two", true), consumer("b", "three", false), mobile())
	s.Env.Asks = func() bool { return true }
	s.In.WriteString("3\n")
	err := s.Run(t, revoke.Command, "-l", "team=blue", "-A")
	if err == nil || !strings.HasPrefix(err.Error(), "1 of 3 failed:\n  JwtConsumer a/two is suspended") {
		t.Errorf("%v", err)
	}
	if !strings.Contains(s.ErrOut.String(), "these 3 JwtConsumers is refused from now on: a/one, a/two, b/three") {
		t.Errorf("it asked %s", s.ErrOut)
	}
	for _, line := range []string{"1/3  jwtconsumer.kongjwt.dev/one -n a revocation requested", "3/3  jwtconsumer.kongjwt.dev/three -n b revocation requested"} {
		if !strings.Contains(s.Out.String(), line) {
			t.Errorf("%q is not in\n%s", line, s.Out)
		}
	}
	var all v1alpha1.JwtConsumerList
	if err := s.Client.List(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	for _, c := range all.Items {
		if want := c.Name == "one" || c.Name == "three"; c.Spec.Revoked != want {
			t.Errorf("%s is revoked: %v", c.Name, c.Spec.Revoked)
		}
	}
}
