package complete_test

import (
	"slices"
	"testing"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/clitest"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/complete"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
)

func TestNames(t *testing.T) {
	in := func(namespace, name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: namespace, Name: name}
	}
	john := &v1alpha1.JwtConsumer{ObjectMeta: in("default", "john")}
	john.Spec.Credentials = []v1alpha1.Credential{{Name: "primary"}, {Name: "second"}}
	s := clitest.New(t, john, &v1alpha1.JwtConsumer{ObjectMeta: in("default", "adam")}, &v1alpha1.JwtConsumer{ObjectMeta: in("team", "mary")},
		&v1alpha1.JwtProtectedService{ObjectMeta: in("default", "orders")}, &v1alpha1.JwtProtectedService{ObjectMeta: in("team", "stock")},
		&v1alpha1.KongGateway{ObjectMeta: in("", "main")}, &corev1.Namespace{ObjectMeta: in("", "team")})
	cmd := &cobra.Command{}
	cmd.SetContext(t.Context())
	for _, c := range []struct {
		about    string
		complete func(*env.Env) complete.Func
		args     []string
		typed    string
		want     []string
	}{
		{"consumers", complete.Consumer, nil, "", []string{"adam", "john"}},
		{"credentials", complete.Consumer, nil, "john/", []string{"john/primary", "john/second"}},
		{"one consumer is enough", complete.Consumer, []string{"john"}, "", nil},
		{"services", complete.Services, nil, "", []string{"orders"}},
		{"services elsewhere", complete.Services, nil, "team/", []string{"team/stock"}},
		{"consumers elsewhere", complete.QualifiedConsumers, nil, "team/m", []string{"team/mary"}},
		{"gateways", complete.Gateways, nil, "", []string{"main"}},
		{"namespaces", complete.Namespaces, nil, "", []string{"team"}},
		{"contexts", complete.Contexts, nil, "", []string{"here"}},
	} {
		got, directive := c.complete(s.Env)(cmd, c.args, c.typed)
		if !slices.Equal(got, c.want) || directive != cobra.ShellCompDirectiveNoFileComp {
			t.Errorf("%s: %v, directive %d", c.about, got, directive)
		}
	}
}
