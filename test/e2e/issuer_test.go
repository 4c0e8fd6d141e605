package e2e

import (
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/test/issuer"
)

// issuerAlgorithms are those that an issuer can publish keys for, and that Kong takes.
var issuerAlgorithms, _ = splitAlgorithms([]v1alpha1.Algorithm{
	"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
})

// following is a consumer that follows an issuer, and a service that lets it in.
type following struct {
	rotating
	provider  *issuer.Issuer
	namespace string
	looks     int
}

// newFollowing makes them on a gateway of their own: the issuer is on this machine, which a gateway does not permit
// by itself.
func newFollowing(ctx SpecContext, name string) *following {
	GinkgoHelper()
	f := &following{provider: issuer.Start()}
	DeferCleanup(f.provider.Close)
	f.gateway = newGateway(named(name))
	f.gateway.Spec.Policy.JWKS = &v1alpha1.JWKSPolicy{AllowPrivateAddresses: true}
	create(ctx, f.gateway)
	DeferCleanup(func() {
		ctx, cancel := background()
		defer cancel()
		remove(ctx, f.gateway)
	})
	f.namespace = newNamespace(ctx, name)
	f.consumer = newConsumer(f.namespace, "users", func(s *v1alpha1.JwtConsumerSpec) {
		s.GatewayRef.Name = f.gateway.Name
		s.Credentials = []v1alpha1.Credential{{Name: "idp", Algorithm: "RS256", JWKS: &v1alpha1.JWKS{
			URL: f.provider.URL(), RefreshInterval: "24h", Overlap: v1alpha1.Duration(overlapOfRotation.String()),
			CASecretRef: &v1alpha1.LocalSecretKeyReference{Name: "idp-ca", Key: "ca.crt"},
		}}}
	})
	service := newService(f.namespace, "api", func(s *v1alpha1.JwtProtectedServiceSpec) {
		s.GatewayRef.Name = f.gateway.Name
		s.Access = &v1alpha1.Access{Consumers: []v1alpha1.ConsumerReference{{Name: "users"}}}
	})
	Expect(f.provider.Add("key-0", "ES256")).To(Succeed())
	create(ctx, newSecret(f.namespace, "idp-ca", map[string]string{"ca.crt": f.provider.CA()}), f.consumer, service)
	awaitReady(ctx, f.gateway, f.consumer, service)
	f.url = env.ProxyURL + pathOfService(f.namespace, "api")
	return f
}

// look asks for a look at the set before it is due.
func (f *following) look(ctx SpecContext) {
	GinkgoHelper()
	f.looks++
	update(ctx, f.consumer, func(c *v1alpha1.JwtConsumer) {
		if c.Annotations == nil {
			c.Annotations = map[string]string{}
		}
		c.Annotations[v1alpha1.AnnotationReconcile] = strconv.Itoa(f.looks)
	})
}

// token signs one as an issuer does: for an application of its own, under a name of its own.
func (f *following) token(kid string) string {
	GinkgoHelper()
	text, err := f.sign(kid)
	Expect(err).NotTo(HaveOccurred())
	return text
}

func (f *following) sign(kid string) (string, error) {
	return f.provider.Sign(kid, map[string]any{
		"iss": "https://login.example.com", "aud": "another-application", "sub": "somebody", "exp": time.Now().Add(time.Minute).Unix(),
	})
}

func (f *following) call() call { return at(pathOfService(f.namespace, "api")) }

// state waits until the consumer's status says something of a key; an empty state is that it is gone.
func (f *following) state(ctx SpecContext, kid string, state v1alpha1.CredentialState) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		g.Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(f.consumer), f.consumer)).To(Succeed())
		said := v1alpha1.CredentialState("")
		for _, c := range f.consumer.Status.Credentials {
			if c.Key == kid {
				said = c.State
			}
		}
		g.Expect(said).To(Equal(state), func() string { return describe(f.consumer) })
	}).WithContext(ctx).Should(Succeed(), "key %s becomes %s", kid, state)
}

