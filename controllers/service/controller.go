// Package service reconciles JwtProtectedServices.
//
// A reconcile looks up the upstream, the Secrets of plugins and the consumers that a selector admits, has
// desired.BuildService make entities of them under the gateway's policy, and hands these to Engine.Sync. The rules
// that keep a route closed until its plugins run are the engine's (internal/engine/propagation). Here are those of
// Kubernetes: the Service that requests go to, the budget of a namespace, the data planes that do not check claims.
// What Kong takes and what does not do what its author means is told by conditions beside Ready (mistakes.go,
// audience.go).
//
// A service names more than any other kind, and most of the watches are there so that a change of something else is
// noticed at once: a consumer whose labels a selector matches, one that is named before it exists, a Service that
// turns into an ExternalName.
package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/controllers/lifecycle"
	"github.com/kongjwt/kong-jwt-operator/controllers/watch"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/index"
	"github.com/kongjwt/kong-jwt-operator/internal/resolve"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// Reconciler keeps a service, its plugins and its routes in Kong.
type Reconciler struct {
	*lifecycle.Lifecycle
	inputs resolve.Inputs
	// One for all workers: two services of a namespace that are reconciled at once may not both take what is left
	// of its budget.
	ledger *ledger
	now    func() time.Time
}

// New makes the reconciler of JwtProtectedServices. now is the clock.
func New(life *lifecycle.Lifecycle, inputs resolve.Inputs, now func() time.Time) *Reconciler {
	return &Reconciler{Lifecycle: life, inputs: inputs, ledger: &ledger{}, now: now}
}

// +kubebuilder:rbac:groups=kongjwt.dev,resources=jwtprotectedservices,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=kongjwt.dev,resources=jwtprotectedservices/status,verbs=patch

// Setup adds the controller to a manager. woken are the services that have to be looked at again.
func (r *Reconciler) Setup(mgr ctrl.Manager, woken source.Source, options controller.Options) error {
	const kind = v1alpha1.KindJwtProtectedService
	return ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.JwtProtectedService{}, watch.OwnChanged()).
		WatchesMetadata(&corev1.Secret{}, watch.Naming(r.Client, kind, index.Secret, watch.ByName), watch.ContentChanged()).
		WatchesMetadata(&corev1.Secret{}, r.countingIn(), watch.ContentChanged()).
		Watches(&corev1.Service{}, watch.Naming(r.Client, kind, index.Service, watch.ByName), watch.ContentChanged()).
		Watches(&v1alpha1.KongGateway{}, watch.Naming(r.Client, kind, index.Gateway, watch.ByClusterName), watch.AfterStartWhen(gatewayChanged)).
		Watches(&corev1.Namespace{}, watch.AllIn(r.Client, kind), watch.LabelsChanged()).
		Watches(&v1alpha1.JwtConsumer{}, r.servicesSelecting(), watch.OnlyWhen(consumerChanged)).
		Watches(&v1alpha1.JwtProtectedService{}, r.overBudget(), watch.WhenOrGone(takesLess)).
		Watches(&v1alpha1.JwtConsumer{}, r.servicesMissing(), watch.AfterStartWhen(namesChanged)).
		Watches(&v1alpha1.JwtConsumer{}, r.servicesForAnyAudience(), watch.AfterStartWhen(audienceChanged)).
		WatchesRawSource(woken).
		WithOptions(options).
		Complete(r)
}

// servicesSelecting enqueues the services that may select a changed consumer.
func (r *Reconciler) servicesSelecting() handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, consumer client.Object) []reconcile.Request {
		selecting, err := r.inputs.ServicesSelecting(ctx, consumer)
		if err != nil {
			log.FromContext(ctx).Error(err, "Cannot look up the services that select a consumer")
			return nil
		}
		return index.Requests(&v1alpha1.JwtProtectedServiceList{Items: selecting})
	})
}

