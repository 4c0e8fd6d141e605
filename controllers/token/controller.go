// Package token reconciles JwtTokens.
//
// A JwtToken has nothing in Kong, and so it does not go through lifecycle.Run: it needs no finalizer, since the
// garbage collector deletes its Secret by the ownerReference. A reconcile finds the consumer's credential, reads its
// material, makes sure that Kong holds just that, and signs. The Secret is the only memory of a token: it is read
// before anything is signed, and what is fresh stays. A crash after the Secret was written and before the status was
// costs one more reconcile.
package token

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/controllers/lifecycle"
	"github.com/kongjwt/kong-jwt-operator/controllers/watch"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/index"
	"github.com/kongjwt/kong-jwt-operator/internal/resolve"
	"github.com/kongjwt/kong-jwt-operator/internal/secrets"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
	"github.com/kongjwt/kong-jwt-operator/internal/token"
)

// Reconciler keeps a signed token fresh in a Secret.
type Reconciler struct {
	*lifecycle.Lifecycle
	inputs  resolve.Inputs
	secrets *secrets.Store
	now     func() time.Time
}

// New makes the reconciler of JwtTokens. now is the clock.
func New(life *lifecycle.Lifecycle, inputs resolve.Inputs, store *secrets.Store, now func() time.Time) *Reconciler {
	return &Reconciler{Lifecycle: life, inputs: inputs, secrets: store, now: now}
}

// defaultTTL is spec.ttl where it is not set. spec.renewBefore is then a third of ttl.
const defaultTTL = time.Hour

// Keys of a token's Secret.
const (
	dataKeyToken         = "token"
	dataKeyAuthorization = "authorization"
)

// +kubebuilder:rbac:groups=kongjwt.dev,resources=jwttokens,verbs=get;list;watch
// +kubebuilder:rbac:groups=kongjwt.dev,resources=jwttokens/status,verbs=patch

// Setup adds the controller to a manager. woken are the tokens that have to be looked at again. A consumer's status
// wakes its tokens too, since it says which revision is Active: resourceVersions are compared, and not generations.
func (r *Reconciler) Setup(mgr ctrl.Manager, woken source.Source, options controller.Options) error {
	return ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.JwtToken{}, watch.OwnChanged()).
		WatchesMetadata(&corev1.Secret{}, r.tokensOfSecret(), watch.ContentChanged()).
		Watches(&v1alpha1.JwtProtectedService{}, r.tokensForService(), watch.OnlyWhen(expirationChanged)).
		Watches(&v1alpha1.JwtConsumer{}, watch.Naming(r.Client, v1alpha1.KindJwtToken, index.Consumer, watch.ByNamespacedName),
			watch.OnlyWhen(func(before, after *v1alpha1.JwtConsumer) bool {
				return before.ResourceVersion != after.ResourceVersion
			})).
		WatchesRawSource(woken).
		WithOptions(options).
		Complete(r)
}

// reconciliation is one reconcile of a JwtToken.
type reconciliation struct {
	*Reconciler
	token    *v1alpha1.JwtToken
	consumer v1alpha1.JwtConsumer
	spec     v1alpha1.Credential
	material credential.Material
	claims   token.Claims
	// published is the token that is in the Secret.
	published string
}

// Reconcile signs a token where there is none, or none that is fresh.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	object := &v1alpha1.JwtToken{}
	if err := r.Client.Get(ctx, req.NamespacedName, object); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !object.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil // the Secret goes with its owner
	}
	before := object.DeepCopy()
	run := &reconciliation{Reconciler: r, token: object}
	err := run.run(ctx)
	result, err := r.WriteStatus(ctx, lifecycle.Outcome{Before: before, Object: object, Message: run.message(), Err: err})
	// At least a second: a renewal that is overdue may not become a loop.
	if err == nil && object.Status.RenewalTime != nil && !object.Spec.Suspend {
		result.RequeueAfter = status.Sooner(result.RequeueAfter, max(run.nextLook().Sub(r.now()), time.Second))
	}
	return result, err
}

// run goes through the phases of a token. The first error ends it, and the Secret stays as it is. The Secret of a
// token is read before its material, and checkLive comes right before sign: nothing may be signed with material that
// Kong refuses, and the less time between the two the better.
func (r *reconciliation) run(ctx context.Context) error {
	for _, phase := range []func(context.Context) error{r.check, r.findCredential, r.flagTTL, r.readToken, r.readMaterial, r.checkLive, r.sign} {
		if err := phase(ctx); err != nil {
			return err
		}
	}
	return nil
}

// check refuses what can be refused without looking at anything else. The error is a *status.StalledError; claims that
// are kept for Kong or the operator are refused here.
func (r *reconciliation) check(context.Context) error {
	if r.token.Spec.Suspend {
		return status.Stalled(v1alpha1.ReasonSuspended, "spec.suspend: is true, and the token is not renewed. Set it to false to have it renewed.")
	}
	var err error
	r.claims, err = token.NewClaims(r.token.Spec)
	return err
}

// sign publishes a token unless the one that is there is fresh.
func (r *reconciliation) sign(ctx context.Context) error {
	owner := secrets.Owner{Kind: v1alpha1.KindJwtToken, Object: r.token}
	spec := r.token.Spec
	ttl := spec.TTL.Or(defaultTTL)
	renewBefore := spec.RenewBefore.Or(ttl / 3)
	// What clients have stays while it is what would be signed, but for its times: each new token has them read
	// the Secret again.
	text := r.published
	issued, expires, fresh := token.Fresh(text, r.material, r.claims, ttl, renewBefore, r.now())
	if !fresh {
		signed, err := token.Mint(r.material, r.claims, r.now(), ttl)
		if err != nil {
			return err
		}
		text, issued, expires = signed.Token.Reveal(), signed.IssueTime, signed.ExpirationTime
	}
	// The second key is a whole header's value, for clients that mount the Secret and cannot put text together
	// (RFC 6750 section 2.1).
	data := map[string][]byte{dataKeyToken: []byte(text), dataKeyAuthorization: []byte("Bearer " + text)}
	if _, err := r.secrets.Publish(ctx, owner, "spec.secretName", spec.SecretName, data); err != nil {
		return err
	}
	if err := r.keepFormer(ctx, owner, data); err != nil {
		return err
	}
	at := func(t time.Time) *metav1.Time { return &metav1.Time{Time: t.Local()} }
	r.token.Status.IssueTime, r.token.Status.ExpirationTime = at(issued), at(expires)
	r.token.Status.RenewalTime = at(token.RenewAt(issued, expires, renewBefore))
	r.token.Status.Key, r.token.Status.SecretName = r.material.Key, spec.SecretName
	return nil
}

// message is that of Ready; empty where no token was signed yet.
func (r *reconciliation) message() string {
	if r.token.Status.ExpirationTime == nil {
		return ""
	}
	return fmt.Sprintf("The token in Secret %s expires at %s and is renewed before",
		r.token.Status.SecretName, r.token.Status.ExpirationTime.UTC().Format(time.RFC3339))
}
