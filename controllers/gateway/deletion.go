package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/controllers/lifecycle"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/index"
	"github.com/kongjwt/kong-jwt-operator/internal/resolve"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// changedGateway says whether a user names another gateway than before, or its entities are on another.
func changedGateway(before, after v1alpha1.GatewayUser) bool {
	return before.GatewayName() != after.GatewayName() || *before.GetProgrammedGateway() != *after.GetProgrammedGateway()
}

// uses says whether a user names a gateway, or has entities in its Kong.
func uses(user v1alpha1.GatewayUser, gateway string) bool {
	return user.GatewayName() == gateway || *user.GetProgrammedGateway() == gateway
}

// deletedGatewaysOf enqueues the gateways that a resource uses and that are being deleted: these wait for their last
// user. Others have nothing to do for a resource that comes or goes.
func deletedGatewaysOf(reader client.Reader) handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, object client.Object) []reconcile.Request {
		user, ok := object.(v1alpha1.GatewayUser)
		if !ok {
			return nil
		}
		var known v1alpha1.KongGatewayList
		if err := reader.List(ctx, &known, client.UnsafeDisableDeepCopy); err != nil {
			log.FromContext(ctx).Error(err, "Cannot look up which gateways are being deleted")
			return nil
		}
		known.Items = slices.Clone(known.Items)
		known.Items = slices.DeleteFunc(known.Items, func(gateway v1alpha1.KongGateway) bool {
			return gateway.DeletionTimestamp.IsZero() || !uses(user, gateway.Name)
		})
		return index.Requests(&known)
	})
}

// release lets a deleted gateway go once nobody uses it any more. A crash anywhere in it is harmless: what was done is
// found done, and the finalizer goes last.
func (r *Reconciler) release(ctx context.Context, object *v1alpha1.KongGateway) error {
	if !controllerutil.ContainsFinalizer(object, v1alpha1.Finalizer) {
		return lifecycle.ErrReleased
	}
	users, err := r.users(ctx, object.Name)
	if err != nil {
		return err
	}
	if len(users) > 0 {
		return r.awaitUsers(ctx, object, users)
	}
	if err := r.emptyKong(ctx, object); err != nil {
		return err
	}
	r.planes.forget(object.Name)
	r.engines.Remove(object.Name)
	if err := r.RemoveFinalizer(ctx, object); err != nil {
		return err
	}
	log.FromContext(ctx).Info("Released the gateway")
	return lifecycle.ErrReleased
}

// awaitUsers waits for the users of a deleted gateway. They leave through its engine, which goes on with the Secrets
// and the pods of Kong as they are now, after a restart too. The wait has no pause where every user is in this
// process's cache: their leaving wakes the gateway (deletedGatewaysOf).
func (r *Reconciler) awaitUsers(ctx context.Context, object *v1alpha1.KongGateway, users []string) error {
	wait := status.Wait(r.usersPause(), v1alpha1.ReasonDeleting,
		"in use by %s; it goes when they are deleted or name another gateway", lifecycle.Abbreviate(users))
	if object.Spec.Suspend {
		return wait
	}
	_, err := r.connect(ctx, object)
	var stalled *status.StalledError
	if errors.As(err, &stalled) {
		wait.Message += ". They cannot be taken out of Kong: " + stalled.Message
		return wait
	}
	return errors.Join(wait, err)
}

// emptyKong takes out of Kong what carries the tag of a deleted gateway that has no users: the route that data planes
// are asked by, and what belongs to resources that are gone, as spec.prune says. What stays is said. A Kong that is
// away keeps all, since a gateway whose Kong is gone for good could else never go. The error is a wait, or a stall by
// prune's limit, until Kong has nothing more to let go of; the gateway keeps its finalizer for that long.
func (r *Reconciler) emptyKong(ctx context.Context, object *v1alpha1.KongGateway) error {
	if object.Spec.Suspend {
		r.reportLeftInKong(object, "spec.suspend is true")
		return nil
	}
	connected, err := r.connect(ctx, object)
	var stalled *status.StalledError
	if errors.As(err, &stalled) {
		r.reportLeftInKong(object, stalled.Message)
		return nil
	}
	if err != nil {
		return err
	}
	if object.Spec.IngressController != nil && !connected.State().Ready {
		return connected.Leave(ctx) // nobody is there to take the rest
	}
	switch state := connected.State(); {
	// The engine has just been started, after a restart say, and is listing Kong: its event wakes the gateway.
	case !state.Ready && state.Reason == v1alpha1.ReasonProgressing:
		return status.Wait(0, v1alpha1.ReasonDeleting, "waiting for Kong, to look what it still holds of this gateway")
	case !state.Ready:
		r.reportLeftInKong(object, state.Message)
		return nil
	}
	if owner := desired.GatewayOwner(object.Name); connected.Holds(owner) {
		if err := connected.Delete(ctx, owner); err != nil {
			return err
		}
	}
	if err := r.pruneLast(ctx, object, connected); err != nil {
		return err
	}
	return connected.Leave(ctx)
}

