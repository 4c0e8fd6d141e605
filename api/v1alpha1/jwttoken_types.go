package v1alpha1

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// JwtTokenSpec is a signed token, kept fresh in a Secret, for workloads that should not sign themselves.
//
// +kubebuilder:validation:XValidation:rule="!has(self.renewBefore) || !self.renewBefore.matches('^([0-9]{1,5}h|[0-9]{1,7}m|[0-9]{1,9}(s|ms)|[0-9]{1,5}[.][0-9]{1,6}(h|m|s))+$') || !self.ttl.matches('^([0-9]{1,5}h|[0-9]{1,7}m|[0-9]{1,9}(s|ms)|[0-9]{1,5}[.][0-9]{1,6}(h|m|s))+$') || duration(self.renewBefore) > duration('8760h') || duration(self.ttl) > duration(self.renewBefore)",fieldPath=".renewBefore",message="must be below ttl: else the token would be renewed for ever. Lower renewBefore, or raise ttl"
type JwtTokenSpec struct {
	// suspend stops all work on this resource until it is false again. The token then expires.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
	// consumerRef names the JwtConsumer, in the same namespace, and the credential to sign with.
	// +required
	ConsumerRef CredentialReference `json:"consumerRef"`
	// secretName of the Secret that gets the token, under the keys token and authorization ("Bearer <token>").
	// It must not exist, or be this resource's already. Where you change it, the former Secret stays for 24h.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	// +required
	SecretName string `json:"secretName"`
	// subject is the sub claim. Default: none.
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:Pattern=`^[^\x00-\x1f\x7f]*$`
	// +optional
	Subject string `json:"subject,omitempty"`
	// audience is the aud claim. Default: none. Kong does not check it; upstreams may.
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=255
	// +kubebuilder:validation:items:Pattern=`^[^\x00-\x1f\x7f]+$`
	// +listType=set
	// +optional
	Audience []string `json:"audience,omitempty"`
	// claims of your own. iss, kid, iat, exp and nbf are the operator's; sub and aud have fields.
	// +kubebuilder:validation:Type=object
	// +kubebuilder:validation:MaxProperties=64
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	Claims *apiextensionsv1.JSON `json:"claims,omitempty"`
	// ttl is how long a token is valid. Default 1h, at least 10s, at most 8760h (a year).
	// +kubebuilder:default="1h"
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,5}h|[0-9]{1,7}m|[0-9]{1,9}(s|ms)|[0-9]{1,5}[.][0-9]{1,6}(h|m|s))+$') && duration(self) >= duration('10s') && duration(self) <= duration('8760h')",message="must be a duration from 10s to 8760h, such as 90m or 720h. Units are h, m, s and ms; write 30 days as 720h."
	// +optional
	TTL Duration `json:"ttl,omitempty"`
	// renewBefore is how long before its expiry a token is replaced. From 1s to 8760h, below ttl. Default: a third
	// of ttl.
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,5}h|[0-9]{1,7}m|[0-9]{1,9}(s|ms)|[0-9]{1,5}[.][0-9]{1,6}(h|m|s))+$') && duration(self) >= duration('1s') && duration(self) <= duration('8760h')",message="must be a duration from 1s to 8760h, such as 20m or 12h. Units are h, m, s and ms; write 30 days as 720h."
	// +optional
	RenewBefore Duration `json:"renewBefore,omitempty"`
}

// CredentialReference names a credential of a JwtConsumer.
type CredentialReference struct {
	// name of the JwtConsumer.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	// +required
	Name string `json:"name"`
	// credential is the name of one of its credentials.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +required
	Credential string `json:"credential"`
}

// JwtTokenStatus is what the operator knows of a token. It never holds the token.
type JwtTokenStatus struct {
	// observedGeneration of the spec that the conditions speak of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// conditions are Ready; Reconciling or Stalled while they are true; Suspended while spec.suspend is true; and
	// TTLTooLong while it is true.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// gateway on which the token is good: its consumer's.
	// +optional
	Gateway string `json:"gateway,omitempty"`
	// issueTime is the token's iat.
	// +optional
	IssueTime *metav1.Time `json:"issueTime,omitempty"`
	// expirationTime is the token's exp.
	// +optional
	ExpirationTime *metav1.Time `json:"expirationTime,omitempty"`
	// renewalTime is when the token is replaced.
	// +optional
	RenewalTime *metav1.Time `json:"renewalTime,omitempty"`
	// key of the credential that signed it: its iss and kid.
	// +optional
	Key string `json:"key,omitempty"`
	// secretName of the Secret that holds it.
	// +optional
	SecretName string `json:"secretName,omitempty"`
	// formerSecrets are those that spec.secretName named before, oldest first. They hold the token too, kept fresh,
	// for 24h from the change: pods that were made before it still mount them. One that you delete is not made
	// again.
	// +kubebuilder:validation:MaxItems=16
	// +listType=map
	// +listMapKey=name
	// +optional
	FormerSecrets []FormerSecret `json:"formerSecrets,omitempty"`
}

// FormerSecret is a Secret that the spec named before.
type FormerSecret struct {
	// name of the Secret.
	// +kubebuilder:validation:MaxLength=253
	// +required
	Name string `json:"name"`
	// retirementTime is when it is deleted.
	// +required
	RetirementTime metav1.Time `json:"retirementTime"`
}

// JwtToken is a signed token, kept fresh in a Secret.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=jwtt,categories=kongjwt
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Gateway",type=string,JSONPath=`.status.gateway`
// +kubebuilder:printcolumn:name="Consumer",type=string,JSONPath=`.spec.consumerRef.name`
// +kubebuilder:printcolumn:name="Secret",type=string,JSONPath=`.spec.secretName`
// +kubebuilder:printcolumn:name="Renewal",type=string,JSONPath=`.status.renewalTime`
// +kubebuilder:printcolumn:name="Expires",type=string,JSONPath=`.status.expirationTime`
// +kubebuilder:printcolumn:name="Suspended",type=boolean,JSONPath=`.spec.suspend`
// +kubebuilder:printcolumn:name="Since",type=date,JSONPath=`.status.conditions[?(@.type=="Ready")].lastTransitionTime`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type JwtToken struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what is wanted of the token.
	// +required
	Spec JwtTokenSpec `json:"spec"`
	// status is what the operator found and did.
	// +optional
	Status JwtTokenStatus `json:"status,omitempty"`
}

// JwtTokenList is a list of JwtTokens.
//
// +kubebuilder:object:root=true
type JwtTokenList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []JwtToken `json:"items"`
}
