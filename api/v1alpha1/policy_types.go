package v1alpha1

// GatewayPolicy bounds what tenants may ask for.
type GatewayPolicy struct {
	// identities is Namespaced or Any. Namespaced: usernames, keys and groups that a tenant sets have to begin with
	// "<namespace>.", and customID may not be set. Any: tenants may claim any identity that is free.
	// +kubebuilder:default=Namespaced
	// +optional
	Identities IdentityPolicy `json:"identities,omitempty"`
	// groups reserves groups for the consumers of some namespaces. A group that entries list is only for the
	// namespaces of these entries. The rule of identities applies too.
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	// +optional
	Groups []GroupPolicy `json:"groups,omitempty"`
	// plugins that tenants may use. An empty list allows none. Plugins that run code from their configuration are
	// refused whatever the list says, and so is Lua in the configuration of others (custom_fields_by_lua).
	// +kubebuilder:default={"cors","rate-limiting","request-size-limiting","ip-restriction","correlation-id","http-log","prometheus","bot-detection","response-ratelimiting"}
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +kubebuilder:validation:XValidation:rule="!self.exists(p, p in ['pre-function', 'post-function', 'serverless-functions', 'exit-transformer', 'jwt'])",message="pre-function, post-function, serverless-functions and exit-transformer run Lua from their configuration and jwt is the operator's: none of them can be allowed"
	// +listType=atomic
	// +optional
	Plugins []string `json:"plugins,omitzero"`
	// consumerPlugins are those of Plugins that consumers may carry. None by default: Kong runs a consumer's plugin
	// instead of the service's own of the same name, so that a consumer could lift a service's rate limit or its
	// log.
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +listType=set
	// +optional
	ConsumerPlugins []string `json:"consumerPlugins,omitempty"`
	// upstreams bounds where tenants may have Kong send requests to.
	// +kubebuilder:default={}
	// +optional
	Upstreams UpstreamPolicy `json:"upstreams,omitempty"`
	// routes says which namespaces may claim which hosts and paths; an empty list: none may claim any. Default: a
	// host belongs to the first namespace that claims it.
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	// +optional
	Routes []RouteClaimPolicy `json:"routes,omitzero"`
	// regularExpressions permits regular expressions in paths and header values of routes. A few of them can take
	// hundreds of megabytes in every worker of Kong.
	// +optional
	RegularExpressions bool `json:"regularExpressions,omitempty"`
	// budget bounds how much of Kong's memory the services of each namespace can take.
	// +kubebuilder:default={}
	// +optional
	Budget Budget `json:"budget,omitempty"`
	// redis are the servers that services may count rate limits in. They choose one by its name: Kong shares
	// connections by host, port and database, so that a password or a database that a tenant set would serve
	// others' requests too.
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(a, self.exists_one(b, a.host == b.host && a.port == b.port && a.database == b.database))",message="each server and database may be listed once: Kong shares its connections, whatever the username and the password are"
	// +listType=map
	// +listMapKey=name
	// +optional
	Redis []RedisServer `json:"redis,omitempty"`
	// jwks bounds which key sets consumers may use.
	// +optional
	JWKS *JWKSPolicy `json:"jwks,omitempty"`
	// claims bounds what services may do with the claims of tokens.
	// +kubebuilder:default={}
	// +optional
	Claims ClaimPolicy `json:"claims,omitempty"`
	// minSecretBytes refuses HMAC secrets that are shorter, in bytes. 0 refuses none and warns (RFC 7518 section
	// 3.2).
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=512
	// +optional
	MinSecretBytes int32 `json:"minSecretBytes,omitempty"`
	// retain permits deletionPolicy: Retain. What stays in Kong then keeps its access, and no resource shows it.
	// +optional
	Retain bool `json:"retain,omitempty"`
}

// IdentityPolicy says which usernames, keys and groups tenants may set.
//
// +kubebuilder:validation:Enum=Namespaced;Any
type IdentityPolicy string

const (
	// IdentitiesNamespaced is those that begin with the resource's namespace.
	IdentitiesNamespaced IdentityPolicy = "Namespaced"
	// IdentitiesAny is all that are free.
	IdentitiesAny IdentityPolicy = "Any"
)

// GroupPolicy reserves groups for the consumers of some namespaces.
type GroupPolicy struct {
	// groups by their names; admin* stands for all that begin with admin.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=128
	// +listType=set
	// +required
	Groups []string `json:"groups"`
	// namespaces whose consumers may be in them. An empty list: none.
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +listType=set
	// +required
	Namespaces []string `json:"namespaces"`
}

