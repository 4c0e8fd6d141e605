package token

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/resolve"
	"github.com/kongjwt/kong-jwt-operator/internal/secrets"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
	"github.com/kongjwt/kong-jwt-operator/internal/token"
)

// findCredential finds the credential to sign with. A *status.StalledError has no pause: the watch of consumers wakes
// the token.
func (r *reconciliation) findCredential(ctx context.Context) error {
	ref := r.token.Spec.ConsumerRef
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: r.token.Namespace, Name: ref.Name}, &r.consumer)
	if apierrors.IsNotFound(err) {
		return status.Stalled(v1alpha1.ReasonConsumerNotFound, "spec.consumerRef: JwtConsumer %s/%s does not exist. Create it, or name another.", r.token.Namespace, ref.Name)
	}
	if err != nil {
		return fmt.Errorf("get JwtConsumer %s/%s: %w", r.token.Namespace, ref.Name, err)
	}
	r.token.Status.Gateway = r.consumer.Spec.GatewayRef.Name
	i := slices.IndexFunc(r.consumer.Spec.Credentials, func(c v1alpha1.Credential) bool { return c.Name == ref.Credential })
	if i < 0 {
		return status.Stalled(v1alpha1.ReasonConsumerNotFound, "spec.consumerRef.credential: JwtConsumer %s has no credential %s. Name one of its spec.credentials.", ref.Name, ref.Credential)
	}
	r.spec = r.consumer.Spec.Credentials[i]
	switch {
	case r.spec.JWKS != nil:
		return status.Stalled(v1alpha1.ReasonCredentialCannotSign,
			"spec.consumerRef.credential: credential %s of JwtConsumer %s is an issuer's key set, whose private keys the issuer alone has. "+
				"Name a generated credential.", ref.Credential, ref.Name)
	case r.spec.SecretRef != nil && !signsFromSecret(r.spec):
		return status.Stalled(v1alpha1.ReasonCredentialCannotSign,
			"spec.consumerRef.credential: credential %s of JwtConsumer %s has no private key here. "+
				"Name one in its secretRef.dataKeys.privateKey, or a generated credential here.", ref.Credential, ref.Name)
	}
	return nil
}

// signsFromSecret says whether a Secret that somebody else owns can hold what to sign with.
func signsFromSecret(spec v1alpha1.Credential) bool {
	keys := spec.SecretRef.DataKeys
	return credential.FamilyOf(spec.Algorithm) == credential.HMAC || keys != nil && keys.PrivateKey != ""
}

// readMaterial reads what to sign with: the Active revision of a credential that has revisions, else what is in the
// Secret now. The state says which revision that is. The consumer's status is written after it, and may not know.
func (r *reconciliation) readMaterial(ctx context.Context) error {
	// A credential that has turned to a Secret of somebody else may still be signed with a revision.
	hadRevisions := slices.ContainsFunc(r.consumer.Status.Credentials, func(s v1alpha1.CredentialStatus) bool {
		return s.Name == r.spec.Name && s.Revision > 0
	})
	stateful := r.spec.Generate != nil || resolve.KeepsFormer(r.spec)
	var state credential.State
	if stateful || hadRevisions {
		var err error
		if state, _, err = resolve.CredentialState(ctx, r.secrets, &r.consumer); err != nil {
			return err
		}
	}
	if _, known := state.Credentials[r.spec.Name]; !known && !stateful {
		var err error
		r.material, err = r.inputs.Material(ctx, &r.consumer, r.spec, "spec.consumerRef")
		return err
	}
	active, found := state.Credentials[r.spec.Name].Active()
	if !found {
		return r.notLive()
	}
	r.material = active.Material
	return nil
}

// readToken reads the token that is published. A Secret of that name that somebody else owns is a *status.StalledError
// here, before any material is read.
func (r *reconciliation) readToken(ctx context.Context) error {
	data, _, err := r.secrets.Owned(ctx, secrets.Owner{Kind: v1alpha1.KindJwtToken, Object: r.token}, "spec.secretName", r.token.Spec.SecretName)
	r.published = string(data[dataKeyToken])
	return err
}

