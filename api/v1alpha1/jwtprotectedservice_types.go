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
// +kubebuilder:validation:XValidation:rule="!has(self.routes) || self.routes.map(r, (has(r.hosts) && size(r.hosts) > 0 ? size(r.hosts) : 1) * (has(r.paths) && size(r.paths) > 0 ? size(r.paths) : 1)).sum() <= 512",fieldPath=".routes",message="the routes have more than 512 pairs of a host and a path, which is hosts times paths of each; shorten the lists, or use another service"
type JwtProtectedServiceSpec struct {
	// gatewayRef names the KongGateway to program.
	// +kubebuilder:default={name: "default"}
	// +optional
	GatewayRef GatewayReference `json:"gatewayRef,omitempty"`
	// suspend stops all work on this resource until it is false again. What is in Kong stays as it is.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
	// serviceName in Kong. Default: <namespace>.<name>. Where the gateway's policy is Namespaced it has to begin
	// with "<namespace>.".
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9A-Za-z._~[:^ascii:]-]+$')",message="Kong takes letters, digits, '.', '_', '~' and '-' in the name of a service; replace other characters"
	// +optional
	ServiceName string `json:"serviceName,omitempty"`
	// tags are added to every entity that this resource makes in Kong.
	// +kubebuilder:validation:MaxItems=16
	// +listType=set
	// +nullable
	// +optional
	Tags []Tag `json:"tags,omitempty"`
	// upstream is where requests go.
	// +optional
	Upstream *Upstream `json:"upstream,omitempty"`
	// routes say which requests go to the service. Without a route, no request does.
	// +kubebuilder:validation:MaxItems=16
	// +listType=map
	// +listMapKey=name
	// +nullable
	// +optional
	Routes []Route `json:"routes,omitempty"`
	// attachTo puts the plugins on what the operator does not manage: a service or route in Kong, or, where the
	// gateway has spec.ingressController, a Service, Ingress or HTTPRoute of the resource's namespace. Without the
	// resource it is without them, and open to everybody: delete the route first, or keep the resource.
	// +optional
	AttachTo *AttachTo `json:"attachTo,omitempty"`
	// jwt is the configuration of the jwt plugin. What is left out gets Kong's default.
	// +kubebuilder:default={}
	// +optional
	JWT JWTPlugin `json:"jwt,omitempty"`
	// claims of the token that are checked once the jwt plugin has verified it, and headers that are made of
	// claims.
	// +optional
	Claims *ClaimChecks `json:"claims,omitempty"`
	// access says which consumers may call (Kong's acl plugin). Without it, all consumers of the resource's own
	// namespace may call; where the gateway's policy for identities is Any, all consumers of the gateway.
	// +optional
	Access *Access `json:"access,omitempty"`
	// rateLimit limits how often a caller may call (Kong's rate-limiting plugin).
	// +optional
	RateLimit *RateLimit `json:"rateLimit,omitempty"`
	// plugins are further plugins of Kong.
	// +kubebuilder:validation:MaxItems=16
	// +listType=map
	// +listMapKey=name
	// +nullable
	// +optional
	Plugins []ServicePlugin `json:"plugins,omitempty"`
	// deletionPolicy says what happens in Kong when this resource is deleted. Default Delete.
	// +kubebuilder:default=Delete
	// +optional
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`
}

// AttachTo names a service or a route that exists in Kong, or an object that an ingress controller makes one of.
//
// +kubebuilder:validation:XValidation:rule="[has(self.serviceName), has(self.routeName), has(self.service), has(self.ingress), has(self.httpRoute)].filter(given, given).size() == 1",message="set exactly one of serviceName and routeName (in Kong), service, ingress and httpRoute (in the namespace, where an ingress controller owns Kong)"
type AttachTo struct {
	// serviceName in Kong.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9A-Za-z._~[:^ascii:]-]+$')",message="Kong takes letters, digits, '.', '_', '~' and '-' in the name of a service; write it as it is in Kong"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$')",message="must not look like a UUID: Kong finds what has such a name by its id alone"
	// +optional
	ServiceName string `json:"serviceName,omitempty"`
	// routeName in Kong.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9A-Za-z._~[:^ascii:]-]+$')",message="Kong takes letters, digits, '.', '_', '~' and '-' in the name of a route; write it as it is in Kong"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$')",message="must not look like a UUID: Kong finds what has such a name by its id alone"
	// +optional
	RouteName string `json:"routeName,omitempty"`
	// service is a Service of the resource's namespace: every route that leads to it is protected, one that comes
	// later too. Prefer it to ingress and httpRoute. The operator sets its annotation konghq.com/plugins and
	// nothing else, and not where somebody else has set it. The gateway has to have spec.ingressController.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z]([-a-z0-9]*[a-z0-9])?$`
	// +optional
	Service string `json:"service,omitempty"`
	// ingress is an Ingress of the resource's namespace, as service is. One that is deleted and made anew is open
	// to everybody until the operator has seen it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	// +optional
	Ingress string `json:"ingress,omitempty"`
	// httpRoute is an HTTPRoute (Gateway API) of the resource's namespace, as ingress is. status.servedBy says
	// which Gateways take it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	// +optional
	HTTPRoute string `json:"httpRoute,omitempty"`
}

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
	// +kubebuilder:validation:MaxItems=4
	// +listType=set
	// +nullable
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
	// configBytes is how long the configurations of its plugins are, in bytes, those from Secrets, and what
	// spec.claims makes, spec.access admits and spec.tags has among them. Each plugin counts 256 more.
	// +optional
	ConfigBytes int32 `json:"configBytes,omitempty"`
}

// JwtProtectedServiceStatus is what the operator knows of a protected service.
type JwtProtectedServiceStatus struct {
	// observedGeneration of the spec that the conditions speak of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// conditions are Ready; Reconciling or Stalled while they are true; Suspended while spec.suspend is true; and
	// AccessIncomplete, RoutesIncomplete, AnyAudience, NoExpiry, Drifted, AwaitingController and RevocationPending
	// while they are true.
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
	// servedBy are the Gateways (<namespace>/<name>) that take the HTTPRoute of spec.attachTo.
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +optional
	ServedBy []string `json:"servedBy,omitempty"`
	// use is how much of its namespace's budget it has: see policy.budget of the KongGateway.
	// +optional
	Use *BudgetUse `json:"use,omitempty"`
	// drift lists what somebody else changed in Kong and what stays so, because spec.drift.policy of the gateway is
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

	// spec is what is wanted in Kong.
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
	// from admits all consumers of the resource's own namespace (OwnNamespace), or of every namespace
	// (AnyNamespace).
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
