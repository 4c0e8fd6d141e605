package desired

import (
	"fmt"
	"slices"
	"strings"

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

// Chooses says whether a service lets a consumer of its gateway in by its own choice: it names it, or a group of it,
// or it is of its own namespace and the service names nobody.
func Chooses(service *v1alpha1.JwtProtectedService, consumer *v1alpha1.JwtConsumer) bool {
	access := service.Spec.Access
	if access == nil || access.From == v1alpha1.AccessFromAnyNamespace {
		return service.Namespace == consumer.Namespace
	}
	shared := func(group string) bool { return slices.Contains(consumer.Spec.Groups, group) }
	named, err := NamesConsumer(service, consumer)
	return named && err == nil || slices.ContainsFunc(access.Groups, shared)
}

// AnyAudience says, of a service that takes tokens whatever they were issued for, which consumers that follow an
// issuer it lets in. following are those of its gateway. warning is empty where it lets in none. The error is a
// *status.StalledError where policy asks for an audience; consumers of others that the service did not choose are no
// reason for it, since their owners could stop the service so.
func (p Policy) AnyAudience(
	service *v1alpha1.JwtProtectedService, following []*v1alpha1.JwtConsumer,
) (warning string, err error) {
	if !TakesAnyAudience(service) {
		return "", nil
	}
	everybody := p.Access(service) == nil
	var names []string
	chosen := ""
	for _, consumer := range following {
		chooses := Chooses(service, consumer)
		if !chooses && !everybody {
			continue
		}
		name := consumer.Namespace + "/" + consumer.Name
		names = append(names, name)
		if chooses && (chosen == "" || name < chosen) {
			chosen = name
		}
	}
	if len(names) == 0 {
		return "", nil
	}
	required := p.Identities != v1alpha1.IdentitiesAny
	if p.Claims.RequireAudience != nil {
		required = *p.Claims.RequireAudience
	}
	if chosen != "" && required {
		err = p.violation("spec.claims.audiences",
			fmt.Sprintf("JwtConsumer %s follows an issuer, and all its tokens would pass, whatever they were issued for", chosen),
			"Name the audience of this service")
	}
	slices.Sort(names)
	return fmt.Sprintf("spec.claims.audiences: every token of the issuers that JwtConsumer %s follows passes, whatever it was "+
		"issued for (KongGateway %s). Name the audience of this service.",
		strings.Join(names[:min(len(names), maxNamed)], ", "), p.Gateway), err
}

// maxNamed is how many consumers a message names.
const maxNamed = 5
