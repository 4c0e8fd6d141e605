package controllers

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/secrets"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// JwtConsumerReconciler keeps a consumer, its credentials, its groups and its plugins in Kong, and publishes what it generates.
type JwtConsumerReconciler struct {
	Options
	// woken takes the consumers that have to be looked at again.
	woken chan<- wakeupEvent
}

// +kubebuilder:rbac:groups=kongjwt.dev,resources=jwtconsumers,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=kongjwt.dev,resources=jwtconsumers/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=create;update;delete

func (r *JwtConsumerReconciler) setup(mgr ctrl.Manager, w *wakeupSource) error {
	r.woken = w.owners[v1alpha1.KindJwtConsumer]
	return ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.JwtConsumer{}, specOrAnnotations()).
		WatchesMetadata(&corev1.Secret{}, bySecret(r.Client, r.Secrets, v1alpha1.KindJwtConsumer, consumers), contentChanged()).
		Watches(&v1alpha1.KongGateway{}, lookup(r.Client, consumers, indexGateway, byClusterName), specChanged()).
		Watches(&corev1.Namespace{}, everythingIn(r.Client, consumers), labelsChanged()).
		Watches(&v1alpha1.JwtProtectedService{}, r.consumersNamed(), onlyWhen(serviceAccessChanged)).
		WatchesRawSource(w.forOwners(v1alpha1.KindJwtConsumer)).
		WithOptions(r.controllerOptions()).
		Complete(r)
}

// consumersNamed enqueues the consumers that a changed service names, and those that still have its group.
func (r *JwtConsumerReconciler) consumersNamed() handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, object client.Object) []reconcile.Request {
		service, ok := object.(*v1alpha1.JwtProtectedService)
		if !ok {
			return nil
		}
		var found []reconcile.Request
		if desired.NamesConsumers(service.Spec.Access) {
			if named, err := r.namedConsumers(ctx, service); err == nil {
				found = requests(&v1alpha1.JwtConsumerList{Items: named})
			}
		}
		engine, running := r.Gateways.Get(service.Spec.GatewayRef.Name)
		if !running {
			return found
		}
		for _, owner := range engine.GroupMembers(desired.AccessGroup(service.Namespace, service.Name)) {
			found = append(found, reconcile.Request{NamespacedName: client.ObjectKey{Namespace: owner.Namespace, Name: owner.Name}})
		}
		return found
	})
}

// consumerRun is one reconcile of a JwtConsumer.
type consumerRun struct {
	*JwtConsumerReconciler
	consumer *v1alpha1.JwtConsumer
	target   target
	input    desired.ConsumerInput
	// state of the credentials with generations, the Secret it was read from, what the spec asks of it, and what was seen of it.
	state    credential.State
	snapshot secrets.Snapshot
	wants    []credential.Want
	seen     map[string]credential.Seen
	// issuers are the key sets that are followed.
	issuers keySets
	// result of the last Sync.
	result engine.Result
	// formerSecrets were published and are no longer named.
	formerSecrets []string
	// keep are the ids of credentials whose material cannot be read now.
	keep []string
	// credentials as they are read and generated, in the order of the spec.
	credentials []credentialRun
	// weak lists the credentials whose secrets are shorter than they should be.
	weak []string
	// problem is the first of what is wrong with single credentials: the others go on.
	problem error
	// clash says which credentials are left out, since another has their key.
	clash error
	// former are the credentials of the status as it was read.
	former []v1alpha1.CredentialStatus
	// lingering says which generations left Kong and not yet every data plane.
	lingering []string
	// confirmed names the data planes that were as wanted when they were asked last.
	confirmed string
	// askSoon says that data planes are to be asked again.
	askSoon bool
}

// Reconcile brings Kong, and the Secrets that clients read, to what a JwtConsumer says.
func (r *JwtConsumerReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	consumer := &v1alpha1.JwtConsumer{}
	if err := r.Client.Get(ctx, req.NamespacedName, consumer); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	before := consumer.DeepCopy()
	run := &consumerRun{
		JwtConsumerReconciler: r, consumer: consumer,
		input: desired.ConsumerInput{Consumer: consumer}, seen: map[string]credential.Seen{}, former: before.Status.Credentials,
	}
	err := r.live(ctx, subject{
		object:  consumer,
		owner:   desired.ConsumerOwner(consumer.Namespace, consumer.Name),
		gateway: consumer.Spec.GatewayRef.Name,
		held:    &consumer.Status.Gateway,
		suspend: consumer.Spec.Suspend,
		retain:  consumer.Spec.DeletionPolicy == v1alpha1.DeletionPolicyRetain,
		letGo:   run.letSecretsGo,
	}, run.program)
	result, err := r.record(ctx, outcome{
		before: before, object: consumer,
		conditions: &consumer.Status.Conditions, observed: &consumer.Status.ObservedGeneration,
		changed: func() bool { return !apiequality.Semantic.DeepEqual(before.Status, consumer.Status) },
		message: run.message(), reason: run.reason(), err: err,
	})
	if err == nil {
		result.RequeueAfter = status.Sooner(result.RequeueAfter, status.Sooner(run.untilNext(), status.Sooner(run.untilKeySets(), run.untilVerified())))
	}
	return result, err
}

