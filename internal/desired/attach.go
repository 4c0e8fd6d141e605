package desired

import (
	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// AttachTarget is the service or route in Kong that a JwtProtectedService puts its plugins on, nil where it has a
// service of its own.
func AttachTarget(service *v1alpha1.JwtProtectedService) *Target {
	to := service.Spec.AttachTo
	switch {
	case to == nil:
		return nil
	case to.RouteName != "":
		return &Target{Kind: kong.KindRoute, Name: to.RouteName}
	default:
		return &Target{Kind: kong.KindService, Name: to.ServiceName}
	}
}

// attach builds the plugins alone. The name is bounded as one that the tenant would claim: else a namespace could put
// plugins on another's service.
func (b *builder) attach(in ServiceInput) (Set, error) {
	to := *AttachTarget(in.Service)
	field, parent := "spec.attachTo.serviceName", "service"
	if to.Kind == kong.KindRoute {
		field, parent = "spec.attachTo.routeName", "route"
	}
	if err := b.policy.checkIdentity(field, b.owner.Namespace, to.Name); err != nil {
		return Set{}, err
	}
	if err := b.addGuards(in, parent, AttachedID); err != nil {
		return Set{}, err
	}
	if err := b.addPlugins(in, parent, AttachedID, nil); err != nil {
		return Set{}, err
	}
	return Set{Owner: b.owner, Entities: b.entities, Attach: &to}, nil
}
