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
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
)

// JwtProtectedServiceReconciler keeps a service, its plugins and its routes in Kong.
type JwtProtectedServiceReconciler struct{ Options }

// +kubebuilder:rbac:groups=kongjwt.dev,resources=jwtprotectedservices,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=kongjwt.dev,resources=jwtprotectedservices/status,verbs=patch

func (r *JwtProtectedServiceReconciler) setup(mgr ctrl.Manager, w *wakeupSource) error {
	return ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.JwtProtectedService{}, specOrAnnotations()).
		WatchesMetadata(&corev1.Secret{}, lookup(r.Client, services, indexSecret, bySameNamespaceName), contentChanged()).
		Watches(&corev1.Service{}, lookup(r.Client, services, indexService, bySameNamespaceName), contentChanged()).
		Watches(&v1alpha1.KongGateway{}, lookup(r.Client, services, indexGateway, byClusterName), specChanged()).
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
	if r.service.Spec.Upstream == nil || r.service.Spec.Upstream.ServiceRef == nil {
		return nil
	}
	ref := r.service.Spec.Upstream.ServiceRef
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
	story := driftStory{r.service, r.service.Status.ObservedGeneration, r.target.scope.Gateway, &r.service.Status.Conditions, &r.service.Status.Drift}
	result, err := r.target.engine.Sync(ctx, set, engine.SyncOptions{Older: r.older(ctx, r.service, services()), Drifted: story.known()})
	r.tellDrift(story, result)
	r.setEntities()
	return err
}

// setEntities writes down where in Kong everything is: what was adopted has ids of its own.
func (r *serviceRun) setEntities() {
	s := &r.service.Status
	s.ServiceName = ""
	if r.service.Spec.AttachTo == nil {
		s.ServiceName = desired.ServiceName(r.service)
	}
	s.ServiceID, s.Routes, s.Plugins = desired.ServiceEntities(r.target.scope, r.service)
	if s.ServiceID != "" {
		s.ServiceID = r.target.engine.ActualID(s.ServiceID)
	}
	for _, entities := range [][]v1alpha1.EntityStatus{s.Routes, s.Plugins} {
		for i := range entities {
			entities[i].KongID = r.target.engine.ActualID(entities[i].KongID)
		}
	}
}

func (r *serviceRun) message() string {
	if to := desired.AttachTarget(r.service); to != nil {
		names := make([]string, 0, len(r.service.Status.Plugins))
		for _, plugin := range r.service.Status.Plugins {
			names = append(names, plugin.Name)
		}
		return fmt.Sprintf("Plugins are in Kong on %s, which is not this operator's: %s", to, abbreviate(names))
	}
	names := make([]string, 0, len(r.service.Status.Routes))
	for _, route := range r.service.Status.Routes {
		names = append(names, route.Name)
	}
	return fmt.Sprintf("Service %s is in Kong, protected; routes: %s", r.service.Status.ServiceName, abbreviate(names))
}