var _ = Describe("An issuer that is followed", func() {
	It("has the tokens of all its keys taken, whatever they are for, as one consumer", func(ctx SpecContext) {
		f := newFollowing(ctx, "issuer-keys")
		for _, algorithm := range issuerAlgorithms {
			Expect(f.provider.Add("of-"+string(algorithm), string(algorithm))).To(Succeed())
		}
		f.look(ctx)
		for _, algorithm := range issuerAlgorithms {
			f.state(ctx, "of-"+string(algorithm), v1alpha1.CredentialActive)
			seen := expectPassed(ctx, f.call().with(f.token("of-"+string(algorithm))))
			Expect(seen.Headers).To(HaveKeyWithValue("X-Consumer-Username", f.namespace+".users"))
			Expect(seen.Headers).To(HaveKeyWithValue("X-Credential-Identifier", "of-"+string(algorithm)))
		}

		By("signing with a key that was never published")
		Expect(f.provider.Add("hidden", "ES256")).To(Succeed())
		f.provider.Withdraw("hidden")
		expectRefused(ctx, f.call().with(f.token("hidden")), http.StatusUnauthorized, "No credentials found")
	}, SpecTimeout(3*time.Minute))

	It("has its last good keys kept while it is away, by an operator that starts meanwhile too", Serial, func(ctx SpecContext) {
		f := newFollowing(ctx, "issuer-away")
		text := f.token("key-0")
		expectPassed(ctx, f.call().with(text))
		f.provider.Answer(http.StatusInternalServerError)
		Expect(operator.Kill()).To(Succeed())
		var err error
		operator, err = env.StartOperator(ctx)
		Expect(err).NotTo(HaveOccurred())
		Eventually(func(g Gomega) {
			g.Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(f.consumer), f.consumer)).To(Succeed())
			g.Expect(describe(f.consumer)).To(And(ContainSubstring("KeySetDegraded=True KeySetUnreachable"), ContainSubstring("Ready=True")))
		}).WithContext(ctx).Should(Succeed())
		expectPassed(ctx, f.call().with(f.token("key-0")))
	}, SpecTimeout(3*time.Minute))

	It("found by its discovery document, has the claims of its tokens checked on a service of somebody else's", func(ctx SpecContext) {
		f := newFollowing(ctx, "issuer-attached")
		base := f.provider.Base()
		f.provider.Serve("/.well-known/openid-configuration", fmt.Sprintf(`{"issuer": %q, "jwks_uri": %q}`, base, f.provider.URL()))
		update(ctx, f.consumer, func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials[0].JWKS.URL, c.Spec.Credentials[0].JWKS.Issuer = "", base
		})
		path := pathOf("issuer-attached")
		theirs := foreign(ctx, "services", entity{"name": named("issuer-attached"), "url": env.UpstreamURL})
		foreign(ctx, "routes", entity{"name": named("issuer-attached"), "paths": []string{path}, "service": entity{"id": theirs["id"]}})
		attached := newService(f.namespace, "attached", func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.GatewayRef.Name = f.gateway.Name
			s.Upstream, s.Routes, s.AttachTo = nil, nil, &v1alpha1.AttachTo{ServiceName: named("issuer-attached")}
			s.Access = &v1alpha1.Access{Consumers: []v1alpha1.ConsumerReference{{Name: "users"}}}
			s.Claims = &v1alpha1.ClaimChecks{Issuers: []string{base}, Audiences: []string{"orders"}}
		})
		create(ctx, attached)
		awaitReady(ctx, f.consumer, attached)
		DeferCleanup(func() {
			ctx, cancel := background()
			defer cancel()
			remove(ctx, attached)
		})
		token := func(audience string) string {
			text, err := f.provider.Sign("key-0", map[string]any{
				"iss": base, "aud": audience, "sub": "ada", "exp": time.Now().Add(time.Minute).Unix(),
			})
			Expect(err).NotTo(HaveOccurred())
			return text
		}
		expectPassed(ctx, at(path).with(token("orders")))
		expectRefused(ctx, at(path).with(token("invoices")), http.StatusUnauthorized, "Unauthorized")
		expectRefused(ctx, at(path).with(f.token("key-0")), http.StatusUnauthorized, "Unauthorized")
	}, SpecTimeout(3*time.Minute))

	It("has tokens refused once their key is gone and the overlap is over", func(ctx SpecContext) {
		f := newFollowing(ctx, "issuer-gone")
		text := f.token("key-0")
		expectPassed(ctx, f.call().with(text))
		Expect(f.provider.Add("key-1", string(issuerAlgorithms[len(issuerAlgorithms)-1]))).To(Succeed())
		f.provider.Withdraw("key-0")
		f.look(ctx)
		f.state(ctx, "key-1", v1alpha1.CredentialActive)
		f.state(ctx, "key-0", "")
		expectRefused(ctx, f.call().with(text), http.StatusUnauthorized, "No credentials found")
		expectPassed(ctx, f.call().with(f.token("key-1")))
	}, SpecTimeout(3*time.Minute))
})

var _ = Describe("Rotation of an issuer under traffic", Serial, func() {
	refusesNothing := func(ctx SpecContext, rotations int, kill bool) {
		f := newFollowing(ctx, fmt.Sprintf("issuer-%d-%t", rotations, kill))
		var current atomic.Int64
		expectPassed(ctx, f.call().with(f.token("key-0")))
		traffic, living := startTraffic(ctx, f.url)
		DeferCleanup(traffic.stop)
		for range 2 {
			Expect(traffic.add(living, f.namespace, "idp-ca", caching(func() (string, error) {
				return f.sign(fmt.Sprintf("key-%d", current.Load()))
			}))).To(Succeed())
		}
		for number := 1; number <= rotations; number++ {
			former, kid := fmt.Sprintf("key-%d", number-1), fmt.Sprintf("key-%d", number)
			By("publishing " + kid + ", and signing with it once it has been out for a while")
			Expect(f.provider.Add(kid, string(issuerAlgorithms[number%len(issuerAlgorithms)]))).To(Succeed())
			f.look(ctx)
			if kill {
				f.killSomewhere(ctx)
			}
			f.state(ctx, kid, v1alpha1.CredentialActive)
			for range 4 {
				expectPassed(ctx, f.call().with(f.token(kid)))
			}
			current.Store(int64(number))
			f.provider.Withdraw(former)
			f.look(ctx)
			f.state(ctx, former, "")
		}
		title := fmt.Sprintf("%d rotations of an issuer", rotations)
		if kill {
			title += ", the operator killed in each"
		}
		traffic.end(title)
		Expect(traffic.refused.Load()).To(BeZero(), traffic.firstRefusal())
		Expect(traffic.requests.Load()).To(BeNumerically(">", 100*rotations), "the clients were at work")
	}

	DescribeTable("refuses no request", refusesNothing,
		Entry("3 rotations", 3, false, SpecTimeout(10*time.Minute)),
		Entry("20 rotations", Label("full"), 20, false, SpecTimeout(30*time.Minute)),
		Entry("20 rotations, killed", Label("full"), 20, true, SpecTimeout(30*time.Minute)),
	)
})

// caching gets a token now and then and sends it again and again, as clients of an identity provider do.
func caching(sign func() (string, error)) bearer {
	const life = time.Second
	var text string
	var since time.Time
	return func(*corev1.Secret) (string, error) {
		if time.Since(since) < life {
			return text, nil
		}
		var err error
		text, err = sign()
		since = time.Now()
		return text, err
	}
}
