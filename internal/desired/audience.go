package desired

import (
	"slices"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// TakesAnyAudience says whether a service takes tokens whatever they were issued for.
func TakesAnyAudience(service *v1alpha1.JwtProtectedService) bool {
	return service.Spec.Claims == nil || len(service.Spec.Claims.Audiences) == 0
}

// FollowsIssuer says whether a consumer is whoever an issuer signs tokens for.
func FollowsIssuer(consumer *v1alpha1.JwtConsumer) bool {
	return slices.ContainsFunc(consumer.Spec.Credentials, func(c v1alpha1.Credential) bool { return c.JWKS != nil })
}

// MayAdmit says whether a service on the gateway of a consumer may let it in: what its access names, a group of the
// consumer, or, without access, what the gateway's policy makes of that.
func MayAdmit(service *v1alpha1.JwtProtectedService, consumer *v1alpha1.JwtConsumer) bool {
	access := service.Spec.Access
	switch {
	case service.GatewayName() != consumer.GatewayName():
		return false
	case access == nil:
		return service.Namespace == consumer.Namespace
	case access.From == v1alpha1.AccessFromAnyNamespace:
		return true
	case slices.ContainsFunc(access.Groups, func(group string) bool { return slices.Contains(consumer.Spec.Groups, group) }):
		return true
	}
	named, err := NamesConsumer(service, consumer)
	return named && err == nil
}
