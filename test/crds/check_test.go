package crds

import (
	"strings"
	"testing"

	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/internal/cli/check"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/clitest"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
)

// TestCheckKnowsItsOwnDefinitions: what an API server makes of the definitions is no difference to the plugin.
func TestCheckKnowsItsOwnDefinitions(t *testing.T) {
	s := clitest.New(t)
	s.Env.NewClientset = func() (kubernetes.Interface, error) { return kubernetes.NewForConfig(serving) }
	s.Env.NewClient = func() (client.WithWatch, error) {
		scheme, err := env.Scheme()
		if err != nil {
			return nil, err
		}
		return client.NewWithWatch(serving, client.Options{Scheme: scheme})
	}
	_ = s.Run(t, check.Command) // no operator runs here
	if !strings.Contains(s.Out.String(), "they are those of this plugin") {
		t.Errorf("%s%s", s.Out, s.ErrOut)
	}
}
