package controllers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// KongGatewayReconciler keeps an engine running for every KongGateway and says how it fares.
type KongGatewayReconciler struct {
	Options
	// planes are told how the data planes of each gateway are asked.
	planes *dataPlanes
}

// +kubebuilder:rbac:groups=kongjwt.dev,resources=konggateways,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=kongjwt.dev,resources=konggateways/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=namespaces;services,verbs=get;list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

func (r *KongGatewayReconciler) setup(mgr ctrl.Manager, w *wakeupSource) error {
	secret := func(object client.Object) (string, string) { return byNamespacedName(object) }
	return ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.KongGateway{}, specOrAnnotations()).
		WatchesMetadata(&corev1.Secret{}, lookup(r.Client, gateways, indexSecret, secret), contentChanged()).
		Watches(&v1alpha1.JwtConsumer{}, leavingOf(r.Client), onlyWhen(func(before, after *v1alpha1.JwtConsumer) bool {
			return before.Spec.GatewayRef != after.Spec.GatewayRef || before.Status.Gateway != after.Status.Gateway
		})).
		Watches(&v1alpha1.JwtProtectedService{}, leavingOf(r.Client), onlyWhen(func(before, after *v1alpha1.JwtProtectedService) bool {
			return before.Spec.GatewayRef != after.Spec.GatewayRef || before.Status.Gateway != after.Status.Gateway
		})).
		Watches(&corev1.Service{}, lookup(r.Client, gateways, indexService, byNamespacedName), contentChanged()).
		WatchesMetadata(&discoveryv1.EndpointSlice{}, lookup(r.Client, gateways, indexService, byServiceOfSlice), contentChanged()).
		WatchesRawSource(w.forGateways()).
		WithOptions(r.controllerOptions()).
		Complete(r)
}

// leavingOf enqueues the gateways that a resource uses and that are being deleted: these wait for their last user. Others have nothing to do for a
// resource that comes or goes, and thousands come when the operator starts.
func leavingOf(reader client.Reader) handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, object client.Object) []reconcile.Request {
		var names []string
		switch typed := object.(type) {
		case *v1alpha1.JwtConsumer:
			names = []string{typed.Spec.GatewayRef.Name, typed.Status.Gateway}
		case *v1alpha1.JwtProtectedService:
			names = []string{typed.Spec.GatewayRef.Name, typed.Status.Gateway}
		}
		var known v1alpha1.KongGatewayList
		if err := reader.List(ctx, &known, client.UnsafeDisableDeepCopy); err != nil {
			log.FromContext(ctx).Error(err, "Cannot look up which gateways are being deleted")
			return nil
		}
		return requestsOf(&known, func(gateway client.Object) bool {
			return !gateway.GetDeletionTimestamp().IsZero() && slices.Contains(names, gateway.GetName())
		})
	})
}

