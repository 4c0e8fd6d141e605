package resolve

import (
	"context"
	"errors"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// answering is an API server that answers every GET with one error, or with what was asked for.
type answering struct {
	client.Reader
	err error
}

func (a answering) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return a.err
}

func TestAResourceWaitsForItsTurnAndSaysNothingOfIt(t *testing.T) {
	known := map[string]bool{"eu": true}
	gateways := Gateways{InTurn: func(gateway string) bool { return known[gateway] }}
	if err := errors.Join(gateways.AwaitTurn("eu"), Gateways{}.AwaitTurn("us")); err != nil {
		t.Error(err)
	}
	var wait *status.WaitError
	if err := gateways.AwaitTurn("us"); !errors.As(err, &wait) || !wait.Quiet || wait.After != turnPause {
		t.Errorf("got %v", err)
	}
}

func TestANamespaceThatCannotBeReadIsTakenForThere(t *testing.T) {
	namespaces := schema.GroupResource{Resource: "namespaces"}
	for what, c := range map[string]struct {
		err   error
		there bool
	}{
		"it is there":                {nil, true},
		"it is not":                  {apierrors.NewNotFound(namespaces, "dev"), false},
		"the API server fails":       {apierrors.NewInternalError(errors.New("no answer")), true},
		"the API server is away":     {errors.New("connection refused"), true},
		"nobody may read namespaces": {apierrors.NewForbidden(namespaces, "dev", nil), true},
	} {
		if there := mayBeNamespace(t.Context(), answering{err: c.err}, "dev"); there != c.there {
			t.Errorf("%s: %v", what, there)
		}
	}
}
