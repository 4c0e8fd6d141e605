package lint

import (
	"fmt"
	"slices"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/mistakes"
)

// set is all that is linted together: what refers to something is held to it, where the set has such at all.
type set struct {
	consumers []*v1alpha1.JwtConsumer
}

func (s *set) add(object any) {
	if c, ok := object.(*v1alpha1.JwtConsumer); ok {
		s.consumers = append(s.consumers, c)
	}
}

// referenceRule is a rule about what one resource says of others.
type referenceRule struct {
	id       string
	severity Severity
	about    string
	check    func(s *set, service *v1alpha1.JwtProtectedService) []string
}

var referenceRules = []referenceRule{
	{string(mistakes.AccessNoConsumer), Warning, "access names a consumer that its namespace's manifests do not have", mistaken(mistakes.AccessNoConsumer)},
	{"any-audience", Warning, "a service lets in whom an issuer signs for, and names no audience", anyAudience},
	{string(mistakes.AccessNoGroup), Info, "access names a group that no consumer of the manifests has", mistaken(mistakes.AccessNoGroup)},
	{string(mistakes.AnonymousNobody), Warning, "jwt.anonymous names a consumer that the manifests do not have: Kong answers 500", mistaken(mistakes.AnonymousNobody)},
}

func (s *set) findings(object any) []Finding {
	service, ok := object.(*v1alpha1.JwtProtectedService)
	if !ok || len(s.consumers) == 0 {
		return nil
	}
	var found []Finding
	for _, r := range referenceRules {
		for _, message := range r.check(s, service) {
			found = append(found, Finding{Rule: r.id, Severity: r.severity, Message: message})
		}
	}
	return found
}

func anyAudience(s *set, service *v1alpha1.JwtProtectedService) []string {
	if !desired.TakesAnyAudience(service) {
		return nil
	}
	for _, c := range s.consumers {
		if c.GatewayName() == service.GatewayName() && desired.FollowsIssuer(c) && desired.Chooses(service, c) {
			return []string{fmt.Sprintf("spec.claims.audiences: every token of the issuer that JwtConsumer %s follows passes, "+
				"whatever it was issued for. Write the audience of this service", c.Name)}
		}
	}
	return nil
}

// mistaken is a rule about callers that the operator has too.
func mistaken(id mistakes.Rule) func(*set, *v1alpha1.JwtProtectedService) []string {
	return func(s *set, service *v1alpha1.JwtProtectedService) []string {
		return messagesOf(id, mistakes.Access(service, s.callers()))
	}
}

// callers are the consumers of the set. Those of a namespace that it has no consumer of may be kept elsewhere.
func (s *set) callers() mistakes.Callers {
	has := func(is func(*v1alpha1.JwtConsumer) bool) bool { return slices.ContainsFunc(s.consumers, is) }
	return mistakes.Callers{
		Where: "the manifests",
		HasConsumer: func(namespace, name string) bool {
			return !has(func(c *v1alpha1.JwtConsumer) bool { return c.Namespace == namespace }) ||
				has(func(c *v1alpha1.JwtConsumer) bool { return c.Namespace == namespace && c.Name == name })
		},
		HasGroup: func(group string) bool {
			return has(func(c *v1alpha1.JwtConsumer) bool { return slices.Contains(c.Spec.Groups, group) })
		},
		HasUsername: func(username string) bool {
			return has(func(c *v1alpha1.JwtConsumer) bool { return desired.Username(c) == username })
		},
	}
}
