package v1alpha1

// Upstream is where requests go.
//
// +kubebuilder:validation:XValidation:rule="has(self.url) != has(self.serviceRef)",message="set exactly one of url and serviceRef"
// +kubebuilder:validation:XValidation:rule="!has(self.path) || !has(self.url) || !self.url.matches('^[a-z]+://[^/]+/.+')",fieldPath=".path",message="the url already has a path; use one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.path) || !(has(self.url) ? self.url.startsWith('grpc') : has(self.serviceRef) && self.serviceRef.scheme.startsWith('grpc'))",fieldPath=".path",message="Kong takes no path with grpc and grpcs; remove it"
// +kubebuilder:validation:XValidation:rule="!has(self.tlsVerify) || (has(self.url) ? self.url.startsWith('https:') : !has(self.serviceRef) || self.serviceRef.scheme == 'https')",fieldPath=".tlsVerify",message="Kong takes it with https only; remove it, or change the url or scheme to https"
// +kubebuilder:validation:XValidation:rule="!has(self.tlsVerifyDepth) || (has(self.url) ? self.url.startsWith('https:') : !has(self.serviceRef) || self.serviceRef.scheme == 'https')",fieldPath=".tlsVerifyDepth",message="Kong takes it with https only; remove it, or change the url or scheme to https"
type Upstream struct {
	// url such as http://my-api.example.com:8080/base. http, https, grpc or grpcs; no query, no user and password.
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self.matches('^(http|https|grpc|grpcs)://([0-9A-Za-z_-]*[0-9A-Za-z_]([.][0-9A-Za-z_-]*[0-9A-Za-z_])*[.]?|[[][0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*[]])(:[0-9]{1,5})?(/[^?#]*)?$')",message="must be http, https, grpc or grpcs, a host and perhaps a port and a path, such as http://my-api.example.com:8080/base; no query, no user and password, no empty label and none that ends in - in the host"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[a-z]+://[^/]+:(0+|6553[6-9]|655[4-9][0-9]|65[6-9][0-9]{2}|6[6-9][0-9]{3}|[7-9][0-9]{4})(/|$)')",message="a port is from 1 to 65535; change it"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[a-z]+://[0-9.]+(:|/|$)') || self.matches('^[a-z]+://((25[0-5]|2[0-4][0-9]|[01]?[0-9]{1,2})[.]){3}(25[0-5]|2[0-4][0-9]|[01]?[0-9]{1,2})(:|/|$)')",message="the host is no IPv4 address: write four numbers from 0 to 255, or a name with a letter in it"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[a-z]+://[^/]+/') || self.matches('^[a-z]+://[^/]+([0-9A-Za-z._~!$&()*+,;=:@/\\'-]|%[0-9A-Fa-f]{2})*$')",message="Kong takes the characters of RFC 3986 in an upstream's path; percent-encode others, as % and two hexadecimal digits"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[a-z]+://[^/]+/.*//') && !self.matches('^[a-z]+://[^/]+//')",message="Kong takes no empty segments (//) in a path; remove one /"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^grpcs?://[^/]+/')",message="Kong takes no path with grpc and grpcs; remove it from the url"
	// +optional
	URL string `json:"url,omitempty"`
	// serviceRef names a Service in the resource's own namespace.
	// +optional
	ServiceRef *UpstreamServiceReference `json:"serviceRef,omitempty"`
	// path that is put before the request's.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.startsWith('/')",message="must begin with /"
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('/') || self.matches('^([0-9A-Za-z._~!$&()*+,;=:@/\\'-]|%[0-9A-Fa-f]{2})*$')",message="Kong takes the characters of RFC 3986 in an upstream's path; percent-encode others, as % and two hexadecimal digits"
	// +kubebuilder:validation:XValidation:rule="!self.contains('//')",message="Kong takes no empty segments (//) in a path"
	// +optional
	Path string `json:"path,omitempty"`
	// retries after a failed connection. Default 5.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=32767
	// +optional
	Retries *int32 `json:"retries,omitempty"`
	// connectTimeout from 1ms to 24h, 60s by default.
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,5}h|[0-9]{1,7}m|[0-9]{1,9}(s|ms)|[0-9]{1,5}[.][0-9]{1,6}(h|m|s))+$') && duration(self) >= duration('1ms') && duration(self) <= duration('24h')",message="must be a duration from 1ms to 24h, such as 60s or 500ms. Units are h, m, s and ms; a minute is 1m or 60s."
	// +optional
	ConnectTimeout Duration `json:"connectTimeout,omitempty"`
	// readTimeout between two reads, default 60s, from 1ms to 24h.
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,5}h|[0-9]{1,7}m|[0-9]{1,9}(s|ms)|[0-9]{1,5}[.][0-9]{1,6}(h|m|s))+$') && duration(self) >= duration('1ms') && duration(self) <= duration('24h')",message="must be a duration from 1ms to 24h, such as 60s or 500ms. Units are h, m, s and ms; a minute is 1m or 60s."
	// +optional
	ReadTimeout Duration `json:"readTimeout,omitempty"`
	// writeTimeout between two writes, default 60s, from 1ms to 24h.
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,5}h|[0-9]{1,7}m|[0-9]{1,9}(s|ms)|[0-9]{1,5}[.][0-9]{1,6}(h|m|s))+$') && duration(self) >= duration('1ms') && duration(self) <= duration('24h')",message="must be a duration from 1ms to 24h, such as 60s or 500ms. Units are h, m, s and ms; a minute is 1m or 60s."
	// +optional
	WriteTimeout Duration `json:"writeTimeout,omitempty"`
	// tlsVerify says whether the upstream's certificate is verified. Default: Kong's own setting. https only.
	// +optional
	TLSVerify *bool `json:"tlsVerify,omitempty"`
	// tlsVerifyDepth is the length of the certificate chain, 0 to 64.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=64
	// +optional
	TLSVerifyDepth *int32 `json:"tlsVerifyDepth,omitempty"`
}

