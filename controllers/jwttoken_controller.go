package controllers

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/secrets"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
	"github.com/kongjwt/kong-jwt-operator/internal/token"
)

// JwtTokenReconciler keeps a signed token fresh in a Secret.
type JwtTokenReconciler struct{ Options }

// Defaults of a JwtToken, where a field is not set.
const (
	defaultTTL         = time.Hour
	defaultRenewBefore = 20 * time.Minute
)

// Keys of a token's Secret.
const (
	dataKeyToken         = "token"
	dataKeyAuthorization = "authorization"
)

// +kubebuilder:rbac:groups=kongjwt.dev,resources=jwttokens,verbs=get;list;watch
// +kubebuilder:rbac:groups=kongjwt.dev,resources=jwttokens/status,verbs=patch

func (r *JwtTokenReconciler) setup(mgr ctrl.Manager, _ *wakeupSource) error {
	return ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.JwtToken{}, specOrAnnotations()).
		WatchesMetadata(&corev1.Secret{}, r.tokensOfSecret(), contentChanged()).
		Watches(&v1alpha1.JwtProtectedService{}, r.tokensBounded(), onlyWhen(boundsChanged)).
		Watches(&v1alpha1.JwtConsumer{}, lookup(r.Client, tokens, indexConsumer, byNamespacedName), onlyWhen(func(before, after *v1alpha1.JwtConsumer) bool {
			return before.ResourceVersion != after.ResourceVersion
		})).
		WithOptions(r.controllerOptions()).
		Complete(r)
}

// tokenRun is one reconcile of a JwtToken.
type tokenRun struct {
	*JwtTokenReconciler
	token    *v1alpha1.JwtToken
	consumer v1alpha1.JwtConsumer
	spec     v1alpha1.Credential
	material credential.Material
	claims   token.Claims
	// published is the token that is in the Secret.
	published string
}

// Reconcile signs a token where there is none, or none that is fresh.
func (r *JwtTokenReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	object := &v1alpha1.JwtToken{}
	if err := r.Client.Get(ctx, req.NamespacedName, object); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !object.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil // the Secret goes with its owner
	}
	before := object.DeepCopy()
	run := &tokenRun{JwtTokenReconciler: r, token: object}
	err := run.run(ctx)
	result, err := r.record(ctx, outcome{
		before: before, object: object,
		conditions: &object.Status.Conditions, observed: &object.Status.ObservedGeneration,
		changed: func() bool { return !apiequality.Semantic.DeepEqual(before.Status, object.Status) },
		message: run.message(), err: err,
	})
	if err == nil && object.Status.RenewalTime != nil && !object.Spec.Suspend {
		untilRenewal := max(object.Status.RenewalTime.Sub(r.Now()), time.Second)
		result.RequeueAfter = status.Sooner(result.RequeueAfter, untilRenewal)
	}
	return result, err
}

func (r *tokenRun) run(ctx context.Context) error {
	for _, phase := range []func(context.Context) error{r.check, r.findCredential, r.flagTTL, r.readToken, r.readMaterial, r.checkLive, r.sign} {
		if err := phase(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (r *tokenRun) check(context.Context) error {
	if r.token.Spec.Suspend {
		return status.Stalled(v1alpha1.ReasonSuspended, "spec.suspend is true: the token is not renewed until it is false")
	}
	var err error
	r.claims, err = token.NewClaims(r.token.Spec)
	return err
}

// sign publishes a token unless the one that is there is fresh.
func (r *tokenRun) sign(ctx context.Context) error {
	owner := secrets.Owner{Kind: v1alpha1.KindJwtToken, Object: r.token}
	spec := r.token.Spec
	ttl, renewBefore := spec.TTL.Or(defaultTTL), spec.RenewBefore.Or(defaultRenewBefore)
	text := r.published
	issued, expires, fresh := token.Fresh(text, r.material, r.claims, ttl, renewBefore, r.Now())
	if !fresh {
		signed, err := token.Mint(r.material, r.claims, r.Now(), ttl)
		if err != nil {
			return err
		}
		text, issued, expires = signed.Token.Reveal(), signed.IssueTime, signed.ExpirationTime
	}
	if _, err := r.Secrets.Publish(ctx, owner, "spec.secretName", spec.SecretName, map[string][]byte{
		dataKeyToken: []byte(text), dataKeyAuthorization: []byte("Bearer " + text),
	}); err != nil {
		return err
	}
	return r.report(ctx, owner, issued, expires, token.RenewAt(issued, expires, renewBefore))
}

// report writes the token's times, and drops the Secret of a former name.
func (r *tokenRun) report(ctx context.Context, owner secrets.Owner, issued, expires, renewal time.Time) error {
	former := r.token.Status.SecretName
	at := func(t time.Time) *metav1.Time { return &metav1.Time{Time: t.Local()} }
	r.token.Status.IssueTime, r.token.Status.ExpirationTime, r.token.Status.RenewalTime = at(issued), at(expires), at(renewal)
	r.token.Status.Key, r.token.Status.SecretName = r.material.Key, r.token.Spec.SecretName
	if former != "" && former != r.token.Spec.SecretName {
		return r.Secrets.Drop(ctx, owner, former)
	}
	return nil
}

func (r *tokenRun) message() string {
	if r.token.Status.ExpirationTime == nil {
		return ""
	}
	return fmt.Sprintf("The token in Secret %s expires at %s and is renewed before", r.token.Status.SecretName, r.token.Status.ExpirationTime.UTC().Format(time.RFC3339))
}
