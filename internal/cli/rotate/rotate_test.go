package rotate_test

import (
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/clitest"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/rotate"
)

func worker(change ...func(*v1alpha1.JwtConsumer)) *v1alpha1.JwtConsumer {
	c := &v1alpha1.JwtConsumer{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "worker"},
		Spec: v1alpha1.JwtConsumerSpec{Credentials: []v1alpha1.Credential{
			{Name: "primary", Generate: &v1alpha1.Generate{SecretName: "worker-primary"}},
			{Name: "second", Generate: &v1alpha1.Generate{SecretName: "worker-second"}},
			{Name: "given", SecretRef: &v1alpha1.CredentialSecretReference{Name: "theirs"}},
			{Name: "issuer", JWKS: &v1alpha1.JWKS{URL: "https://issuer.example.com"}},
		}},
		Status: v1alpha1.JwtConsumerStatus{Credentials: []v1alpha1.CredentialStatus{generation(1, v1alpha1.CredentialActive)}},
	}
	for _, f := range change {
		f(c)
	}
	return c
}

func generation(number int64, state v1alpha1.CredentialState) v1alpha1.CredentialStatus {
	return v1alpha1.CredentialStatus{
		Name: "primary", Revision: number, State: state, SecretName: "worker-primary", Key: "worker.primary." + string(rune('0'+number)),
	}
}

func annotation(t *testing.T, s *clitest.Session) string {
	t.Helper()
	var c v1alpha1.JwtConsumer
	if err := s.Client.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "worker"}, &c); err != nil {
		t.Fatal(err)
	}
	return c.Annotations[v1alpha1.AnnotationRotate]
}

func TestAsking(t *testing.T) {
	s := clitest.New(t, worker())
	if err := s.Run(t, rotate.Command, "worker"); err != nil || s.Out.String() != "jwtconsumer.kongjwt.dev/worker rotation of primary, second requested\n" {
		t.Errorf("%v, %q", err, s.Out.String())
	}
	if got := annotation(t, s); got != "2026-11-24T12:00:00Z" {
		t.Errorf("the annotation is %q", got)
	}
	s.Clock.SetTime(clitest.Now.Add(time.Second))
	if err := s.Run(t, rotate.Command, "worker/second"); err != nil || !strings.Contains(s.Out.String(), "rotation of second requested") {
		t.Errorf("%v, %q", err, s.Out.String())
	}
	if got := annotation(t, s); got != "second=2026-11-24T12:00:01Z" {
		t.Errorf("the annotation is %q", got)
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		consumer *v1alpha1.JwtConsumer
		args     []string
		expected string
	}{
		"nobody":       {worker(), []string{"nobody"}, "not found"},
		"no such":      {worker(), []string{"worker/other"}, "has no credential other"},
		"given":        {worker(), []string{"worker/given"}, "write new content there"},
		"issuer":       {worker(), []string{"worker/issuer"}, "its issuer rotates"},
		"no generated": {worker(func(c *v1alpha1.JwtConsumer) { c.Spec.Credentials = c.Spec.Credentials[2:] }), []string{"worker"}, "no generated credential"},
		"suspended":    {worker(func(c *v1alpha1.JwtConsumer) { c.Spec.Suspend = true }), []string{"worker"}, "is suspended"},
		"bad wait":     {worker(), []string{"worker", "--wait=ever"}, "published or retired"},
	} {
		t.Run(name, func(t *testing.T) {
			s := clitest.New(t, c.consumer)
			if err := s.Run(t, rotate.Command, c.args...); err == nil || !strings.Contains(err.Error(), c.expected) {
				t.Errorf("error %v does not say %q", err, c.expected)
			}
			if got := annotation(t, s); got != "" {
				t.Errorf("it was asked for all the same: %q", got)
			}
		})
	}
}

// lives plays the operator: each status in its turn, once what came before was printed.
func TestWaitTellsTheSteps(t *testing.T) {
	retirement := metav1.NewTime(clitest.Now.Add(24 * time.Hour))
	retiring := generation(1, v1alpha1.CredentialRetiring)
	retiring.RetirementTime = &retirement
	awaiting := []metav1.Condition{{
		Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonAwaitingDataPlane,
		Message: "credential primary, generation 2, is in Kong; waiting",
	}}
	steps := []struct {
		status v1alpha1.JwtConsumerStatus
		says   string
	}{
		{v1alpha1.JwtConsumerStatus{Credentials: []v1alpha1.CredentialStatus{generation(1, v1alpha1.CredentialActive), generation(2, v1alpha1.CredentialPending)}},
			"1/5  primary: revision 2 is made, key worker.primary.2\n"},
		{v1alpha1.JwtConsumerStatus{Conditions: awaiting, Credentials: []v1alpha1.CredentialStatus{generation(1, v1alpha1.CredentialActive), generation(2, v1alpha1.CredentialPending)}},
			"2/5  primary: it is in Kong, beside the former\n     AwaitingDataPlane: credential primary"},
		{v1alpha1.JwtConsumerStatus{Credentials: []v1alpha1.CredentialStatus{generation(2, v1alpha1.CredentialActive), retiring}},
			"3/5  primary: every data plane knows it\n4/5  primary: it is published in Secret worker-primary\n     primary: the former, key worker.primary.1, retires in 24h, at 2026-11-25T12:00:00Z\n"},
		{v1alpha1.JwtConsumerStatus{Credentials: []v1alpha1.CredentialStatus{generation(2, v1alpha1.CredentialActive)}},
			"5/5  primary: the former is gone from Kong\n"},
	}
	for _, c := range []struct {
		wait string
		last int
	}{{"--wait", 3}, {"--wait=retired", 4}} {
		t.Run(c.wait, func(t *testing.T) {
			g := NewWithT(t)
			s := clitest.New(t, worker())
			out := &clitest.Screen{}
			s.Env.Out = out
			done := make(chan error, 1)
			go func() { done <- s.Run(t, rotate.Command, "worker/primary", c.wait) }()
			g.Eventually(out.String, 10*time.Second).Should(ContainSubstring("requested"))
			for _, step := range steps[:c.last] {
				var now v1alpha1.JwtConsumer
				g.Expect(s.Client.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "worker"}, &now)).To(Succeed())
				now.Status = step.status
				g.Expect(s.Client.Status().Update(t.Context(), &now)).To(Succeed())
				g.Eventually(out.String, 10*time.Second).Should(ContainSubstring(step.says))
			}
			g.Eventually(done, 10*time.Second).Should(Receive(BeNil()))
		})
	}
}

