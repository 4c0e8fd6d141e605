package v1alpha1

import (
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// Duration is a length of time as Go writes it: numbers with the units h, m, s or ms, such as "720h" or "1h30m".
// Days are not a unit of Go's. It is text, so that a value that got past validation can never break a list of resources.
//
// +kubebuilder:validation:Type=string
// +kubebuilder:validation:MinLength=2
// +kubebuilder:validation:MaxLength=32
// +kubebuilder:validation:Pattern=`^([0-9]{1,9}(\.[0-9]{1,6})?(ms|s|m|h))+$`
// +kubebuilder:validation:XValidation:rule="duration(self) <= duration('87600h')",message="must be a duration as Go writes it, such as 720h, 90m or 1h30m (a day is 24h), and at most 87600h (ten years)"
type Duration string

// Or gives the duration, or fallback where it is empty or cannot be read.
func (d Duration) Or(fallback time.Duration) time.Duration {
	if d == "" {
		return fallback
	}
	parsed, err := time.ParseDuration(string(d))
	if err != nil {
		return fallback
	}
	return parsed
}

// GatewayReference names the KongGateway a resource is programmed on.
type GatewayReference struct {
	// Name of the KongGateway.
	// +kubebuilder:default=default
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	// +optional
	Name string `json:"name,omitempty"`
}

// DeletionPolicy says what happens in Kong when a resource is deleted.
//
// +kubebuilder:validation:Enum=Delete;Retain
type DeletionPolicy string

const (
	// DeletionPolicyDelete removes from Kong what the resource made.
	DeletionPolicyDelete DeletionPolicy = "Delete"
	// DeletionPolicyRetain leaves it in Kong, working, without our tags.
	DeletionPolicyRetain DeletionPolicy = "Retain"
)

// Algorithm is a JWS algorithm (RFC 7518 section 3.1, RFC 8037) that Kong's jwt plugin verifies.
//
// +kubebuilder:validation:Enum=HS256;HS384;HS512;RS256;RS384;RS512;ES256;ES384;ES512;PS256;PS384;PS512;EdDSA
type Algorithm string

// LocalSecretKeyReference names one key of a Secret in the resource's own namespace.
type LocalSecretKeyReference struct {
	// Name of the Secret.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	// +required
	Name string `json:"name"`
	// Key in the Secret's data.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	// +required
	Key string `json:"key"`
}

// SecretReference names a Secret for a cluster-scoped resource.
type SecretReference struct {
	// Namespace of the Secret. It has to be one that the operator reads gateway Secrets from: its own, unless a flag lists others.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +required
	Namespace string `json:"namespace"`
	// Name of the Secret.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	// +required
	Name string `json:"name"`
}

// SecretKeyReference names one key of a Secret for a cluster-scoped resource.
type SecretKeyReference struct {
	SecretReference `json:",inline"`
	// Key in the Secret's data.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	// +required
	Key string `json:"key"`
}

// Tag is a Kong tag of the user's own. Commas and slashes separate tags in Kong's filters, so they cannot be part of one.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=128
// +kubebuilder:validation:Pattern=`^[^,/\x00-\x1f\x7f]+$`
// +kubebuilder:validation:XValidation:rule="!self.matches('[,/[:cntrl:]]')",message="must hold no comma, no slash and no control character: Kong's filters by tag are made of them"
// +kubebuilder:validation:XValidation:rule="!self.startsWith('kongjwt')",message="tags that begin with kongjwt are the operator's own; choose another"
type Tag string

// ConfigSource is one Secret key whose content is a JSON or YAML object that is merged over a plugin's config.
type ConfigSource struct {
	// SecretRef names the Secret key, in the resource's own namespace.
	// +required
	SecretRef LocalSecretKeyReference `json:"secretRef"`
}

// PluginSpec is a Kong plugin beside the ones that have fields of their own.
type PluginSpec struct {
	// Name tells the plugins of one resource apart. Kong shows it in the part tag.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +required
	Name string `json:"name"`
	// Plugin is Kong's name of the plugin, such as cors. The KongGateway's policy.plugins has to list it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +kubebuilder:validation:XValidation:rule="self != 'jwt'",message="the jwt plugin is configured by a JwtProtectedService's spec.jwt"
	// +required
	Plugin string `json:"plugin"`
	// Enabled says whether Kong runs the plugin.
	// +kubebuilder:default=true
	// +optional
	Enabled *bool `json:"enabled,omitempty"`
	// Config is the plugin's configuration as Kong documents it. What is left out gets Kong's default.
	// Use configFrom for values that are secret.
	// +kubebuilder:validation:Type=object
	// +kubebuilder:validation:MaxProperties=128
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	Config *apiextensionsv1.JSON `json:"config,omitempty"`
	// ConfigFrom lists Secret keys whose content (a JSON or YAML object) is merged over config, in this order.
	// +kubebuilder:validation:MaxItems=8
	// +listType=atomic
	// +optional
	ConfigFrom []ConfigSource `json:"configFrom,omitempty"`
}
