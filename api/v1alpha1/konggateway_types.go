package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// KongGatewaySpec is one Kong and what tenants may do on it.
//
// +kubebuilder:validation:XValidation:rule="has(self.adminAPI) != has(self.ingressController)",message="set exactly one of adminAPI and ingressController"
// +kubebuilder:validation:XValidation:rule="!has(self.ingressController) || self.adoption == 'Never'",message="an ingress controller's Kong holds nothing to adopt; set it to Never",fieldPath=".adoption"
// +kubebuilder:validation:XValidation:rule="!has(self.ingressController) || self.drift.policy == 'Correct'",message="an ingress controller corrects Kong by itself; set it to Correct",fieldPath=".drift"
// +kubebuilder:validation:XValidation:rule="!has(self.ingressController) || !has(self.policy.retain) || !self.policy.retain",message="an ingress controller takes away what no object asks for, so that nothing can be retained; remove retain",fieldPath=".policy"
// +kubebuilder:validation:XValidation:rule="has(self.ingressController) == has(oldSelf.ingressController)",message="what is in one kind of Kong does not move to the other; make another KongGateway, and name it in the resources"
type KongGatewaySpec struct {
	// adminAPI says how to reach Kong's Admin API.
	// +optional
	AdminAPI AdminAPI `json:"adminAPI,omitzero"`
	// ingressController says which ingress controller owns this Kong: Kong Ingress Controller, or Kong Operator.
	// The operator writes Kubernetes objects for it instead of asking an Admin API.
	// +optional
	IngressController *IngressController `json:"ingressController,omitempty"`
	// dataPlanes lists the data planes. Where it is set, credential changes are verified on each of them.
	// +optional
	DataPlanes *DataPlanes `json:"dataPlanes,omitempty"`
	// egressProxy is the way to issuers (jwks) where the cluster has no other: key sets and discovery documents are
	// fetched by it. Without it they are fetched directly, whatever the operator's environment says.
	// +optional
	EgressProxy *EgressProxy `json:"egressProxy,omitempty"`
	// allowedNamespaces says whose resources this gateway takes. Without it, nobody's.
	// +kubebuilder:default={from: "None"}
	// +optional
	AllowedNamespaces AllowedNamespaces `json:"allowedNamespaces,omitempty"`
	// policy bounds what tenants may ask for.
	// +kubebuilder:default={}
	// +optional
	Policy GatewayPolicy `json:"policy,omitempty"`
	// adoption says which entities in Kong the operator may take over that it did not make. Never: none. Unowned:
	// an entity that no tag claims, when a resource asks for its name; it keeps its id, and only its tags are
	// written. Replace: the whole configuration of a Kong without a database; with a database it means Never.
	// Default: Never.
	// +kubebuilder:default=Never
	// +optional
	Adoption AdoptionPolicy `json:"adoption,omitempty"`
	// drift says what happens to changes that somebody else makes in Kong.
	// +kubebuilder:default={}
	// +optional
	Drift Drift `json:"drift,omitempty"`
	// prune says what happens to entities in Kong that carry the operator's tags and whose resource is gone.
	// +kubebuilder:default={}
	// +optional
	Prune Prune `json:"prune,omitempty"`
	// suspend stops all work on this gateway, for all its resources, until it is false again.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// IngressController is the controller that makes Kong's configuration of Kubernetes objects.
type IngressController struct {
	// className is the ingress class of the controller, as its flag --ingress-class has it: the objects that the
	// operator writes are of this class. It cannot be changed.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="cannot be changed. Make another KongGateway with this class, and have the resources name it in spec.gatewayRef."
	// +required
	ClassName string `json:"className"`
}

// AdoptionPolicy says which entities in Kong the operator may take over that it did not make.
//
// +kubebuilder:validation:Enum=Never;Unowned;Replace
type AdoptionPolicy string

const (
	// AdoptionNever takes over nothing.
	AdoptionNever AdoptionPolicy = "Never"
	// AdoptionUnowned takes over an entity that no tag claims, when a resource asks for its name.
	AdoptionUnowned AdoptionPolicy = "Unowned"
	// AdoptionReplace replaces the whole configuration of a Kong without a database.
	AdoptionReplace AdoptionPolicy = "Replace"
)

// AllowedNamespaces says whose resources a gateway takes.
//
// +kubebuilder:validation:XValidation:rule="(has(self.from) && self.from == 'Selector') == has(self.selector)",message="selector goes with from: Selector, and only with it"
type AllowedNamespaces struct {
	// from is None (nobody), All (every namespace) or Selector (the namespaces that selector matches).
	// +kubebuilder:default=None
	// +optional
	From FromNamespaces `json:"from,omitempty"`
	// selector matches namespaces by their labels.
	// +optional
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
}

// FromNamespaces says which namespaces a gateway takes resources from.
//
// +kubebuilder:validation:Enum=None;All;Selector
type FromNamespaces string

const (
	// NamespacesNone is no namespace.
	NamespacesNone FromNamespaces = "None"
	// NamespacesAll is every namespace.
	NamespacesAll FromNamespaces = "All"
	// NamespacesSelector is the namespaces that the selector matches.
	NamespacesSelector FromNamespaces = "Selector"
)

// Drift says what happens to changes that somebody else makes in Kong.
type Drift struct {
	// policy is Correct (put back) or Report (only say so: a credential, or a plugin that protects a route, stays
	// away if somebody deleted it). A change of the resource itself is always programmed.
	// +kubebuilder:default=Correct
	// +optional
	Policy DriftPolicy `json:"policy,omitempty"`
	// interval between two looks at what Kong holds. Default 5m, at least 5s, at most 24h.
	// +kubebuilder:default="5m"
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,5}h|[0-9]{1,7}m|[0-9]{1,9}(s|ms)|[0-9]{1,5}[.][0-9]{1,6}(h|m|s))+$') && duration(self) >= duration('5s') && duration(self) <= duration('24h')",message="must be a duration from 5s to 24h, such as 5m or 1h. Units are h, m, s and ms; write a day as 24h."
	// +optional
	Interval Duration `json:"interval,omitempty"`
}

