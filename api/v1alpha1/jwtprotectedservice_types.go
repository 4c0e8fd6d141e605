package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// JwtProtectedServiceSpec is a Kong service, its routes, the jwt plugin and what goes with it.
//
// +kubebuilder:validation:XValidation:rule="has(self.upstream) != has(self.attachTo)",message="set exactly one of upstream (a service and routes of its own) and attachTo (plugins on what exists in Kong)"
// +kubebuilder:validation:XValidation:rule="!has(self.attachTo) || !has(self.routes)",fieldPath=".routes",message="routes go with upstream; with attachTo the routes are somebody else's"
// +kubebuilder:validation:XValidation:rule="!has(self.attachTo) || !has(self.serviceName)",fieldPath=".serviceName",message="serviceName goes with upstream; with attachTo name the service there"
// +kubebuilder:validation:XValidation:rule="!has(self.access) || !has(self.plugins) || !self.plugins.exists(p, p.plugin == 'acl')",fieldPath=".plugins",message="spec.access already sets the acl plugin; use one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.rateLimit) || !has(self.plugins) || !self.plugins.exists(p, p.plugin == 'rate-limiting' && !has(p.route))",fieldPath=".plugins",message="spec.rateLimit already sets the rate-limiting plugin; use one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.plugins) || self.plugins.all(p, !has(p.route) || (has(self.routes) && self.routes.exists(r, r.name == p.route)))",fieldPath=".plugins",message="a plugin's route has to be the name of one of spec.routes"
// +kubebuilder:validation:XValidation:rule="!has(self.plugins) || self.plugins.all(p, self.plugins.exists_one(q, q.plugin == p.plugin && (has(q.route) ? q.route : \"\") == (has(p.route) ? p.route : \"\")))",fieldPath=".plugins",message="Kong runs a plugin once on a service or route; remove the second of the same plugin, or give it another route"
type JwtProtectedServiceSpec struct {
	// gatewayRef names the KongGateway to program.
	// +kubebuilder:default={name: "default"}
	// +optional
	GatewayRef GatewayReference `json:"gatewayRef,omitempty"`
	// suspend stops all work on this resource until it is false again. What is in Kong stays as it is.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
	// serviceName in Kong. Default: <namespace>.<name>. Where the gateway's policy is Namespaced it has to begin with
	// "<namespace>.".
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9A-Za-z._~[:^ascii:]-]+$')",message="Kong takes letters, digits, '.', '_', '~' and '-' in the name of a service; replace other characters"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$')",message="must not look like a UUID: Kong would take it for an id"
	// +optional
	ServiceName string `json:"serviceName,omitempty"`
	// tags are added to every entity that this resource makes in Kong.
	// +kubebuilder:validation:MaxItems=16
	// +listType=set
	// +optional
	Tags []Tag `json:"tags,omitempty"`
	// upstream is where requests go.
	// +optional
	Upstream *Upstream `json:"upstream,omitempty"`
	// routes say which requests are meant. Without one nothing reaches the service.
	// +kubebuilder:validation:MaxItems=16
	// +listType=map
	// +listMapKey=name
	// +optional
	Routes []Route `json:"routes,omitempty"`
	// attachTo puts the plugins on a service or route that exists in Kong and is somebody else's.
	// +optional
	AttachTo *AttachTo `json:"attachTo,omitempty"`
	// jwt is the configuration of the jwt plugin. What is left out gets Kong's default.
	// +kubebuilder:default={}
	// +optional
	JWT JWTPlugin `json:"jwt,omitempty"`
	// claims of the token that are checked once the jwt plugin has verified it, and headers that are made of claims.
	// +optional
	Claims *ClaimChecks `json:"claims,omitempty"`
	// access narrows who of the consumers may call (Kong's acl plugin). Without it the consumers of the resource's
	// own namespace may, or, where the gateway's policy for identities is Any, every consumer of the gateway.
	// +optional
	Access *Access `json:"access,omitempty"`
	// rateLimit bounds how often (Kong's rate-limiting plugin).
	// +optional
	RateLimit *RateLimit `json:"rateLimit,omitempty"`
	// plugins beside these.
	// +kubebuilder:validation:MaxItems=16
	// +listType=map
	// +listMapKey=name
	// +optional
	Plugins []ServicePlugin `json:"plugins,omitempty"`
	// deletionPolicy says what happens in Kong when this resource is deleted. Default Delete.
	// +kubebuilder:default=Delete
	// +optional
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`
}

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
	// tlsVerify says whether the upstream's certificate is verified. Without it, Kong's own setting counts. https only.
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

// Route says which requests are meant. All of what it sets has to match; of each list, one.
//
// +kubebuilder:validation:XValidation:rule="[has(self.paths), has(self.hosts), has(self.methods), has(self.headers), has(self.snis)].exists(x, x)",message="a route has to match on something: set paths, hosts, methods, headers or snis"
// +kubebuilder:validation:XValidation:rule="!has(self.snis) || (has(self.protocols) && self.protocols.all(p, p in ['https', 'grpcs']))",fieldPath=".snis",message="set protocols to [https] or [grpcs]: requests without TLS would be taken whatever the SNI"
// +kubebuilder:validation:XValidation:rule="!has(self.protocols) || self.protocols.all(p, p in ['grpc', 'grpcs']) || self.protocols.all(p, p in ['http', 'https'])",fieldPath=".protocols",message="http and https go together, grpc and grpcs go together; use two routes for both"
// +kubebuilder:validation:XValidation:rule="!has(self.protocols) || !self.protocols.exists(p, p in ['grpc', 'grpcs']) || (!has(self.methods) && !(has(self.stripPath) && self.stripPath))",fieldPath=".protocols",message="a grpc route takes neither methods nor stripPath: true; remove them, or use http and https"
type Route struct {
	// name tells the routes of one service apart; in Kong it is <serviceName>.<name>.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +required
	Name string `json:"name"`
	// paths that a request's path begins with, or, after ~, a regular expression that it matches.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=1024
	// +kubebuilder:validation:items:XValidation:rule="self.startsWith('/') || self.startsWith('~/')",message="must begin with /, or with ~/ for a regular expression"
	// +kubebuilder:validation:items:XValidation:rule="!self.matches('[[:cntrl:]]')",message="must hold no control characters, such as line breaks and tabs"
	// +kubebuilder:validation:items:XValidation:rule="self.startsWith('~') || self.matches('^([^%]|%(2[13-9ABCF]|3[ABDF]|40|5[BD]))*$')",message="Kong takes paths in normalized form: write characters as they are, such as a space for %20; percent-encode only those that RFC 3986 reserves, in capital letters, such as %2F"
	// +kubebuilder:validation:items:XValidation:rule="self.startsWith('~') || !self.matches('/[.][.]?(/|$)')",message="Kong takes paths in normalized form: leave . and .. out"
	// +kubebuilder:validation:XValidation:rule="self.all(p, !p.contains('//'))",message="Kong takes no empty segments (//) in a path"
	// +listType=set
	// +optional
	Paths []string `json:"paths,omitempty"`
	// hosts that the route serves; a * may stand for the first or the last label.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^(([0-9A-Za-z_-]*[0-9A-Za-z_][.])+[*]|([*][.])?[0-9A-Za-z_-]*[0-9A-Za-z_]([.][0-9A-Za-z_-]*[0-9A-Za-z_])*[.]?(:[0-9]{1,5})?|[[][0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*[]](:[0-9]{1,5})?)$')",message="must be a host, such as api.example.com, api.example.com:8443, *.example.com or api.*; no empty label, none that ends in -, no port behind api.*"
	// +kubebuilder:validation:items:XValidation:rule="!self.matches('^[^:]*:(6553[6-9]|655[4-9][0-9]|65[6-9][0-9]{2}|6[6-9][0-9]{3}|[7-9][0-9]{4})$|[]]:(6553[6-9]|655[4-9][0-9]|65[6-9][0-9]{2}|6[6-9][0-9]{3}|[7-9][0-9]{4})$')",message="a port is at most 65535; lower it"
	// +kubebuilder:validation:items:XValidation:rule="!self.matches('^[0-9.]+(:|$)') || self.matches('^((25[0-5]|2[0-4][0-9]|[01]?[0-9]{1,2})[.]){3}(25[0-5]|2[0-4][0-9]|[01]?[0-9]{1,2})(:|$)')",message="is no IPv4 address: write four numbers from 0 to 255, or a name with a letter in it"
	// +listType=set
	// +optional
	Hosts []string `json:"hosts,omitempty"`
	// methods that the route serves, in capital letters.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=32
	// +kubebuilder:validation:items:Pattern=`^[A-Z]+$`
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^[A-Z]+$')",message="must be capital letters, such as GET"
	// +listType=set
	// +optional
	Methods []string `json:"methods,omitempty"`
	// headers by name; of each list one value has to match. A single value that begins with ~* is a regular
	// expression. Host is matched by hosts.
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=8
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(k) <= 64 && k.matches('^[0-9A-Za-z_-]+$'))",message="header names are letters, digits, - and _, at most 64"
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.lowerAscii() != 'host')",message="the Host header is matched by hosts"
	// +optional
	Headers map[string]HeaderValues `json:"headers,omitempty"`
	// snis of the TLS connection. They go with protocols [https] or [grpcs].
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^([*]|([0-9A-Za-z_-]*[0-9A-Za-z_][.])+[*]|([*][.])?[0-9A-Za-z_-]*[0-9A-Za-z_]([.][0-9A-Za-z_-]*[0-9A-Za-z_])*[.]?|[0-9.]+)$')",message="must be a name, such as api.example.com, *.example.com or api.*; no port, no empty label and none that ends in -"
	// +kubebuilder:validation:items:XValidation:rule="!self.matches('^[0-9.]+$')",message="must be a name: Kong takes no address as SNI"
	// +listType=set
	// +optional
	SNIs []string `json:"snis,omitempty"`
	// protocols are http and https, or grpc and grpcs. Default: https, and http, which tokens should not travel over.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	// +listType=set
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

// HeaderValues are the values of which one has to match.
//
// +kubebuilder:validation:MinItems=1
// +kubebuilder:validation:MaxItems=8
// +kubebuilder:validation:items:MinLength=1
// +kubebuilder:validation:items:MaxLength=255
// +kubebuilder:validation:items:Pattern=`^[^\x00-\x1f\x7f]*$`
// +listType=set
type HeaderValues []string

// AttachTo names a service or a route that exists in Kong.
//
// +kubebuilder:validation:XValidation:rule="has(self.serviceName) != has(self.routeName)",message="set exactly one of serviceName and routeName"
type AttachTo struct {
	// serviceName in Kong.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9A-Za-z._~[:^ascii:]-]+$')",message="Kong takes letters, digits, '.', '_', '~' and '-' in the name of a service; write it as it is in Kong"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$')",message="must not look like a UUID: Kong would take it for an id"
	// +optional
	ServiceName string `json:"serviceName,omitempty"`
	// routeName in Kong.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9A-Za-z._~[:^ascii:]-]+$')",message="Kong takes letters, digits, '.', '_', '~' and '-' in the name of a route; write it as it is in Kong"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$')",message="must not look like a UUID: Kong would take it for an id"
	// +optional
	RouteName string `json:"routeName,omitempty"`
}

// JWTPlugin is the configuration of Kong's jwt plugin.
//
// +kubebuilder:validation:XValidation:rule="!has(self.maximumExpiration) || (has(self.claimsToVerify) && 'exp' in self.claimsToVerify)",fieldPath=".maximumExpiration",message="needs exp in claimsToVerify: else expired tokens pass; add exp there"
type JWTPlugin struct {
	// uriParamNames are query parameters to look for a token in. Default: jwt. An empty list turns it off.
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=128
	// +kubebuilder:validation:items:Pattern=`^[0-9A-Za-z._~-]+$`
	// +listType=set
	// +optional
	URIParamNames *[]string `json:"uriParamNames,omitempty"`
	// cookieNames to look for a token in. Default: none.
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=128
	// +kubebuilder:validation:items:Pattern=`^[0-9A-Za-z!#$%&'*+.^_|~-]+$`
	// +listType=set
	// +optional
	CookieNames *[]string `json:"cookieNames,omitempty"`
	// headerNames to look for a token in, as "Bearer <token>". Default: authorization. An empty list turns it off.
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=128
	// +kubebuilder:validation:items:Pattern=`^[0-9A-Za-z_-]+$`
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^[0-9A-Za-z_-]+$')",message="a header's name is letters, digits, - and _"
	// +listType=set
	// +optional
	HeaderNames *[]string `json:"headerNames,omitempty"`
	// claimsToVerify are exp (expiry) and nbf (not before). Default: none, so expired tokens pass. Set [exp].
	// +kubebuilder:validation:MaxItems=2
	// +listType=set
	// +optional
	ClaimsToVerify []TimeClaim `json:"claimsToVerify,omitempty"`
	// keyClaimName is the claim, or the field of the token's header, that holds the credential's key. Default: iss.
	// For JWKS and rotation: kid.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[^\x00-\x1f\x7f]+$`
	// +optional
	KeyClaimName string `json:"keyClaimName,omitempty"`
	// secretIsBase64 decodes HMAC secrets as base64url before use: clients sign with the bytes that the text stands
	// for. Tokens of a JwtToken, and of `kubectl kongjwt token create`, are signed with the text itself, and are
	// refused here. Default false.
	// +optional
	SecretIsBase64 *bool `json:"secretIsBase64,omitempty"`
	// runOnPreflight says whether OPTIONS requests need a token. Default true.
	// +optional
	RunOnPreflight *bool `json:"runOnPreflight,omitempty"`
	// maximumExpiration is how far in the future exp may be. Whole seconds, from 1s to 8760h (a year). Default: any.
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,5}h|[0-9]{1,7}m|[0-9]{1,9}s)+$') && duration(self) >= duration('1s') && duration(self) <= duration('8760h')",message="must be a duration from 1s to 8760h, such as 1h or 24h. Units are h, m and s; write 30 days as 720h."
	// +optional
	MaximumExpiration Duration `json:"maximumExpiration,omitempty"`
	// anonymous is the username of the consumer that requests without a valid token become. Default: none, they are
	// refused.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:Pattern=`^[^\x00-\x1f\x7f]+$`
	// +optional
	Anonymous string `json:"anonymous,omitempty"`
	// realm in the WWW-Authenticate header. Kong 3.8 or newer.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[^"\\\x00-\x1f\x7f]+$`
	// +optional
	Realm string `json:"realm,omitempty"`
}