func (r *consumerRun) program(ctx context.Context, to target) error {
	r.target = to
	for _, phase := range []func(context.Context) error{r.withdraw, r.readCredentials, r.readKeySets, r.readConfigs, r.findGroups, r.rotate, r.verify} {
		if err := phase(ctx); err != nil {
			return r.shed(ctx, err)
		}
	}
	return errors.Join(r.problem, r.clash, r.waiting(), r.awaitKeySets(), r.leaving(ctx))
}

func (r *consumerRun) readConfigs(ctx context.Context) error {
	configs, err := r.pluginConfigs(ctx, r.consumer.Namespace, r.consumer.Spec.Plugins)
	r.input.Configs = configs
	return err
}

// findGroups collects the reserved groups of the services that name the consumer. One that a service no longer gives stays while
// that service's acl plugin still asks for it: the plugin changes first.
func (r *consumerRun) findGroups(ctx context.Context) error {
	groups, err := r.accessGroups(ctx, r.consumer)
	if err != nil {
		return err
	}
	id := desired.ConsumerID(r.target.scope, r.consumer.Namespace, r.consumer.Name)
	held := r.target.engine.Groups(id)
	staying, err := r.stayingGroups(ctx, held)
	r.input.AccessGroups = append(groups, staying...)
	return err
}

// rotate brings Kong and the Secrets for clients to what the state says, and the state to what came of it, until it rests. Each round is one step of a
// rotation at most: what is in Kong is published, what is published is promoted, what was promoted lets the former go.
func (r *consumerRun) rotate(ctx context.Context) error {
	for range roundsAtOnce {
		refused := r.sync(ctx)
		if refused != nil && !r.result.Applied {
			return refused
		}
		if err := r.publish(ctx); err != nil {
			return errors.Join(refused, err)
		}
		moved, err := r.advance(ctx)
		r.reportCredentials()
		if err != nil || refused != nil || !moved {
			return errors.Join(refused, err)
		}
	}
	return status.Wait(time.Second, v1alpha1.ReasonRotating, "the credentials are still moving; looking again")
}

// roundsAtOnce is how many rounds are gone before others get their turn.
const roundsAtOnce = 4

// sync brings Kong to what the spec and the state want.
func (r *consumerRun) sync(ctx context.Context) error {
	r.setIdentity()
	r.wantCredentials()
	r.input.Credentials, r.clash = desired.DistinctKeys(r.input.Credentials)
	set, err := desired.BuildConsumer(r.target.scope, r.target.policy, r.input)
	if err != nil {
		return err
	}
	set.Keep = r.keep
	story := driftStory{r.consumer, r.consumer.Status.ObservedGeneration, r.target.scope.Gateway, &r.consumer.Status.Conditions, &r.consumer.Status.Drift}
	r.result, err = r.target.engine.Sync(ctx, set, engine.SyncOptions{Older: r.older(ctx, r.consumer, consumers()), Drifted: story.known()})
	r.tellDrift(story, r.result)
	r.setIdentity() // what was adopted has an id of its own
	r.observe(ctx)
	if !r.result.Applied {
		r.reportCredentials()
	}
	return err
}

func (r *consumerRun) setIdentity() {
	r.consumer.Status.Username = desired.Username(r.consumer)
	r.consumer.Status.ConsumerID = r.target.engine.ActualID(desired.ConsumerID(r.target.scope, r.consumer.Namespace, r.consumer.Name))
}

// flagWeakSecrets says which secrets are shorter than RFC 7518 section 3.2 asks.
func (r *consumerRun) flagWeakSecrets() {
	message := ""
	for i, weak := range r.weak {
		if i > 0 {
			message += "; "
		}
		message += weak
	}
	status.Flag(&r.consumer.Status.Conditions, r.consumer.Generation, v1alpha1.ConditionWeakSecret, v1alpha1.ReasonShortSecret, message)
}