// Reconcile connects a gateway, and writes down what its engine knows.
func (r *KongGatewayReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	object := &v1alpha1.KongGateway{}
	if err := r.Client.Get(ctx, req.NamespacedName, object); err != nil {
		if client.IgnoreNotFound(err) == nil {
			r.Gateways.Remove(req.Name)
			r.planes.forget(req.Name)
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	before := object.DeepCopy()
	again, err := r.run(ctx, object)
	result, err := r.record(ctx, outcome{
		before: before, object: object,
		conditions: &object.Status.Conditions, observed: &object.Status.ObservedGeneration,
		changed: func() bool { return !apiequality.Semantic.DeepEqual(before.Status, object.Status) },
		message: readyMessage(object.Status), err: err,
	})
	result.RequeueAfter = status.Sooner(result.RequeueAfter, again)
	return result, err
}

func (r *KongGatewayReconciler) run(ctx context.Context, object *v1alpha1.KongGateway) (again time.Duration, err error) {
	if !object.DeletionTimestamp.IsZero() {
		return 0, r.release(ctx, object)
	}
	if object.Spec.Suspend {
		return 0, status.Stalled(v1alpha1.ReasonSuspended, "spec.suspend is true: nothing of this gateway is changed until it is false")
	}
	if err := r.addFinalizer(ctx, object); err != nil {
		return 0, err
	}
	settings, err := r.settings(ctx, object)
	if err != nil {
		r.Gateways.Remove(object.Name)
		return 0, err
	}
	if err := r.setProxy(ctx, object); err != nil {
		return 0, err
	}
	engine, err := r.Gateways.Ensure(object.Name, settings)
	if err != nil {
		return 0, status.Stalled(v1alpha1.ReasonInvalidSpec, "spec.adminAPI: %v", err)
	}
	if err := r.setNodes(ctx, object, engine); err != nil {
		return 0, err
	}
	engine.CheckFor(desired.Owner{Kind: v1alpha1.KindKongGateway, Name: object.Name}, object.Annotations[v1alpha1.AnnotationReconcile])
	state := engine.State()
	if err := observe(object, state); err != nil || !state.Ready {
		return 0, err
	}
	if err := r.programProbe(ctx, object, engine); err != nil {
		return 0, err
	}
	return r.prune(ctx, object, engine)
}

// release lets a deleted gateway go once nobody uses it any more.
func (r *KongGatewayReconciler) release(ctx context.Context, object *v1alpha1.KongGateway) error {
	if !controllerutil.ContainsFinalizer(object, v1alpha1.Finalizer) {
		return errReleased
	}
	users, err := r.users(ctx, object.Name)
	if err != nil {
		return err
	}
	if len(users) > 0 {
		return status.Wait(r.usersPause(), v1alpha1.ReasonDeleting, "in use by %s; it goes when they are deleted or name another gateway", abbreviate(users))
	}
	if err := r.releaseProbe(ctx, object); err != nil {
		return err
	}
	r.Gateways.Remove(object.Name)
	if err := r.removeFinalizer(ctx, object); err != nil {
		return err
	}
	log.FromContext(ctx).Info("Released the gateway")
	return errReleased
}

func (r *KongGatewayReconciler) users(ctx context.Context, name string) ([]string, error) {
	var users []string
	for kind, list := range map[string]client.ObjectList{
		v1alpha1.KindJwtConsumer: consumers(), v1alpha1.KindJwtProtectedService: services(),
	} {
		if err := r.Client.List(ctx, list, client.MatchingFields{indexGateway: name}); err != nil {
			return nil, fmt.Errorf("list the users of KongGateway %s: %w", name, err)
		}
		for _, user := range requests(list) {
			users = append(users, kind+" "+user.String())
		}
	}
	if len(users) == 0 && r.Live != nil {
		return r.usersElsewhere(ctx, name)
	}
	slices.Sort(users)
	return users, nil
}

// usersElsewhere asks the API server, page by page, for users that other processes work on: they are not in this one's cache.
func (r *KongGatewayReconciler) usersElsewhere(ctx context.Context, name string) ([]string, error) {
	const page = 500
	for kind, list := range map[string]client.ObjectList{v1alpha1.KindJwtConsumer: consumers(), v1alpha1.KindJwtProtectedService: services()} {
		for next := ""; ; {
			err := r.Live.List(ctx, list, client.Limit(page), client.Continue(next))
			if apierrors.IsForbidden(err) {
				return nil, nil // this process has no right to see others' resources
			}
			if err != nil {
				return nil, fmt.Errorf("list the users of KongGateway %s: %w", name, err)
			}
			if users := usersAmong(kind, list, name); len(users) > 0 {
				return users, nil
			}
			if next = list.GetContinue(); next == "" {
				break
			}
		}
	}
	return nil, nil
}

// usersPause is when to look again for users that no watch of this process reports.
func (r *KongGatewayReconciler) usersPause() time.Duration {
	if r.Live == nil {
		return 0
	}
	return time.Minute
}

func usersAmong(kind string, list client.ObjectList, gateway string) (users []string) {
	switch typed := list.(type) {
	case *v1alpha1.JwtConsumerList:
		for _, c := range typed.Items {
			if c.Spec.GatewayRef.Name == gateway || c.Status.Gateway == gateway {
				users = append(users, kind+" "+c.Namespace+"/"+c.Name)
			}
		}
	case *v1alpha1.JwtProtectedServiceList:
		for _, s := range typed.Items {
			if s.Spec.GatewayRef.Name == gateway || s.Status.Gateway == gateway {
				users = append(users, kind+" "+s.Namespace+"/"+s.Name)
			}
		}
	}
	return users
}

// abbreviate names the first few of many.
func abbreviate(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// observe writes what the engine knows into the status. Counts of a gateway that is away stay as they were.
func observe(object *v1alpha1.KongGateway, state engine.State) error {
	if state.KongVersion != "" {
		object.Status.KongVersion = state.KongVersion
		object.Status.Mode = v1alpha1.ModeDatabase
		if state.Database == "off" {
			object.Status.Mode = v1alpha1.ModeDBLess
		}
		object.Status.PropagationDelay = state.PropagationDelay.Round(time.Millisecond).String()
	}
	if state.Ready {
		counts := state.Told
		object.Status.Managed = &v1alpha1.ManagedEntities{
			Consumers: int32(counts.Consumers), Credentials: int32(counts.Credentials), Groups: int32(counts.Groups),
			Services: int32(counts.Services), Routes: int32(counts.Routes), Plugins: int32(counts.Plugins),
		}
		if object.Status.Mode == v1alpha1.ModeDBLess && object.Spec.Drift.Policy == v1alpha1.DriftReport {
			return status.Stalled(v1alpha1.ReasonInvalidSpec, "spec.drift.policy: a Kong without a database gets its configuration whole, "+
				"so that what somebody else changes there never stays; set it to Correct")
		}
		return nil
	}
	switch state.Reason {
	case v1alpha1.ReasonProgressing:
		wait := status.Wait(0, state.Reason, "%s", state.Message)
		wait.Quiet = object.Status.ObservedGeneration == object.Generation
		return wait
	case v1alpha1.ReasonKongUnreachable, v1alpha1.ReasonGatewayNotReady:
		return status.Wait(0, state.Reason, "%s", state.Message)
	default:
		return status.Stalled(state.Reason, "%s", state.Message)
	}
}

func readyMessage(s v1alpha1.KongGatewayStatus) string {
	return fmt.Sprintf("Connected to Kong %s (%s)", s.KongVersion, s.Mode)
}
