// Package gateway reconciles KongGateways: it keeps an engine for each, its data planes and what it prunes.
//
// A reconcile keeps one engine a gateway in the registry, with the settings of the spec, its Secrets and the pods of
// Kong as they are (settings.go, nodes.go), copies what the engine says of Kong into the status (status.go), keeps the
// route that data planes are asked by (probe.go, dataplanes.go, claims.go), and prunes (prune.go). The engine does the
// rest in its own goroutine, and wakes this controller by engine.Event when something of its state has changed. The
// reconcilers of the other kinds find the engine in the registry.
//
// A gateway in deletion stays connected until its last user has left (deletion.go): users are taken out of Kong by its
// engine.
package gateway

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/controllers/lifecycle"
	"github.com/kongjwt/kong-jwt-operator/controllers/watch"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/index"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress"
	"github.com/kongjwt/kong-jwt-operator/internal/resolve"
	"github.com/kongjwt/kong-jwt-operator/internal/secrets"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// Reconciler keeps an engine running for every KongGateway and says how it fares.
type Reconciler struct {
	*lifecycle.Lifecycle
	Options
	secrets *secrets.Store
	engines *engine.Registry
	// planes are told how the data planes of each gateway are asked. controllers.Setup gives the consumers the
	// same, which ask them.
	planes *DataPlanes
}

// Options of the controller.
type Options struct {
	// Live reads past the cache, where other processes work on some of the resources; nil where the cache has all.
	Live client.Reader
	// Direct reads past the cache: before something is deleted because its resource is gone.
	Direct client.Reader
	// Objects writes the objects of an ingress controller, past the cache.
	Objects client.WithWatch
	// Namespaces are those that this process works on; none: all.
	Namespaces []string
	// Inputs reads what gateways refer to.
	Inputs resolve.Inputs
	// Now is the clock.
	Now func() time.Time
	// Pace is that of engines for ingress controllers; the real one where it is zero.
	Pace ingress.Pace
}

// New makes the reconciler of KongGateways. It tells planes how to ask the data planes.
func New(life *lifecycle.Lifecycle, store *secrets.Store, planes *DataPlanes, options Options) *Reconciler {
	return &Reconciler{Lifecycle: life, Options: options, secrets: store, engines: life.Gateways.Engines, planes: planes}
}

// +kubebuilder:rbac:groups=kongjwt.dev,resources=konggateways,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=kongjwt.dev,resources=konggateways/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=namespaces;services,verbs=get;list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Setup adds the controller to a manager. woken are the gateways whose engines noticed something.
func (r *Reconciler) Setup(mgr ctrl.Manager, woken source.Source, options controller.Options) error {
	const kind = v1alpha1.KindKongGateway
	build := ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.KongGateway{}, watch.OwnChanged()).
		WatchesMetadata(&corev1.Secret{}, watch.Naming(r.Client, kind, index.Secret, watch.ByNamespacedName), watch.ContentChanged()).
		Watches(&corev1.Service{}, watch.Naming(r.Client, kind, index.Service, watch.ByNamespacedName), watch.ContentChanged()).
		WatchesMetadata(&discoveryv1.EndpointSlice{},
			watch.Naming(r.Client, kind, index.Service, watch.ByServiceOfSlice), watch.ContentChanged()).
		WatchesRawSource(woken).
		WithOptions(options)
	for _, users := range v1alpha1.GatewayUserKinds() {
		build = build.Watches(users.New(), deletedGatewaysOf(r.Client), watch.AfterStartWhen(changedGateway))
	}
	return build.
		Watches(&v1alpha1.JwtProtectedService{}, gatewaysWithClaims(), watch.AfterStartWhen(claimsChanged)).
		Complete(r)
}