// countingIn enqueues the services that count their rate limit in a Redis whose password changed. Its Secret is named
// by a gateway's policy and not by the service, so that the index of Secrets does not have it.
func (r *Reconciler) countingIn() handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, secret client.Object) (found []reconcile.Request) {
		counting, err := r.inputs.ServicesCountingIn(ctx, secret)
		if err != nil {
			log.FromContext(ctx).Error(err, "Cannot look up the services that a Redis password is for")
		}
		for _, key := range counting {
			found = append(found, reconcile.Request{NamespacedName: key})
		}
		return found
	})
}

// consumerChanged says whether a consumer's change may matter to the services that select it. Creations and deletions
// pass watch.OnlyWhen without it.
func consumerChanged(before, after *v1alpha1.JwtConsumer) bool {
	return before.Spec.GatewayRef != after.Spec.GatewayRef || !labels.Equals(before.Labels, after.Labels)
}

// Reconcile brings Kong to what a JwtProtectedService says.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	service := &v1alpha1.JwtProtectedService{}
	if err := r.Client.Get(ctx, req.NamespacedName, service); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	before := service.DeepCopy()
	run := &reconciliation{Reconciler: r, service: service, former: service.Status.Gateway, input: desired.ServiceInput{Service: service}}
	// A service has no Secrets of its own that a deletion would have to let go of.
	err := r.Run(ctx, service, nil, run.program)
	return r.WriteStatus(ctx, lifecycle.Outcome{Before: before, Object: service, Message: run.message(r.now()), Err: err})
}

// reconciliation is one reconcile of a JwtProtectedService.
type reconciliation struct {
	*Reconciler
	service *v1alpha1.JwtProtectedService
	// former is the gateway that it was on.
	former  string
	gateway resolve.Gateway
	input   desired.ServiceInput
	// excess says that a selector matches more consumers than it admits.
	excess error
	// selected says that it is known whom the selector admits.
	selected bool
	// synced says that whom the service does not let in any more is shut out by the Sync.
	synced bool
	// unchecked says that a data plane does not check claims.
	unchecked error
	// everywhere is how long it takes until each Kong node has to serve the routes, where something was written
	// now. It is zero where nothing was written: the message of Ready then says what it said.
	everywhere time.Duration
}

// program goes through the phases of a service whose gateway can be used. The first error ends it; what is mistaken
// without being refused is reported at the end. findUpstream comes first: where requests may go nowhere the routes
// have to leave Kong, whatever else is wrong. sync is the one phase that puts entities, and all that may refuse the
// service comes before it. reportMistakes comes last: it is about what Kong has, and a service that is refused is told
// of the refusal alone.
func (r *reconciliation) program(ctx context.Context, gateway resolve.Gateway) error {
	r.gateway = gateway
	if r.former != r.service.Status.Gateway {
		r.ledger.leave(r.service)
	}
	// It needs nothing but the spec, and so is told also where a phase fails.
	status.Flag(&r.service.Status.Conditions, r.service.Generation,
		v1alpha1.ConditionNoExpiry, v1alpha1.ReasonExpiryNotVerified, desired.NoExpiry(r.service))
	for _, phase := range []func(context.Context) error{
		r.shut, r.findUpstream, r.selectConsumers, r.readSecrets, r.checkAudience, r.checkDataPlanes, r.sync, r.reportMistakes,
	} {
		if err := phase(ctx); err != nil {
			return r.narrowAccess(ctx, err)
		}
	}
	return errors.Join(r.excess, r.unchecked)
}

// narrowAccess shuts out whom the service does not let in any more, though it cannot be programmed, whatever is wrong
// with it: access that is taken away goes first. Nobody is let in, as what is to protect the service may be missing.
// Where it is not known whom the selector admits, nobody is shut out.
func (r *reconciliation) narrowAccess(ctx context.Context, cause error) error {
	if r.synced || !r.selected {
		return cause
	}
	access := desired.BuildAccess(r.gateway.Scope, r.gateway.Policy, r.input)
	if r.service.Spec.Access == nil &&
		(len(access.Entities) == 0 || !r.gateway.Engine.InKong(access.Entities[0].ID, false)) {
		return cause // a policy that becomes stricter takes nothing away
	}
	_, err := r.gateway.Engine.NarrowAccess(ctx, access)
	var stalled *status.StalledError
	if err == nil || errors.As(err, &stalled) {
		return cause
	}
	return err // it is tried again
}

