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
		"john": "KIND/NAME", "jwtc/": "KIND/NAME", "a/b/c": "KIND/NAME", "pod/a": "no kind of the operator's", "jwtc/nobody": "not found",
	} {
		s := clitest.New(t)
		if err := s.Run(t, reconcile.Command, text); err == nil || !strings.Contains(err.Error(), expected) {
			t.Errorf("%s: error %v does not say %q", text, err, expected)
		}
	}
}
