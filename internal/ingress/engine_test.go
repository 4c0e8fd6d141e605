package ingress

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
)

func TestWithoutDefinitionsTheGatewaySaysSoAndGoesOnWhenTheyCome(t *testing.T) {
	var installed atomic.Bool
	kube := interceptor.NewClient(fake.NewClientBuilder().Build(), interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			kind := list.GetObjectKind().GroupVersionKind()
			switch {
			case kind.Group != "configuration.konghq.com":
				return nil
			case !installed.Load():
				return &apimeta.NoKindMatchError{GroupKind: schema.GroupKind{Group: kind.Group, Kind: kind.Kind}}
			}
			return nil
		},
		Apply: func(context.Context, client.WithWatch, runtime.ApplyConfiguration, ...client.ApplyOption) error {
			return errors.New("not part of this test")
		},
	})
	events := make(chan engine.Event, 100)
	e := Run(t.Context(), kube, Settings{Class: "kong", Namespace: "system", DriftInterval: time.Hour},
		Pace{Look: time.Millisecond}, engine.Start{
			Scope: desired.Scope{Installation: "i", Gateway: "g"}, Now: time.Now, Log: logr.Discard(),
			Notify: func(event engine.Event) {
				select {
				case events <- event:
				default:
				}
			},
			Pruned: func(kong.Kind) {},
		})
	<-events
	state := e.State()
	if state.Ready || state.Reason != v1alpha1.ReasonGatewayNotReady || !strings.Contains(state.Message,
		"Install the custom resource definitions") {
		t.Errorf("%+v", state)
	}
	if e.Usable(desired.ConsumerOwner("n", "c")) == nil {
		t.Error("a consumer may be written without definitions")
	}
	installed.Store(true)
	for event := range events {
		if event.Reason == engine.EventConnected {
			break
		}
	}
	if err := e.Usable(desired.ConsumerOwner("n", "c")); err != nil {
		t.Error(err)
	}
}

func TestLatenessNamesWhoHoldsUpThePushes(t *testing.T) {
	for name, b := range map[string]barrier{
		`nobody takes objects of the class "kong"`: {},
		"Kong refuses KongPlugin team-b/bad: invalid config": {confirmed: 1,
			blame: "KongPlugin team-b/bad: invalid config.minute"},
		"look whether the ingress controller runs": {confirmed: 1},
	} {
		if text := b.lateness("kong", 40*time.Second); !strings.Contains(text, name) || !strings.HasPrefix(text,
			"not taken for 40s") {
			t.Errorf("%s: %s", name, text)
		}
	}
}

func TestAKongPluginHidesAKongClusterPluginOfItsNameInItsNamespace(t *testing.T) {
	h := newHeld()
	owner := desired.ServiceOwner("team", "api")
	plugin := objects.Reference{APIVersion: objects.GroupKong, Kind: objects.KindClusterPlugin, Name: "api-1"}
	h.put(seen{Object: objects.Object{Reference: plugin, Owner: owner}})
	named := func(namespace, name string) objects.Reference {
		return objects.Reference{APIVersion: objects.GroupKong, Kind: objects.KindPlugin, Namespace: namespace, Name: name}
	}
	others := map[objects.Reference]bool{named("team", "api-2"): true, named("elsewhere", "api-1"): true}
	if found := h.hidden(others); len(found) != 0 {
		t.Errorf("%v hide it", found)
	}
	others[named("team", "api-1")] = true
	if by := h.hidden(others)[owner]; by != named("team", "api-1") {
		t.Errorf("%v hides it", by)
	}
}
