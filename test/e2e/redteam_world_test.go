package e2e

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// redTeam is two tenants of a gateway with the policy that one has by default.
type redTeam struct {
	strict           *v1alpha1.KongGateway
	attacker, victim string
}

// matchesOfATeam is policy.budget.matches of a redTeam's gateway.
const matchesOfATeam = 100

const redTeamSecret = "a secret of the red team, longer than thirty-two bytes"

// newRedTeam has the gateway and the namespaces made before the specs of a container, each with a Secret "material".
func newRedTeam(name string) *redTeam {
	r := &redTeam{}
	BeforeAll(func(ctx SpecContext) {
		r.strict = newGateway(named(name))
		// The upstream is on this machine, and so is the Admin API.
		r.strict.Spec.Policy = v1alpha1.GatewayPolicy{
			Upstreams: r.strict.Spec.Policy.Upstreams, Budget: v1alpha1.Budget{Matches: matchesOfATeam},
			JWKS: &v1alpha1.JWKSPolicy{AllowPrivateAddresses: true},
		}
		create(ctx, r.strict)
		DeferCleanup(func() {
			ctx, cancel := background()
			defer cancel()
			remove(ctx, r.strict)
		})
		r.attacker, r.victim = newNamespace(ctx, name+"-attacker"), newNamespace(ctx, name+"-victim")
		for _, namespace := range []string{r.attacker, r.victim} {
			create(ctx, newSecret(namespace, "material", map[string]string{"secret": redTeamSecret}))
		}
	})
	return r
}

// consumer gives one with the material of its namespace.
func (r *redTeam) consumer(namespace, name string, change ...func(*v1alpha1.JwtConsumerSpec)) *v1alpha1.JwtConsumer {
	c := newConsumer(namespace, name, func(s *v1alpha1.JwtConsumerSpec) {
		s.GatewayRef.Name = r.strict.Name
		s.Credentials = []v1alpha1.Credential{referenced("primary", "HS256", "", "material")}
	})
	for _, f := range change {
		f(&c.Spec)
	}
	return c
}

func (r *redTeam) service(namespace, name string, change ...func(*v1alpha1.JwtProtectedServiceSpec)) *v1alpha1.JwtProtectedService {
	s := newService(namespace, name, func(s *v1alpha1.JwtProtectedServiceSpec) { s.GatewayRef.Name = r.strict.Name })
	for _, f := range change {
		f(&s.Spec)
	}
	return s
}

// as signs a token of a consumer.
func (r *redTeam) as(c *v1alpha1.JwtConsumer) string {
	return sign("HS256", []byte(redTeamSecret), c.Namespace+"."+c.Name+".primary")
}

// expectNothingOf asserts that Kong has nothing of a resource.
func (r *redTeam) expectNothingOf(ctx context.Context, o client.Object) {
	GinkgoHelper()
	Expect(tagged(ctx, ownerTag(o))).To(BeEmpty(), "nothing of %s is in Kong", o.GetName())
}
