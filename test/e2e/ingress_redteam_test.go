package e2e

import (
	"bytes"
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
)

// Attacks as those of redteam_test.go, whose answer is other objects behind an ingress controller.
var _ = Describe("A tenant of a Kong of an ingress controller", Ordered, Serial, Label("ingress", "redteam"), func() {
	var owned *v1alpha1.KongGateway
	var attacker, victim string

	consumer := func(namespace, name string, change ...func(*v1alpha1.JwtConsumerSpec)) *v1alpha1.JwtConsumer {
		return newConsumer(namespace, name, func(s *v1alpha1.JwtConsumerSpec) {
			s.GatewayRef.Name = owned.Name
			s.Credentials = []v1alpha1.Credential{referenced("primary", "HS256", "", "material")}
			for _, f := range change {
				f(s)
			}
		})
	}
	service := func(namespace, name string, change ...func(*v1alpha1.JwtProtectedServiceSpec)) *v1alpha1.JwtProtectedService {
		return newService(namespace, name, func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.GatewayRef.Name = owned.Name
			for _, f := range change {
				f(s)
			}
		})
	}
	as := func(c *v1alpha1.JwtConsumer) string {
		return sign("HS256", []byte(redTeamSecret), c.Namespace+"."+c.Name+".primary")
	}
	admits := func(callers ...v1alpha1.ConsumerReference) func(*v1alpha1.JwtProtectedServiceSpec) {
		return func(s *v1alpha1.JwtProtectedServiceSpec) { s.Access = &v1alpha1.Access{Consumers: callers} }
	}

	BeforeAll(func(ctx SpecContext) {
		owned = newControlled(ctx).gateway(ctx, "redteam")
		update(ctx, owned, func(g *v1alpha1.KongGateway) {
			g.Spec.Policy.Identities, g.Spec.Policy.Retain = v1alpha1.IdentitiesNamespaced, false
		})
		attacker, victim = newNamespace(ctx, "ingress-attacker"), newNamespace(ctx, "ingress-victim")
		for _, namespace := range []string{attacker, victim} {
			create(ctx, newSecret(namespace, "material", map[string]string{"secret": redTeamSecret}))
		}
	})

	It("2. does not keep access that a service took away, suspended or with a Secret that is held in deletion", func(ctx SpecContext) {
		suspended, kept := consumer(attacker, "suspended"), consumer(victim, "kept")
		stuck := consumer(attacker, "stuck", func(s *v1alpha1.JwtConsumerSpec) {
			s.Credentials = []v1alpha1.Credential{generated("made", "HS256", "stuck-made")}
		})
		keeps := v1alpha1.ConsumerReference{Name: kept.Name}
		s := service(victim, "lets-out", admits(keeps,
			v1alpha1.ConsumerReference{Namespace: attacker, Name: suspended.Name}, v1alpha1.ConsumerReference{Namespace: attacker, Name: stuck.Name}))
		create(ctx, suspended, kept, stuck, s)
		awaitReady(ctx, suspended, kept, stuck, s)
		path, made := at(pathOfService(victim, s.Name)), readSecret(ctx, attacker, "stuck-made").Data
		stuckToken := sign("HS256", made["secret"], string(made["key"]))
		for _, token := range []string{as(suspended), stuckToken} {
			expectPassed(ctx, path.with(token))
		}
		holdInDeletion(ctx, attacker, "stuck-kongjwt-state")
		update(ctx, suspended, func(c *v1alpha1.JwtConsumer) { c.Spec.Suspend = true })
		update(ctx, s, func(s *v1alpha1.JwtProtectedService) { s.Spec.Access.Consumers = []v1alpha1.ConsumerReference{keeps} })
		for _, token := range []string{as(suspended), stuckToken} {
			expectRefused(ctx, path.with(token), http.StatusForbidden, "You cannot consume this service")
		}
		expectPassed(ctx, path.with(as(kept)))
		By("resuming it: what is suspended stays when its namespace is deleted")
		update(ctx, suspended, func(c *v1alpha1.JwtConsumer) { c.Spec.Suspend = false })
	})

	It("4. does not take another's route by a match on more", func(ctx SpecContext) {
		host := hostOf("ingress-redteam")
		serves := func(namespace, name, path string) *v1alpha1.JwtProtectedService {
			return service(namespace, name, func(s *v1alpha1.JwtProtectedServiceSpec) {
				s.Routes[0].Hosts, s.Routes[0].Paths = []string{host}, []string{path}
			})
		}
		rightful, payer := serves(victim, "pays", "/pay"), consumer(victim, "payer")
		create(ctx, rightful, payer)
		awaitReady(ctx, rightful, payer)
		deeper, headed := serves(attacker, "deeper", "/pay/v2"), serves(attacker, "headed", "/pay")
		headed.Spec.Routes[0].Headers = map[string]v1alpha1.HeaderValues{"x-version": {"2"}}
		create(ctx, deeper, headed)
		awaitReason(ctx, deeper, v1alpha1.ReasonConflict, host, victim+"/pays")
		awaitReason(ctx, headed, v1alpha1.ReasonConflict, host, victim+"/pays")
		asked := call{method: http.MethodGet, path: "/pay/v2", host: host, header: http.Header{"X-Version": {"2"}}}
		expectPassed(ctx, asked.with(as(payer)))
	})

	It("5. does not program another's key by an edited state", func(ctx SpecContext) {
		edits := consumer(attacker, "edits", func(s *v1alpha1.JwtConsumerSpec) {
			s.Credentials = []v1alpha1.Credential{generated("made", "HS256", "edits-made")}
		})
		s := service(attacker, "for-edits", admits(v1alpha1.ConsumerReference{Name: edits.Name}))
		create(ctx, edits, s)
		awaitReady(ctx, edits, s)
		made := readSecret(ctx, attacker, "edits-made").Data
		own, others := attacker+".edits.made", victim+".someone.primary"
		update(ctx, newSecret(attacker, "edits-kongjwt-state", nil), func(secret *corev1.Secret) {
			secret.Data[credential.StateDataKey] = bytes.ReplaceAll(secret.Data[credential.StateDataKey], []byte(own), []byte(others))
		})
		update(ctx, edits, func(c *v1alpha1.JwtConsumer) { c.Spec.Groups = []string{attacker + ".looked-again"} })
		awaitReady(ctx, edits)
		path := at(pathOfService(attacker, s.Name))
		expectPassed(ctx, path.with(sign("HS256", made["secret"], own)), HaveKeyWithValue("X-Consumer-Groups", ContainSubstring("looked-again")))
		expectRefused(ctx, path.with(sign("HS256", made["secret"], others)), http.StatusUnauthorized, "No credentials found")
	})

	It("12. does not block a name that policy forbids to it", func(ctx SpecContext) {
		squatting := consumer(attacker, "squatting", func(s *v1alpha1.JwtConsumerSpec) {
			s.Credentials = []v1alpha1.Credential{generated("made", "HS256", "squatting-made")}
		})
		rightful := consumer(victim, "owner")
		create(ctx, squatting)
		awaitReady(ctx, squatting)
		holdInDeletion(ctx, attacker, "squatting-kongjwt-state")
		update(ctx, squatting, func(c *v1alpha1.JwtConsumer) { c.Spec.Username = victim + ".owner" })
		create(ctx, rightful)
		awaitReady(ctx, rightful)
	})

	It("15. does not call a service that does not say who may", func(ctx SpecContext) {
		stranger, neighbor, s := consumer(attacker, "stranger"), consumer(victim, "neighbor"), service(victim, "silent")
		create(ctx, stranger, neighbor, s)
		awaitReady(ctx, stranger, neighbor, s)
		path := at(pathOfService(victim, s.Name))
		expectPassed(ctx, path.with(as(neighbor)))
		expectRefused(ctx, path.with(as(stranger)), http.StatusForbidden, "You cannot consume this service")
	})
})
