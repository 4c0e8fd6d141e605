package desired

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

func follower(namespace, name string, groups ...string) *v1alpha1.JwtConsumer {
	return &v1alpha1.JwtConsumer{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       v1alpha1.JwtConsumerSpec{Groups: groups, Credentials: []v1alpha1.Credential{{JWKS: &v1alpha1.JWKS{}}}},
	}
}

func TestAnyAudience(t *testing.T) {
	consumers := []*v1alpha1.JwtConsumer{follower("team-a", "own"), follower("team-b", "other", "team-b.readers")}
	from := func(access *v1alpha1.Access) func(*v1alpha1.JwtProtectedServiceSpec) {
		return func(s *v1alpha1.JwtProtectedServiceSpec) { s.Access = access }
	}
	anybody := from(&v1alpha1.Access{From: v1alpha1.AccessFromAnyNamespace})
	for _, c := range []struct {
		name      string
		change    func(*v1alpha1.JwtProtectedServiceSpec)
		consumers []*v1alpha1.JwtConsumer
		warns     string
		refused   bool
	}{
		{"its own namespace", from(nil), consumers, "JwtConsumer team-a/own follows", true},
		{"another of its namespace", from(&v1alpha1.Access{Consumers: []v1alpha1.ConsumerReference{{Name: "x"}}}), consumers, "", false},
		{"named", from(&v1alpha1.Access{Consumers: []v1alpha1.ConsumerReference{{Namespace: "team-b", Name: "other"}}}), consumers,
			"JwtConsumer team-b/other follows", true},
		{"by a group", from(&v1alpha1.Access{Groups: []string{"team-b.readers"}}), consumers, "team-b/other", true},
		{"by a group that policy does not let it be in", from(&v1alpha1.Access{Groups: []string{"team-a.readers"}}),
			[]*v1alpha1.JwtConsumer{follower("team-b", "other", "team-a.readers")}, "", false},
		{"everybody", anybody, consumers, "team-a/own, team-b/other", true},
		{"everybody, and others stop nothing", anybody, consumers[1:], "team-b/other", false},
		{"an audience is named", checking(v1alpha1.ClaimChecks{Audiences: []string{"a"}}), consumers, "", false},
		{"an issuer alone is no audience", checking(v1alpha1.ClaimChecks{Issuers: []string{"a"}}), consumers, "team-a/own", true},
		{"nobody follows an issuer", from(nil), nil, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			service := testService(c.change)
			warning, err := testPolicy().AnyAudience(service, c.consumers)
			if (warning != "") != (c.warns != "") || !strings.Contains(warning, c.warns) || (err != nil) != c.refused {
				t.Errorf("%q, %v", warning, err)
			}
			if c.refused {
				wantStalled(t, err, v1alpha1.ReasonPolicyViolation, "spec.claims.audiences: JwtConsumer", "policy of KongGateway edge")
			}
			for _, p := range []Policy{
				testPolicy(func(p *v1alpha1.GatewayPolicy) { p.Claims.RequireAudience = new(false) }),
				testPolicy(func(p *v1alpha1.GatewayPolicy) { p.Identities = v1alpha1.IdentitiesAny }),
			} {
				if _, err := p.AnyAudience(service, c.consumers); err != nil {
					t.Errorf("where it is not required: %v", err)
				}
			}
		})
	}
}
