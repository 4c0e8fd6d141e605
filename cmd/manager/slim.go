package main

import (
	"unique"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// slim takes out of an object, before it is cached, what nobody here reads: managed fields, which are half of it, and
// the copy of itself that kubectl leaves in an annotation. Nothing of it is lost at the API server: what is written
// are patches of what changed here. Thousands of consumers say the same of themselves, so they share the words.
func slim(object any) (any, error) {
	meta, ok := object.(metav1.Object)
	if !ok {
		return object, nil // a tombstone
	}
	meta.SetManagedFields(nil)
	if annotations := meta.GetAnnotations(); annotations != nil {
		delete(annotations, corev1.LastAppliedConfigAnnotation)
	}
	meta.SetNamespace(shared(meta.GetNamespace()))
	finalizers := meta.GetFinalizers()
	for i := range finalizers {
		finalizers[i] = shared(finalizers[i])
	}
	if consumer, ok := object.(*v1alpha1.JwtConsumer); ok {
		slimConsumer(consumer)
	}
	return object, nil
}

func slimConsumer(consumer *v1alpha1.JwtConsumer) {
	consumer.Spec.GatewayRef.Name = shared(consumer.Spec.GatewayRef.Name)
	consumer.Spec.DeletionPolicy = shared(consumer.Spec.DeletionPolicy)
	consumer.Status.Gateway = shared(consumer.Status.Gateway)
	consumer.Finalizers = fitting(consumer.Finalizers)
	consumer.Spec.Credentials = fitting(consumer.Spec.Credentials)
	consumer.Status.Credentials = fitting(consumer.Status.Credentials)
	consumer.Status.Conditions = fitting(consumer.Status.Conditions)
	for i := range consumer.Status.Conditions {
		condition := &consumer.Status.Conditions[i]
		condition.Type, condition.Status = shared(condition.Type), shared(condition.Status)
		condition.Reason, condition.Message = shared(condition.Reason), shared(condition.Message)
	}
	for i := range consumer.Spec.Credentials {
		spec := &consumer.Spec.Credentials[i]
		spec.Name, spec.Algorithm = shared(spec.Name), shared(spec.Algorithm)
	}
	for i := range consumer.Status.Credentials {
		held := &consumer.Status.Credentials[i]
		held.Name, held.Algorithm, held.State = shared(held.Name), shared(held.Algorithm), shared(held.State)
	}
}

// fitting is a list without room for more: decoding makes room for four, and most have one.
func fitting[T any](list []T) []T {
	if len(list) == cap(list) {
		return list
	}
	return append(make([]T, 0, len(list)), list...)
}

// shared is one copy of a text for all that have it.
func shared[T ~string](text T) T { return unique.Make(text).Value() }
