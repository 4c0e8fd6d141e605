package controllers

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/controllers/lifecycle"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/index"
)

type requestQueue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// controllerQueue is the workqueue of one controller, which is there once the controller starts. The workqueue
// deduplicates, and takes any number of requests: nobody who adds one waits.
type controllerQueue struct {
	// mu guards both fields: engines add from their own goroutines, before and after the controller starts.
	mu    sync.Mutex
	queue requestQueue
	// early are the requests of before the controller started: whether each may come after what was changed.
	early map[client.ObjectKey]bool
}

// start takes the queue of the controller, and adds what came before there was one.
func (q *controllerQueue) start(queue requestQueue) {
	q.mu.Lock()
	early := q.early
	q.queue, q.early = queue, nil
	q.mu.Unlock()
	for _, key := range slices.SortedFunc(maps.Keys(early), byName) {
		enqueue(queue, []reconcile.Request{{NamespacedName: key}}, early[key])
	}
}

// byName is the order of the API server's listings. What is looked at in it takes the operator's own Secrets in the
// order in which they are read ahead (secrets.Store.ReadAhead).
func byName(a, b client.ObjectKey) int { return strings.Compare(a.String(), b.String()) }

// add has a resource reconciled. later says that nothing of it was changed in Kubernetes: those that were changed go
// first.
func (q *controllerQueue) add(key client.ObjectKey, later bool) {
	q.addAll([]reconcile.Request{{NamespacedName: key}}, later)
}

// addAll has resources reconciled, as add does, in their order. They come into the queue at once: no worker takes
// another between the first and the last.
func (q *controllerQueue) addAll(requests []reconcile.Request, later bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.queue != nil {
		enqueue(q.queue, requests, later)
		return
	}
	if q.early == nil {
		q.early = map[client.ObjectKey]bool{}
	}
	for _, request := range requests {
		known, found := q.early[request.NamespacedName]
		// A request that was once added as urgent stays so: a later one may only confirm that it can wait.
		q.early[request.NamespacedName] = later && (known || !found)
	}
}

// enqueue adds requests; later puts them behind what was changed in Kubernetes.
func enqueue(queue requestQueue, requests []reconcile.Request, later bool) {
	byPriority, ok := queue.(priorityqueue.PriorityQueue[reconcile.Request])
	if ok && later {
		byPriority.AddWithOpts(priorityqueue.AddOpts{Priority: new(lifecycle.LaterPriority)}, requests...)
		return
	}
	for _, request := range requests {
		queue.Add(request)
	}
}

// eventRouter leads what the engines notice in Kong to the queues of the controllers.
type eventRouter struct {
	reader client.Reader
	// queues of the controllers, by kind.
	queues map[string]*controllerQueue
	// connected are the gateways whose users are to be enqueued.
	connected workqueue.TypedInterface[string]
	// turns have for each gateway a channel that is closed when its users were put into the queues.
	turns sync.Map
}

// turn is closed when the users of a gateway are in the queues in their order, since its engine first came up in this
// process.
func (r *eventRouter) turn(gateway string) chan struct{} {
	turn, _ := r.turns.LoadOrStore(gateway, make(chan struct{}))
	return turn.(chan struct{})
}

// hasEnqueued says whether the turn of a gateway's users has come.
func (r *eventRouter) hasEnqueued(gateway string) bool {
	select {
	case <-r.turn(gateway):
		return true
	default:
		return false
	}
}

// newEventRouter makes a router with a queue for each kind.
func newEventRouter(reader client.Reader) *eventRouter {
	router := &eventRouter{
		reader: reader, queues: map[string]*controllerQueue{}, connected: workqueue.NewTyped[string](),
	}
	for _, kind := range v1alpha1.ResourceKinds() {
		router.queues[kind.Name] = &controllerQueue{}
	}
	return router
}

// Route has reconciled whatever an event concerns. It does not block: engines call it.
func (r *eventRouter) Route(e engine.Event) {
	if e.Owner != nil {
		if queue, known := r.queues[e.Owner.Kind]; known {
			// An outage or a drift concerns thousands of resources at once. They go behind what a person
			// has just changed. Where the owner is a KongGateway it goes first: all its users wait for it.
			later := e.Reason == engine.EventRecovered || e.Reason == engine.EventDrift
			queue.add(client.ObjectKey{Namespace: e.Owner.Namespace, Name: e.Owner.Name}, later && e.Owner.Namespace != "")
		}
		return
	}
	// Without an owner the event is about the gateway itself.
	r.queues[v1alpha1.KindKongGateway].add(client.ObjectKey{Name: e.Gateway}, false)
	if e.Reason == engine.EventConnected {
		// The users are looked up by Start: a list of thousands is too slow for the engine's goroutine, which
		// calls this.
		r.connected.Add(e.Gateway)
	}
}

// Start enqueues the users of gateways whose engine has just come up, until the manager stops. It implements
// manager.Runnable. The error is always nil: a list that fails is logged, and the users are woken by the next change
// of theirs.
func (r *eventRouter) Start(ctx context.Context) error {
	stop := context.AfterFunc(ctx, r.connected.ShutDown)
	defer stop()
	for {
		gateway, stopped := r.connected.Get()
		if stopped {
			return nil
		}
		r.enqueueUsers(ctx, gateway)
		r.connected.Done(gateway)
	}
}

// enqueueUsers enqueues everything on a gateway whose engine has just come up: nothing else tells those that waited
// for it. All are looked up and sorted before the first of them may work: see hasEnqueued. What was deleted or changed
// while nobody looked goes first: access may have to be taken away.
func (r *eventRouter) enqueueUsers(ctx context.Context, gateway string) {
	type lot struct {
		kind  string
		later bool
	}
	users := map[lot][]reconcile.Request{}
	for _, kind := range v1alpha1.GatewayUserKinds() {
		err := index.ForEach(ctx, r.reader, kind.Name, index.Gateway, "", gateway, func(user v1alpha1.Resource) {
			to := lot{kind.Name, !lifecycle.IsUrgent(user)}
			users[to] = append(users[to], reconcile.Request{NamespacedName: client.ObjectKeyFromObject(user)})
		})
		if err != nil {
			log.FromContext(ctx).Error(err, "Cannot look up who uses a KongGateway", "gateway", gateway, "kind", kind.Name)
		}
	}
	for to, requests := range users {
		slices.SortFunc(requests, func(a, b reconcile.Request) int { return byName(a.NamespacedName, b.NamespacedName) })
		r.queues[to.kind].addAll(requests, to.later)
	}
	if !r.hasEnqueued(gateway) {
		close(r.turn(gateway))
	}
}
