// Package lifecycle is what all controllers do with a resource: its finalizer, suspension, deletion, a move to another
// gateway, its status and its events.
//
// A reconciler of a kind that uses a gateway calls Run with its own work as the Program, and then WriteStatus with
// what came of it. JwtTokens have nothing in Kong, and KongGateways are what the others use: their reconcilers call
// WriteStatus, and a gateway's the two finalizer methods, without Run.
//
// The order in Run rests on what a crash between two steps leaves. The finalizer is in Kubernetes before Kong gets
// anything, so that no deletion passes unnoticed. What is in Kong is taken out before the finalizer goes.
// status.gateway, which says whose Kong has the entities, is written last, by WriteStatus: an operator that is killed
// before leaves a status without it. A deletion takes the gateway of the spec then, and what the Kong of another
// gateway has is left to that gateway's prune.
package lifecycle

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/resolve"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// Lifecycle leads resources through what all kinds have in common.
type Lifecycle struct {
	// Client reads from the cache and writes to the API server.
	Client   client.Client
	Gateways resolve.Gateways
	recorder events.EventRecorder
	// unanswered are the resources whose last write of a status was not answered. It is shared by the controllers
	// of all kinds; UIDs tell the resources apart.
	unanswered *unanswered
}

// New makes a Lifecycle. Its events are bounded; see Event.
func New(kube client.Client, gateways resolve.Gateways, recorder events.EventRecorder) *Lifecycle {
	return &Lifecycle{Client: kube, Gateways: gateways, recorder: limitEvents(recorder), unanswered: &unanswered{}}
}

// ErrReleased says that the resource is gone, and has no status to write any more.
var ErrReleased = errors.New("released")

// Program brings Kong to what a resource's spec says. The gateway can be written to. Its error is what WriteStatus
// makes conditions of: nil, a *status.WaitError, a *status.StalledError, or any other, which is tried again with
// growing pauses. It may be joined of several.
type Program func(ctx context.Context, gateway resolve.Gateway) error

// ReleaseSecrets takes a deleted resource off its Secrets, where what it has in Kong is retained, or deletes them. It
// is called after Kong has let go, and before the finalizer goes, so that a failure is tried again.
type ReleaseSecrets func(ctx context.Context, retained bool) error

// Run leads a resource through its life: deletion, suspension, its gateway, a move to another, its finalizer; then
// program. releaseSecrets says what becomes of its Secrets where it is deleted; nil: it has none.
func (l *Lifecycle) Run(
	ctx context.Context, object v1alpha1.GatewayUser, releaseSecrets ReleaseSecrets, program Program,
) error {
	// Deletion comes before the gateway is resolved: a gateway that is gone, or that takes nothing of the
	// namespace, must not keep a resource from being deleted.
	if !object.GetDeletionTimestamp().IsZero() {
		return l.release(ctx, object, releaseSecrets)
	}
	if *object.GetProgrammedGateway() != "" {
		// Somebody may have taken it off, as a replacement of the whole object does. Whatever is wrong, the
		// deletion has to find it.
		if err := l.AddFinalizer(ctx, object); err != nil {
			return err
		}
	}
	// Before the gateway is looked at: what is suspended says so, whatever is wrong with its gateway.
	if object.IsSuspended() {
		return status.Stalled(v1alpha1.ReasonSuspended, "spec.suspend: is true, and nothing is changed. Set it to false to go on.")
	}
	gateway, err := l.Gateways.Resolve(ctx, object.GetNamespace(), object.GatewayName())
	if err != nil {
		return err
	}
	// Secrets are not read, and nothing is begun or given up, for a gateway that takes nothing now.
	owner := resolve.OwnerOf(object)
	if err := gateway.Engine.Usable(owner, IsUrgent(object)); err != nil {
		return err
	}
	if err := l.Gateways.AwaitTurn(object.GatewayName()); err != nil {
		return err
	}
	programmed := object.GetProgrammedGateway()
	// The former gateway is left first. Both may name one Kong, and what is there of the former would hold the
	// names and keys that program asks for.
	if *programmed != "" && *programmed != object.GatewayName() {
		if err := l.moveFrom(ctx, object, *programmed); err != nil {
			return err
		}
		*programmed = ""
	}
	// Before Kong gets anything. Kubernetes takes no new finalizer of an object that is being deleted, and a
	// deletion that nobody is told of leaves a valid credential behind.
	if err := l.AddFinalizer(ctx, object); err != nil {
		return err
	}
	// A new value of the annotation asks for a listing of Kong at once.
	gateway.Engine.Relist(owner, object.GetAnnotations()[v1alpha1.AnnotationReconcile])
	// Before program, which may fail half way: what it wrote until then is in this Kong, and a deletion has to
	// look there.
	*programmed = object.GatewayName()
	return program(ctx, gateway)
}

