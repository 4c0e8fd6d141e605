package resolve

import (
	"context"
	"slices"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/index"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// OlderWith gives a function that finds a resource of the same kind and gateway that was created earlier and wants
// the same unique key. Creation time decides only among those that hold nothing: the engine asks after it has found
// no holder. keysOf lists the unique keys of a resource's spec; it is asked once about each, so that the function is
// for one sync.
func OlderWith[T v1alpha1.GatewayUser](
	ctx context.Context, reader client.Reader, object T, keysOf func(T) []desired.UniqueKey,
) func(desired.UniqueKey) (desired.Owner, bool) {
	wants := newContest(reader, object, keysOf)
	return func(key desired.UniqueKey) (owner desired.Owner, found bool) {
		for _, other := range wants.nearTo(ctx, key) {
			if Precedes(other, object) && !cannotHave(other) && slices.ContainsFunc(wants.by(other)[valueOf(key)], key.Overlaps) {
				return OwnerOf(other), true
			}
		}
		return desired.Owner{}, false
	}
}

// contest is among the resources that may want what one wants. It looks each value of the index up once, and asks once
// for the keys of each resource.
type contest[T v1alpha1.GatewayUser] struct {
	reader client.Reader
	object T
	keysOf func(T) []desired.UniqueKey
	// near are the resources by a value of the index, and keys what each wants, by its UID and its keys' values.
	near map[string][]T
	keys map[types.UID]map[keyValue][]desired.UniqueKey
}

// keyValue is what keys have in common that can overlap.
type keyValue struct {
	kind  desired.UniqueKind
	value string
}

func newContest[T v1alpha1.GatewayUser](reader client.Reader, object T, keysOf func(T) []desired.UniqueKey) *contest[T] {
	return &contest[T]{
		reader: reader, object: object, keysOf: keysOf, near: map[string][]T{}, keys: map[types.UID]map[keyValue][]desired.UniqueKey{},
	}
}

// nearTo finds the resources with a key in the same bucket.
func (c *contest[T]) nearTo(ctx context.Context, key desired.UniqueKey) []T {
	value := index.UniqueKeyValue(c.object.GatewayName(), key)
	found, known := c.near[value]
	if known {
		return found
	}
	err := index.ForEach(ctx, c.reader, c.object.KindName(), index.UniqueKey, "", value, func(resource v1alpha1.Resource) {
		other, ok := resource.(T)
		if ok && other.GetUID() != c.object.GetUID() && other.GatewayName() == c.object.GatewayName() {
			found = append(found, other)
		}
	})
	if err != nil {
		log.FromContext(ctx).Error(err, "Cannot look for resources that want the same unique key", "keyKind", key.Kind)
		return nil
	}
	c.near[value] = found
	return found
}

// by lists the keys of another resource.
func (c *contest[T]) by(other T) map[keyValue][]desired.UniqueKey {
	keys, known := c.keys[other.GetUID()]
	if !known {
		keys = map[keyValue][]desired.UniqueKey{}
		for _, key := range c.keysOf(other) {
			keys[valueOf(key)] = append(keys[valueOf(key)], key)
		}
		c.keys[other.GetUID()] = keys
	}
	return keys
}

// valueOf is finer than the bucket of the index.
func valueOf(key desired.UniqueKey) keyValue { return keyValue{key.Kind, key.Value} }

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

// Precedes orders by creation, then by namespace and name: the same on every replica.
func Precedes(a, b metav1.Object) bool {
	if a.GetUID() == b.GetUID() || !a.GetDeletionTimestamp().IsZero() {
		return false
	}
	at, bt := a.GetCreationTimestamp(), b.GetCreationTimestamp()
	if !at.Equal(&bt) {
		return at.Before(&bt)
	}
	return a.GetNamespace()+"/"+a.GetName() < b.GetNamespace()+"/"+b.GetName()
}
