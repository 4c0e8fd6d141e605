package lifecycle

import (
	"context"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// AddFinalizer puts the operator's finalizer on a resource, where it is not there. A conflict (apierrors.IsConflict)
// means that the read was too old, and that the reconcile is to be tried again.
func (l *Lifecycle) AddFinalizer(ctx context.Context, object client.Object) error {
	if !controllerutil.AddFinalizer(object, v1alpha1.Finalizer) {
		return nil
	}
	return l.patchFinalizers(ctx, object)
}

// RemoveFinalizer takes the operator's finalizer off a resource, where it is there. Kubernetes deletes the object with
// its last finalizer; one that is gone already is no error.
func (l *Lifecycle) RemoveFinalizer(ctx context.Context, object client.Object) error {
	if !controllerutil.RemoveFinalizer(object, v1alpha1.Finalizer) {
		return nil
	}
	return client.IgnoreNotFound(l.patchFinalizers(ctx, object))
}

// patchFinalizers patches the finalizers alone, under the version that was read: a merge patch replaces a list whole
// (RFC 7396 section 1), and without the version it would drop a finalizer that another controller added since. The
// answer goes into a copy, so that what a phase has already put into the status is not lost.
func (l *Lifecycle) patchFinalizers(ctx context.Context, object client.Object) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"finalizers": object.GetFinalizers(), "resourceVersion": object.GetResourceVersion(),
	}})
	if err != nil {
		return fmt.Errorf("patch finalizers: %w", err)
	}
	patched := object.DeepCopyObject().(client.Object)
	if err := l.Client.Patch(ctx, patched, client.RawPatch(types.MergePatchType, patch), client.FieldOwner(v1alpha1.ManagedBy)); err != nil {
		return fmt.Errorf("patch finalizers: %w", err)
	}
	// WriteStatus locks on this version.
	object.SetResourceVersion(patched.GetResourceVersion())
	return nil
}
