package v1alpha1

import (
	"strings"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// Duration is a length of time as Go writes it: numbers with the units h, m, s and ms, such as "720h", "1h30m" or
// "500ms". A day is 24h. Each field of this type has one rule that says its bounds. The type is text: a value that Go
// cannot read never fails the list of resources that an informer asks for.
//
// +kubebuilder:validation:Type=string
// +kubebuilder:validation:MaxLength=32
type Duration string

// NewDuration writes a duration as people do: 1h, not 1h0m0s.
func NewDuration(d time.Duration) Duration {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return Duration(text)
}

// Or gives the duration, or fallback where it is empty or cannot be read.
func (d Duration) Or(fallback time.Duration) time.Duration {
	parsed, err := time.ParseDuration(string(d))
	if err != nil {
		return fallback
	}
	return parsed
}

// Protocol is what a connection speaks, as Kong names it.
//
// +kubebuilder:validation:Enum=http;https;grpc;grpcs
type Protocol string

const (
	// ProtocolHTTP is HTTP without TLS.
	ProtocolHTTP Protocol = "http"
	// ProtocolHTTPS is HTTP over TLS.
	ProtocolHTTPS Protocol = "https"
	// ProtocolGRPC is gRPC without TLS.
	ProtocolGRPC Protocol = "grpc"
	// ProtocolGRPCS is gRPC over TLS.
	ProtocolGRPCS Protocol = "grpcs"
)

// GatewayReference names the KongGateway a resource is programmed on.
type GatewayReference struct {
	// name of the KongGateway.
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
	// DeletionPolicyRetain leaves it in Kong, working, without the operator's tags.
	DeletionPolicyRetain DeletionPolicy = "Retain"
)

// Algorithm is a JWS algorithm (RFC 7518 section 3.1, RFC 8037) that Kong's jwt plugin verifies.
//
// +kubebuilder:validation:Enum=HS256;HS384;HS512;RS256;RS384;RS512;ES256;ES384;ES512;PS256;PS384;PS512;EdDSA
type Algorithm string

const (
	// HS256 is HMAC with SHA-256.
	HS256 Algorithm = "HS256"
	// HS384 is HMAC with SHA-384.
	HS384 Algorithm = "HS384"
	// HS512 is HMAC with SHA-512.
	HS512 Algorithm = "HS512"
	// RS256 is RSASSA-PKCS1-v1_5 with SHA-256.
	RS256 Algorithm = "RS256"
	// RS384 is RSASSA-PKCS1-v1_5 with SHA-384.
	RS384 Algorithm = "RS384"
	// RS512 is RSASSA-PKCS1-v1_5 with SHA-512.
	RS512 Algorithm = "RS512"
	// ES256 is ECDSA on P-256 with SHA-256.
	ES256 Algorithm = "ES256"
	// ES384 is ECDSA on P-384 with SHA-384.
	ES384 Algorithm = "ES384"
	// ES512 is ECDSA on P-521 with SHA-512. Kong 3.7 or newer.
	ES512 Algorithm = "ES512"
	// PS256 is RSASSA-PSS with SHA-256. Kong 3.7 or newer.
	PS256 Algorithm = "PS256"
	// PS384 is RSASSA-PSS with SHA-384. Kong 3.7 or newer.
	PS384 Algorithm = "PS384"
	// PS512 is RSASSA-PSS with SHA-512. Kong 3.7 or newer.
	PS512 Algorithm = "PS512"
	// EdDSA is Ed25519 or Ed448 (RFC 8037). Kong 3.7 or newer.
	EdDSA Algorithm = "EdDSA"
)

// LocalSecretKeyReference names one key of a Secret in the resource's own namespace.
type LocalSecretKeyReference struct {
	// name of the Secret.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	// +required
	Name string `json:"name"`
	// key in the Secret's data.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	// +required
	Key string `json:"key"`
}

// SecretReference names a Secret for a cluster-scoped resource.
type SecretReference struct {
	// namespace of the Secret. It has to be one that the operator reads gateway Secrets from: its own, unless a
	// flag lists others.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +required
	Namespace string `json:"namespace"`
	// name of the Secret.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	// +required
	Name string `json:"name"`
}

// SecretKeyReference names one key of a Secret for a cluster-scoped resource.
type SecretKeyReference struct {
	SecretReference `json:",inline"`
	// key in the Secret's data.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	// +required
	Key string `json:"key"`
}

// Tag is a Kong tag of the user's own. Commas and slashes separate tags in Kong's filters, so they cannot be part of
// one.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=128
// +kubebuilder:validation:Pattern=`^[^,/\x00-\x1f\x7f]+$`
// +kubebuilder:validation:XValidation:rule="!self.matches('[,/[:cntrl:]]')",message="must hold no comma, no slash and no control character: Kong's filters by tag are made of them"
// +kubebuilder:validation:XValidation:rule="!self.startsWith('kongjwt')",message="tags that begin with kongjwt are the operator's own; choose another"
type Tag string

// ConfigSource is one Secret key whose content is a JSON or YAML object that is merged over a plugin's config.
type ConfigSource struct {
	// secretRef names the Secret key, in the resource's own namespace.
	// +required
	SecretRef LocalSecretKeyReference `json:"secretRef"`
}

// PluginSpec is a plugin of Kong that has no field of its own in the spec.
type PluginSpec struct {
	// name tells the plugins of one resource apart. Kong shows it in the part tag.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +required
	Name string `json:"name"`
	// plugin is Kong's name of the plugin, such as cors. The KongGateway's policy.plugins has to list it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +kubebuilder:validation:XValidation:rule="self != 'jwt'",message="the jwt plugin is configured by a JwtProtectedService's spec.jwt"
	// +required
	Plugin string `json:"plugin"`
	// enabled says whether Kong runs the plugin.
	// +kubebuilder:default=true
	// +optional
	Enabled *bool `json:"enabled,omitempty"`
	// config is the plugin's configuration as Kong documents it. What is left out gets Kong's default.
	// Use configFrom for values that are secret.
	// +kubebuilder:validation:Type=object
	// +kubebuilder:validation:MaxProperties=128
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	Config *apiextensionsv1.JSON `json:"config,omitempty"`
	// configFrom lists Secret keys whose content (a JSON or YAML object) is merged over config, in this order. Each
	// has 128 KiB at most, and all configurations of a resource have 256 KiB.
	// +kubebuilder:validation:MaxItems=8
	// +listType=atomic
	// +optional
	ConfigFrom []ConfigSource `json:"configFrom,omitempty"`
}
