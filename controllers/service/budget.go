package service

import (
	"context"
	"fmt"
	"sync"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
)

// ledger has what services of each namespace were admitted with. Their statuses say it too, but in the cache they may
// be older. It forgets what is gone when its namespace is looked at. The mutex is held from the reading of the sums to
// the writing of the answer: that makes an admission one step.
type ledger struct {
	mu sync.Mutex
	// admitted is by namespace and by the service's UID.
	admitted map[string]map[types.UID]admission
}

// admission is what a service takes of the budget of the gateway that it is on.
type admission struct {
	gateway string
	use     v1alpha1.BudgetUse
}

// admit holds a service to the budget of its namespace on a gateway, and writes down what it has then. What it had on
// another gateway counts for nothing. siblings are all services of the namespace. The error is a *status.StalledError
// of policy. What was admitted before stays admitted: CheckBudget refuses growth alone. After a restart the statuses
// are all that there is, and catchup has seen to it that they are not older than the last leader's writes.
func (l *ledger) admit(
	policy desired.Policy, service *v1alpha1.JwtProtectedService, wanted v1alpha1.BudgetUse, siblings []v1alpha1.JwtProtectedService,
) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	known, now := l.admitted[service.Namespace], map[types.UID]admission{}
	var former v1alpha1.BudgetUse
	var others []v1alpha1.BudgetUse
	for i := range siblings {
		sibling := &siblings[i]
		own := sibling.UID == service.UID
		if own {
			sibling = service
		}
		last, found := known[sibling.UID]
		if found {
			now[sibling.UID] = last
		} else if sibling.Status.Use != nil {
			last = admission{gateway: sibling.Status.Gateway, use: *sibling.Status.Use}
		}
		switch {
		case last.gateway != policy.Gateway:
		case own:
			former = last.use
		// A service that has moved to another gateway counts here until it has left.
		case sibling.GatewayName() == policy.Gateway || sibling.Status.Gateway == policy.Gateway:
			others = append(others, last.use)
		}
	}
	err := policy.CheckBudget(service.Namespace, former, wanted, others)
	if err == nil {
		now[service.UID] = admission{gateway: policy.Gateway, use: wanted}
	}
	if l.admitted == nil {
		l.admitted = map[string]map[types.UID]admission{}
	}
	l.admitted[service.Namespace] = now
	return err
}

// leave writes down that a service has left the gateway that it was on: it takes nothing there any more.
func (l *ledger) leave(service *v1alpha1.JwtProtectedService) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.admitted[service.Namespace], service.UID)
	service.Status.Use = nil
}

// keepToBudget refuses what would take its namespace over the gateway's budget. status.use is written only for what
// was admitted, so that what is refused takes nothing from others.
func (r *reconciliation) keepToBudget(ctx context.Context) error {
	var siblings v1alpha1.JwtProtectedServiceList
	if err := r.Client.List(ctx, &siblings, client.InNamespace(r.service.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list the services of namespace %s: %w", r.service.Namespace, err)
	}
	wanted := desired.ServiceUse(r.service, r.input.Configs, r.input.Selected)
	if err := r.ledger.admit(r.gateway.Policy, r.service, wanted, siblings.Items); err != nil {
		return err
	}
	r.service.Status.Use = &wanted
	return nil
}

// overBudget enqueues the services of a namespace that policy refuses: one of the others takes less now, or is gone.
func (r *Reconciler) overBudget() handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, changed client.Object) (found []reconcile.Request) {
		var siblings v1alpha1.JwtProtectedServiceList
		if err := r.Client.List(ctx, &siblings, client.InNamespace(changed.GetNamespace()), client.UnsafeDisableDeepCopy); err != nil {
			log.FromContext(ctx).Error(err, "Cannot list the services of a namespace", "namespace", changed.GetNamespace())
			return nil
		}
		for i := range siblings.Items {
			sibling := &siblings.Items[i]
			stalled := apimeta.FindStatusCondition(sibling.Status.Conditions, v1alpha1.ConditionStalled)
			if stalled != nil && stalled.Reason == v1alpha1.ReasonPolicyViolation && sibling.UID != changed.GetUID() {
				found = append(found, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(sibling)})
			}
		}
		return found
	})
}

// takesLess says whether a service left some of its namespace's budget to others.
func takesLess(before, after *v1alpha1.JwtProtectedService) bool {
	was, is := before.Status.Use, after.Status.Use
	moves := before.Status.Gateway != after.Status.Gateway
	return was != nil && (is == nil || moves || is.Routes < was.Routes || is.Matches < was.Matches || is.ConfigBytes < was.ConfigBytes)
}
