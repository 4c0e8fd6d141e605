package main

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// sighting is what the cache keeps of a Secret: that it is there, and as which version. Of two Secrets for each
// consumer whole metadata would be kept in vain, four times as large though nearly empty. It is never written, and
// answers nothing else.
type sighting struct {
	*metav1.ObjectMeta // nobody's: what else metadata can be asked for
	namespace, name    string
	version            string
	deletion           *metav1.Time
}

// nothing is the metadata that all sightings share.
var nothing = &metav1.ObjectMeta{}

func sightingOf(meta metav1.Object) *sighting {
	return &sighting{
		ObjectMeta: nothing, namespace: shared(meta.GetNamespace()), name: meta.GetName(),
		version: meta.GetResourceVersion(), deletion: meta.GetDeletionTimestamp(),
	}
}

// GetNamespace implements metav1.Object, as do those that follow.
func (s *sighting) GetNamespace() string { return s.namespace }

// GetName gives the Secret's name.
func (s *sighting) GetName() string { return s.name }

// GetResourceVersion gives the version that was seen last.
func (s *sighting) GetResourceVersion() string { return s.version }

// GetDeletionTimestamp says since when the Secret is to go.
func (s *sighting) GetDeletionTimestamp() *metav1.Time { return s.deletion }

// GetObjectMeta implements metav1.ObjectMetaAccessor.
func (s *sighting) GetObjectMeta() metav1.Object { return s }

// GetObjectKind implements runtime.Object.
func (s *sighting) GetObjectKind() schema.ObjectKind { return schema.EmptyObjectKind }

// DeepCopyObject implements runtime.Object.
func (s *sighting) DeepCopyObject() runtime.Object {
	twin := *s
	twin.deletion = s.deletion.DeepCopy()
	return &twin
}
