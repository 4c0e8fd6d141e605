// Package consumer reconciles JwtConsumers. A reconcile is a reconciliation, made of parts that each know one thing:
// sources (where material comes from), revisions (the state of what is generated and rotated), keySets (issuers),
// kongSync (what Kong shall hold, and holds), planes (what data planes hold), publication (the Secrets that clients
// read) and report (the status).
//
// The way of a reconcile: removeRevoked takes a revoked consumer's credentials out of Kong. lifecycle.Run resolves the
// gateway and calls program. Its phases read material, issuers' keys and the plugins' Secrets, then rotate goes to and
// fro between Kong, the Secrets for clients and the state, and at last the data planes are asked. report fills the
// status, and lifecycle.WriteStatus writes it.
//
// Two Secrets are all that the operator remembers of a consumer: the state of the revisions and the keys of the
// issuers (credential.StateSecretName, JWKSSecretName). Each is written before anything rests on it. What Kong, data
// planes and clients hold is found out anew in each reconcile. So an operator that is killed between any two lines
// goes on from what the two Secrets say and from what it sees, and every write that is repeated hits the same entity,
// whose id is computed (desired.CredentialID).
//
// A fault belongs to its part: a Secret that is missing, a set that cannot be read, a key that another has. The part
// keeps its error (problem, clash, refused, unsupported), the others go on, and program joins the errors at its end.
package consumer

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/controllers/lifecycle"
	"github.com/kongjwt/kong-jwt-operator/controllers/watch"
	"github.com/kongjwt/kong-jwt-operator/internal/index"
	"github.com/kongjwt/kong-jwt-operator/internal/jwks"
	"github.com/kongjwt/kong-jwt-operator/internal/probe"
	"github.com/kongjwt/kong-jwt-operator/internal/resolve"
	"github.com/kongjwt/kong-jwt-operator/internal/secrets"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// DataPlanes says whether every data plane of a gateway has, or no longer has, a credential. It is asked only about
// what the Admin API has acknowledged.
type DataPlanes interface {
	// Ask gives at once what the answers of the data planes amount to, and which data planes are meant. What is
	// not known is asked for in the background, and the question's Wake is called when it is.
	Ask(gateway string, question probe.Question) (conclusion probe.Conclusion, message string)
	// Forget drops what is known of the credentials of somebody, named as Question.Who does: they were written
	// since.
	Forget(gateway, who string)
}

// Options of the controller. A test names a clock, data planes and key sets of its own; controllers.Setup fills in the
// real ones.
type Options struct {
	Inputs resolve.Inputs
	// Secrets reads and writes Secrets, live: they are cached as metadata only.
	Secrets    *secrets.Store
	DataPlanes DataPlanes
	// KeySets follows issuers.
	KeySets *jwks.Refresher
	// Wake has a consumer reconciled again. It does not block.
	Wake func(consumer client.ObjectKey)
	// Now is the clock.
	Now func() time.Time
}

// Reconciler keeps a consumer, its credentials, its groups and its plugins in Kong, and publishes what it generates.
type Reconciler struct {
	*lifecycle.Lifecycle
	Options
}

// New makes the reconciler of JwtConsumers.
func New(life *lifecycle.Lifecycle, options Options) *Reconciler {
	return &Reconciler{Lifecycle: life, Options: options}
}

// +kubebuilder:rbac:groups=kongjwt.dev,resources=jwtconsumers,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=kongjwt.dev,resources=jwtconsumers/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=create;update;delete

// Setup adds the controller to a manager. woken are the consumers that have to be looked at again.
func (r *Reconciler) Setup(mgr ctrl.Manager, woken source.Source, options controller.Options) error {
	const kind = v1alpha1.KindJwtConsumer
	return ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.JwtConsumer{}, watch.OwnChanged()).
		WatchesMetadata(&corev1.Secret{}, watch.NamingSecret(r.Client, r.Secrets, kind), watch.ContentChanged()).
		// These Secrets are of the gateways' namespaces, and no index of consumers has them.
		WatchesMetadata(&corev1.Secret{}, r.fetchingBy(), watch.ContentChanged()).
		Watches(&v1alpha1.KongGateway{}, watch.Naming(r.Client, kind, index.Gateway, watch.ByClusterName), watch.SpecChanged()).
		Watches(&corev1.Namespace{}, watch.AllIn(r.Client, kind), watch.LabelsChanged()).
		WatchesRawSource(woken).
		WithOptions(options).
		Complete(r)
}

// fetchingBy enqueues the consumers that follow an issuer by a proxy whose credentials or authorities changed.
func (r *Reconciler) fetchingBy() handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, secret client.Object) (requests []ctrl.Request) {
		consumers, err := r.Inputs.ConsumersFetchingBy(ctx, secret)
		if err != nil {
			log.FromContext(ctx).Error(err, "Cannot look up the consumers that a proxy's Secret is for")
		}
		for _, key := range consumers {
			requests = append(requests, ctrl.Request{NamespacedName: key})
		}
		return requests
	})
}

// Reconcile brings Kong, and the Secrets that clients read, to what a JwtConsumer says.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	consumer := &v1alpha1.JwtConsumer{}
	if err := r.Client.Get(ctx, req.NamespacedName, consumer); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	// All that follows changes the status in place. before is what the patch is made against.
	before := consumer.DeepCopy()
	run := newReconciliation(r, before, consumer)
	err := run.removeRevoked(ctx)
	// Also where the revocation failed: the status has to say so. Run's error is the first of the two, so that the
	// status names what Run waits for.
	err = errors.Join(r.Run(ctx, consumer, run.publication.release, run.program), err)
	result, err := r.WriteStatus(ctx, lifecycle.Outcome{
		Before: before, Object: consumer, Message: run.message(), Reason: run.reason(), Err: err,
	})
	// Beside an error controller-runtime takes no RequeueAfter: the request comes back by its rate limit.
	if err == nil {
		result.RequeueAfter = status.Sooner(result.RequeueAfter, run.untilNextLook())
	}
	return result, err
}