// shut takes the routes out of Kong while something else is taken instead of a plugin, whatever else is wrong with the
// resource; Sync says why.
func (r *reconciliation) shut(ctx context.Context) error {
	owner := desired.ServiceOwner(r.service.Namespace, r.service.Name)
	if r.service.Spec.AttachTo != nil || r.gateway.Engine.Unprotected(owner) == nil {
		return nil
	}
	_, err := r.gateway.Engine.RemoveRoutes(ctx, owner)
	return err
}

// findUpstream looks up the Service that requests go to. Where it may get none, the routes leave Kong at once,
// whatever else is wrong with the resource; desired.BuildService says why. A Service of type ExternalName leads to any
// host that its author writes, past the policy for upstreams, and one that is gone may come back as such: Kong
// resolves the name again and again, and would follow.
func (r *reconciliation) findUpstream(ctx context.Context) (err error) {
	r.input.Upstream, err = r.inputs.UpstreamService(ctx, r.service)
	if err != nil || !desired.LosesUpstream(r.service, r.input.Upstream) {
		return err
	}
	_, err = r.gateway.Engine.RemoveRoutes(ctx, desired.ServiceOwner(r.service.Namespace, r.service.Name))
	if err == nil {
		r.service.Status.Routes, r.service.Status.Paths = nil, nil
	}
	return err
}

// readSecrets reads what the plugins' configurations have in Secrets.
func (r *reconciliation) readSecrets(ctx context.Context) (err error) {
	if r.input.Configs, err = r.inputs.PluginConfigs(ctx, r.service); err != nil {
		return err
	}
	server := r.gateway.Policy.RedisOf(r.service)
	r.input.RedisPassword, err = r.inputs.RedisPassword(ctx, r.gateway.Policy.Gateway, server)
	return err
}

// selectConsumers looks up whom the selector of spec.access admits. Where it matches too many, some are left out, and
// that is said in the end.
func (r *reconciliation) selectConsumers(ctx context.Context) error {
	matched, err := r.inputs.SelectedConsumers(ctx, r.service)
	if err != nil {
		return err
	}
	r.input.Selected, r.excess = desired.Select(matched)
	r.selected = true
	return nil
}

// sync brings Kong to what the service wants. A service that this Kong cannot run is looked at again after an upgrade.
// The error is that of policy, of the budget or of Engine.Sync.
func (r *reconciliation) sync(ctx context.Context) error {
	r.input.Kong = r.gateway.Engine.Capabilities()
	set, err := desired.BuildService(r.gateway.Scope, r.gateway.Policy, r.input)
	if err != nil {
		r.gateway.Engine.AwaitUpgrade(desired.ServiceOwner(r.service.Namespace, r.service.Name))
		return err
	}
	// After BuildService, so that nothing counts that policy refuses anyway, and before Kong gets anything.
	if err := r.keepToBudget(ctx); err != nil {
		return err
	}
	result, err := r.gateway.Engine.Sync(ctx, set, engine.SyncOptions{
		Older: resolve.OlderWith(ctx, r.Client, r.service, func(other *v1alpha1.JwtProtectedService) []desired.UniqueKey {
			return desired.ServiceClaims(r.gateway.Policy, other)
		}),
		Drifted:  lifecycle.KnownDrift(r.service),
		Attached: wasAttached(r.service),
	})
	// Before the error is looked at: a Sync that fails half way may have put something back, and has written
	// entities.
	var stalled *status.StalledError
	r.synced = result.Applied || !errors.As(err, &stalled)
	r.ReportDrift(r.service, r.gateway.Scope.Gateway, result)
	r.service.Status.ServedBy = result.ServedBy
	r.reportEntities()
	if result.Writes > 0 {
		r.everywhere = r.everywhereIn()
	}
	return err
}

