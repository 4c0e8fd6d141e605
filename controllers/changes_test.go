package controllers_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
	"github.com/kongjwt/kong-jwt-operator/test/issuer"
)

// given is a credential out of a Secret.
func given(name, secretName string, change ...func(*v1alpha1.Credential)) v1alpha1.Credential {
	c := v1alpha1.Credential{Name: name, Algorithm: "HS256", SecretRef: &v1alpha1.CredentialSecretReference{Name: secretName}}
	for _, f := range change {
		f(&c)
	}
	return c
}

func withKey(key string) func(*v1alpha1.Credential) {
	return func(c *v1alpha1.Credential) { c.Key = key }
}

// secretsByKey is what Kong's credentials are: secret by key.
func (w *world) secretsByKey(ctx context.Context) map[any]any {
	GinkgoHelper()
	found := map[any]any{}
	for _, jwt := range w.list(ctx, "jwts") {
		found[jwt["key"]] = jwt["secret"]
	}
	return found
}

const otherSecret = "another-secret-of-thirty-two-byte"

var _ = Describe("What is changed in a JwtConsumer", func() {
	var w *world
	BeforeEach(func(ctx SpecContext) {
		w = newWorld(ctx, kongsim.Options{})
		create(ctx, w.secret("one", map[string]string{"secret": longSecret}), w.secret("two", map[string]string{"secret": otherSecret}))
	})

	It("may be the keys of two credentials, with each other", func(ctx SpecContext) {
		c := w.consumer("c", func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials = []v1alpha1.Credential{given("a", "one", withKey("k1")), given("b", "two", withKey("k2"))}
		})
		create(ctx, c)
		ready(ctx, c)
		change(ctx, c, func(c *v1alpha1.JwtConsumer) { c.Spec.Credentials[0].Key, c.Spec.Credentials[1].Key = "k2", "k1" })
		ready(ctx, c)
		Expect(w.secretsByKey(ctx)).To(Equal(map[any]any{"k2": longSecret, "k1": otherSecret}))
	})

	It("may not be one key for two credentials: the first keeps it, and the condition names both", func(ctx SpecContext) {
		c := w.consumer("c", func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials = []v1alpha1.Credential{given("a", "one", withKey(w.namespace+".c.b")), given("b", "two")}
		})
		create(ctx, c)
		stalled(ctx, c, v1alpha1.ReasonConflict, And(ContainSubstring("spec.credentials[1]"), ContainSubstring("credential a")))
		Expect(w.secretsByKey(ctx)).To(Equal(map[any]any{w.namespace + ".c.b": longSecret}))
		w.kong.ResetRequests()
		Consistently(w.writes).WithTimeout(quiet).WithPolling(poll).Should(BeZero())
		change(ctx, c, func(c *v1alpha1.JwtConsumer) { c.Spec.Credentials[0].Key = "k" })
		ready(ctx, c)
		Expect(w.secretsByKey(ctx)).To(Equal(map[any]any{"k": longSecret, w.namespace + ".c.b": otherSecret}))
	})

	It("may be usernames, custom ids and keys that another has, which changes to its own at the same time", func(ctx SpecContext) {
		named := func(name, id, key string) func(*v1alpha1.JwtConsumer) {
			return func(c *v1alpha1.JwtConsumer) {
				c.Spec.Username, c.Spec.CustomID = name, id
				c.Spec.Credentials = []v1alpha1.Credential{given("a", "one", withKey(key))}
			}
		}
		left, right := w.consumer("left", named("anna", "1", "k1")), w.consumer("right", named("bert", "2", "k2"))
		create(ctx, left, right)
		ready(ctx, left)
		ready(ctx, right)
		change(ctx, left, named("bert", "2", "k2"))
		stalled(ctx, left, v1alpha1.ReasonConflict, ContainSubstring(w.namespace+"/right"))
		change(ctx, right, named("anna", "1", "k1"))
		ready(ctx, left)
		ready(ctx, right)
		Expect(w.values(ctx, "consumers", "username")).To(ConsistOf("anna", "bert"))
		Expect(w.values(ctx, "consumers", "custom_id")).To(ConsistOf("1", "2"))
		for _, jwt := range w.list(ctx, "jwts") {
			Expect(jwt["consumer"]).To(HaveKeyWithValue("id", map[any]string{"k2": left.Status.ConsumerID, "k1": right.Status.ConsumerID}[jwt["key"]]))
		}
	})

	It("may be the username, and back; the key of what is referred to follows it, that of what is generated overlaps", func(ctx SpecContext) {
		c := w.consumer("c", func(c *v1alpha1.JwtConsumer) {
			c.Spec.Username = "first"
			c.Spec.Credentials = []v1alpha1.Credential{given("a", "one"), {Name: "made", Algorithm: "HS256", Generate: &v1alpha1.Generate{SecretName: "c-made"}}}
		})
		create(ctx, c)
		ready(ctx, c)
		id := c.Status.ConsumerID
		for _, name := range []string{"second", "first"} {
			change(ctx, c, func(c *v1alpha1.JwtConsumer) { c.Spec.Username = name })
			ready(ctx, c)
			Expect(w.values(ctx, "consumers", "username")).To(ConsistOf(name))
			Expect(w.values(ctx, "jwts", "key")).To(ContainElement(name + ".a"))
			Expect(w.published(ctx, "c-made", "key")).To(HavePrefix(name + ".made"))
			Expect(w.secretsByKey(ctx)).To(HaveKeyWithValue(w.published(ctx, "c-made", "key"), w.published(ctx, "c-made", "secret")))
			Expect(w.values(ctx, "jwts", "key")).To(ContainElement("first.made"), "what clients may still use stays")
		}
		Expect(c.Status.ConsumerID).To(Equal(id))
	})

	It("may be the algorithm of what is referred to", func(ctx SpecContext) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		Expect(err).NotTo(HaveOccurred())
		create(ctx, w.secret("both", map[string]string{"secret": longSecret, "public.pem": publicPEM(&key.PublicKey)}))
		c := w.consumer("c", func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials = []v1alpha1.Credential{given("a", "both", withKey("k"))}
		})
		create(ctx, c)
		ready(ctx, c)
		for _, algorithm := range []v1alpha1.Algorithm{"ES256", "HS512", "HS256"} {
			change(ctx, c, func(c *v1alpha1.JwtConsumer) { c.Spec.Credentials[0].Algorithm = algorithm })
			Eventually(func() []any { return w.values(ctx, "jwts", "algorithm") }).WithTimeout(soon).WithPolling(poll).Should(ConsistOf(string(algorithm)))
			ready(ctx, c)
			Expect(c.Status.Credentials).To(HaveExactElements(And(HaveField("Algorithm", algorithm), HaveField("State", v1alpha1.CredentialActive))))
		}
		Expect(w.secretsByKey(ctx)).To(Equal(map[any]any{"k": longSecret}))
	})

	It("may be the source of a credential: what clients have goes on beside what they are to have, for the overlap", func(ctx SpecContext) {
		c := w.consumer("c", func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials = []v1alpha1.Credential{given("a", "one", withKey("k"))}
		})
		create(ctx, c)
		ready(ctx, c)
		change(ctx, c, func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials = []v1alpha1.Credential{{Name: "a", Algorithm: "RS256", Generate: &v1alpha1.Generate{
				SecretName: "c-made", Rotation: &v1alpha1.Rotation{Interval: "1h", Overlap: "2s"},
			}}}
		})
		made := w.name + ".c.a.2"
		Eventually(phases(ctx, c)).WithTimeout(soon).WithPolling(poll).Should(Equal([]string{"Active " + made, "Retiring k"}))
		Expect(w.values(ctx, "jwts", "key")).To(ConsistOf("k", made))
		Expect(w.published(ctx, "c-made", "key")).To(Equal(made))
		Eventually(phases(ctx, c)).WithTimeout(soon).WithPolling(poll).Should(Equal([]string{"Active " + made}))
		Expect(w.values(ctx, "jwts", "key")).To(ConsistOf(made))
		ready(ctx, c)

		By("renaming it, with the Secret that clients read")
		change(ctx, c, func(c *v1alpha1.JwtConsumer) { c.Spec.Credentials[0].Name = "b" })
		renamed := w.name + ".c.b.3"
		Eventually(phases(ctx, c)).WithTimeout(soon).WithPolling(poll).Should(Equal([]string{"Active " + renamed, "Retiring " + made}))
		Expect(w.published(ctx, "c-made", "key")).To(Equal(renamed))
		Eventually(phases(ctx, c)).WithTimeout(soon).WithPolling(poll).Should(Equal([]string{"Active " + renamed}))

		By("following an issuer that does not answer yet")
		provider := issuer.Start()
		DeferCleanup(provider.Close)
		Expect(provider.Add("one", "ES256")).To(Succeed())
		provider.Answer(503)
		change(ctx, w.gateway, func(g *v1alpha1.KongGateway) { g.Spec.Policy.JWKS = &v1alpha1.JWKSPolicy{AllowPrivateAddresses: true} })
		create(ctx, w.secret("idp-ca", map[string]string{"ca.crt": provider.CA()}))
		change(ctx, c, func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials = []v1alpha1.Credential{{Name: "b", Algorithm: "RS256", JWKS: &v1alpha1.JWKS{
				URL: provider.URL(), RefreshInterval: "30s", CASecretRef: &v1alpha1.LocalSecretKeyReference{Name: "idp-ca", Key: "ca.crt"},
			}}}
		})
		reconciling(ctx, c, v1alpha1.ReasonKeySetUnreachable, ContainSubstring("503"))
		Expect(w.values(ctx, "jwts", "key")).To(ConsistOf(renamed), "what there was stays until there is something else")
		Expect(w.published(ctx, "c-made", "key")).To(Equal(renamed))
		provider.Answer(200)
		annotate(ctx, c, v1alpha1.AnnotationReconcile, "1")
		Eventually(func() []any { return w.values(ctx, "jwts", "key") }).WithTimeout(soon).WithPolling(poll).Should(ConsistOf("one", renamed))
		Eventually(phases(ctx, c)).WithTimeout(soon).WithPolling(poll).Should(Equal([]string{"Active one", "Retiring " + renamed}))
		Expect(w.published(ctx, "c-made", "key")).To(Equal(renamed), "pods that start within the overlap find it")
		annotate(ctx, c, v1alpha1.AnnotationRevokePrevious, "1")
		Eventually(func() []any { return w.values(ctx, "jwts", "key") }).WithTimeout(soon).WithPolling(poll).Should(ConsistOf("one"))
		Eventually(func() string { return w.published(ctx, "c-made", "key") }).WithTimeout(soon).WithPolling(poll).Should(BeEmpty())
		ready(ctx, c)

		By("referring to a Secret that is not there yet")
		change(ctx, c, func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials = []v1alpha1.Credential{given("b", "later", withKey("k"))}
		})
		stalled(ctx, c, v1alpha1.ReasonSecretNotFound, ContainSubstring("later"))
		Expect(w.values(ctx, "jwts", "key")).To(ConsistOf("one"))
		create(ctx, w.secret("later", map[string]string{"secret": otherSecret}))
		ready(ctx, c)
		Expect(w.secretsByKey(ctx)).To(Equal(map[any]any{"k": otherSecret}))
	})

	It("serves on while its next source is missing, though something older still retires", func(ctx SpecContext) {
		provider := issuer.Start()
		DeferCleanup(provider.Close)
		Expect(provider.Add("one", "ES256")).To(Succeed())
		change(ctx, w.gateway, func(g *v1alpha1.KongGateway) { g.Spec.Policy.JWKS = &v1alpha1.JWKSPolicy{AllowPrivateAddresses: true} })
		create(ctx, w.secret("idp-ca", map[string]string{"ca.crt": provider.CA()}))
		c := w.rotated("c", nil)
		create(ctx, c)
		ready(ctx, c)
		name, former := c.Spec.Credentials[0].Name, c.Status.Credentials[0].Key
		change(ctx, c, func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials = []v1alpha1.Credential{{Name: name, Algorithm: "ES256", JWKS: &v1alpha1.JWKS{
				URL: provider.URL(), RefreshInterval: "1h", CASecretRef: &v1alpha1.LocalSecretKeyReference{Name: "idp-ca", Key: "ca.crt"},
			}}}
		})
		Eventually(phases(ctx, c)).WithTimeout(soon).WithPolling(poll).Should(Equal([]string{"Active one", "Retiring " + former}))

		change(ctx, c, func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials = []v1alpha1.Credential{given(name, "later", withKey("k"))}
		})
		stalled(ctx, c, v1alpha1.ReasonSecretNotFound, ContainSubstring("later"))
		Expect(w.values(ctx, "jwts", "key")).To(ConsistOf("one", former))

		By("ending what retires, which is not kept")
		annotate(ctx, c, v1alpha1.AnnotationRevokePrevious, "1")
		Eventually(func() []any { return w.values(ctx, "jwts", "key") }).WithTimeout(soon).WithPolling(poll).Should(ConsistOf("one"))
	})

	It("may be the key that moves on to another consumer", func(ctx SpecContext) {
		a := w.consumer("a", func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials = []v1alpha1.Credential{given("a", "one", withKey("k"))}
		})
		b := w.consumer("b", func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials = []v1alpha1.Credential{given("b", "two", withKey("k"))}
		})
		create(ctx, a)
		ready(ctx, a)
		create(ctx, b)
		stalled(ctx, b, v1alpha1.ReasonConflict, ContainSubstring(w.namespace+"/a"))
		change(ctx, a, func(c *v1alpha1.JwtConsumer) { c.Spec.Credentials = nil })
		ready(ctx, a)
		ready(ctx, b)
		Expect(w.secretsByKey(ctx)).To(Equal(map[any]any{"k": otherSecret}))
	})

	It("is taken away though the rest of it cannot be programmed", func(ctx SpecContext) {
		service := w.service("orders", func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Access = &v1alpha1.Access{Consumers: []v1alpha1.ConsumerReference{{Name: "c"}, {Name: "d"}}}
		})
		c := w.consumer("c", func(c *v1alpha1.JwtConsumer) {
			c.Spec.Groups = []string{"readers", "writers/€"}
			c.Spec.Credentials = []v1alpha1.Credential{given("a", "one", withKey("k1")), given("b", "two", withKey("k2"))}
		})
		d := w.consumer("d", func(c *v1alpha1.JwtConsumer) { c.Spec.Credentials = nil })
		create(ctx, service, c, d)
		ready(ctx, c, d, service)
		groups := func() []any {
			found := []any{}
			for _, row := range w.list(ctx, "acls") {
				if row["consumer"].(map[string]any)["id"] == c.Status.ConsumerID {
					found = append(found, row["group"])
				}
			}
			return found
		}
		own := []any{"kongjwt:" + w.namespace + ".c", "kongjwt:" + w.namespace}
		Expect(groups()).To(ConsistOf(append(own, "readers", "writers/€")...))

		By("a plugin that the policy does not allow, and a Secret that is missing")
		change(ctx, c, func(c *v1alpha1.JwtConsumer) {
			c.Spec.Groups, c.Spec.Credentials = c.Spec.Groups[:1], c.Spec.Credentials[:1]
			c.Spec.Plugins = []v1alpha1.PluginSpec{{Name: "lua", Plugin: "pre-function"}}
		})
		stalled(ctx, c, v1alpha1.ReasonPolicyViolation, ContainSubstring("pre-function"))
		Expect(w.values(ctx, "jwts", "key")).To(ConsistOf("k1"), "what the spec still has stays")
		Expect(groups()).To(ConsistOf(append(own, "readers")...))

		By("a service that no longer names it")
		change(ctx, service, func(s *v1alpha1.JwtProtectedService) { s.Spec.Access.Consumers = s.Spec.Access.Consumers[1:] })
		Eventually(w.admitted).WithContext(ctx).WithTimeout(soon).WithPolling(poll).Should(ConsistOf("kongjwt:" + w.namespace + ".d"))
		change(ctx, c, func(c *v1alpha1.JwtConsumer) {
			c.Spec.Plugins[0] = v1alpha1.PluginSpec{Name: "size", Plugin: "request-size-limiting", ConfigFrom: []v1alpha1.ConfigSource{
				{SecretRef: v1alpha1.LocalSecretKeyReference{Name: "missing", Key: "config"}},
			}}
			c.Spec.Groups = nil
		})
		stalled(ctx, c, v1alpha1.ReasonSecretNotFound, ContainSubstring("missing"))
		Eventually(groups).WithTimeout(soon).WithPolling(poll).Should(ConsistOf(own...))
		change(ctx, c, func(c *v1alpha1.JwtConsumer) { c.Spec.Plugins = nil })
		ready(ctx, c)
	})

	It("is taken away from a consumer though the service cannot be programmed", func(ctx SpecContext) {
		service := w.service("orders", func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Access = &v1alpha1.Access{Groups: []string{"a", "b", "c", "d"}}
		})
		upstream := service.Spec.Upstream.DeepCopy()
		create(ctx, service)
		ready(ctx, service)
		Expect(w.admitted(ctx)).To(ConsistOf("a", "b", "c", "d"))
		shutOut := func(reason string, left ...any) {
			GinkgoHelper()
			stalled(ctx, service, reason, Not(BeEmpty()))
			Eventually(w.admitted).WithContext(ctx).WithTimeout(soon).WithPolling(poll).Should(ConsistOf(left...))
		}

		By("a plugin that the policy does not allow; nobody is let in")
		change(ctx, service, func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Access.Groups = []string{"b", "c", "d", "new"}
			s.Spec.Plugins = []v1alpha1.ServicePlugin{{PluginSpec: v1alpha1.PluginSpec{Name: "lua", Plugin: "pre-function"}}}
		})
		shutOut(v1alpha1.ReasonPolicyViolation, "b", "c", "d")

		By("a Secret of a plugin that is missing")
		change(ctx, service, func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Access.Groups = []string{"c", "d", "new"}
			s.Spec.Plugins[0].PluginSpec = v1alpha1.PluginSpec{
				Name: "size", Plugin: "request-size-limiting", ConfigFrom: []v1alpha1.ConfigSource{
					{SecretRef: v1alpha1.LocalSecretKeyReference{Name: "missing", Key: "config"}},
				},
			}
		})
		shutOut(v1alpha1.ReasonSecretNotFound, "c", "d")

		By("a Service that is missing")
		change(ctx, service, func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Access.Groups, s.Spec.Plugins = []string{"d", "new"}, nil
			s.Spec.Upstream = &v1alpha1.Upstream{ServiceRef: &v1alpha1.UpstreamServiceReference{Name: "missing", Port: 80}}
		})
		Eventually(w.admitted).WithContext(ctx).WithTimeout(soon).WithPolling(poll).Should(ConsistOf("d"))

		By("nothing")
		change(ctx, service, func(s *v1alpha1.JwtProtectedService) { s.Spec.Upstream = upstream })
		ready(ctx, service)
		Expect(w.admitted(ctx)).To(ConsistOf("d", "new"))
	})
})