// Reconcile connects a gateway, and writes down what its engine knows.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	object := &v1alpha1.KongGateway{}
	if err := r.Client.Get(ctx, req.NamespacedName, object); err != nil {
		if client.IgnoreNotFound(err) == nil {
			// Also without a finalizer: somebody took it off, or an earlier process finished the deletion.
			// What is in Kong stays there.
			r.engines.Remove(req.Name)
			r.planes.forget(req.Name)
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	before := object.DeepCopy()
	again, err := r.run(ctx, object)
	// Nothing is written: the status is true, and the request comes back by its rate limit.
	if r.isPassing(object.Name, err) {
		return ctrl.Result{}, err
	}
	if note, older := desired.VersionChange(before.Status.KongVersion, object.Status.KongVersion); note != "" {
		kind := corev1.EventTypeNormal
		if older {
			kind = corev1.EventTypeWarning
		}
		r.Event(object, kind, v1alpha1.EventKongVersionChanged, "Connect", note)
	}
	result, err := r.WriteStatus(ctx, lifecycle.Outcome{Before: before, Object: object, Message: readyMessage(object.Status), Err: err})
	if err != nil {
		return ctrl.Result{}, err // it backs off
	}
	result.RequeueAfter = status.Sooner(result.RequeueAfter, again)
	return result, nil
}

// run does one reconciliation, and says when the next has to be, where no change asks for it. An error before observe
// leaves the status of Kong as it was. suspend leaves the engine running for the heartbeat, and resolve.Gateways
// refuses it to users.
func (r *Reconciler) run(ctx context.Context, object *v1alpha1.KongGateway) (again time.Duration, err error) {
	if !object.DeletionTimestamp.IsZero() {
		return 0, r.release(ctx, object)
	}
	if object.Spec.Suspend {
		return 0, status.Stalled(v1alpha1.ReasonSuspended, "spec.suspend: is true, and nothing of this gateway is changed. Set it to false to go on.")
	}
	// Before the engine: from then on there may be users, and they need the gateway for as long as they are there.
	if err := r.AddFinalizer(ctx, object); err != nil {
		return 0, err
	}
	engine, err := r.connect(ctx, object)
	if err != nil {
		return 0, err
	}
	engine.Relist(desired.GatewayOwner(object.Name), object.Annotations[v1alpha1.AnnotationReconcile])
	state := engine.State()
	if err := observe(object, state); err != nil || !state.Ready {
		return 0, err
	}
	look, failed := r.askDataPlanes(ctx, object, engine) // what belongs to nobody goes all the same
	again, err = r.prune(ctx, object, engine)
	return status.Sooner(again, look), errors.Join(failed, err)
}

// ConnectAll connects the gateways that the cache has, before the controller works: what their Kongs hold is listed
// while the cache catches up with what else decisions rest on. Nothing of a resource is written. It goes by connect,
// since an engine that is there is used: how data planes are asked has to be known before. Where it cannot be done the
// reconcile says why.
func (r *Reconciler) ConnectAll(ctx context.Context) {
	var gateways v1alpha1.KongGatewayList
	if err := r.Client.List(ctx, &gateways); err != nil {
		return
	}
	for i := range gateways.Items {
		object := &gateways.Items[i]
		if object.Spec.IngressController != nil || object.Spec.Suspend || !controllerutil.ContainsFinalizer(object, v1alpha1.Finalizer) {
			continue
		}
		_, _ = r.connect(ctx, object)
	}
}

// connect keeps the engine of a gateway as the spec, the Secrets and the pods of Kong are now. A read that fails
// leaves the engine as it is: it says nothing of what is there. An engine with other settings is a new one, which
// lists Kong before it writes: credentials of the Admin API that are rotated cost a listing, and no user notices more
// than a wait.
func (r *Reconciler) connect(ctx context.Context, object *v1alpha1.KongGateway) (engine.Programmer, error) {
	if object.Spec.IngressController != nil {
		return r.connectIngress(ctx, object)
	}
	settings, err := r.settings(ctx, object)
	var stalled *status.StalledError
	// A Secret is known to be missing or wrong: the engine would go on with a token that somebody has taken away.
	if errors.As(err, &stalled) {
		r.engines.Remove(object.Name)
	}
	if err != nil {
		return nil, err
	}
	// A gateway in deletion leaves Kong whether or not its data planes can be asked.
	if err := r.setProxy(ctx, object); err != nil && object.DeletionTimestamp.IsZero() {
		return nil, err
	}
	running, err := r.engines.Ensure(object.Name, settings)
	if err != nil {
		return nil, status.Stalled(v1alpha1.ReasonInvalidSpec, "spec.adminAPI: %v. Correct that.", err)
	}
	// After Ensure: only the engine knows whether this Kong has a database.
	return running, r.setNodes(ctx, object, running)
}

// isPassing says whether an error is a failed read or write of Kubernetes while the engine is ready: the gateway is as
// it was, and so is what its status says. A finalizer that is being removed is no such error: ErrReleased ends the
// status.
func (r *Reconciler) isPassing(gateway string, err error) bool {
	if _, failure := status.Next(err); failure == nil || errors.Is(err, lifecycle.ErrReleased) {
		return false
	}
	running, found := r.engines.Get(gateway)
	return found && running.State().Ready
}
