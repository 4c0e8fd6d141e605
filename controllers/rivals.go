package controllers

import (
	"context"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
)

// rival is a resource that claims the same in Kong.
type rival struct {
	owner   desired.Owner
	claims  []desired.UniqueKey
	gateway string
	// out is a rival that cannot get it: suspended, or stalled for another reason than the conflict itself.
	out bool
}

// older finds a resource that claims the same and was created earlier. Creation time decides only among those that hold nothing:
// the engine asks after it has found no holder.
func (o Options) older(ctx context.Context, object client.Object, list client.ObjectList) func(desired.UniqueKey) (desired.Owner, bool) {
	return func(claim desired.UniqueKey) (desired.Owner, bool) {
		gateway := gatewayName(object)
		// They are the cache's own, and only looked at.
		into := list.DeepCopyObject().(client.ObjectList)
		if err := o.Client.List(ctx, into,
			client.MatchingFields{indexUniqueKey: indexOf(into, indexUniqueKey).storedAs(lookupKey(gateway, claim))}, client.UnsafeDisableDeepCopy); err != nil {
			log.FromContext(ctx).Error(err, "Cannot look for rivals", "claim", claim.Kind)
			return desired.Owner{}, false
		}
		for _, r := range rivals(into, object) {
			if r.gateway == gateway && !r.out && claimsOverlap(r.claims, claim) {
				return r.owner, true
			}
		}
		return desired.Owner{}, false
	}
}

// rivals are those of a list that come before an object.
func rivals(list client.ObjectList, object client.Object) []rival {
	var found []rival
	switch typed := list.(type) {
	case *v1alpha1.JwtConsumerList:
		for i := range typed.Items {
			c := &typed.Items[i]
			if !precedes(c, object) {
				continue
			}
			found = append(found, rival{
				owner: desired.ConsumerOwner(c.Namespace, c.Name), claims: desired.ConsumerUniqueKeys(c),
				gateway: c.Spec.GatewayRef.Name, out: c.Spec.Suspend || cannotGetIt(c.Status.Conditions),
			})
		}
	case *v1alpha1.JwtProtectedServiceList:
		for i := range typed.Items {
			s := &typed.Items[i]
			if !precedes(s, object) {
				continue
			}
			found = append(found, rival{
				owner: desired.ServiceOwner(s.Namespace, s.Name), claims: desired.ServiceUniqueKeys(s),
				gateway: s.Spec.GatewayRef.Name, out: s.Spec.Suspend || cannotGetIt(s.Status.Conditions),
			})
		}
	}
	return found
}

func gatewayName(object client.Object) string {
	switch typed := object.(type) {
	case *v1alpha1.JwtConsumer:
		return typed.Spec.GatewayRef.Name
	case *v1alpha1.JwtProtectedService:
		return typed.Spec.GatewayRef.Name
	}
	return ""
}

func cannotGetIt(conditions []metav1.Condition) bool {
	stalled := apimeta.FindStatusCondition(conditions, v1alpha1.ConditionStalled)
	return stalled != nil && stalled.Reason != v1alpha1.ReasonConflict
}

// precedes orders by creation, then by namespace and name: the same on every replica.
func precedes(a, b client.Object) bool {
	if a.GetUID() == b.GetUID() || !a.GetDeletionTimestamp().IsZero() {
		return false
	}
	at, bt := a.GetCreationTimestamp(), b.GetCreationTimestamp()
	if !at.Equal(&bt) {
		return at.Before(&bt)
	}
	return a.GetNamespace()+"/"+a.GetName() < b.GetNamespace()+"/"+b.GetName()
}

func claimsOverlap(claims []desired.UniqueKey, claim desired.UniqueKey) bool {
	for _, other := range claims {
		if other.Overlaps(claim) {
			return true
		}
	}
	return false
}
