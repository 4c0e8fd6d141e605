package controllers

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/gateway"
)

// JwtProtectedServiceReconciler keeps a service, its plugins and its routes in Kong.
type JwtProtectedServiceReconciler struct{ Options }

// +kubebuilder:rbac:groups=kongjwt.dev,resources=jwtprotectedservices,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=kongjwt.dev,resources=jwtprotectedservices/status,verbs=patch
// +kubebuilder:rbac:groups=kongjwt.dev,resources=jwtprotectedservices/finalizers,verbs=update

func (r *JwtProtectedServiceReconciler) setup(mgr ctrl.Manager, w *wakeupSource) error {
	return ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.JwtProtectedService{}, specOrAnnotations()).
		WatchesMetadata(&corev1.Secret{}, lookup(r.Client, services, indexSecret, bySameNamespaceName), contentChanged()).
		Watches(&corev1.Service{}, lookup(r.Client, services, indexService, bySameNamespaceName), contentChanged()).
		Watches(&v1alpha1.KongGateway{}, lookup(r.Client, services, indexGateway, byClusterName), specOrAnnotations()).
		Watches(&corev1.Namespace{}, everythingIn(r.Client, services), labelsChanged()).
		Watches(&v1alpha1.JwtConsumer{}, r.servicesNaming(), onlyWhen(accessChanged)).
		WatchesRawSource(w.forOwners(v1alpha1.KindJwtProtectedService)).
		WithOptions(r.controllerOptions()).
		Complete(r)
}

// serviceRun is one reconcile of a JwtProtectedService.
type serviceRun struct {
	*JwtProtectedServiceReconciler
	service *v1alpha1.JwtProtectedService
	target  target
	input   desired.ServiceInput
}

// Reconcile brings Kong to what a JwtProtectedService says.
func (r *JwtProtectedServiceReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	service := &v1alpha1.JwtProtectedService{}
	if err := r.Client.Get(ctx, req.NamespacedName, service); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	before := service.DeepCopy()
	run := &serviceRun{JwtProtectedServiceReconciler: r, service: service, input: desired.ServiceInput{Service: service}}
	err := r.live(ctx, subject{
		object:  service,
		owner:   desired.ServiceOwner(service.Namespace, service.Name),
		gateway: service.Spec.GatewayRef.Name,
		held:    &service.Status.Gateway,
		suspend: service.Spec.Suspend,
		retain:  service.Spec.DeletionPolicy == v1alpha1.DeletionPolicyRetain,
		refused: desired.CheckService(service.Spec),
		letGo:   func(context.Context) error { return nil },
	}, run.program)
	return r.record(ctx, outcome{
		before: before, object: service,
		conditions: &service.Status.Conditions, observed: &service.Status.ObservedGeneration,
		changed: func() bool { return !apiequality.Semantic.DeepEqual(before.Status, service.Status) },
		message: run.message(), err: err,
	})
}

func (r *serviceRun) program(ctx context.Context, to target) error {
	r.target = to
	for _, phase := range []func(context.Context) error{r.findUpstream, r.readConfigs, r.findConsumers, r.sync} {
		if err := phase(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (r *serviceRun) findUpstream(ctx context.Context) error {
	ref := r.service.Spec.Upstream.ServiceRef
	if ref == nil {
		return nil
	}
	var found corev1.Service
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: r.service.Namespace, Name: ref.Name}, &found)
	if apierrors.IsNotFound(err) {
		return nil // Build says what is missing
	}
	if err != nil {
		return fmt.Errorf("get Service %s/%s: %w", r.service.Namespace, ref.Name, err)
	}
	r.input.Upstream = &found
	return nil
}

func (r *serviceRun) readConfigs(ctx context.Context) error {
	configs, err := r.pluginConfigs(ctx, r.service.Namespace, servicePlugins(r.service))
	if err != nil {
		return err
	}
	r.input.Configs = configs
	limit := r.service.Spec.RateLimit
	if limit == nil || limit.Redis == nil || limit.Redis.PasswordSecretRef == nil {
		return nil
	}
	ref := limit.Redis.PasswordSecretRef
	password, err := r.Secrets.Key(ctx, "spec.rateLimit.redis.passwordSecretRef", r.service.Namespace, ref.Name, ref.Key)
	r.input.RedisPassword = string(password)
	return err
}

// findConsumers names the rows that the consumers of spec.access need before the acl plugin may ask for them.
func (r *serviceRun) findConsumers(ctx context.Context) error {
	if !desired.NamesConsumers(r.service.Spec.Access) {
		return nil
	}
	named, err := r.namedConsumers(ctx, r.service)
	if err != nil {
		return err
	}
	group := desired.AccessGroup(r.service.Namespace, r.service.Name)
	for i := range named {
		if expectsRow(&named[i], r.service.Spec.GatewayRef.Name) {
			id := desired.ConsumerID(r.target.scope, named[i].Namespace, named[i].Name)
			r.input.AccessRows = append(r.input.AccessRows, desired.ACLRow{ConsumerID: id, Group: group})
		}
	}
	return nil
}

func (r *serviceRun) sync(ctx context.Context) error {
	set, err := desired.BuildService(r.target.scope, r.target.policy, r.input)
	if err != nil {
		return err
	}
	_, err = r.target.engine.Sync(ctx, set, gateway.SyncOptions{Older: r.older(ctx, r.service, services())})
	r.service.Status.ServiceName = desired.ServiceName(r.service)
	r.service.Status.ServiceID, r.service.Status.Routes, r.service.Status.Plugins = desired.ServiceEntities(r.target.scope, r.service)
	return err
}

func (r *serviceRun) message() string {
	names := make([]string, 0, len(r.service.Status.Routes))
	for _, route := range r.service.Status.Routes {
		names = append(names, route.Name)
	}
	return fmt.Sprintf("Service %s is in Kong, protected; routes: %s", r.service.Status.ServiceName, abbreviate(names))
}