func TestWaitEnds(t *testing.T) {
	s := clitest.New(t, worker())
	err := s.Run(t, rotate.Command, "worker/primary", "--wait", "--timeout", "10ms")
	if err == nil || !strings.Contains(err.Error(), "did not come to its end in time; last: Progressing: no operator") {
		t.Errorf("error %v", err)
	}
}

// What is on its way was never published: it is what was asked for.
func TestWaitTakesWhatIsOnItsWay(t *testing.T) {
	s := clitest.New(t, worker(func(c *v1alpha1.JwtConsumer) {
		c.Status.Credentials = append(c.Status.Credentials, generation(2, v1alpha1.CredentialPending))
	}))
	g := NewWithT(t)
	out := &clitest.Screen{}
	s.Env.Out = out
	done := make(chan error, 1)
	go func() { done <- s.Run(t, rotate.Command, "worker/primary", "--wait") }()
	g.Eventually(out.String, 10*time.Second).Should(ContainSubstring("1/5"))
	var now v1alpha1.JwtConsumer
	g.Expect(s.Client.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "worker"}, &now)).To(Succeed())
	now.Status.Credentials = []v1alpha1.CredentialStatus{generation(2, v1alpha1.CredentialActive)}
	g.Expect(s.Client.Status().Update(t.Context(), &now)).To(Succeed())
	g.Eventually(done, 10*time.Second).Should(Receive(BeNil()))
}

// TestRotatingWhatIsRevoked: new material is made while nothing is in Kong, and what was in use before the revocation
// is not taken for it.
func TestRotatingWhatIsRevoked(t *testing.T) {
	g := NewWithT(t)
	out := &clitest.Screen{}
	s := clitest.New(t, worker(func(c *v1alpha1.JwtConsumer) {
		c.Spec.Revoked = true
		// In use until the revocation.
		c.Status.Credentials = []v1alpha1.CredentialStatus{generation(3, v1alpha1.CredentialPending)}
	}))
	s.Env.Out = out
	done := make(chan error, 1)
	go func() { done <- s.Run(t, rotate.Command, "worker/primary", "--wait") }()
	g.Eventually(out.String, 10*time.Second).Should(ContainSubstring("requested"))
	g.Consistently(done, time.Second).ShouldNot(Receive())
	var now v1alpha1.JwtConsumer
	g.Expect(s.Client.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "worker"}, &now)).To(Succeed())
	now.Status.Credentials = []v1alpha1.CredentialStatus{generation(4, v1alpha1.CredentialPending)}
	g.Expect(s.Client.Status().Update(t.Context(), &now)).To(Succeed())
	g.Eventually(done, 10*time.Second).Should(Receive(BeNil()))
	g.Expect(out.String()).To(ContainSubstring("comes into Kong once spec.revoked is false"))
}

// TestAfterALeak: all of every namespace, with the end of the overlap; what has nothing to rotate is skipped.
func TestAfterALeak(t *testing.T) {
	given := worker(func(c *v1alpha1.JwtConsumer) { c.Name, c.Spec.Credentials = "given", c.Spec.Credentials[2:] })
	elsewhere := worker(func(c *v1alpha1.JwtConsumer) { c.Namespace = "other" })
	s := clitest.New(t, worker(), given, elsewhere)
	if err := s.Run(t, rotate.Command, "--all", "-A", "--revoke-previous"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"1/3  jwtconsumer.kongjwt.dev/given -n default skipped: it has no generated credential",
		"2/3  jwtconsumer.kongjwt.dev/worker -n default rotation of primary, second requested",
		"3/3  jwtconsumer.kongjwt.dev/worker -n other rotation of primary, second requested",
	} {
		if !strings.Contains(s.Out.String(), want) {
			t.Errorf("%q is not in\n%s", want, s.Out)
		}
	}
	var c v1alpha1.JwtConsumer
	if err := s.Client.Get(t.Context(), client.ObjectKey{Namespace: "other", Name: "worker"}, &c); err != nil {
		t.Fatal(err)
	}
	if value := c.Annotations[v1alpha1.AnnotationRotate]; value == "" || c.Annotations[v1alpha1.AnnotationRevokePrevious] != value {
		t.Errorf("the annotations are %v", c.Annotations)
	}
}
