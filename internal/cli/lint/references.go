package lint

import (
	"fmt"
	"slices"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
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
	{"access-no-consumer", Warning, "access names a consumer that its namespace's manifests do not have", accessNoConsumer},
	{"any-audience", Warning, "a service lets in whom an issuer signs for, and names no audience", anyAudience},
	{"access-no-group", Info, "access names a group that no consumer of the manifests has", accessNoGroup},
	{"anonymous-nobody", Warning, "jwt.anonymous names a consumer that the manifests do not have: Kong answers 500", anonymousNobody},
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

func accessNoConsumer(s *set, service *v1alpha1.JwtProtectedService) []string {
	if service.Spec.Access == nil {
		return nil
	}
	var found []string
	for i, ref := range service.Spec.Access.Consumers {
		namespace := ref.Namespace
		if namespace == "" {
			namespace = service.Namespace
		}
		in := func(c *v1alpha1.JwtConsumer) bool { return c.Namespace == namespace }
		if !slices.ContainsFunc(s.consumers, in) { // they may be kept elsewhere
			continue
		}
		if !slices.ContainsFunc(s.consumers, func(c *v1alpha1.JwtConsumer) bool { return in(c) && c.Name == ref.Name }) {
			found = append(found, fmt.Sprintf("spec.access.consumers[%d]: there is no JwtConsumer %s in the manifests. "+
				"Write the name of one that there is", i, ref.Name))
		}
	}
	return found
}

func anyAudience(s *set, service *v1alpha1.JwtProtectedService) []string {
	if !desired.TakesAnyAudience(service) {
		return nil
	}
	for _, c := range s.consumers {
		if desired.FollowsIssuer(c) && desired.MayAdmit(service, c) {
			return []string{fmt.Sprintf("spec.claims.audiences: every token of the issuer that JwtConsumer %s follows passes, "+
				"whatever it was issued for. Write the audience of this service", c.Name)}
		}
	}
	return nil
}

func accessNoGroup(s *set, service *v1alpha1.JwtProtectedService) []string {
	if service.Spec.Access == nil {
		return nil
	}
	var found []string
	for i, group := range service.Spec.Access.Groups {
		if !slices.ContainsFunc(s.consumers, func(c *v1alpha1.JwtConsumer) bool { return slices.Contains(c.Spec.Groups, group) }) {
			found = append(found, fmt.Sprintf("spec.access.groups[%d]: no JwtConsumer of the manifests is in %s. "+
				"Write a group of spec.groups", i, group))
		}
	}
	return found
}

func anonymousNobody(s *set, service *v1alpha1.JwtProtectedService) []string {
	name := service.Spec.JWT.Anonymous
	if name == "" || slices.ContainsFunc(s.consumers, func(c *v1alpha1.JwtConsumer) bool { return desired.Username(c) == name }) {
		return nil
	}
	return []string{fmt.Sprintf("spec.jwt.anonymous: no JwtConsumer of the manifests has the username %s; Kong answers 500 to every request "+
		"without a valid token where there is none. Write the username of one, such as <namespace>.<name>", name)}
}
