package secrets

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// Owner is the resource that a Secret of ours belongs to.
type Owner struct {
	Kind   string
	Object client.Object
	// Retain says that its Secrets outlive the owner: they carry its labels and no reference to it, which the
	// garbage collector would follow.
	Retain bool
}

// String names the owner, for messages.
func (o Owner) String() string {
	return o.Kind + " " + o.Object.GetNamespace() + "/" + o.Object.GetName()
}

// maxLabel is the longest value of a label, in bytes.
const maxLabel = 63

// labels mark the Secrets of an owner. A name that is too long for a label is shortened with a hash.
func (o Owner) labels() map[string]string {
	name := o.Object.GetName()
	if len(name) > maxLabel {
		sum := sha256.Sum256([]byte(name))
		hash := "-" + hex.EncodeToString(sum[:8])
		name = name[:maxLabel-len(hash)] + hash
	}
	return map[string]string{
		v1alpha1.LabelManagedBy: v1alpha1.ManagedBy,
		v1alpha1.LabelOwnerKind: o.Kind,
		v1alpha1.LabelOwnerName: name,
	}
}

// holds says whether a Secret is the owner's, by its labels and by who controls it. The owner's UID does not count:
// after a restore from a backup the reference names one that is gone.
func (o Owner) holds(secret *corev1.Secret) bool {
	for key, value := range o.labels() {
		if secret.Labels[key] != value {
			return false
		}
	}
	controller := metav1.GetControllerOf(secret)
	return controller == nil || o.is(*controller)
}

// is says whether a reference names the owner.
func (o Owner) is(reference metav1.OwnerReference) bool {
	version, err := schema.ParseGroupVersion(reference.APIVersion)
	return err == nil && version.Group == v1alpha1.GroupVersion.Group && reference.Kind == o.Kind && reference.Name == o.Object.GetName()
}

// reference is the owner's, with the UID that it has now.
func (o Owner) reference() metav1.OwnerReference {
	isController := true
	return metav1.OwnerReference{
		APIVersion: v1alpha1.GroupVersion.String(),
		Kind:       o.Kind,
		Name:       o.Object.GetName(),
		UID:        o.Object.GetUID(),
		Controller: &isController,
	}
}

func (o Owner) without(references []metav1.OwnerReference) []metav1.OwnerReference {
	return slices.DeleteFunc(slices.Clone(references), o.is)
}

// with puts the owner's reference where it was among the others, or behind them. References to an owner of that name
// that is gone go.
func (o Owner) with(references []metav1.OwnerReference) []metav1.OwnerReference {
	if o.Retain {
		return o.without(references)
	}
	at := slices.IndexFunc(references, o.is)
	others := o.without(references)
	if at < 0 {
		at = len(others)
	}
	return slices.Insert(others, min(at, len(others)), o.reference())
}

// conflict says whose a Secret is that the owner may not have, and what to do.
func (o Owner) conflict(field string, secret *corev1.Secret) error {
	holder := "does not belong to this operator"
	if kind := secret.Labels[v1alpha1.LabelOwnerKind]; kind != "" {
		holder = "belongs to " + kind + " " + secret.Labels[v1alpha1.LabelOwnerName]
	}
	if controller := metav1.GetControllerOf(secret); controller != nil {
		holder = "belongs to " + controller.Kind + " " + controller.Name
	}
	return status.Stalled(v1alpha1.ReasonSecretConflict, "%s: Secret %s/%s is not the operator's to write (it %s). Name another for %s.",
		field, secret.Namespace, secret.Name, holder, o)
}
