package ingress

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/barrier"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
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
		Pace{Look: time.Millisecond}, nil, engine.Start{
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
	if e.Usable(desired.ConsumerOwner("n", "c"), false) == nil {
		t.Error("a consumer may be written without definitions")
	}
	installed.Store(true)
	for event := range events {
		if event.Reason == engine.EventConnected {
			break
		}
	}
	if err := e.Usable(desired.ConsumerOwner("n", "c"), false); err != nil {
		t.Error(err)
	}
}

func TestWhatAFallbackServesWithoutItsPluginsIsSaidOfTheGateway(t *testing.T) {
	kube := interceptor.NewClient(fake.NewClientBuilder().Build(), interceptor.Funcs{
		List: func(_ context.Context, _ client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			events, is := list.(*corev1.EventList)
			if !is {
				return nil
			}
			var asked client.ListOptions
			asked.ApplyOptions(options)
			reason, _ := asked.FieldSelector.RequiresExactMatch("reason")
			if reason == "FallbackKongConfigurationTranslationFailed" {
				for _, name := range []string{"d", "b", "a", "c", "a"} {
					events.Items = append(events.Items, corev1.Event{InvolvedObject: corev1.ObjectReference{
						Kind: "HTTPRoute", Namespace: "shop", Name: name,
					}})
				}
			}
			return nil
		},
	})
	m := &monitor{rooms: &rooms{
		about: about{cluster: cluster{kube}}, link: newLink(t.Context().Done()),
	}}
	m.findLeftOut(t.Context())
	m.link.set(engine.State{Ready: true})
	want := "HTTPRoute shop/a; HTTPRoute shop/b; HTTPRoute shop/c; and 1 more"
	if state := m.link.get(); state.LeftOut != want || !state.Ready {
		t.Errorf("%+v", state)
	}
}

func TestAListingThatFailsLaterIsSaidOnceItLastsAndPausesLonger(t *testing.T) {
	var broken atomic.Bool
	var lists atomic.Int64
	kube := interceptor.NewClient(fake.NewClientBuilder().Build(), interceptor.Funcs{
		List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
			if !broken.Load() {
				return nil
			}
			lists.Add(1)
			return errors.New("no quorum")
		},
		Apply: func(context.Context, client.WithWatch, runtime.ApplyConfiguration, ...client.ApplyOption) error {
			return nil
		},
	})
	var logged atomic.Int64
	events := make(chan engine.Event, 100)
	e := Run(t.Context(), kube, Settings{Class: "kong", Namespace: "system"},
		Pace{Look: time.Millisecond, Pace: barrier.Pace{Late: 200 * time.Millisecond, Settle: time.Hour}}, nil, engine.Start{
			Scope: desired.Scope{Installation: "i", Gateway: "g"}, Now: time.Now, Pruned: func(kong.Kind) {},
			Log: funcr.New(func(_, text string) {
				if strings.Contains(text, "Cannot list") {
					logged.Add(1)
				}
			}, funcr.Options{}),
			Notify: func(event engine.Event) { events <- event },
		})
	for (<-events).Reason != engine.EventConnected {
		continue
	}
	begun := time.Now()
	broken.Store(true)
	for !strings.Contains(e.State().Message, "cannot be listed: list Secret: no quorum") {
		<-events
	}
	if lasted := time.Since(begun); lasted < 200*time.Millisecond || lists.Load() > 20 {
		t.Errorf("said after %s and %d attempts", lasted, lists.Load())
	}
	if logged.Load() == 0 {
		t.Error("not logged")
	}
	broken.Store(false)
	for strings.Contains(e.State().Message, "cannot be listed") {
		<-events
	}
}

func TestABarrierThatCannotBeWrittenIsSaidAndPausesLonger(t *testing.T) {
	var attempts atomic.Int64
	kube := interceptor.NewClient(fake.NewClientBuilder().Build(), interceptor.Funcs{
		List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error { return nil },
		Apply: func(context.Context, client.WithWatch, runtime.ApplyConfiguration, ...client.ApplyOption) error {
			attempts.Add(1)
			return errors.New("the webhook is down")
		},
	})
	events := make(chan engine.Event, 100)
	e := Run(t.Context(), kube, Settings{Class: "kong", Namespace: "system", DriftInterval: time.Hour},
		Pace{Look: time.Millisecond, Pace: barrier.Pace{Late: 200 * time.Millisecond}}, nil, engine.Start{
			Scope: desired.Scope{Installation: "i", Gateway: "g"}, Now: time.Now, Pruned: func(kong.Kind) {},
			Log: logr.Discard(), Notify: func(event engine.Event) { events <- event },
		})
	for !strings.Contains(e.State().Message, "cannot be written that tells what is taken: the webhook") {
		<-events
	}
	if attempts.Load() > 20 {
		t.Errorf("%d attempts", attempts.Load())
	}
}
