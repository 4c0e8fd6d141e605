package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Access restricts callers. A consumer is allowed if groups, consumers, consumerSelector or from matches it. An empty
// list matches nobody.
//
// +kubebuilder:validation:XValidation:rule="has(self.groups) || has(self.consumers) || has(self.consumerSelector) || has(self.from)",message="set groups, consumers, consumerSelector or from"
// +kubebuilder:validation:XValidation:rule="!has(self.from) || self.from != 'AnyNamespace' || (!has(self.groups) && !has(self.consumers) && !has(self.consumerSelector))",fieldPath=".from",message="AnyNamespace lets every consumer in; remove it, or the rest of access"
// +kubebuilder:validation:XValidation:rule="!has(self.consumerNamespaces) || has(self.consumerSelector)",fieldPath=".consumerNamespaces",message="goes with consumerSelector; set that too, or remove consumerNamespaces"
type Access struct {
	// groups of consumers.
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=255
	// +kubebuilder:validation:items:Pattern=`^[^,\x00-\x1f\x7f]+$`
	// +kubebuilder:validation:items:XValidation:rule="!self.matches('[,[:cntrl:]]')",message="must hold no comma and no control character: upstreams get the groups as one list with commas"
	// +kubebuilder:validation:items:XValidation:rule="!self.startsWith('kongjwt:')",message="groups that begin with kongjwt: are the operator's own; choose another"
	// +listType=set
	// +optional
	Groups []string `json:"groups,omitzero"`
	// consumers by name.
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	// +optional
	Consumers []ConsumerReference `json:"consumers,omitzero"`
	// consumerSelector matches JwtConsumers by their labels, in the resource's own namespace unless
	// consumerNamespaces names others. Of more than 256 the oldest are admitted: use groups for more.
	// +optional
	ConsumerSelector *metav1.LabelSelector `json:"consumerSelector,omitempty"`
	// from admits all consumers of the resource's own namespace (OwnNamespace), or of every namespace (AnyNamespace).
	// +kubebuilder:validation:Enum=OwnNamespace;AnyNamespace
	// +optional
	From string `json:"from,omitempty"`
	// consumerNamespaces in which consumerSelector looks.
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +listType=set
	// +optional
	ConsumerNamespaces []string `json:"consumerNamespaces,omitzero"`
}

// Values of Access.From.
const (
	AccessFromOwnNamespace = "OwnNamespace"
	AccessFromAnyNamespace = "AnyNamespace"
)

// ConsumerReference names a JwtConsumer.
type ConsumerReference struct {
	// namespace of the JwtConsumer. Default: the resource's own.
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$`
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// name of the JwtConsumer.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	// +required
	Name string `json:"name"`
}
