package e2e

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

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
})
