package controllers

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/index"
)

// newRouter has two consumers and a service on the gateway "eu", and a consumer on another.
func newRouter(t *testing.T, more ...client.Object) *eventRouter {
	t.Helper()
	scheme := runtime.NewScheme()
	NewWithT(t).Expect(v1alpha1.AddToScheme(scheme)).To(Succeed())
	consumer := func(name, on string) client.Object {
		return &v1alpha1.JwtConsumer{
			ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: name},
			Spec:       v1alpha1.JwtConsumerSpec{GatewayRef: v1alpha1.GatewayReference{Name: on}},
		}
	}
	builder := fake.NewClientBuilder().WithScheme(scheme).WithObjects(
		consumer("john", "eu"), consumer("jane", "eu"), consumer("joe", "us"),
		&v1alpha1.JwtProtectedService{
			ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "shop"},
			Spec:       v1alpha1.JwtProtectedServiceSpec{GatewayRef: v1alpha1.GatewayReference{Name: "eu"}},
		}).WithObjects(more...).WithInterceptorFuncs(interceptor.Funcs{List: inAnyOrder})
	NewWithT(t).Expect(index.Each(func(object client.Object, name string, values client.IndexerFunc) error {
		builder.WithIndex(object, name, values)
		return nil
	})).To(Succeed())
	return newEventRouter(builder.Build())
}

// inAnyOrder lists as a cache does.
func inAnyOrder(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
	if err := c.List(ctx, list, options...); err != nil {
		return err
	}
	if consumers, ok := list.(*v1alpha1.JwtConsumerList); ok {
		slices.Reverse(consumers.Items)
	}
	return nil
}

// enqueued is what is in the queues, as "kind namespace/name", with "later" where it can wait.
func enqueued(router *eventRouter) []string {
	var found []string
	for kind, queue := range router.queues {
		queue.mu.Lock()
		for key, later := range queue.early {
			text := kind + " " + key.String()
			if later {
				text += " later"
			}
			found = append(found, text)
		}
		queue.mu.Unlock()
	}
	slices.Sort(found)
	return found
}

func TestEventsReachTheQueuesOfTheControllers(t *testing.T) {
	john := desired.ConsumerOwner("a", "john")
	for name, c := range map[string]struct {
		event    engine.Event
		enqueued []string
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
			g := NewWithT(t)
			router := newRouter(t)
			ctx, stop := context.WithCancel(t.Context())
			stopped := make(chan error)
			go func() { stopped <- router.Start(ctx) }()
			router.Route(c.event)
			g.Eventually(func() []string { return enqueued(router) }).Should(Equal(c.enqueued))
			stop()
			g.Expect(<-stopped).To(Succeed())
		})
	}
}

// An engine that reports something never waits: no controller has started, and nobody takes anything out.
func TestRoutingDoesNotBlock(t *testing.T) {
	g := NewWithT(t)
	router := newRouter(t)
	routed := make(chan struct{})
	go func() {
		defer close(routed)
		for range 10_000 {
			router.Route(engine.Event{Gateway: "eu", Reason: engine.EventConnected})
		}
	}()
	g.Eventually(routed).WithTimeout(10 * time.Second).Should(BeClosed())
	g.Expect(router.connected.Len()).To(Equal(1), "the users of a gateway are looked up once")
}

func TestRequestsOfBeforeTheStartReachTheQueue(t *testing.T) {
	g := NewWithT(t)
	var queue controllerQueue
	john := client.ObjectKey{Namespace: "a", Name: "john"}
	queue.add(john, true)
	queue.add(john, true)
	requests := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
	defer requests.ShutDown()
	queue.start(requests)
	g.Expect(requests.Len()).To(Equal(1))
	queue.add(client.ObjectKey{Namespace: "a", Name: "jane"}, false)
	g.Expect(requests.Len()).To(Equal(2))
}

func TestWhatChangedGoesBeforeWhatIsLookedAtAgain(t *testing.T) {
	g := NewWithT(t)
	queue := priorityqueue.New[reconcile.Request]("requests")
	defer queue.ShutDown()
	for _, request := range []struct {
		name  string
		later bool
	}{{"resynced", true}, {"both", true}, {"changed", false}, {"both", false}} {
		key := client.ObjectKey{Namespace: "a", Name: request.name}
		enqueue(queue, []reconcile.Request{{NamespacedName: key}}, request.later)
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

func TestWhatWasChangedWhileNobodyLookedGoesFirst(t *testing.T) {
	changed := &v1alpha1.JwtConsumer{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "jim", Generation: 2}}
	changed.Spec.GatewayRef.Name, changed.Status.ObservedGeneration = "eu", 1
	made := &v1alpha1.JwtConsumer{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "new", Generation: 1}}
	made.Spec.GatewayRef.Name = "eu"
	router := newRouter(t, changed, made)
	router.enqueueUsers(t.Context(), "eu")
	NewWithT(t).Expect(enqueued(router)).To(Equal([]string{
		"JwtConsumer a/jane later", "JwtConsumer a/jim", "JwtConsumer a/john later", "JwtConsumer a/new later",
		"JwtProtectedService a/shop later",
	}))
}

// What is looked at in the order of names takes its Secrets in the order in which they are read ahead: in any other
// order thousands of them would be held, or read one by one.
func TestUsersOfAGatewayAreLookedAtInTheOrderOfNames(t *testing.T) {
	for when, started := range map[string]bool{"before the controller starts": false, "after it started": true} {
		t.Run(when, func(t *testing.T) {
			g := NewWithT(t)
			const many = 50
			var names []string
			var objects []client.Object
			for i := range many {
				c := &v1alpha1.JwtConsumer{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: fmt.Sprintf("c-%02d", i)}}
				c.Spec.GatewayRef.Name = "asia"
				names, objects = append(names, c.Name), append(objects, c)
			}
			router := newRouter(t, objects...)
			requests := priorityqueue.New[reconcile.Request]("requests")
			defer requests.ShutDown()
			low := handler.LowPriority
			for i := range objects { // as an informer lists them
				key := client.ObjectKeyFromObject(objects[many-1-i])
				requests.AddWithOpts(priorityqueue.AddOpts{Priority: &low}, reconcile.Request{NamespacedName: key})
			}
			queue := router.queues[v1alpha1.KindJwtConsumer]
			if started {
				queue.start(requests)
			}
			g.Expect(router.hasEnqueued("asia")).To(BeFalse(), "who comes before has to wait")
			router.enqueueUsers(t.Context(), "asia")
			g.Expect(router.hasEnqueued("asia")).To(BeTrue())
			if !started {
				queue.start(requests)
			}
			var order []string
			for range many {
				request, _ := requests.Get()
				order = append(order, request.Name)
				requests.Done(request)
			}
			g.Expect(order).To(Equal(names))
		})
	}
}
