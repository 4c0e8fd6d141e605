package v1alpha1

import (
	"iter"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Resource is what every kind of this API has. Code that treats all kinds alike takes a Resource and knows none of
// them.
//
// +kubebuilder:object:generate=false
type Resource interface {
	metav1.Object
	runtime.Object
	// KindName is the kind, such as JwtConsumer. A typed object that was read has no kind in its TypeMeta.
	KindName() string
	// GatewayName is the KongGateway that the resource is for; empty where it is not known yet.
	GatewayName() string
	// IsSuspended says whether spec.suspend stops all work on the resource.
	IsSuspended() bool
	// GetConditions points at status.conditions.
	GetConditions() *[]metav1.Condition
	// GetObservedGeneration points at status.observedGeneration.
	GetObservedGeneration() *int64
	// GetStatus points at the whole status, to compare it with another.
	GetStatus() any
}

// GatewayUser is a Resource whose entities live in the Kong of a KongGateway.
//
// +kubebuilder:object:generate=false
type GatewayUser interface {
	Resource
	// GetProgrammedGateway points at status.gateway: the KongGateway whose Kong holds the entities now.
	GetProgrammedGateway() *string
	// GetDeletionPolicy is spec.deletionPolicy; empty means Delete.
	GetDeletionPolicy() DeletionPolicy
	// GetPlugins lists the plugins of the spec.
	GetPlugins() []PluginSpec
	// GetDrift points at status.drift.
	GetDrift() *[]DriftedEntity
}

// ResourceList is a list of one kind.
//
// +kubebuilder:object:generate=false
type ResourceList interface {
	metav1.ListInterface
	runtime.Object
	// Resources gives the items themselves, not copies of them.
	Resources() iter.Seq[Resource]
}

// ResourceKind describes a kind to code that treats all kinds alike.
//
// +kubebuilder:object:generate=false
type ResourceKind struct {
	Name string
	// ClusterScoped says that resources of the kind are in no namespace.
	ClusterScoped bool
	New           func() Resource
	NewList       func() ResourceList
}

// ResourceKinds lists all kinds. What a kind lacks, the kinds after it lack too: a gateway comes before its users.
func ResourceKinds() []ResourceKind {
	return []ResourceKind{
		{KindKongGateway, true, newOf[KongGateway], newListOf[KongGatewayList]},
		{KindJwtConsumer, false, newOf[JwtConsumer], newListOf[JwtConsumerList]},
		{KindJwtProtectedService, false, newOf[JwtProtectedService], newListOf[JwtProtectedServiceList]},
		{KindJwtToken, false, newOf[JwtToken], newListOf[JwtTokenList]},
	}
}

// GatewayUserKinds lists the kinds whose resources are a GatewayUser.
func GatewayUserKinds() []ResourceKind {
	var users []ResourceKind
	for _, kind := range ResourceKinds() {
		if _, uses := kind.New().(GatewayUser); uses {
			users = append(users, kind)
		}
	}
	return users
}

// KindNamed finds a kind by its name.
func KindNamed(name string) (kind ResourceKind, found bool) {
	for _, kind := range ResourceKinds() {
		if kind.Name == name {
			return kind, true
		}
	}
	return ResourceKind{}, false
}

func newOf[T any, P interface {
	*T
	Resource
}]() Resource {
	return P(new(T))
}

func newListOf[T any, P interface {
	*T
	ResourceList
}]() ResourceList {
	return P(new(T))
}

// each gives pointers to the items of a list.
func each[T any, P interface {
	*T
	Resource
}](items []T) iter.Seq[Resource] {
	return func(yield func(Resource) bool) {
		for i := range items {
			if !yield(P(&items[i])) {
				return
			}
		}
	}
}

// KindName implements Resource.
func (r *KongGateway) KindName() string { return KindKongGateway }

// GatewayName implements Resource.
func (r *KongGateway) GatewayName() string { return r.Name }

// IsSuspended implements Resource.
func (r *KongGateway) IsSuspended() bool { return r.Spec.Suspend }

// GetConditions implements Resource.
func (r *KongGateway) GetConditions() *[]metav1.Condition { return &r.Status.Conditions }

// GetObservedGeneration implements Resource.
func (r *KongGateway) GetObservedGeneration() *int64 { return &r.Status.ObservedGeneration }

// GetStatus implements Resource.
func (r *KongGateway) GetStatus() any { return &r.Status }

// Resources implements ResourceList.
func (l *KongGatewayList) Resources() iter.Seq[Resource] { return each(l.Items) }

// KindName implements Resource.
func (r *JwtConsumer) KindName() string { return KindJwtConsumer }

// GatewayName implements Resource.
func (r *JwtConsumer) GatewayName() string { return r.Spec.GatewayRef.Name }

// IsSuspended implements Resource.
func (r *JwtConsumer) IsSuspended() bool { return r.Spec.Suspend }

// GetConditions implements Resource.
func (r *JwtConsumer) GetConditions() *[]metav1.Condition { return &r.Status.Conditions }

// GetObservedGeneration implements Resource.
func (r *JwtConsumer) GetObservedGeneration() *int64 { return &r.Status.ObservedGeneration }

// GetStatus implements Resource.
func (r *JwtConsumer) GetStatus() any { return &r.Status }

// Resources implements ResourceList.
func (l *JwtConsumerList) Resources() iter.Seq[Resource] { return each(l.Items) }

// GetProgrammedGateway implements GatewayUser.
func (r *JwtConsumer) GetProgrammedGateway() *string { return &r.Status.Gateway }

// GetDeletionPolicy implements GatewayUser.
func (r *JwtConsumer) GetDeletionPolicy() DeletionPolicy { return r.Spec.DeletionPolicy }

// GetPlugins implements GatewayUser.
func (r *JwtConsumer) GetPlugins() []PluginSpec { return r.Spec.Plugins }

// GetDrift implements GatewayUser.
func (r *JwtConsumer) GetDrift() *[]DriftedEntity { return &r.Status.Drift }

// KindName implements Resource.
func (r *JwtProtectedService) KindName() string { return KindJwtProtectedService }

// GatewayName implements Resource.
func (r *JwtProtectedService) GatewayName() string { return r.Spec.GatewayRef.Name }

// IsSuspended implements Resource.
func (r *JwtProtectedService) IsSuspended() bool { return r.Spec.Suspend }

// GetConditions implements Resource.
func (r *JwtProtectedService) GetConditions() *[]metav1.Condition { return &r.Status.Conditions }

// GetObservedGeneration implements Resource.
func (r *JwtProtectedService) GetObservedGeneration() *int64 { return &r.Status.ObservedGeneration }

// GetStatus implements Resource.
func (r *JwtProtectedService) GetStatus() any { return &r.Status }

// Resources implements ResourceList.
func (l *JwtProtectedServiceList) Resources() iter.Seq[Resource] { return each(l.Items) }

// GetProgrammedGateway implements GatewayUser.
func (r *JwtProtectedService) GetProgrammedGateway() *string { return &r.Status.Gateway }

// GetDeletionPolicy implements GatewayUser.
func (r *JwtProtectedService) GetDeletionPolicy() DeletionPolicy { return r.Spec.DeletionPolicy }

// GetPlugins implements GatewayUser.
func (r *JwtProtectedService) GetPlugins() []PluginSpec {
	plugins := make([]PluginSpec, 0, len(r.Spec.Plugins))
	for _, plugin := range r.Spec.Plugins {
		plugins = append(plugins, plugin.PluginSpec)
	}
	return plugins
}

// GetDrift implements GatewayUser.
func (r *JwtProtectedService) GetDrift() *[]DriftedEntity { return &r.Status.Drift }

// KindName implements Resource.
func (r *JwtToken) KindName() string { return KindJwtToken }

// GatewayName implements Resource.
func (r *JwtToken) GatewayName() string { return r.Status.Gateway }

// IsSuspended implements Resource.
func (r *JwtToken) IsSuspended() bool { return r.Spec.Suspend }

// GetConditions implements Resource.
func (r *JwtToken) GetConditions() *[]metav1.Condition { return &r.Status.Conditions }

// GetObservedGeneration implements Resource.
func (r *JwtToken) GetObservedGeneration() *int64 { return &r.Status.ObservedGeneration }

// GetStatus implements Resource.
func (r *JwtToken) GetStatus() any { return &r.Status }

// Resources implements ResourceList.
func (l *JwtTokenList) Resources() iter.Seq[Resource] { return each(l.Items) }
