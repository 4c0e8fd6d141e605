package controllers

import (
	"context"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
)

// newWakeups has two consumers and a service on the gateway "eu", and a consumer on another.
func newWakeups(t *testing.T) *wakeupSource {
	t.Helper()
	scheme := runtime.NewScheme()
	NewWithT(t).Expect(v1alpha1.AddToScheme(scheme)).To(Succeed())
	consumer := func(name, on string) client.Object {
		return &v1alpha1.JwtConsumer{
			ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: name}, Spec: v1alpha1.JwtConsumerSpec{GatewayRef: v1alpha1.GatewayReference{Name: on}},
		}
	}
	builder := fake.NewClientBuilder().WithScheme(scheme).WithObjects(
		consumer("john", "eu"), consumer("jane", "eu"), consumer("joe", "us"),
		&v1alpha1.JwtProtectedService{
			ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "shop"},
			Spec:       v1alpha1.JwtProtectedServiceSpec{GatewayRef: v1alpha1.GatewayReference{Name: "eu"}},
		})
	for _, i := range allIndexes {
		builder.WithIndex(i.object, i.name, i.stored)
	}
	return newWakeupSource(Options{Client: builder.Build()})
}

// heard is what controllers are told of an event, as "kind namespace/name", with "later" where it can wait.
func heard(t *testing.T, w *wakeupSource, e engine.Event) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	passed := make(chan struct{})
	go func() {
		defer close(passed)
		w.pass(ctx, e)
	}()
	var told []string
	note := func(kind string, who wakeup) {
		text := kind + " " + who.key.String()
		if who.resync {
			text += " later"
		}
		told = append(told, text)
	}
	for {
		select {
		case e := <-w.gateways:
			note(v1alpha1.KindKongGateway, e.Object)
		case e := <-w.owners[v1alpha1.KindJwtConsumer]:
			note(v1alpha1.KindJwtConsumer, e.Object)
		case e := <-w.owners[v1alpha1.KindJwtProtectedService]:
			note(v1alpha1.KindJwtProtectedService, e.Object)
		case <-passed:
			slices.Sort(told)
			return told
		}
	}
}

func TestWhoIsWoken(t *testing.T) {
	john := desired.ConsumerOwner("a", "john")
	for name, c := range map[string]struct {
		event engine.Event
		told  []string
	}{
		"all on a gateway that has come up": {
			engine.Event{Gateway: "eu", Reason: engine.EventConnected},
			[]string{"JwtConsumer a/jane later", "JwtConsumer a/john later", "JwtProtectedService a/shop later", "KongGateway /eu"},
		},
		"the gateway alone whose state changed": {engine.Event{Gateway: "eu", Reason: engine.EventChanged}, []string{"KongGateway /eu"}},
		"who waited for what is free now":       {engine.Event{Gateway: "eu", Owner: &john, Reason: engine.EventFreed}, []string{"JwtConsumer a/john"}},
		"who waited for the gateway, later":     {engine.Event{Gateway: "eu", Owner: &john, Reason: engine.EventRecovered}, []string{"JwtConsumer a/john later"}},
		"whose entities drifted, later":         {engine.Event{Gateway: "eu", Owner: &john, Reason: engine.EventDrift}, []string{"JwtConsumer a/john later"}},
		"the gateway whose own entities drifted": {
			engine.Event{Gateway: "eu", Owner: &desired.Owner{Kind: v1alpha1.KindKongGateway, Name: "eu"}, Reason: engine.EventDrift},
			[]string{"KongGateway /eu"},
		},
		"nobody, of a kind that no controller has": {
			engine.Event{Gateway: "eu", Owner: &desired.Owner{Kind: "Other", Name: "x"}, Reason: engine.EventFreed}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			NewWithT(t).Expect(heard(t, newWakeups(t), c.event)).To(Equal(c.told))
		})
	}
}

func TestNobodyIsToldWhenTheManagerStops(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	newWakeups(t).pass(ctx, engine.Event{Gateway: "eu", Reason: engine.EventConnected}) // nobody listens: it would block
}

func TestWhatChangedGoesBeforeWhatIsLookedAtAgain(t *testing.T) {
	g := NewWithT(t)
	queue := priorityqueue.New[reconcile.Request]("wakeups")
	defer queue.ShutDown()
	for _, who := range []wakeup{
		{client.ObjectKey{Namespace: "a", Name: "resynced"}, true},
		{client.ObjectKey{Namespace: "a", Name: "both"}, true},
		{client.ObjectKey{Namespace: "a", Name: "changed"}, false},
		{client.ObjectKey{Namespace: "a", Name: "both"}, false},
	} {
		enqueue(t.Context(), wakeupEvent{Object: who}, queue)
	}
	var order []string
	for range 3 {
		request, _ := queue.Get()
		order = append(order, request.Name)
		queue.Done(request)
	}
	g.Expect(order[:2]).To(ConsistOf("changed", "both"))
	g.Expect(order[2]).To(Equal("resynced"))
}

func TestAQueueWithoutPrioritiesTakesBoth(t *testing.T) {
	g := NewWithT(t)
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
	defer queue.ShutDown()
	enqueue(t.Context(), wakeupEvent{Object: wakeup{client.ObjectKey{Name: "changed"}, false}}, queue)
	enqueue(t.Context(), wakeupEvent{Object: wakeup{client.ObjectKey{Name: "resynced"}, true}}, queue)
	g.Expect(queue.Len()).To(Equal(2))
}