// UpstreamServiceReference names a Service in the resource's own namespace.
type UpstreamServiceReference struct {
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
	// scheme is http, https, grpc or grpcs. Default http.
	// +kubebuilder:default=http
	// +optional
	Scheme Protocol `json:"scheme,omitempty"`
}

// Route says which requests go to the service. A request must match every field that is set, and one element of each
// list. An empty list is as none.
//
// +kubebuilder:validation:XValidation:rule="[has(self.paths) && size(self.paths) > 0, has(self.hosts) && size(self.hosts) > 0, has(self.methods) && size(self.methods) > 0, has(self.headers) && size(self.headers) > 0, has(self.snis) && size(self.snis) > 0].exists(x, x)",message="a route has to match on something: set paths, hosts, methods, headers or snis"
// +kubebuilder:validation:XValidation:rule="!has(self.snis) || size(self.snis) == 0 || (has(self.protocols) && size(self.protocols) > 0 && self.protocols.all(p, p in ['https', 'grpcs']))",fieldPath=".snis",message="set protocols to [https] or [grpcs]: requests without TLS would be taken whatever the SNI"
// +kubebuilder:validation:XValidation:rule="!has(self.protocols) || self.protocols.all(p, p in ['grpc', 'grpcs']) || self.protocols.all(p, p in ['http', 'https'])",fieldPath=".protocols",message="http and https go together, grpc and grpcs go together; use two routes for both"
// +kubebuilder:validation:XValidation:rule="!has(self.protocols) || !self.protocols.exists(p, p in ['grpc', 'grpcs']) || ((!has(self.methods) || size(self.methods) == 0) && !(has(self.stripPath) && self.stripPath))",fieldPath=".protocols",message="a grpc route takes neither methods nor stripPath: true; remove them, or use http and https"
type Route struct {
	// name tells the routes of one service apart; in Kong it is <serviceName>.<name>.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +required
	Name string `json:"name"`
	// paths that a request's path begins with, or, after ~, a regular expression that it matches.
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=1024
	// +kubebuilder:validation:items:XValidation:rule="self.startsWith('/') || self.startsWith('~/')",message="must begin with /, or with ~/ for a regular expression"
	// +kubebuilder:validation:items:XValidation:rule="!self.matches('[[:cntrl:]]')",message="must hold no control characters, such as line breaks and tabs"
	// +kubebuilder:validation:items:XValidation:rule="self.startsWith('~') || self.matches('^([^%]|%(2[13-9ABCF]|3[ABDF]|40|5[BD]))*$')",message="Kong takes paths in normalized form: write characters as they are, such as a space for %20; percent-encode only those that RFC 3986 reserves, in capital letters, such as %2F"
	// +kubebuilder:validation:items:XValidation:rule="self.startsWith('~') || !self.matches('/[.][.]?(/|$)')",message="Kong takes paths in normalized form: leave . and .. out"
	// +kubebuilder:validation:XValidation:rule="self.all(p, !p.contains('//'))",message="Kong takes no empty segments (//) in a path"
	// +listType=set
	// +nullable
	// +optional
	Paths []string `json:"paths,omitempty"`
	// hosts that the route serves; a * may stand for the first or the last label.
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^(([0-9A-Za-z_-]*[0-9A-Za-z_][.])+[*]|([*][.])?[0-9A-Za-z_-]*[0-9A-Za-z_]([.][0-9A-Za-z_-]*[0-9A-Za-z_])*[.]?(:[0-9]{1,5})?|[[][0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*[]](:[0-9]{1,5})?)$')",message="must be a host, such as api.example.com, api.example.com:8443, *.example.com or api.*; no empty label, none that ends in -, no port behind api.*"
	// +kubebuilder:validation:items:XValidation:rule="!self.matches('^[^:]*:(6553[6-9]|655[4-9][0-9]|65[6-9][0-9]{2}|6[6-9][0-9]{3}|[7-9][0-9]{4})$|[]]:(6553[6-9]|655[4-9][0-9]|65[6-9][0-9]{2}|6[6-9][0-9]{3}|[7-9][0-9]{4})$')",message="a port is at most 65535; lower it"
	// +kubebuilder:validation:items:XValidation:rule="!self.matches('^[0-9.]+(:|$)') || self.matches('^((25[0-5]|2[0-4][0-9]|[01]?[0-9]{1,2})[.]){3}(25[0-5]|2[0-4][0-9]|[01]?[0-9]{1,2})(:|$)')",message="is no IPv4 address: write four numbers from 0 to 255, or a name with a letter in it"
	// +listType=set
	// +nullable
	// +optional
	Hosts []string `json:"hosts,omitempty"`
	// methods that the route serves, in capital letters.
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=32
	// +kubebuilder:validation:items:Pattern=`^[A-Z]+$`
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^[A-Z]+$')",message="must be capital letters, such as GET"
	// +listType=set
	// +nullable
	// +optional
	Methods []string `json:"methods,omitempty"`
	// headers by name; of each list one value has to match. A single value that begins with ~* is a regular
	// expression. Host is matched by hosts.
	// +kubebuilder:validation:MaxProperties=8
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(k) <= 64 && k.matches('^[0-9A-Za-z_-]+$'))",message="header names are letters, digits, - and _, at most 64"
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.lowerAscii() != 'host')",message="the Host header is matched by hosts"
	// +nullable
	// +optional
	Headers map[string]HeaderValues `json:"headers,omitempty"`
	// snis of the TLS connection. They go with protocols [https] or [grpcs].
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^([*]|([0-9A-Za-z_-]*[0-9A-Za-z_][.])+[*]|([*][.])?[0-9A-Za-z_-]*[0-9A-Za-z_]([.][0-9A-Za-z_-]*[0-9A-Za-z_])*[.]?|[0-9.]+)$')",message="must be a name, such as api.example.com, *.example.com or api.*; no port, no empty label and none that ends in -"
	// +kubebuilder:validation:items:XValidation:rule="!self.matches('^[0-9.]+$')",message="must be a name: Kong takes no address as SNI"
	// +listType=set
	// +nullable
	// +optional
	SNIs []string `json:"snis,omitempty"`
	// protocols are http and https, or grpc and grpcs. Default: https, and http, which tokens should not travel
	// over.
	// +kubebuilder:validation:MaxItems=2
	// +listType=set
	// +nullable
	// +optional
	Protocols []Protocol `json:"protocols,omitempty"`
	// stripPath takes the matched path off before the request goes upstream. Default true.
	// +optional
	StripPath *bool `json:"stripPath,omitempty"`
	// preserveHost sends the request's own Host header upstream. Default false.
	// +optional
	PreserveHost *bool `json:"preserveHost,omitempty"`
	// regexPriority orders routes with regular expressions; the higher first. Default 0.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=2147483647
	// +optional
	RegexPriority *int32 `json:"regexPriority,omitempty"`
	// pathHandling is v0 or v1, Kong's two ways to join paths. Default v0.
	// +optional
	PathHandling PathHandling `json:"pathHandling,omitempty"`
	// httpsRedirectStatusCode answers a plain request to an https route. Default 426.
	// +kubebuilder:validation:Enum=301;302;307;308;426
	// +optional
	HTTPSRedirectStatusCode *int32 `json:"httpsRedirectStatusCode,omitempty"`
	// requestBuffering is true by default.
	// +optional
	RequestBuffering *bool `json:"requestBuffering,omitempty"`
	// responseBuffering is true by default.
	// +optional
	ResponseBuffering *bool `json:"responseBuffering,omitempty"`
}

// PathHandling is one of Kong's two ways to join the path of a service, of a route and of a request.
//
// +kubebuilder:validation:Enum=v0;v1
type PathHandling string

const (
	// PathHandlingV0 puts one / between the paths.
	PathHandlingV0 PathHandling = "v0"
	// PathHandlingV1 joins the paths as they are.
	PathHandlingV1 PathHandling = "v1"
)

// HeaderValues are the values of a header. One of them must match.
//
// +kubebuilder:validation:MinItems=1
// +kubebuilder:validation:MaxItems=8
// +kubebuilder:validation:items:MinLength=1
// +kubebuilder:validation:items:MaxLength=255
// +kubebuilder:validation:items:Pattern=`^[^\x00-\x1f\x7f]*$`
// +listType=set
type HeaderValues []string