// wasAttached says whether a service's plugins were on what its spec names now: its status outlives this process. The
// engine behind an ingress controller forgets it with the process. Without it a restart could not tell plugins that
// somebody took off, which leaves requests unprotected, from plugins that were never put on.
func wasAttached(service *v1alpha1.JwtProtectedService) bool {
	ready := apimeta.FindStatusCondition(service.Status.Conditions, v1alpha1.ConditionReady)
	lost := ready != nil && ready.Reason == v1alpha1.ReasonUnprotected
	return service.Spec.AttachTo != nil && service.Status.ObservedGeneration == service.Generation &&
		(lost || len(service.Status.Plugins) > 0)
}

// reportEntities writes down where in Kong everything is: what was adopted has ids of its own. The ids of former
// entities stay in the lists while Kong has them: a route that waits for the propagation delay is still open.
func (r *reconciliation) reportEntities() {
	s := &r.service.Status
	s.ServiceName = ""
	if r.service.Spec.AttachTo == nil {
		s.ServiceName = desired.ServiceName(r.service)
	}
	id, routes, plugins := desired.ServiceEntities(r.gateway.Scope, r.gateway.Policy, r.service)
	if actual := r.gateway.Engine.ActualID(id); r.gateway.Engine.InKong(id, s.ServiceID == actual) {
		s.ServiceID = actual
	} else {
		s.ServiceID = ""
	}
	s.Routes, s.Plugins = r.held(routes, s.Routes), r.held(plugins, s.Plugins)
	s.Paths = nil
	for _, route := range r.service.Spec.Routes {
		if slices.ContainsFunc(s.Routes, func(held v1alpha1.EntityStatus) bool { return held.Name == route.Name }) {
			s.Paths = append(s.Paths, route.Paths...)
		}
	}
}

// held are the entities that Kong has, of those that it shall have and of those that it had.
func (r *reconciliation) held(wanted, former []v1alpha1.EntityStatus) []v1alpha1.EntityStatus {
	var held []v1alpha1.EntityStatus
	for _, entity := range slices.Concat(wanted, former) {
		id := entity.KongID
		entity.KongID = r.gateway.Engine.ActualID(id)
		if !slices.Contains(held, entity) && r.gateway.Engine.InKong(id, slices.Contains(former, entity)) {
			held = append(held, entity)
		}
	}
	return held
}

// everywhereIn is how long it takes until each Kong node has to serve the routes.
func (r *reconciliation) everywhereIn() (longest time.Duration) {
	_, routes, _ := desired.ServiceEntities(r.gateway.Scope, r.gateway.Policy, r.service)
	for _, route := range routes {
		_, remaining := r.gateway.Engine.Standing(route.KongID)
		longest = max(longest, remaining)
	}
	return longest
}

// message is Ready's. It says from when each node serves the routes: one was asked, and others look for changes by
// timers of their own. What was said of a moment that is past stays. A second is added, since the time is written in
// whole seconds and may not be too early.
func (r *reconciliation) message(now time.Time) string {
	text := r.summary()
	const from = ", on every node from "
	if r.everywhere > 0 {
		return text + from + now.Add(r.everywhere).UTC().Truncate(time.Second).Add(time.Second).Format(time.RFC3339)
	}
	former := apimeta.FindStatusCondition(r.service.Status.Conditions, v1alpha1.ConditionReady)
	if former != nil && strings.HasPrefix(former.Message, text+from) {
		return former.Message
	}
	return text
}

// summary is the message of Ready.
func (r *reconciliation) summary() string {
	if to := desired.AttachTarget(r.service); to != nil {
		text := fmt.Sprintf("Plugins are in Kong on %s, which is not this operator's: %s",
			to, lifecycle.Abbreviate(entityNames(r.service.Status.Plugins)))
		switch {
		case r.service.Spec.AttachTo.HTTPRoute == "":
			return text
		case len(r.service.Status.ServedBy) == 0:
			return text + "; no Gateway serves it"
		}
		return text + "; served by " + lifecycle.Abbreviate(r.service.Status.ServedBy)
	}
	return fmt.Sprintf("Service %s is in Kong, protected; routes: %s",
		r.service.Status.ServiceName, lifecycle.Abbreviate(entityNames(r.service.Status.Routes)))
}

func entityNames(entities []v1alpha1.EntityStatus) []string {
	names := make([]string, 0, len(entities))
	for _, entity := range entities {
		names = append(names, entity.Name)
	}
	return names
}
