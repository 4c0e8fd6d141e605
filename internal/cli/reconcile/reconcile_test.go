package reconcile_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/clitest"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/reconcile"
)

func TestEveryKindByItsNames(t *testing.T) {
	local := metav1.ObjectMeta{Namespace: "default", Name: "a"}
	objects := []client.Object{
		&v1alpha1.KongGateway{ObjectMeta: metav1.ObjectMeta{Name: "a"}}, &v1alpha1.JwtConsumer{ObjectMeta: local},
		&v1alpha1.JwtProtectedService{ObjectMeta: local}, &v1alpha1.JwtToken{ObjectMeta: local},
	}
	for i, names := range [][]string{
		{"kgw", "konggateway", "KongGateways"}, {"jwtc", "jwtconsumers", "jwtconsumer.kongjwt.dev"}, {"jwtps", "JwtProtectedService"}, {"jwtt", "jwttoken"},
	} {
		for _, name := range names {
			s := clitest.New(t, objects...)
			if err := s.Run(t, reconcile.Command, name+"/a"); err != nil {
				t.Fatal(err)
			}
			for j, object := range objects {
				now := object.DeepCopyObject().(client.Object)
				if err := s.Client.Get(t.Context(), client.ObjectKeyFromObject(object), now); err != nil {
					t.Fatal(err)
				}
				if asked := now.GetAnnotations()[v1alpha1.AnnotationReconcile] == "2026-11-24T12:00:00Z"; asked != (i == j) {
					t.Errorf("%s: %T was asked for: %v", name, object, asked)
				}
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	for text, expected := range map[string]string{
		"john": "KIND/NAME", "jwtc/": "KIND/NAME", "jwtc/b/c": "KIND/NAME", "pod/a": "no kind of the operator's", "jwtc/nobody": "not found",
	} {
		s := clitest.New(t)
		if err := s.Run(t, reconcile.Command, text); err == nil || !strings.Contains(err.Error(), expected) {
			t.Errorf("%s: error %v does not say %q", text, err, expected)
		}
	}
}

// TestSuspendAndResume: every kind, and --wait until it is Ready.
func TestSuspendAndResume(t *testing.T) {
	local := metav1.ObjectMeta{Namespace: "default", Name: "a"}
	ready := []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonSucceeded}}
	for name, object := range map[string]v1alpha1.Resource{
		"kgw/a":   &v1alpha1.KongGateway{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Status: v1alpha1.KongGatewayStatus{Conditions: ready}},
		"jwtc/a":  &v1alpha1.JwtConsumer{ObjectMeta: local, Status: v1alpha1.JwtConsumerStatus{Conditions: ready}},
		"jwtps/a": &v1alpha1.JwtProtectedService{ObjectMeta: local, Status: v1alpha1.JwtProtectedServiceStatus{Conditions: ready}},
		"jwtt/a":  &v1alpha1.JwtToken{ObjectMeta: local, Status: v1alpha1.JwtTokenStatus{Conditions: ready}},
	} {
		s := clitest.New(t, object.(client.Object))
		suspended := func() bool {
			if err := s.Client.Get(t.Context(), client.ObjectKeyFromObject(object.(client.Object)), object.(client.Object)); err != nil {
				t.Fatal(err)
			}
			return object.IsSuspended()
		}
		if err := s.Run(t, reconcile.Suspend, name); err != nil || !suspended() {
			t.Errorf("%s: %v, %s", name, err, s.Out)
		}
		if err := s.Run(t, reconcile.Command, name, "--wait", "--timeout", "10ms"); err == nil || !strings.Contains(err.Error(), "is not Ready in time") {
			t.Errorf("%s: waiting for what is suspended: %v", name, err)
		}
		if err := s.Run(t, reconcile.Resume, name, "--wait"); err != nil || suspended() || !strings.HasSuffix(s.Out.String(), "/a is Ready\n") {
			t.Errorf("%s: %v, %s", name, err, s.Out)
		}
	}
}
