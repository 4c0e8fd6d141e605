// Package v1alpha1 holds the kongjwt.dev/v1alpha1 API: KongGateway, JwtConsumer, JwtProtectedService and JwtToken.
//
// +kubebuilder:object:generate=true
// +groupName=kongjwt.dev
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var (
	// GroupVersion is the group and version of every kind in this package.
	GroupVersion = schema.GroupVersion{Group: "kongjwt.dev", Version: "v1alpha1"}

	schemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

	// AddToScheme registers the kinds of this package.
	AddToScheme = schemeBuilder.AddToScheme
)

func addKnownTypes(scheme *runtime.Scheme) error {
	for _, kind := range ResourceKinds() {
		scheme.AddKnownTypes(GroupVersion, kind.New(), kind.NewList())
	}
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
