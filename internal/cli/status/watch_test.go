package status_test

import (
	"context"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	. "github.com/onsi/gomega"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/clitest"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/status"
)

func TestWatchPrintsChanges(t *testing.T) {
	g := NewWithT(t)
	s := clitest.New(t, consumer("default", "john", ready()))
	out := &clitest.Screen{}
	s.Env.Out = out
	ctx, stop := context.WithCancel(t.Context())
	cmd := status.Command(s.Env)
	cmd.SetArgs([]string{"--watch"})
	done := make(chan error, 1)
	go func() { done <- cmd.ExecuteContext(ctx) }()
	g.Eventually(out.String, 10*time.Second).Should(ContainSubstring("Nothing is wrong."))

	var john v1alpha1.JwtConsumer
	g.Expect(s.Client.Get(t.Context(), clientKey("john"), &john)).To(Succeed())
	john.Status.Conditions = abnormal(v1alpha1.ConditionStalled, v1alpha1.ReasonConflict, "held by mary")
	// The watches may open after the first report: what changes before is seen by the second.
	g.Expect(s.Client.Status().Update(t.Context(), &john)).To(Succeed())
	g.Eventually(func() string {
		touched := john.DeepCopy()
		touched.Annotations = map[string]string{"touched": metav1.Now().String()}
		g.Expect(s.Client.Update(t.Context(), touched)).To(Succeed())
		john.ResourceVersion = touched.ResourceVersion
		return out.String()
	}, 10*time.Second, 200*time.Millisecond).Should(And(ContainSubstring("--- 2026-11-24T12:00:00Z"), ContainSubstring("held by mary")))
	stop()
	g.Eventually(done, 10*time.Second).Should(Receive(BeNil()), "to be interrupted is no failure")
}