// moveFrom takes a resource out of its former gateway. It does not wait for one that does not answer: callers would be
// without it until a Kong is back that may be gone for good. Once it is, what the resource had there is pruned.
func (l *Lifecycle) moveFrom(ctx context.Context, object v1alpha1.GatewayUser, former string) error {
	_, err := l.leave(ctx, object, former)
	if !isUnreachable(err) {
		return err
	}
	l.Event(object, corev1.EventTypeWarning, v1alpha1.EventGatewayLeftBehind, "Move",
		"The Kong of KongGateway "+former+" does not answer: what this resource had there stays valid in it, "+
			"and is pruned once it answers (spec.prune)")
	return nil
}

// isUnreachable says whether an error is that a Kong does not answer, for a moment or for longer.
func isUnreachable(err error) bool {
	var wait *status.WaitError
	var stalled *status.StalledError
	return errors.As(err, &wait) && wait.Reason == v1alpha1.ReasonKongUnreachable ||
		errors.As(err, &stalled) && stalled.Reason == v1alpha1.ReasonKongUnreachable
}

// release takes a deleted resource out of Kong, and then lets Kubernetes delete it.
func (l *Lifecycle) release(ctx context.Context, object v1alpha1.GatewayUser, releaseSecrets ReleaseSecrets) error {
	// Without the finalizer there is nothing to do any more, unless somebody took it off while Kong has entities.
	if !controllerutil.ContainsFinalizer(object, v1alpha1.Finalizer) && !l.holds(object) {
		return ErrReleased
	}
	if object.IsSuspended() {
		return status.Stalled(v1alpha1.ReasonSuspended, "spec.suspend: is true, and the resource is not deleted. Set it to false to have it deleted.")
	}
	// A status that was never written names no gateway: the spec's is the one that program began with.
	programmed := *object.GetProgrammedGateway()
	if programmed == "" {
		programmed = object.GatewayName()
	}
	retained, err := l.leave(ctx, object, programmed)
	if err != nil {
		return explainDeletion(object, err)
	}
	// Kong first: while it takes the credentials, whoever has the Secret can call. Then the Secrets, so that one
	// that cannot be deleted keeps the finalizer.
	if releaseSecrets != nil {
		if err := releaseSecrets(ctx, retained); err != nil {
			return err
		}
	}
	if err := l.RemoveFinalizer(ctx, object); err != nil {
		return err
	}
	return ErrReleased
}

// holds says whether Kong still has entities of a resource that is deleted without our finalizer, which nobody can
// put back then.
func (l *Lifecycle) holds(object v1alpha1.GatewayUser) bool {
	engine, running := l.Gateways.Engines.Get(*object.GetProgrammedGateway())
	return running && engine.Holds(resolve.OwnerOf(object))
}

// leave takes a resource's entities out of a gateway, or, where the policy lets them be retained, our tags off them. A
// gateway that is gone keeps them: that is said. The error is a *status.WaitError or *status.StalledError while Kong
// cannot be asked. retained is meant for the Secrets: they stay where the credentials do.
func (l *Lifecycle) leave(ctx context.Context, object v1alpha1.GatewayUser, name string) (retained bool, err error) {
	retained = object.GetDeletionPolicy() == v1alpha1.DeletionPolicyRetain
	owner := resolve.OwnerOf(object)
	var gateway v1alpha1.KongGateway
	if err := l.Client.Get(ctx, client.ObjectKey{Name: name}, &gateway); err != nil {
		if apierrors.IsNotFound(err) {
			l.Event(object, corev1.EventTypeWarning, v1alpha1.EventGatewayGone, "Release",
				"KongGateway "+name+" is gone: what this resource had in its Kong stays there. Look for the tag kongjwt-owner:"+
					owner.Kind+":"+owner.Namespace+":"+owner.Name)
			return retained, nil
		}
		return false, fmt.Errorf("get KongGateway %s: %w", name, err)
	}
	// The owner of the gateway decides whether tenants may leave entities behind which no resource stands for.
	retained = retained && gateway.Spec.Policy.Retain
	// Engines are asked directly, not through Resolve: a gateway that is being deleted itself, or whose
	// allowedNamespaces have changed, still has to let its users go.
	engine, found := l.Gateways.Engines.Get(name)
	if !found || gateway.Spec.Suspend {
		// It is called for its error, which says that the gateway is suspended. Without an engine the wait
		// below is enough: the users of a gateway are enqueued when its engine connects.
		if _, err := l.Gateways.Engine(&gateway); err != nil && found {
			return false, err
		}
		return false, status.Wait(0, v1alpha1.ReasonGatewayNotReady, "waiting for KongGateway %s to take this resource out of Kong", name)
	}
	leave := engine.Delete
	if retained {
		leave = engine.Orphan
	}
	if err := leave(ctx, owner); err != nil {
		return false, err
	}
	log.FromContext(ctx).Info("Released from Kong", "gateway", name, "retain", retained)
	return retained, nil
}