// UpstreamPolicy bounds where tenants may send requests to: the upstreams of services, and the hosts and URLs in the
// configurations of plugins. Public addresses, and names below a top-level domain of the Internet, are open; Services
// of the own namespace are named by serviceRef. Everything else needs an entry in allow. The Admin API is never open.
// Names are judged as they are written: they are not looked up.
type UpstreamPolicy struct {
	// allow opens places that are not public, or that deny lists. It goes before deny.
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	// +optional
	Allow []AllowedUpstream `json:"allow,omitempty"`
	// deny lists networks, such as 8.8.8.0/24, and hosts: *.example.com means all below it, * means every host and
	// address. It does not apply to Services that are named by serviceRef.
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:XValidation:rule="self.contains('/') || self.matches('^([*]|([*][.])?[0-9A-Za-z_]([0-9A-Za-z_.-]*[0-9A-Za-z_])?|[0-9A-Fa-f:]*:[0-9A-Fa-f:]*)$')",message="must be a network, an address, a host or *.host; no port"
	// +kubebuilder:validation:items:XValidation:rule="!self.contains('/') || self.matches('^((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])[.]){3}(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])/(3[0-2]|[12]?[0-9])$') || self.matches('^[0-9A-Fa-f:]*:[0-9A-Fa-f:]*/(12[0-8]|1[01][0-9]|[1-9]?[0-9])$')",message="a network is an address and the length of its prefix, such as 10.0.0.0/8 or fd00::/8"
	// +listType=set
	// +optional
	Deny []string `json:"deny,omitempty"`
}

// AllowedUpstream opens places for some namespaces.
//
// +kubebuilder:validation:XValidation:rule="(has(self.cidrs) && size(self.cidrs) > 0) || (has(self.hosts) && size(self.hosts) > 0)",message="set cidrs, hosts or both"
type AllowedUpstream struct {
	// namespaces that it is for. Default: all.
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +listType=set
	// +optional
	Namespaces []string `json:"namespaces,omitzero"`
	// cidrs are networks, such as 10.20.0.0/16. They are for addresses as they are written: no name is looked up.
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=64
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])[.]){3}(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])/(3[0-2]|[12]?[0-9])$') || self.matches('^[0-9A-Fa-f:]*:[0-9A-Fa-f:]*/(12[0-8]|1[01][0-9]|[1-9]?[0-9])$')",message="a network is an address and the length of its prefix, such as 10.0.0.0/8 or fd00::/8"
	// +listType=set
	// +optional
	CIDRs []string `json:"cidrs,omitempty"`
	// hosts are names, where *.corp.internal stands for all below it and * for every name. A name in the cluster is
	// written in full, such as otel.monitoring.svc.
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^([*]|([*][.])?[0-9A-Za-z_]([0-9A-Za-z_.-]*[0-9A-Za-z_])?)$')",message="must be a host or *.host; no port"
	// +listType=set
	// +optional
	Hosts []string `json:"hosts,omitempty"`
	// ports that it opens. Default: all.
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:Minimum=1
	// +kubebuilder:validation:items:Maximum=65535
	// +listType=set
	// +optional
	Ports []int32 `json:"ports,omitzero"`
}

// RouteClaimPolicy lets some namespaces claim some hosts and paths.
type RouteClaimPolicy struct {
	// namespaces that may claim.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +listType=set
	// +required
	Namespaces []string `json:"namespaces"`
	// hosts they may claim; *.example.com stands for all below it. Default: any.
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:Pattern=`^(\*\.)?[0-9A-Za-z_]([0-9A-Za-z_.-]*[0-9A-Za-z_])?$`
	// +listType=set
	// +optional
	Hosts []string `json:"hosts,omitzero"`
	// pathPrefixes they may claim, by whole segments: /pay does not hold /payments. Default: any.
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=1024
	// +kubebuilder:validation:items:Pattern=`^/[^\s]*$`
	// +listType=set
	// +optional
	PathPrefixes []string `json:"pathPrefixes,omitzero"`
}