// checkLive lets nothing be signed with what Kong does not hold. What the engine knows of Kong is enough in most
// cases, and costs no request.
func (r *reconciliation) checkLive(ctx context.Context) error {
	if r.consumer.Spec.Revoked {
		return status.Wait(0, v1alpha1.ReasonConsumerRevoked,
			"the credentials of JwtConsumer %s are revoked, and no token is signed until its spec.revoked is false", r.consumer.Name)
	}
	to, err := r.Gateways.Resolve(ctx, r.consumer.Namespace, r.consumer.Spec.GatewayRef.Name)
	var wait *status.WaitError
	var stalled *status.StalledError
	if err != nil && !errors.As(err, &wait) && !errors.As(err, &stalled) {
		return err
	}
	if err == nil && to.Engine.Filled() {
		return r.checkHeld(ctx, to)
	}
	// What Kong holds is not known, as after a restart while Kong is away. A token that is signed with this
	// material was signed while it was live.
	if r.reportedLive() && token.SignedWith(r.published, r.material) {
		return nil
	}
	notLive := r.notLive()
	// While the token that clients have is valid there is nothing to tell: Kong comes back before it matters.
	expires := r.token.Status.ExpirationTime
	notLive.Quiet = r.published != "" && expires != nil && r.now().Before(expires.Time)
	return notLive
}

// checkHeld compares what to sign with to what Kong is known to hold. It builds the credential as the consumer's
// reconcile would, with its tags, and compares hashes: an engine does not keep material.
func (r *reconciliation) checkHeld(ctx context.Context, to resolve.Gateway) error {
	owner := desired.ConsumerOwner(r.consumer.Namespace, r.consumer.Name)
	part, found := to.Engine.CredentialPart(owner, r.material.Key)
	if !found {
		return r.notLive()
	}
	set, err := desired.BuildConsumer(to.Scope, to.Policy, desired.ConsumerInput{
		Consumer:    &v1alpha1.JwtConsumer{ObjectMeta: r.consumer.ObjectMeta, Spec: v1alpha1.JwtConsumerSpec{Tags: r.consumer.Spec.Tags}},
		Credentials: []desired.Credential{{Field: "spec.consumerRef", Part: part, Material: r.material}},
	})
	if err != nil {
		return r.notLive()
	}
	if to.Engine.HasCredentials(set) {
		return nil
	}
	// It may differ in its tags only, which do not matter here.
	entity, found, err := to.Engine.Credential(ctx, desired.CredentialID(to.Scope, owner, part))
	if err != nil || !found || !desired.MaterialOf(entity).SameInKong(r.material) {
		return r.notLive()
	}
	return nil
}

// reportedLive says whether the consumer's status calls the credential live.
func (r *reconciliation) reportedLive() bool {
	return slices.ContainsFunc(r.consumer.Status.Credentials, func(s v1alpha1.CredentialStatus) bool {
		return s.Name == r.spec.Name && s.State == v1alpha1.CredentialActive && s.Key == r.material.Key && s.Algorithm == r.material.Algorithm
	})
}

const (
	firstLook = 300 * time.Millisecond
	lastLook  = 30 * time.Second
)

// notLive waits for Kong to hold the credential. Kong's answer to the consumer's write wakes nobody here, so the token
// looks again, in growing pauses. The first pause is 300 ms, and the last half a minute. LastTransitionTime of
// Reconciling is the only clock: it outlives a restart.
func (r *reconciliation) notLive() *status.WaitError {
	pause := firstLook
	if waiting := apimeta.FindStatusCondition(r.token.Status.Conditions, v1alpha1.ConditionReconciling); waiting != nil {
		pause = min(max(r.now().Sub(waiting.LastTransitionTime.Time)/2, firstLook), lastLook)
	}
	return status.Wait(pause, v1alpha1.ReasonConsumerNotReady, "waiting until credential %s of JwtConsumer %s is live in Kong", r.spec.Name, r.consumer.Name)
}
