package gateway

import (
	"context"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/controllers/lifecycle"
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

// deletedGatewaysOf enqueues the gateways that a resource uses and that are being deleted: these wait for their last user.
// Others have nothing to do for a resource that comes or goes, and thousands come when the operator starts.
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

// release lets a deleted gateway go once nobody uses it any more.
func (r *Reconciler) release(ctx context.Context, object *v1alpha1.KongGateway) error {
	if !controllerutil.ContainsFinalizer(object, v1alpha1.Finalizer) {
		return lifecycle.ErrReleased
	}
	users, err := r.users(ctx, object.Name)
	if err != nil {
		return err
	}
	if len(users) > 0 {
		return status.Wait(r.usersPause(), v1alpha1.ReasonDeleting, "in use by %s; it goes when they are deleted or name another gateway", lifecycle.Abbreviate(users))
	}
	if err := r.releaseProbe(ctx, object); err != nil {
		return err
	}
	r.engines.Remove(object.Name)
	if err := r.RemoveFinalizer(ctx, object); err != nil {
		return err
	}
	log.FromContext(ctx).Info("Released the gateway")
	return lifecycle.ErrReleased
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

// usersElsewhere asks the API server, page by page, for users that other processes work on: they are not in this one's cache.
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

func usersAmong(list v1alpha1.ResourceList, gateway string) (users []string) {
	for resource := range list.Resources() {
		if user, ok := resource.(v1alpha1.GatewayUser); ok && uses(user, gateway) {
			users = append(users, resolve.OwnerOf(user).String())
		}
	}
	return users
}
