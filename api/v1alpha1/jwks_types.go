package v1alpha1

import "cmp"

// JWKS names an issuer's key set. On Kong it means that every token of that issuer becomes this consumer: iss and aud
// are not checked but by spec.claims of a service, and services have to read the key from kid.
//
// +kubebuilder:validation:XValidation:rule="[has(self.url), has(self.issuer), has(self.cluster) && self.cluster].exists_one(x, x)",message="set one of url, issuer and cluster: true, and remove the others"
type JWKS struct {
	// url of the key set. https, unless the gateway's policy.jwks says otherwise.
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://([^/?#@:[:space:]]+|[[][0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*[]])(:[1-9][0-9]{0,4})?(/[^#[:space:]]*)?$')",message="must be a URL such as https://issuer.example.com/.well-known/jwks.json; no user and password"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^https?://[^/]+:(6553[6-9]|655[4-9][0-9]|65[6-9][0-9]{2}|6[6-9][0-9]{3}|[7-9][0-9]{4})(/|$)')",message="a port is at most 65535; lower it"
	// +optional
	URL string `json:"url,omitempty"`
	// issuer is an identity provider whose discovery document names the key set: what tokens carry in iss, to the
	// letter. The document is below it at /.well-known/openid-configuration (OpenID Connect Discovery), or at the
	// host's /.well-known/oauth-authorization-server (RFC 8414). It has to name the same issuer.
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://([^/?#@:[:space:]]+|[[][0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*[]])(:[1-9][0-9]{0,4})?(/[^?#[:space:]]*)?$')",message="must be a URL such as https://login.example.com/realms/orders; no query, no user and password"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^https?://[^/]+:(6553[6-9]|655[4-9][0-9]|65[6-9][0-9]{2}|6[6-9][0-9]{3}|[7-9][0-9]{4})(/|$)')",message="a port is at most 65535; lower it"
	// +optional
	Issuer string `json:"issuer,omitempty"`
	// cluster follows the keys by which this cluster's API server signs the tokens of ServiceAccounts. The operator
	// reads them there, at /openid/v1/jwks, with its own rights. policy.jwks.issuers names them as
	// https://kubernetes.default.svc/openid/v1/jwks.
	// +optional
	Cluster bool `json:"cluster,omitempty"`
	// refreshInterval between two looks at the set. Default 10m, at least 30s, at most 24h. Cache-Control may ask
	// for longer.
	// +kubebuilder:default="10m"
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,5}h|[0-9]{1,7}m|[0-9]{1,9}(s|ms)|[0-9]{1,5}[.][0-9]{1,6}(h|m|s))+$') && duration(self) >= duration('30s') && duration(self) <= duration('24h')",message="must be a duration from 30s to 24h, such as 10m or 1h. Units are h, m, s and ms; write a day as 24h."
	// +optional
	RefreshInterval Duration `json:"refreshInterval,omitempty"`
	// caSecretRef names the Secret key with the certificate authorities (PEM) to trust instead of the system's.
	// +optional
	CASecretRef *LocalSecretKeyReference `json:"caSecretRef,omitempty"`
	// overlap is how long a key stays after it left the set. Default 24h.
	// +kubebuilder:default="24h"
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,5}h|[0-9]{1,7}m|[0-9]{1,9}(s|ms)|[0-9]{1,5}[.][0-9]{1,6}(h|m|s))+$') && duration(self) <= duration('8760h')",message="must be a duration from 0s to 8760h, such as 24h or 720h. Units are h, m, s and ms; write 30 days as 720h."
	// +optional
	Overlap Duration `json:"overlap,omitempty"`
	// maxKeys that are taken from the set, in its order. As many that left it stay for their overlap. Default 16.
	// +kubebuilder:default=16
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=64
	// +optional
	MaxKeys int32 `json:"maxKeys,omitempty"`
}

// Address is where the keys of a set come from: the url, the issuer, or ClusterKeySet.
func (j *JWKS) Address() string {
	if j.Cluster {
		return ClusterKeySet
	}
	return cmp.Or(j.URL, j.Issuer)
}

// AddressField is the field that Address comes from.
func (j *JWKS) AddressField() string {
	switch {
	case j.Cluster:
		return "cluster"
	case j.URL == "" && j.Issuer != "":
		return "issuer"
	}
	return "url"
}

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
	// caSecretRef names the Secret key with the certificate authorities (PEM) that an https proxy is trusted by,
	// instead of the system's. Issuers are trusted by jwks.caSecretRef of the consumer, as without a proxy.
	// +optional
	CASecretRef *SecretKeyReference `json:"caSecretRef,omitempty"`
	// credentialsSecretRef names a Secret of type kubernetes.io/basic-auth (username, password). The proxy gets
	// them in Proxy-Authorization, and nobody else does.
	// +optional
	CredentialsSecretRef *SecretReference `json:"credentialsSecretRef,omitempty"`
	// noProxy lists issuers that are reached without the proxy, as the environment variable NO_PROXY does: a host
	// and the names below it (example.com), the names below it alone (.example.com), an address or a network
	// (10.0.0.0/8), each with a port or without, or * for all.
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^([*]|[0-9A-Za-z_.:/-]+|[[][0-9A-Fa-f:.]+[]](:[0-9]+)?)$') && !self.contains('//')",message="must be one host, domain, address or network, such as .example.com or 10.0.0.0/8; write each as an element of its own"
	// +listType=set
	// +optional
	NoProxy []string `json:"noProxy,omitempty"`
}