// pruneLast prunes what the Kong of a deleted gateway still holds, and waits until it holds nothing.
func (r *Reconciler) pruneLast(ctx context.Context, object *v1alpha1.KongGateway, connected engine.Programmer) error {
	left := entities(connected.State().Counts)
	if left == 0 {
		return nil
	}
	if object.Spec.Prune.Policy == v1alpha1.PruneReport {
		r.reportLeftInKong(object, "spec.prune.policy is Report")
		return nil
	}
	connected.Relist(desired.GatewayOwner(object.Name), "deletion") // who is gone has to be so at two listings
	again, err := r.prune(ctx, object, connected)
	if err != nil {
		return err
	}
	if left = entities(connected.State().Counts); left == 0 {
		return nil
	}
	if kept := apimeta.FindStatusCondition(object.Status.Conditions, v1alpha1.ConditionOrphansKept); kept != nil {
		return status.Stalled(kept.Reason,
			"spec.prune: Kong still holds %d entities of this gateway: %s. Set spec.prune.policy to Report to leave them there.", left, kept.Message)
	}
	return status.Wait(again, v1alpha1.ReasonDeleting,
		"Kong still holds %d entities of resources that are gone; the gateway goes when they are pruned", left)
}

// entities is how many entities of all kinds Kong has.
func entities(c engine.Counts) int {
	return c.Consumers + c.Credentials + c.Groups + c.Services + c.Routes + c.Plugins
}

// reportLeftInKong says that what carries the gateway's tag stays in Kong.
func (r *Reconciler) reportLeftInKong(object *v1alpha1.KongGateway, why string) {
	r.Event(object, corev1.EventTypeWarning, v1alpha1.EventKongGone, "Release",
		"What Kong holds of this gateway stays there: "+why+". Look for the tag kongjwt-gateway:"+object.Name)
}

// users names the resources that use a gateway.
func (r *Reconciler) users(ctx context.Context, name string) ([]string, error) {
	var users []string
	for _, kind := range v1alpha1.GatewayUserKinds() {
		err := index.ForEach(ctx, r.Client, kind.Name, index.Gateway, "", name, func(user v1alpha1.Resource) {
			users = append(users, resolve.OwnerOf(user).String())
		})
		if err != nil {
			return nil, fmt.Errorf("list the users of KongGateway %s: %w", name, err)
		}
	}
	if len(users) == 0 && r.Live != nil {
		return r.usersElsewhere(ctx, name)
	}
	slices.Sort(users)
	return users, nil
}

// usersElsewhere asks the API server, page by page, for users that other processes work on: they are not in this one's
// cache. The users of the first page that has any are enough to name.
func (r *Reconciler) usersElsewhere(ctx context.Context, name string) ([]string, error) {
	const page = 500
	for _, kind := range v1alpha1.GatewayUserKinds() {
		list := kind.NewList()
		for next := ""; ; {
			err := r.Live.List(ctx, list, client.Limit(page), client.Continue(next))
			if apierrors.IsForbidden(err) {
				return nil, nil // this process has no right to see others' resources
			}
			if err != nil {
				return nil, fmt.Errorf("list the users of KongGateway %s: %w", name, err)
			}
			if users := usersAmong(list, name); len(users) > 0 {
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
func (r *Reconciler) usersPause() time.Duration {
	if r.Live == nil {
		return 0
	}
	return time.Minute
}

// usersAmong names the resources of a list that use a gateway.
func usersAmong(list v1alpha1.ResourceList, gateway string) (users []string) {
	for resource := range list.Resources() {
		if user, ok := resource.(v1alpha1.GatewayUser); ok && uses(user, gateway) {
			users = append(users, resolve.OwnerOf(user).String())
		}
	}
	return users
}
