package lint

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/mistakes"
)

// set is all that is linted together: what refers to something is held to it, where the set has such at all.
type set struct {
	consumers []*v1alpha1.JwtConsumer
	services  []*v1alpha1.JwtProtectedService
}

func (s *set) add(object any) {
	switch o := object.(type) {
	case *v1alpha1.JwtConsumer:
		s.consumers = append(s.consumers, o)
	case *v1alpha1.JwtProtectedService:
		s.services = append(s.services, o)
	}
}

// referenceRule is a rule about what one resource says of others.
type referenceRule struct {
	id       string
	severity Severity
	about    string
	check    func(s *set, service *v1alpha1.JwtProtectedService) []string
}

// upstreamRule is about services of one upstream.
var upstreamRule = referenceRule{
	"claim-header-from-client", Warning,
	"one service makes a header of a claim, and another lets clients send it to the same upstream", claimHeaderFromClient,
}

// referenceRules are about consumers: they say nothing where the set has none.
var referenceRules = []referenceRule{
	{string(mistakes.AccessNoConsumer), Warning, "access names a consumer that its namespace's manifests do not have", mistaken(mistakes.AccessNoConsumer)},
	{"any-audience", Warning, "a service lets in whom an issuer signs for, and names no audience", anyAudience},
	{"issuer-not-bound", Warning, "a service names issuers, and reads the keys of several from kid", issuerNotBound},
	{string(mistakes.AccessNoGroup), Info, "access names a group that no consumer of the manifests has", mistaken(mistakes.AccessNoGroup)},
	{string(mistakes.AnonymousNobody), Warning, "jwt.anonymous names a consumer that the manifests do not have: Kong answers 500", mistaken(mistakes.AnonymousNobody)},
}

func (s *set) findings(object any) []Finding {
	service, ok := object.(*v1alpha1.JwtProtectedService)
	if !ok {
		return nil
	}
	rules := []referenceRule{upstreamRule}
	if len(s.consumers) > 0 {
		rules = append(rules, referenceRules...)
	}
	var found []Finding
	for _, r := range rules {
		for _, message := range r.check(s, service) {
			found = append(found, Finding{Rule: r.id, Severity: r.severity, Message: message})
		}
	}
	return found
}

// anyIdentity lets every consumer be in its groups: files say nothing of policy.
var anyIdentity = desired.Policy{GatewayPolicy: v1alpha1.GatewayPolicy{Identities: v1alpha1.IdentitiesAny}}

func anyAudience(s *set, service *v1alpha1.JwtProtectedService) []string {
	if !desired.TakesAnyAudience(service) {
		return nil
	}
	for _, c := range s.consumers {
		if c.GatewayName() == service.GatewayName() && desired.FollowsIssuer(c) && desired.Chooses(anyIdentity, service, c) {
			return []string{fmt.Sprintf("spec.claims.audiences: every token of the issuer that JwtConsumer %s follows passes, "+
				"whatever it was issued for. Write the audience of this service", c.Name)}
		}
	}
	return nil
}

// issuerNotBound finds services that go by what a token says of its issuer, where another's key could have signed it:
// Kong finds a key by kid alone, and iss is whatever the token says.
func issuerNotBound(s *set, service *v1alpha1.JwtProtectedService) []string {
	claims := service.Spec.Claims
	if claims == nil || len(claims.Issuers)+len(claims.Headers) == 0 || service.Spec.JWT.KeyClaimName != "kid" {
		return nil
	}
	followed, other := "", ""
	for _, c := range s.consumers {
		if c.GatewayName() != service.GatewayName() || !desired.Chooses(anyIdentity, service, c) {
			continue
		}
		for _, credential := range c.Spec.Credentials {
			name := strings.TrimPrefix(c.Namespace+"/"+c.Name, "/")
			signer := fmt.Sprintf("JwtConsumer %s (credential %s)", name, credential.Name)
			switch {
			case followed == "" && credential.JWKS != nil:
				followed = signer
			case other == "":
				other = signer
			}
		}
	}
	if followed == "" || other == "" {
		return nil
	}
	field := "spec.claims.issuers"
	if len(claims.Issuers) == 0 {
		field = "spec.claims.headers"
	}
	return []string{fmt.Sprintf("%s: keys are found by kid, so that %s and %s can each sign tokens with the other's iss and claims. "+
		"Make a service of its own for each issuer", field, followed, other)}
}

// claimHeaderFromClient finds headers that an upstream takes for claims and that clients can send through a service.
func claimHeaderFromClient(s *set, service *v1alpha1.JwtProtectedService) []string {
	place := placeOf(service)
	if place == "" {
		return nil
	}
	var found []string
	for _, other := range s.services {
		if other == service || placeOf(other) != place || other.Spec.Claims == nil {
			continue
		}
		for _, made := range other.Spec.Claims.Headers {
			if !makesHeader(service, made.Header) {
				found = append(found, fmt.Sprintf("spec.claims.headers: JwtProtectedService %s/%s makes %s of a claim for the same upstream, "+
					"and here clients can send that header themselves. Make it here too, or use another upstream",
					other.Namespace, other.Name, made.Header))
			}
		}
	}
	return found
}

func makesHeader(service *v1alpha1.JwtProtectedService, header string) bool {
	return service.Spec.Claims != nil && slices.ContainsFunc(service.Spec.Claims.Headers, func(h v1alpha1.ClaimHeader) bool {
		return strings.EqualFold(h.Header, header)
	})
}

// placeOf is the host and port that requests of a service go to, or nothing where it has no upstream of its own.
func placeOf(service *v1alpha1.JwtProtectedService) string {
	upstream := service.Spec.Upstream
	switch {
	case upstream == nil:
		return ""
	case upstream.ServiceRef != nil:
		return fmt.Sprintf("%s.%s.svc:%d", upstream.ServiceRef.Name, service.Namespace, upstream.ServiceRef.Port)
	}
	parsed, err := url.Parse(upstream.URL)
	if err != nil {
		return ""
	}
	port := parsed.Port()
	if port == "" {
		port = map[string]string{"https": "443", "grpcs": "443"}[parsed.Scheme]
	}
	return strings.ToLower(parsed.Hostname()) + ":" + cmp.Or(port, "80")
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