// Budget is what the services of one namespace may have in Kong together. Every worker of Kong keeps all of it. What a
// namespace has stays when a budget becomes smaller; nothing of it grows then.
type Budget struct {
	// routes that they may have. Default 1000.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	// +kubebuilder:default=1000
	// +optional
	Routes int32 `json:"routes,omitempty"`
	// matches are the paths, hosts, SNIs and header values of all routes. Default 4000.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	// +kubebuilder:default=4000
	// +optional
	Matches int32 `json:"matches,omitempty"`
	// configBytes is how long the configurations of their plugins may be, in bytes, those from Secrets, and what
	// spec.claims makes, spec.access admits and spec.tags has among them. Each plugin counts 256 more.
	// Default 1048576.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1073741824
	// +kubebuilder:default=1048576
	// +optional
	ConfigBytes int32 `json:"configBytes,omitempty"`
}

// RedisServer is a Redis server that rate limits count in.
type RedisServer struct {
	// name that services choose it by, in spec.rateLimit.redis.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +required
	Name string `json:"name"`
	// namespaces whose services may count in it. Default: all.
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +listType=set
	// +optional
	Namespaces []string `json:"namespaces,omitzero"`
	// host of the server: a name or an address, without a port.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9A-Za-z_-]*[0-9A-Za-z_]([.][0-9A-Za-z_-]*[0-9A-Za-z_])*[.]?|[[]?[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*[]]?)$')",message="must be a name or an address, such as redis.example.com; the port has a field"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[0-9.]+$') || self.matches('^((25[0-5]|2[0-4][0-9]|[01]?[0-9]{1,2})[.]){3}(25[0-5]|2[0-4][0-9]|[01]?[0-9]{1,2})$')",message="is no IPv4 address: write four numbers from 0 to 255, or a name with a letter in it"
	// +required
	Host string `json:"host"`
	// port of the server. Default 6379.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	// +kubebuilder:default=6379
	// +optional
	Port int32 `json:"port,omitempty"`
	// database number. Default 0.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1023
	// +kubebuilder:default=0
	// +optional
	Database int32 `json:"database,omitempty"`
	// username of the server's access list. Default: none.
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[^\x00-\x1f\x7f]*$`
	// +optional
	Username string `json:"username,omitempty"`
	// passwordSecretRef names the Secret key that holds the password. Default: none.
	// +optional
	PasswordSecretRef *SecretKeyReference `json:"passwordSecretRef,omitempty"`
	// ssl turns TLS on. Default false.
	// +optional
	SSL bool `json:"ssl,omitempty"`
	// sslVerify verifies the server's certificate. Default false, as Kong's.
	// +optional
	SSLVerify bool `json:"sslVerify,omitempty"`
	// serverName to verify and to send as SNI. Default: the host.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self == '' || (self.matches('^[0-9A-Za-z_-]*[0-9A-Za-z_]([.][0-9A-Za-z_-]*[0-9A-Za-z_])*[.]?$') && !self.matches('^[0-9.]+$'))",message="must be a name, such as redis.example.com: Kong takes neither an address nor a port here"
	// +optional
	ServerName string `json:"serverName,omitempty"`
	// timeout of one request, default 2s, from 1ms to 1m.
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,5}h|[0-9]{1,7}m|[0-9]{1,9}(s|ms)|[0-9]{1,5}[.][0-9]{1,6}(h|m|s))+$') && duration(self) >= duration('1ms') && duration(self) <= duration('1m')",message="must be a duration from 1ms to 1m, such as 2s or 500ms. Units are h, m, s and ms; a minute is 1m or 60s."
	// +optional
	Timeout Duration `json:"timeout,omitempty"`
}

// JWKSPolicy bounds which key sets consumers may use.
type JWKSPolicy struct {
	// issuers that may be followed; an empty list: none. Default: any, and a kid belongs to the first consumer that
	// has it.
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	// +optional
	Issuers []AllowedIssuer `json:"issuers,omitzero"`
	// allowHTTP permits http URLs. Anybody between the operator and the issuer can then issue tokens.
	// +optional
	AllowHTTP bool `json:"allowHTTP,omitempty"`
	// allowPrivateAddresses permits issuers on private, loopback and link-local addresses.
	// +optional
	AllowPrivateAddresses bool `json:"allowPrivateAddresses,omitempty"`
}

// AllowedIssuer is an issuer whose key sets may be followed.
type AllowedIssuer struct {
	// url of a key set; one that ends in / stands for all below it.
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^https?://[^\s/?#@]+(/[^\s#]*)?$`
	// +required
	URL string `json:"url"`
	// namespaces whose consumers may follow it. Default: all.
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +listType=set
	// +optional
	Namespaces []string `json:"namespaces,omitzero"`
}
