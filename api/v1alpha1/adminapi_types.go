package v1alpha1

// AdminAPI says how to reach Kong's Admin API.
//
// +kubebuilder:validation:XValidation:rule="has(self.url) != has(self.serviceRef)",message="set exactly one of url and serviceRef"
type AdminAPI struct {
	// url of the Admin API, such as https://kong-admin.example.com:8444. Credentials belong in auth, not in the
	// URL.
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="!self.matches('^https?://[^/]+:(6553[6-9]|655[4-9][0-9]|65[6-9][0-9]{2}|6[6-9][0-9]{3}|[7-9][0-9]{4})(/|$)')",message="a port is at most 65535; lower it"
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://([^/?#@:[:space:]]+|[[][0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*[]])(:[1-9][0-9]{0,4})?(/[^?#[:space:]]*)?$')",message="must be http or https, a host and perhaps a port and a path, such as https://kong-admin.example.com:8444; credentials belong in auth"
	// +optional
	URL string `json:"url,omitempty"`
	// serviceRef names the Kubernetes Service of the Admin API.
	// +optional
	ServiceRef *GatewayServiceReference `json:"serviceRef,omitempty"`
	// workspace of Kong Enterprise that everything is made in. Empty: the default workspace.
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[0-9a-zA-Z._~-]*$`
	// +optional
	Workspace string `json:"workspace,omitempty"`
	// auth is the header that Kong Enterprise's RBAC, or a proxy in front of the Admin API, asks for.
	// +optional
	Auth *AdminAuth `json:"auth,omitempty"`
	// tls settings for an https Admin API. Without them the system's certificate authorities are trusted.
	// +optional
	TLS *ClientTLS `json:"tls,omitempty"`
	// timeout of one request. Default 10s, at least 100ms, at most 5m.
	// +kubebuilder:default="10s"
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,5}h|[0-9]{1,7}m|[0-9]{1,9}(s|ms)|[0-9]{1,5}[.][0-9]{1,6}(h|m|s))+$') && duration(self) >= duration('100ms') && duration(self) <= duration('5m')",message="must be a duration from 100ms to 5m, such as 10s or 500ms. Units are h, m, s and ms; a minute is 1m or 60s."
	// +optional
	Timeout Duration `json:"timeout,omitempty"`
	// concurrency is how many requests may be under way at once.
	// +kubebuilder:default=50
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=200
	// +optional
	Concurrency int32 `json:"concurrency,omitempty"`
}

// GatewayServiceReference names a Kubernetes Service of Kong's.
type GatewayServiceReference struct {
	// namespace of the Service.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +required
	Namespace string `json:"namespace"`
	// name of the Service.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z]([-a-z0-9]*[a-z0-9])?$`
	// +required
	Name string `json:"name"`
	// port of the Service.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	// +required
	Port int32 `json:"port"`
	// scheme is http or https.
	// +kubebuilder:default=https
	// +optional
	Scheme HTTPScheme `json:"scheme,omitempty"`
}

// HTTPScheme is the scheme of a URL.
//
// +kubebuilder:validation:Enum=http;https
type HTTPScheme string

const (
	// SchemeHTTP is HTTP without TLS.
	SchemeHTTP HTTPScheme = "http"
	// SchemeHTTPS is HTTP over TLS.
	SchemeHTTPS HTTPScheme = "https"
)

// AdminAuth is a header with a secret value.
type AdminAuth struct {
	// header that carries the token.
	// +kubebuilder:default=Kong-Admin-Token
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[0-9A-Za-z_-]+$`
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9A-Za-z_-]+$')",message="a header's name is letters, digits, - and _"
	// +optional
	Header string `json:"header,omitempty"`
	// secretRef names the Secret key that holds the token.
	// +required
	SecretRef SecretKeyReference `json:"secretRef"`
}

// ClientTLS is how the operator trusts a server, and how it shows who it is.
type ClientTLS struct {
	// caSecretRef names the Secret key with the certificate authorities (PEM) to trust instead of the system's.
	// +optional
	CASecretRef *SecretKeyReference `json:"caSecretRef,omitempty"`
	// clientCertificateSecretRef names a Secret of type kubernetes.io/tls (tls.crt, tls.key).
	// +optional
	ClientCertificateSecretRef *SecretReference `json:"clientCertificateSecretRef,omitempty"`
	// serverName to verify, and to send as SNI, instead of the URL's host.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[0-9A-Za-z_.:-]*$`
	// +optional
	ServerName string `json:"serverName,omitempty"`
	// insecureSkipVerify turns verification off. Anybody between the operator and Kong can then read every secret.
	// +optional
	InsecureSkipVerify bool `json:"insecureSkipVerify,omitempty"`
}

// DataPlanes says where the data planes (Kong's proxies) are.
//
// +kubebuilder:validation:XValidation:rule="(has(self.urls) && size(self.urls) > 0) != has(self.serviceRef)",message="set exactly one of urls and serviceRef"
type DataPlanes struct {
	// urls of the data planes' proxies.
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=8
	// +kubebuilder:validation:items:MaxLength=2048
	// +kubebuilder:validation:items:XValidation:rule="!self.matches('^https?://[^/]+:(6553[6-9]|655[4-9][0-9]|65[6-9][0-9]{2}|6[6-9][0-9]{3}|[7-9][0-9]{4})(/|$)')",message="a port is at most 65535; lower it"
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^https?://([^/?#@:[:space:]]+|[[][0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*[]])(:[1-9][0-9]{0,4})?/?$')",message="must be http or https, a host and perhaps a port, such as https://kong.example.com:8443; no path"
	// +listType=set
	// +nullable
	// +optional
	URLs []string `json:"urls,omitempty"`
	// serviceRef names the Service of the proxies; each ready endpoint is one data plane.
	// +optional
	ServiceRef *GatewayServiceReference `json:"serviceRef,omitempty"`
	// tls settings for https proxies.
	// +optional
	TLS *ClientTLS `json:"tls,omitempty"`
}