// Prune says what happens to entities in Kong that carry the operator's tags and whose resource is gone.
type Prune struct {
	// policy is Delete or Report.
	// +kubebuilder:default=Delete
	// +optional
	Policy PrunePolicy `json:"policy,omitempty"`
	// maxPercent of a namespace's entities that may be pruned at once, but never fewer than ten. More than that
	// looks like a mistake: of that namespace only credentials are pruned, and the gateway says so.
	// +kubebuilder:default=20
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	// +optional
	MaxPercent int32 `json:"maxPercent,omitempty"`
}

// DriftPolicy says what happens to changes that somebody else makes in Kong.
//
// +kubebuilder:validation:Enum=Correct;Report
type DriftPolicy string

const (
	// DriftCorrect puts back what was changed.
	DriftCorrect DriftPolicy = "Correct"
	// DriftReport puts nothing back, and says what was changed.
	DriftReport DriftPolicy = "Report"
)

// PrunePolicy says what happens to entities in Kong whose resource is gone.
//
// +kubebuilder:validation:Enum=Delete;Report
type PrunePolicy string

const (
	// PruneDelete deletes them.
	PruneDelete PrunePolicy = "Delete"
	// PruneReport deletes nothing, and says what could be deleted.
	PruneReport PrunePolicy = "Report"
)

// DriftChange is what somebody else did to an entity in Kong.
//
// +kubebuilder:validation:Enum=Changed;Deleted;Appeared
type DriftChange string

const (
	// DriftChanged is an entity that has other fields.
	DriftChanged DriftChange = "Changed"
	// DriftDeleted is an entity that is gone.
	DriftDeleted DriftChange = "Deleted"
	// DriftAppeared is an entity that carries the operator's tags and was not made by it.
	DriftAppeared DriftChange = "Appeared"
)

// DriftedEntity is an entity in Kong that somebody else changed, and that is left so.
type DriftedEntity struct {
	// kind of the entity, such as "plugin".
	// +required
	Kind string `json:"kind"`
	// name of the plugin, or what the entity is for the resource, such as "route:web".
	// +required
	Name string `json:"name"`
	// kongID is the id that the operator gives the entity.
	// +optional
	KongID string `json:"kongID,omitempty"`
	// change is Changed, Deleted, or Appeared: the entity carries the operator's tags and was not made by it.
	// +required
	Change DriftChange `json:"change"`
	// fields that differ from what is wanted: their names, never a value.
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	// +optional
	Fields []string `json:"fields,omitempty"`
}

// GatewayMode is how Kong keeps its configuration.
//
// +kubebuilder:validation:Enum=Database;DBLess;IngressController
type GatewayMode string

const (
	// ModeDatabase is a Kong with PostgreSQL.
	ModeDatabase GatewayMode = "Database"
	// ModeDBLess is a Kong that holds one declarative configuration in memory.
	ModeDBLess GatewayMode = "DBLess"
	// ModeIngressController is a Kong that an ingress controller owns.
	ModeIngressController GatewayMode = "IngressController"
)

