// Package clitest runs subcommands of kubectl kongjwt in tests, against a fake client.
package clitest

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	testingclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
)

// Now is what a Session's clock says at first.
var Now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// kubeconfig names a cluster that nothing connects to, and a namespace.
const kubeconfig = `{apiVersion: v1, kind: Config, current-context: here,
clusters: [{name: here, cluster: {server: "http://127.0.0.1:1"}}],
contexts: [{name: here, context: {cluster: here, namespace: default}}]}
`

// Session is a terminal that is none, in front of a cluster that is none.
type Session struct {
	Env             *env.Env
	In, Out, ErrOut *bytes.Buffer
	// Client is the cluster. Status is a subresource, as it is in a real one.
	Client client.WithWatch
	Clock  *testingclock.FakePassiveClock
}

// New makes a Session whose cluster holds the objects, and whose namespace is default.
func New(t testing.TB, objects ...client.Object) *Session {
	t.Helper()
	scheme, err := env.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	kube := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
		WithStatusSubresource(&v1alpha1.KongGateway{}, &v1alpha1.JwtConsumer{}, &v1alpha1.JwtProtectedService{}, &v1alpha1.JwtToken{}).
		Build()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, []byte(kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	streams, in, out, errOut := genericiooptions.NewTestIOStreams()
	s := &Session{Env: env.New("test", streams), In: in, Out: out, ErrOut: errOut, Client: kube, Clock: testingclock.NewFakePassiveClock(Now)}
	s.Env.Flags.KubeConfig = &path
	s.Env.NewClient = func() (client.WithWatch, error) { return kube, nil }
	s.Env.Clock = s.Clock
	return s
}

// Run runs a subcommand as the root command does, with kubectl's own flags. What was printed before is forgotten.
func (s *Session) Run(t testing.TB, subcommand func(*env.Env) *cobra.Command, args ...string) error {
	t.Helper()
	s.Out.Reset()
	s.ErrOut.Reset()
	cmd := subcommand(s.Env)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetIn(s.In)
	cmd.SetOut(s.Out)
	cmd.SetErr(s.ErrOut)
	s.Env.Flags.AddFlags(cmd.PersistentFlags())
	cmd.SetArgs(args)
	return cmd.ExecuteContext(t.Context())
}
