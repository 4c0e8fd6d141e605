package v1alpha1

import (
	"iter"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

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