// KongGatewayStatus is what the operator knows of a gateway.
type KongGatewayStatus struct {
	// observedGeneration of the spec that the conditions speak of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// conditions are Ready; Reconciling or Stalled while they are true; Suspended while spec.suspend is true;
	// OrphansKept, AwaitingController, FallbackOpens and ClaimsBypassed while they are true; and ClaimsChecked
	// where spec.dataPlanes is set and a service has spec.claims.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// kongVersion is the version that the Admin API gives.
	// +optional
	KongVersion string `json:"kongVersion,omitempty"`
	// capabilities are what this Kong takes, read from its version, its plugins and its schemas when it was
	// connected.
	// +optional
	Capabilities *KongCapabilities `json:"capabilities,omitempty"`
	// mode is Database or DBLess.
	// +optional
	Mode GatewayMode `json:"mode,omitempty"`
	// propagationDelay is how long a change may take to reach every worker of every node: Kong's
	// db_update_frequency, db_update_propagation and worker_state_update_frequency, and a margin.
	// +optional
	PropagationDelay string `json:"propagationDelay,omitempty"`
	// managed counts the entities in Kong that are this operator's, by kind.
	// +optional
	Managed *ManagedEntities `json:"managed,omitempty"`
	// orphaned counts the entities in Kong that belong to resources that are gone, and that are not pruned; the
	// condition OrphansKept says why.
	// +optional
	Orphaned int32 `json:"orphaned,omitempty"`
}

// KongCapabilities are what one Kong takes, as far as versions, editions and plugins differ.
type KongCapabilities struct {
	// edition is community or enterprise.
	// +optional
	Edition string `json:"edition,omitempty"`
	// algorithms that credentials may have.
	// +kubebuilder:validation:MaxItems=64
	// +listType=set
	// +optional
	Algorithms []string `json:"algorithms,omitempty"`
	// jwtOptions are the options of the jwt plugin, as Kong names them.
	// +kubebuilder:validation:MaxItems=64
	// +listType=set
	// +optional
	JWTOptions []string `json:"jwtOptions,omitempty"`
	// plugins that the node can run.
	// +kubebuilder:validation:MaxItems=512
	// +listType=set
	// +optional
	Plugins []string `json:"plugins,omitempty"`
	// flatRedis is true where the rate-limiting plugin's Redis is config.redis_host and its like, up to Kong 3.5;
	// later it is the record config.redis.
	// +optional
	FlatRedis bool `json:"flatRedis,omitempty"`
	// tlsCertificateVerify is true where no upstream may go unverified: Kong's setting of that name, from 3.14 on.
	// +optional
	TLSCertificateVerify bool `json:"tlsCertificateVerify,omitempty"`
	// noLua is true where Kong runs no Lua of plugins, so that it cannot check claims: kong.conf has untrusted_lua
	// = off.
	// +optional
	NoLua bool `json:"noLua,omitempty"`
}

// ManagedEntities counts entities in Kong.
type ManagedEntities struct {
	// consumers of JwtConsumers.
	// +optional
	Consumers int32 `json:"consumers"`
	// credentials of JwtConsumers.
	// +optional
	Credentials int32 `json:"credentials"`
	// groups that consumers are in: one for each consumer and group, the two reserved groups of each consumer too.
	// +optional
	Groups int32 `json:"groups"`
	// services of JwtProtectedServices.
	// +optional
	Services int32 `json:"services"`
	// routes of JwtProtectedServices.
	// +optional
	Routes int32 `json:"routes"`
	// plugins on consumers, services and routes.
	// +optional
	Plugins int32 `json:"plugins"`
}

// KongGateway is one Kong Admin API and what tenants may do on it.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=kgw
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.status.kongVersion`
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.status.mode`
// +kubebuilder:printcolumn:name="Consumers",type=integer,JSONPath=`.status.managed.consumers`
// +kubebuilder:printcolumn:name="Services",type=integer,JSONPath=`.status.managed.services`
// +kubebuilder:printcolumn:name="Suspended",type=boolean,JSONPath=`.spec.suspend`
// +kubebuilder:printcolumn:name="Since",type=date,JSONPath=`.status.conditions[?(@.type=="Ready")].lastTransitionTime`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 63",message="metadata.name must be at most 63 characters: it is part of Kong tags"
type KongGateway struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is how the gateway is reached, and what it admits.
	// +required
	Spec KongGatewaySpec `json:"spec"`
	// status is what the operator found and did.
	// +optional
	Status KongGatewayStatus `json:"status,omitempty"`
}

// KongGatewayList is a list of KongGateways.
//
// +kubebuilder:object:root=true
type KongGatewayList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []KongGateway `json:"items"`
}
