package resolve

import (
	"context"
	"slices"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/index"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// OlderWith gives a function that finds a resource of the same kind and gateway that was created earlier and wants
// the same unique key. Creation time decides only among those that hold nothing: the engine asks after it has found
// no holder. keysOf lists the unique keys of a resource's spec.
func OlderWith[T v1alpha1.GatewayUser](
	ctx context.Context, reader client.Reader, object T, keysOf func(T) []desired.UniqueKey,
) func(desired.UniqueKey) (desired.Owner, bool) {
	return func(key desired.UniqueKey) (owner desired.Owner, found bool) {
		for _, rival := range Rivals(ctx, reader, object, key, keysOf) {
			if rival.Older && !rival.CannotHave {
				return rival.Owner, true
			}
		}
		return desired.Owner{}, false
	}
}

// Rival is a resource that wants a unique key of another one.
type Rival struct {
	Owner desired.Owner
	// Older says that it was created earlier; CannotHave that it will not get the key, as it is now.
	Older, CannotHave bool
}

// Rivals finds the resources of the same kind and gateway that want a unique key as well.
func Rivals[T v1alpha1.GatewayUser](
	ctx context.Context, reader client.Reader, object T, key desired.UniqueKey, keysOf func(T) []desired.UniqueKey,
) (rivals []Rival) {
	value := index.UniqueKeyValue(object.GatewayName(), key)
	err := index.ForEach(ctx, reader, object.KindName(), index.UniqueKey, "", value, func(resource v1alpha1.Resource) {
		other, ok := resource.(T)
		if !ok || other.GetUID() == object.GetUID() || other.GatewayName() != object.GatewayName() {
			return
		}
		if slices.ContainsFunc(keysOf(other), key.Overlaps) {
			rivals = append(rivals, Rival{OwnerOf(other), precedes(other, object), cannotHave(other)})
		}
	})
	if err != nil {
		log.FromContext(ctx).Error(err, "Cannot look for resources that want the same unique key", "keyKind", key.Kind)
		return nil
	}
	return rivals
}

// OwnerOf gives a resource as the owner of its entities in Kong.
func OwnerOf(resource v1alpha1.Resource) desired.Owner {
	return desired.Owner{Kind: resource.KindName(), Namespace: resource.GetNamespace(), Name: resource.GetName()}
}

// cannotHave says whether a resource will not get its unique keys: it is suspended, or stalled for another reason
// than the conflict itself, or than a gateway that cannot be used now.
func cannotHave(resource v1alpha1.Resource) bool {
	stalled := apimeta.FindStatusCondition(*resource.GetConditions(), v1alpha1.ConditionStalled)
	return resource.IsSuspended() || stalled != nil &&
		stalled.Reason != v1alpha1.ReasonConflict && !status.AwaitsGateway(stalled.Reason)
}

// precedes orders by creation, then by namespace and name: the same on every replica.
func precedes(a, b metav1.Object) bool {
	if a.GetUID() == b.GetUID() || !a.GetDeletionTimestamp().IsZero() {
		return false
	}
	at, bt := a.GetCreationTimestamp(), b.GetCreationTimestamp()
	if !at.Equal(&bt) {
		return at.Before(&bt)
	}
	return a.GetNamespace()+"/"+a.GetName() < b.GetNamespace()+"/"+b.GetName()
}
