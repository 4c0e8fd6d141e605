package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	kongapi "github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/test/issuer"
)

// silent is a server that takes connections and never says a word.
type silent struct {
	listener net.Listener
	mu       sync.Mutex
	now, top int
}

func newSilent() *silent {
	GinkgoHelper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	s := &silent{listener: listener}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go s.hold(connection)
		}
	}()
	DeferCleanup(listener.Close)
	return s
}

// hold counts a connection until the client closes it.
func (s *silent) hold(connection net.Conn) {
	s.mu.Lock()
	s.now++
	s.top = max(s.top, s.now)
	s.mu.Unlock()
	for buffer := make([]byte, 1024); ; {
		if _, err := connection.Read(buffer); err != nil {
			break
		}
	}
	_ = connection.Close()
	s.mu.Lock()
	s.now--
	s.mu.Unlock()
}

// held says how many connections there are, and how many there ever were at once.
func (s *silent) held() (now, top int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now, s.top
}

// These attacks need a gateway of a kind: one that asks data planes, one whose groups are kept, and so on.
var _ = Describe("A tenant of a gateway of its kind", Label("redteam"), func() {
	var own *v1alpha1.KongGateway
	var attacker, victim string
	prepare := func(ctx SpecContext, name string, change func(*v1alpha1.KongGatewaySpec)) {
		GinkgoHelper()
		own = newGateway(named("redteam-" + name))
		change(&own.Spec)
		create(ctx, own)
		DeferCleanup(func() {
			ctx, cancel := background()
			defer cancel()
			remove(ctx, own)
		})
		attacker, victim = newNamespace(ctx, name+"-attacker"), newNamespace(ctx, name+"-victim")
	}
	consumer := func(namespace, name string, change func(*v1alpha1.JwtConsumerSpec)) *v1alpha1.JwtConsumer {
		return newConsumer(namespace, name, func(s *v1alpha1.JwtConsumerSpec) {
			s.GatewayRef.Name = own.Name
			change(s)
		})
	}

	It("11. does not serve tokens without an end where data planes are asked", func(ctx SpecContext) {
		prepare(ctx, "endless", func(s *v1alpha1.KongGatewaySpec) {
			s.DataPlanes = &v1alpha1.DataPlanes{URLs: []string{env.ProxyURL}}
		})
		s := newService(attacker, "endless", func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.GatewayRef.Name = own.Name
			s.JWT.KeyClaimName, s.JWT.ClaimsToVerify = "kid", nil
		})
		create(ctx, s)
		awaitReason(ctx, s, v1alpha1.ReasonPolicyViolation, "spec.jwt.claimsToVerify")
		Expect(tagged(ctx, ownerTag(s))).To(BeEmpty())
		update(ctx, s, func(s *v1alpha1.JwtProtectedService) { s.Spec.JWT.ClaimsToVerify = []v1alpha1.TimeClaim{"exp"} })
		awaitReady(ctx, s)
	})

	It("13. does not stop the pruning of others by orphans of its own", func(ctx SpecContext) {
		prepare(ctx, "orphans", func(s *v1alpha1.KongGatewaySpec) { s.Drift.Interval = "1h" })
		stays := newService(victim, "stays", func(s *v1alpha1.JwtProtectedServiceSpec) { s.GatewayRef.Name = own.Name })
		create(ctx, stays)
		awaitReady(ctx, stays)
		mark, err := get(ctx, "/services/"+stays.Status.ServiceID)
		Expect(err).NotTo(HaveOccurred())
		const prefix = "kongjwt-installation:"
		tags := mark["tags"].([]any)
		at := slices.IndexFunc(tags, func(tag any) bool { return strings.HasPrefix(tag.(string), prefix) })
		scope := desired.Scope{Installation: strings.TrimPrefix(tags[at].(string), prefix), Gateway: own.Name}
		// orphan is a service in Kong of a resource that is gone: its finalizer was taken off.
		orphan := func(namespace, name string) string {
			owner := desired.ServiceOwner(namespace, name)
			id := scope.ID(kongapi.KindService, owner, "service")
			foreign(ctx, "services", entity{
				"id": id, "name": own.Name + "." + namespace + "." + name, "host": "gone.e2e.example.com", "tags": scope.Tags(owner, "service"),
			})
			return "/services/" + id
		}
		rightful := orphan(victim, "gone")
		var others []string
		for i := range 12 {
			others = append(others, orphan(attacker, fmt.Sprintf("gone-%d", i)))
		}
		looks := 0
		Eventually(func(g Gomega) {
			looks++
			update(ctx, own, func(g *v1alpha1.KongGateway) {
				g.Annotations = map[string]string{v1alpha1.AnnotationReconcile: fmt.Sprint(looks)}
			})
			g.Expect(get(ctx, rightful)).To(BeNil())
		}).WithContext(ctx).Should(Succeed(), "the victim's orphan goes")
		for _, path := range others {
			Expect(get(ctx, path)).NotTo(BeNil(), "so many at once look like a mistake")
		}
	})

	It("14. does not keep others' key sets from being read by slow issuers", func(ctx SpecContext) {
		prepare(ctx, "slow", func(s *v1alpha1.KongGatewaySpec) { s.Policy.JWKS = &v1alpha1.JWKSPolicy{AllowPrivateAddresses: true} })
		const many, share = 12, 8
		slow := newSilent()
		for i := range many {
			create(ctx, consumer(attacker, fmt.Sprintf("slow-%d", i), func(s *v1alpha1.JwtConsumerSpec) {
				url := fmt.Sprintf("https://%s/%d", slow.listener.Addr(), i)
				s.Credentials = []v1alpha1.Credential{{Name: "idp", JWKS: &v1alpha1.JWKS{URL: url}}}
			}))
		}
		Eventually(func() int { now, _ := slow.held(); return now }).WithContext(ctx).Should(Equal(share))
		provider := issuer.Start()
		DeferCleanup(provider.Close)
		Expect(provider.Add(named("not-slow"), "ES256")).To(Succeed())
		follows := consumer(victim, "follows", func(s *v1alpha1.JwtConsumerSpec) {
			s.Credentials = []v1alpha1.Credential{{Name: "idp", JWKS: &v1alpha1.JWKS{
				URL: provider.URL(), CASecretRef: &v1alpha1.LocalSecretKeyReference{Name: "idp-ca", Key: "ca.crt"},
			}}}
		})
		create(ctx, newSecret(victim, "idp-ca", map[string]string{"ca.crt": provider.CA()}), follows)
		awaitReady(ctx, follows)
		_, top := slow.held()
		Expect(top).To(Equal(share), "issuers of one namespace that are asked at once")
	})

	It("17. does not enter a group that is kept for others", func(ctx SpecContext) {
		prepare(ctx, "groups", func(s *v1alpha1.KongGatewaySpec) {
			s.Policy.Groups = []v1alpha1.GroupPolicy{{Groups: []string{"admin*"}, Namespaces: []string{}}}
		})
		update(ctx, own, func(g *v1alpha1.KongGateway) { g.Spec.Policy.Groups[0].Namespaces = []string{victim} })
		member := func(namespace string) *v1alpha1.JwtConsumer {
			return consumer(namespace, "member", func(s *v1alpha1.JwtConsumerSpec) {
				s.Groups = []string{"admins"}
				s.Credentials = []v1alpha1.Credential{generated("made", "HS256", "made")}
			})
		}
		thief, rightful := member(attacker), member(victim)
		create(ctx, thief, rightful)
		awaitReady(ctx, rightful)
		awaitReason(ctx, thief, v1alpha1.ReasonPolicyViolation, "spec.groups[0]", "admins")
		Expect(list(ctx, "acls", ownerTag(thief))).To(BeEmpty())
	})

	It("2. does not keep access by a Secret that is held in deletion, nor by what its resource leaves in Kong", func(ctx SpecContext) {
		prepare(ctx, "stuck", func(s *v1alpha1.KongGatewaySpec) { s.Policy.Retain = false })
		stuck := consumer(attacker, "stuck", func(s *v1alpha1.JwtConsumerSpec) {
			s.Credentials = []v1alpha1.Credential{generated("made", "HS256", "stuck-made")}
		})
		s := newService(victim, "lets-out", func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.GatewayRef.Name = own.Name
			s.Access = &v1alpha1.Access{Consumers: []v1alpha1.ConsumerReference{{Namespace: attacker, Name: stuck.Name}, {Name: "other"}}}
		})
		create(ctx, stuck, s)
		awaitReady(ctx, stuck, s)
		published := readSecret(ctx, attacker, "stuck-made").Data
		asked := at(pathOfService(victim, s.Name)).with(sign("HS256", published["secret"], string(published["key"])))
		expectPassed(ctx, asked)
		release := holdInDeletion(ctx, attacker, "stuck-kongjwt-state")
		update(ctx, s, func(s *v1alpha1.JwtProtectedService) { s.Spec.Access.Consumers = s.Spec.Access.Consumers[1:] })
		expectRefused(ctx, asked, http.StatusForbidden, "You cannot consume this service")
		release()
		update(ctx, stuck, func(c *v1alpha1.JwtConsumer) { c.Spec.DeletionPolicy = v1alpha1.DeletionPolicyRetain })
		awaitReason(ctx, stuck, v1alpha1.ReasonPolicyViolation, "spec.deletionPolicy")
		remove(ctx, stuck)
		Expect(tagged(ctx, ownerTag(stuck))).To(BeEmpty())
		expectRefused(ctx, asked, http.StatusUnauthorized, "")
	})

	It("4. is asked for what policy.routes gives to it, by whole segments, and for nothing else", func(ctx SpecContext) {
		host := hostOf("redteam-routes")
		prepare(ctx, "routes", func(s *v1alpha1.KongGatewaySpec) {
			s.Policy.Routes = []v1alpha1.RouteClaimPolicy{{
				Namespaces: []string{named("routes-victim")}, Hosts: []string{host}, PathPrefixes: []string{"/pay"},
			}}
		})
		serves := func(namespace, name, path string) *v1alpha1.JwtProtectedService {
			return newService(namespace, name, func(s *v1alpha1.JwtProtectedServiceSpec) {
				s.GatewayRef.Name = own.Name
				s.Routes[0].Hosts, s.Routes[0].Paths = []string{host}, []string{path}
			})
		}
		rightful, payer := serves(victim, "pays", "/pay"), consumer(victim, "payer", func(s *v1alpha1.JwtConsumerSpec) {
			s.Credentials = []v1alpha1.Credential{generated("made", "HS256", "payer-made")}
		})
		thieves := []*v1alpha1.JwtProtectedService{
			serves(attacker, "deeper", "/pay/v2"), serves(attacker, "alike", "/payments"), serves(attacker, "all", "/"),
		}
		for _, thief := range thieves {
			create(ctx, thief)
			awaitReason(ctx, thief, v1alpha1.ReasonPolicyViolation, "spec.routes[0]", "policy.routes")
			Expect(tagged(ctx, ownerTag(thief))).To(BeEmpty())
		}
		create(ctx, rightful, payer)
		awaitReady(ctx, rightful, payer)
		published := readSecret(ctx, victim, "payer-made").Data
		asked := func(path string) call {
			return call{method: http.MethodGet, path: path, host: host}.with(sign("HS256", published["secret"], string(published["key"])))
		}
		expectPassed(ctx, asked("/pay"))
		expectPassed(ctx, asked("/pay/v2"))
		expectRefused(ctx, asked("/payments"), http.StatusNotFound, "no Route matched")
	})

	It("5. does not program another issuer's key by an edited key set", func(ctx SpecContext) {
		prepare(ctx, "edited-set", func(s *v1alpha1.KongGatewaySpec) { s.Policy.JWKS = &v1alpha1.JWKSPolicy{AllowPrivateAddresses: true} })
		provider := issuer.Start()
		DeferCleanup(provider.Close)
		kid, others := named("edited-set"), named("another-kid")
		Expect(provider.Add(kid, "ES256")).To(Succeed())
		edits := consumer(attacker, "edits", func(s *v1alpha1.JwtConsumerSpec) {
			s.Credentials = []v1alpha1.Credential{{Name: "idp", JWKS: &v1alpha1.JWKS{
				URL: provider.URL(), CASecretRef: &v1alpha1.LocalSecretKeyReference{Name: "idp-ca", Key: "ca.crt"},
			}}}
		})
		create(ctx, newSecret(attacker, "idp-ca", map[string]string{"ca.crt": provider.CA()}), edits)
		awaitReady(ctx, edits)
		update(ctx, newSecret(attacker, "edits-kongjwt-jwks", nil), func(s *corev1.Secret) {
			for key, before := range s.Data {
				s.Data[key] = bytes.ReplaceAll(before, []byte(kid), []byte(others))
			}
		})
		update(ctx, edits, func(c *v1alpha1.JwtConsumer) { c.Spec.Tags = []v1alpha1.Tag{"looked-again"} })
		held := func(ctx context.Context) ([]entity, error) { return list(ctx, "jwts", ownerTag(edits)) }
		Eventually(held).WithContext(ctx).Should(ConsistOf(And(
			HaveKeyWithValue("key", kid), HaveKeyWithValue("tags", ContainElement("looked-again")))))
		Consistently(held).WithContext(ctx).Should(ConsistOf(HaveKeyWithValue("key", kid)))
	})

	It("12. does not block a name that policy forbids to it by a Secret that is held in deletion", func(ctx SpecContext) {
		prepare(ctx, "squats", func(s *v1alpha1.KongGatewaySpec) { s.Policy.Identities = v1alpha1.IdentitiesNamespaced })
		named := func(namespace, name string) *v1alpha1.JwtConsumer {
			return consumer(namespace, name, func(s *v1alpha1.JwtConsumerSpec) {
				s.Credentials = []v1alpha1.Credential{generated("made", "HS256", name+"-made")}
			})
		}
		squatting, rightful := named(attacker, "squatting"), named(victim, "owner")
		create(ctx, squatting)
		awaitReady(ctx, squatting)
		release := holdInDeletion(ctx, attacker, "squatting-kongjwt-state")
		update(ctx, squatting, func(c *v1alpha1.JwtConsumer) { c.Spec.Username = victim + ".owner" })
		create(ctx, rightful)
		awaitReady(ctx, rightful)
		release()
		awaitReason(ctx, squatting, v1alpha1.ReasonPolicyViolation, "spec.username")
	})
})

// holdInDeletion deletes a Secret that does not go before release is called.
func holdInDeletion(ctx context.Context, namespace, name string) (release func()) {
	GinkgoHelper()
	const held = "e2e.kongjwt.dev/held"
	secret := readSecret(ctx, namespace, name)
	update(ctx, secret, func(s *corev1.Secret) { s.Finalizers = append(s.Finalizers, held) })
	Expect(env.Client.Delete(ctx, secret)).To(Succeed())
	release = func() {
		ctx, cancel := background()
		defer cancel()
		Eventually(func() error {
			err := env.Client.Get(ctx, client.ObjectKeyFromObject(secret), secret)
			if err != nil || secret.DeletionTimestamp == nil {
				return client.IgnoreNotFound(err) // it was released, and made anew
			}
			secret.Finalizers = slices.DeleteFunc(secret.Finalizers, func(f string) bool { return f == held })
			return env.Client.Update(ctx, secret)
		}).WithContext(ctx).Should(Succeed())
	}
	DeferCleanup(release)
	return release
}