// TimeClaim is a claim about time that the jwt plugin can verify (RFC 7519 section 4.1).
//
// +kubebuilder:validation:Enum=exp;nbf
type TimeClaim string

const (
	// ClaimExpiration is the time from which a token is refused.
	ClaimExpiration TimeClaim = "exp"
	// ClaimNotBefore is the time until which a token is refused.
	ClaimNotBefore TimeClaim = "nbf"
)

// Access narrows who may call. Whoever any of it names may.
//
// +kubebuilder:validation:XValidation:rule="has(self.groups) || has(self.consumers) || has(self.consumerSelector) || has(self.from)",message="set groups, consumers, consumerSelector or from"
// +kubebuilder:validation:XValidation:rule="!has(self.from) || self.from != 'AnyNamespace' || (!has(self.groups) && !has(self.consumers) && !has(self.consumerSelector))",fieldPath=".from",message="AnyNamespace lets every consumer in; remove it, or the rest of access"
// +kubebuilder:validation:XValidation:rule="!has(self.consumerNamespaces) || has(self.consumerSelector)",fieldPath=".consumerNamespaces",message="goes with consumerSelector; set that too, or remove consumerNamespaces"
type Access struct {
	// groups of consumers.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=255
	// +kubebuilder:validation:items:Pattern=`^[^,\x00-\x1f\x7f]+$`
	// +kubebuilder:validation:items:XValidation:rule="!self.matches('[,[:cntrl:]]')",message="must hold no comma and no control character: upstreams get the groups as one list with commas"
	// +kubebuilder:validation:items:XValidation:rule="!self.startsWith('kongjwt:')",message="groups that begin with kongjwt: are the operator's own; choose another"
	// +listType=set
	// +optional
	Groups []string `json:"groups,omitempty"`
	// consumers by name.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	// +optional
	Consumers []ConsumerReference `json:"consumers,omitempty"`
	// consumerSelector matches JwtConsumers by their labels, in the resource's own namespace unless
	// consumerNamespaces names others. Of more than 256 the oldest are admitted: use groups for more.
	// +optional
	ConsumerSelector *metav1.LabelSelector `json:"consumerSelector,omitempty"`
	// from admits all consumers of the resource's own namespace (OwnNamespace), or of every namespace (AnyNamespace).
	// +kubebuilder:validation:Enum=OwnNamespace;AnyNamespace
	// +optional
	From string `json:"from,omitempty"`
	// consumerNamespaces in which consumerSelector looks.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +listType=set
	// +optional
	ConsumerNamespaces []string `json:"consumerNamespaces,omitempty"`
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

// RateLimit bounds how often a caller may call.
//
// +kubebuilder:validation:XValidation:rule="[has(self.second), has(self.minute), has(self.hour), has(self.day), has(self.month), has(self.year)].exists(x, x)",message="set at least one of second, minute, hour, day, month and year"
// +kubebuilder:validation:XValidation:rule="!has(self.second) || ((!has(self.minute) || self.second <= self.minute) && (!has(self.hour) || self.second <= self.hour) && (!has(self.day) || self.second <= self.day) && (!has(self.month) || self.second <= self.month) && (!has(self.year) || self.second <= self.year))",fieldPath=".second",message="must not be above the limit of a longer time; lower it, or raise that one"
// +kubebuilder:validation:XValidation:rule="!has(self.minute) || ((!has(self.hour) || self.minute <= self.hour) && (!has(self.day) || self.minute <= self.day) && (!has(self.month) || self.minute <= self.month) && (!has(self.year) || self.minute <= self.year))",fieldPath=".minute",message="must not be above the limit of a longer time; lower it, or raise that one"
// +kubebuilder:validation:XValidation:rule="!has(self.hour) || ((!has(self.day) || self.hour <= self.day) && (!has(self.month) || self.hour <= self.month) && (!has(self.year) || self.hour <= self.year))",fieldPath=".hour",message="must not be above the limit of a longer time; lower it, or raise that one"
// +kubebuilder:validation:XValidation:rule="!has(self.day) || ((!has(self.month) || self.day <= self.month) && (!has(self.year) || self.day <= self.year))",fieldPath=".day",message="must not be above the limit of a longer time; lower it, or raise that one"
// +kubebuilder:validation:XValidation:rule="!has(self.month) || !has(self.year) || self.month <= self.year",fieldPath=".month",message="must not be above the limit of a longer time; lower it, or raise that one"
// +kubebuilder:validation:XValidation:rule="(has(self.policy) && self.policy == 'redis') == has(self.redis)",fieldPath=".redis",message="redis goes with policy: redis, and only with it"
type RateLimit struct {
	// second is how many requests a second.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2147483647
	// +optional
	Second *int32 `json:"second,omitempty"`
	// minute is how many requests a minute.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2147483647
	// +optional
	Minute *int32 `json:"minute,omitempty"`
	// hour is how many requests an hour.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2147483647
	// +optional
	Hour *int32 `json:"hour,omitempty"`
	// day is how many requests a day.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2147483647
	// +optional
	Day *int32 `json:"day,omitempty"`
	// month is how many requests a month.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2147483647
	// +optional
	Month *int32 `json:"month,omitempty"`
	// year is how many requests a year.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2147483647
	// +optional
	Year *int32 `json:"year,omitempty"`
	// limitBy is whose requests are counted together. Default consumer.
	// +kubebuilder:default=consumer
	// +optional
	LimitBy LimitBy `json:"limitBy,omitempty"`
	// policy is where is counted: local (each node for itself), cluster (Kong's database) or redis. Default local.
	// +kubebuilder:default=local
	// +optional
	Policy RateLimitPolicy `json:"policy,omitempty"`
	// faultTolerant lets requests pass while the place of counting is away. Default true.
	// +optional
	FaultTolerant *bool `json:"faultTolerant,omitempty"`
	// hideClientHeaders leaves the RateLimit headers out of answers. Default false.
	// +optional
	HideClientHeaders *bool `json:"hideClientHeaders,omitempty"`
	// redis is where policy redis counts: the name of one of the servers in the KongGateway's policy.redis.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +optional
	Redis string `json:"redis,omitempty"`
}

// LimitBy is what requests are counted by.
//
// +kubebuilder:validation:Enum=consumer;credential;ip;service
type LimitBy string

const (
	// LimitByConsumer counts the requests of each consumer.
	LimitByConsumer LimitBy = "consumer"
	// LimitByCredential counts the requests of each credential.
	LimitByCredential LimitBy = "credential"
	// LimitByIP counts the requests of each client's address.
	LimitByIP LimitBy = "ip"
	// LimitByService counts the requests to the service.
	LimitByService LimitBy = "service"
)

// RateLimitPolicy is where requests are counted.
//
// +kubebuilder:validation:Enum=local;cluster;redis
type RateLimitPolicy string

const (
	// RateLimitLocal counts in each node for itself.
	RateLimitLocal RateLimitPolicy = "local"
	// RateLimitCluster counts in Kong's database.
	RateLimitCluster RateLimitPolicy = "cluster"
	// RateLimitByRedis counts in a Redis server.
	RateLimitByRedis RateLimitPolicy = "redis"
)

// ServicePlugin is a plugin on the service, or on one of its routes.
type ServicePlugin struct {
	PluginSpec `json:",inline"`
	// route is the name of one of spec.routes: the plugin then runs for it alone.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +optional
	Route string `json:"route,omitempty"`
	// protocols the plugin runs for. Default: all that it can.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=4
	// +listType=set
	// +optional
	Protocols []Protocol `json:"protocols,omitempty"`
}

// EntityStatus is one entity in Kong.
type EntityStatus struct {
	// name in the spec; for the plugins that have fields of their own, the plugin's.
	// +required
	Name string `json:"name"`
	// kongID is the entity's id in Kong.
	// +optional
	KongID string `json:"kongID,omitempty"`
}

// BudgetUse is what a service has Kong keep in memory.
type BudgetUse struct {
	// routes that it has.
	// +optional
	Routes int32 `json:"routes,omitempty"`
	// matches are the paths, hosts, SNIs and header values of its routes.
	// +optional
	Matches int32 `json:"matches,omitempty"`
	// configBytes is how long the configurations of its plugins are, in bytes, those from Secrets among them.
	// +optional
	ConfigBytes int32 `json:"configBytes,omitempty"`
}

// JwtProtectedServiceStatus is what the operator knows of a protected service.
type JwtProtectedServiceStatus struct {
	// observedGeneration of the spec that the conditions speak of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// conditions are Ready; Reconciling or Stalled while they are true; Suspended while spec.suspend is true; and
	// AccessIncomplete, RoutesIncomplete, AnyAudience, NoExpiry and Drifted while they are true.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// gateway that holds what this resource made, if any.
	// +optional
	Gateway string `json:"gateway,omitempty"`
	// serviceName in Kong.
	// +optional
	ServiceName string `json:"serviceName,omitempty"`
	// serviceID in Kong.
	// +optional
	ServiceID string `json:"serviceID,omitempty"`
	// paths of the routes that Kong has.
	// +kubebuilder:validation:MaxItems=1024
	// +listType=atomic
	// +optional
	Paths []string `json:"paths,omitempty"`
	// routes that Kong has.
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	// +optional
	Routes []EntityStatus `json:"routes,omitempty"`
	// plugins that Kong has.
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	// +optional
	Plugins []EntityStatus `json:"plugins,omitempty"`
	// use is how much of its namespace's budget it has: see policy.budget of the KongGateway.
	// +optional
	Use *BudgetUse `json:"use,omitempty"`
	// drift lists what somebody else changed in Kong and is left so, because spec.drift.policy of the gateway is
	// Report.
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	// +optional
	Drift []DriftedEntity `json:"drift,omitempty"`
}

// JwtProtectedService is a Kong service, its routes, the jwt plugin and what goes with it.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=jwtps,categories=kongjwt
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Gateway",type=string,JSONPath=`.spec.gatewayRef.name`
// +kubebuilder:printcolumn:name="Service",type=string,JSONPath=`.status.serviceName`
// +kubebuilder:printcolumn:name="Paths",type=string,JSONPath=`.status.paths`
// +kubebuilder:printcolumn:name="Suspended",type=boolean,JSONPath=`.spec.suspend`
// +kubebuilder:printcolumn:name="Since",type=date,JSONPath=`.status.conditions[?(@.type=="Ready")].lastTransitionTime`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type JwtProtectedService struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the service shall be.
	// +required
	Spec JwtProtectedServiceSpec `json:"spec"`
	// status is what the operator found and did.
	// +optional
	Status JwtProtectedServiceStatus `json:"status,omitempty"`
}

// JwtProtectedServiceList is a list of JwtProtectedServices.
//
// +kubebuilder:object:root=true
type JwtProtectedServiceList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []JwtProtectedService `json:"items"`
}
