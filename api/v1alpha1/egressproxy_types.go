package v1alpha1

// EgressProxy is an HTTP proxy by which the operator reaches issuers. The Admin API, data planes and the API server
// are never asked by it.
type EgressProxy struct {
	// url of the proxy, such as http://proxy.example.com:3128. Credentials belong in credentialsSecretRef.
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="!self.matches('^https?://[^/]+:(6553[6-9]|655[4-9][0-9]|65[6-9][0-9]{2}|6[6-9][0-9]{3}|[7-9][0-9]{4})(/|$)')",message="a port is at most 65535; lower it"
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://([^/?#@:[:space:]]+|[[][0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*[]])(:[1-9][0-9]{0,4})?/?$')",message="must be http or https, a host and perhaps a port, such as http://proxy.example.com:3128; credentials belong in credentialsSecretRef"
	// +required
	URL string `json:"url"`
	// caSecretRef names the Secret key with the certificate authorities (PEM) that an https proxy is trusted by, instead
	// of the system's. Issuers are trusted by jwks.caSecretRef of the consumer, as without a proxy.
	// +optional
	CASecretRef *SecretKeyReference `json:"caSecretRef,omitempty"`
	// credentialsSecretRef names a Secret of type kubernetes.io/basic-auth (username, password). The proxy gets them in
	// Proxy-Authorization, and nobody else does.
	// +optional
	CredentialsSecretRef *SecretReference `json:"credentialsSecretRef,omitempty"`
	// noProxy lists issuers that are reached without the proxy, as the environment variable NO_PROXY does: a host and
	// the names below it (example.com), the names below it alone (.example.com), an address or a network (10.0.0.0/8),
	// each with a port or without, or * for all.
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^([*]|[0-9A-Za-z_.:/-]+|[[][0-9A-Fa-f:.]+[]](:[0-9]+)?)$') && !self.contains('//')",message="must be one host, domain, address or network, such as .example.com or 10.0.0.0/8; write each as an element of its own"
	// +listType=set
	// +optional
	NoProxy []string `json:"noProxy,omitempty"`
}
