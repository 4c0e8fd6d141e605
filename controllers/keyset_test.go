package controllers_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
	"github.com/kongjwt/kong-jwt-operator/test/issuer"
)

var _ = Describe("A JwtConsumer that follows an issuer", func() {
	var (
		w        *world
		provider *issuer.Issuer
		looks    int
	)
	BeforeEach(func(ctx SpecContext) {
		w = newWorld(ctx, kongsim.Options{}, func(g *v1alpha1.KongGateway) {
			g.Spec.Policy.Identities = v1alpha1.IdentitiesNamespaced
			g.Spec.Policy.JWKS = &v1alpha1.JWKSPolicy{AllowPrivateAddresses: true}
		})
		provider = issuer.Start()
		DeferCleanup(provider.Close)
		create(ctx, w.secret("idp-ca", map[string]string{"ca.crt": provider.CA()}))
		Expect(provider.Add("one", "ES256")).To(Succeed())
	})

	follower := func(name string, change ...func(*v1alpha1.JWKS)) *v1alpha1.JwtConsumer {
		return w.consumer(name, func(c *v1alpha1.JwtConsumer) {
			set := &v1alpha1.JWKS{URL: provider.URL(), CASecretRef: &v1alpha1.LocalSecretKeyReference{Name: "idp-ca", Key: "ca.crt"}}
			for _, f := range change {
				f(set)
			}
			c.Spec.Credentials = []v1alpha1.Credential{{Name: "idp", Algorithm: "RS256", JWKS: set}}
		})
	}
	keys := func(ctx context.Context) func() []any { return func() []any { return w.values(ctx, "jwts", "key") } }
	look := func(ctx context.Context, consumer *v1alpha1.JwtConsumer) {
		GinkgoHelper()
		looks++
		annotate(ctx, consumer, v1alpha1.AnnotationReconcile, fmt.Sprint(looks))
	}
	degraded := func(ctx context.Context, consumer *v1alpha1.JwtConsumer) func() string {
		return func() string {
			Expect(kube.Get(ctx, client.ObjectKeyFromObject(consumer), consumer)).To(Succeed())
			if condition := apimeta.FindStatusCondition(consumer.Status.Conditions, v1alpha1.ConditionKeySetDegraded); condition != nil {
				return condition.Reason + ": " + condition.Message
			}
			return ""
		}
	}

	It("finds the set by the issuer's discovery document, and says what is wrong with it", func(ctx SpecContext) {
		provider.PutSet("/realms/orders/certs")
		const document = "/realms/orders/.well-known/openid-configuration"
		provider.Serve(document, `{"issuer": "https://other.example.com", "jwks_uri": "`+provider.URL()+`"}`)
		consumer := follower("discovers", func(j *v1alpha1.JWKS) { j.URL, j.Issuer = "", provider.Base()+"/realms/orders" })
		create(ctx, consumer)
		stalled(ctx, consumer, v1alpha1.ReasonKeySetInvalid, And(
			ContainSubstring("spec.credentials[0].jwks.issuer: "), ContainSubstring("names another issuer")))
		Expect(keys(ctx)()).To(BeEmpty())
		provider.Serve(document, `{"issuer": "`+provider.Base()+`/realms/orders", "jwks_uri": "`+provider.URL()+`"}`)
		look(ctx, consumer)
		ready(ctx, consumer)
		Expect(keys(ctx)()).To(ConsistOf("one"))
	})

	It("is asked by the gateway's proxy, with the credentials that the proxy's Secret has now", func(ctx SpecContext) {
		proxy := issuer.StartProxy(provider, true)
		DeferCleanup(proxy.Close)
		proxy.Require("operator", "first-password")
		own := v1alpha1.SecretReference{Namespace: operatorNamespace, Name: "egress-proxy"}
		change(ctx, w.gateway, func(g *v1alpha1.KongGateway) {
			g.Spec.EgressProxy = &v1alpha1.EgressProxy{
				URL: proxy.URL(), CASecretRef: &v1alpha1.SecretKeyReference{SecretReference: own, Key: "ca.crt"}, CredentialsSecretRef: &own,
			}
		})
		consumer := follower("proxied", func(j *v1alpha1.JWKS) { j.URL = "https://login.example.com/jwks" })
		create(ctx, consumer)
		stalled(ctx, consumer, v1alpha1.ReasonGatewayNotReady, And(
			HavePrefix("spec.credentials[0].jwks.url: "), ContainSubstring("spec.egressProxy.caSecretRef"), ContainSubstring("egress-proxy")))

		By("making the proxy's Secret, with a former password")
		secret := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: own.Namespace, Name: own.Name},
			StringData: map[string]string{"ca.crt": proxy.CA(), "username": "operator", "password": "former-password"},
		}
		create(ctx, secret)
		DeferCleanup(func(ctx SpecContext) { Expect(kube.Delete(ctx, secret)).To(Succeed()) })
		reconciling(ctx, consumer, v1alpha1.ReasonKeySetUnreachable, And(
			ContainSubstring("the proxy answers 407"), ContainSubstring("credentialsSecretRef"), Not(ContainSubstring("former-password"))))

		By("correcting it")
		change(ctx, secret, func(s *corev1.Secret) { s.StringData = map[string]string{"password": "first-password"} })
		ready(ctx, consumer)
		Expect(keys(ctx)()).To(ConsistOf("one"))
		Expect(proxy.Asked()).To(HaveEach("login.example.com:443"))
	})

	It("has its keys in Kong as it rotates them, across a restart, and keeps them when it is away or empty", func(ctx SpecContext) {
		consumer := follower("partner")
		create(ctx, consumer)
		ready(ctx, consumer)
		Expect(phases(ctx, consumer)(Default)).To(Equal([]string{"Active one"}))

		By("adding a key of each kind, and withdrawing the first")
		for kid, algorithm := range map[string]string{"two": "EdDSA", "three": "PS256", "9b2f0a52-38a5-4e1a-9f0e-6f5c8c0b7a10": "ES512"} {
			Expect(provider.Add(kid, algorithm)).To(Succeed())
		}
		provider.Withdraw("one")
		look(ctx, consumer)
		Eventually(keys(ctx)).WithTimeout(soon).WithPolling(poll).Should(ConsistOf("one", "two", "three", "9b2f0a52-38a5-4e1a-9f0e-6f5c8c0b7a10"))
		Eventually(phases(ctx, consumer)).WithTimeout(soon).WithPolling(poll).Should(ContainElements("Retiring one", "Active two", "Active three"))
		Expect(consumer.Status.Credentials[0].RetirementTime).NotTo(BeNil())
		Eventually(notes(ctx, consumer, "JWKSChanged")).WithTimeout(soon).WithPolling(poll).
			Should(ContainElement(And(ContainSubstring("left the set and valid for another 24h0m0s: one"), ContainSubstring("two"))))
		ready(ctx, consumer)

		By("restarting the operator while the issuer is away")
		provider.Answer(503)
		retires := consumer.Status.Credentials[0].RetirementTime.DeepCopy()
		w.operator.Stop()
		w.operator = startOperator(w.name)
		Eventually(degraded(ctx, consumer)).WithTimeout(soon).WithPolling(poll).Should(And(HavePrefix("KeySetUnreachable"), ContainSubstring("503")))
		Expect(keys(ctx)()).To(HaveLen(4))
		Expect(consumer.Status.Credentials[0].RetirementTime).To(Equal(retires))
		Eventually(notes(ctx, consumer, v1alpha1.ReasonKeySetUnreachable)).WithTimeout(soon).WithPolling(poll).Should(ContainElement(ContainSubstring("503")))
		ready(ctx, consumer)

		By("emptying its set")
		provider.Answer(200)
		for _, kid := range []string{"two", "three", "9b2f0a52-38a5-4e1a-9f0e-6f5c8c0b7a10"} {
			provider.Withdraw(kid)
		}
		look(ctx, consumer)
		Eventually(degraded(ctx, consumer)).WithTimeout(soon).WithPolling(poll).Should(HavePrefix("EmptySet"))
		Expect(keys(ctx)()).To(HaveLen(4))

		By("ending the overlap")
		provider.Publish("two")
		look(ctx, consumer)
		Eventually(phases(ctx, consumer)).WithTimeout(soon).WithPolling(poll).Should(ConsistOf("Retiring one", "Active two", "Retiring three", MatchRegexp("^Retiring .*10$")))
		Eventually(degraded(ctx, consumer)).WithTimeout(soon).WithPolling(poll).Should(BeEmpty())
		annotate(ctx, consumer, v1alpha1.AnnotationRevokePrevious, "now")
		Eventually(keys(ctx)).WithTimeout(soon).WithPolling(poll).Should(ConsistOf("two"))

		By("revoking, and following no issuer any more")
		change(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Spec.Revoked = true })
		Eventually(keys(ctx)).WithTimeout(soon).WithPolling(poll).Should(BeEmpty())
		change(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Spec.Revoked, c.Spec.Credentials = false, nil })
		ready(ctx, consumer)
		Eventually(func() error {
			return kube.Get(ctx, client.ObjectKey{Namespace: w.namespace, Name: "partner-kongjwt-jwks"}, &corev1.Secret{})
		}).WithTimeout(soon).WithPolling(poll).ShouldNot(Succeed(), "what was kept of the issuer goes")
	})

	It("costs no write where nothing changed", func(ctx SpecContext) {
		consumer := follower("still")
		create(ctx, consumer)
		ready(ctx, consumer)
		Eventually(func() int64 { return w.operator.writes.Swap(0) }).WithTimeout(soon).WithPolling(quiet).Should(BeZero())
		w.kong.ResetRequests()
		asked, _ := provider.Asked()
		look(ctx, consumer)
		Eventually(func() int { _, matched := provider.Asked(); return matched }).WithTimeout(soon).WithPolling(poll).Should(Equal(1), "on condition")
		Consistently(func(g Gomega) {
			g.Expect(w.writes()).To(BeZero())
			g.Expect(w.operator.writes.Load()).To(BeZero())
		}).WithTimeout(quiet).WithPolling(poll).Should(Succeed())
		all, _ := provider.Asked()
		Expect(all).To(Equal(asked+1), "once, not in a circle")
	})

	It("leaves a kid to the consumer that has it, and a kid of two sets to the first", func(ctx SpecContext) {
		first, second := follower("first"), follower("second")
		create(ctx, first)
		ready(ctx, first)
		create(ctx, second)
		stalled(ctx, second, v1alpha1.ReasonConflict, And(ContainSubstring("one"), ContainSubstring("first")))
		Expect(keys(ctx)()).To(ConsistOf("one"))
		change(ctx, first, func(c *v1alpha1.JwtConsumer) {
			again := c.Spec.Credentials[0]
			again.Name = "again"
			c.Spec.Credentials = append(c.Spec.Credentials, again)
		})
		stalled(ctx, first, v1alpha1.ReasonConflict, And(ContainSubstring("spec.credentials[1].jwks"), ContainSubstring("one (credential idp)")))
		Expect(keys(ctx)()).To(ConsistOf("one"))
	})

	It("holds its kids, future ones too: of two consumers on one issuer one has them all", func(ctx SpecContext) {
		first := follower("first")
		create(ctx, first)
		ready(ctx, first)
		second := follower("second", func(j *v1alpha1.JWKS) { j.URL += "?" })
		create(ctx, second)
		stalled(ctx, second, v1alpha1.ReasonConflict, And(ContainSubstring("spec.credentials[0].jwks.url"), ContainSubstring(w.namespace+"/first")))

		By("making keys, and having the other look first")
		Expect(provider.Add("two", "ES256")).To(Succeed())
		Expect(provider.Add("three", "ES256")).To(Succeed())
		look(ctx, second)
		Eventually(func() int { all, _ := provider.Asked(); return all }).WithTimeout(soon).WithPolling(poll).Should(BeNumerically(">=", 2))
		look(ctx, first)
		Eventually(phases(ctx, first)).WithTimeout(soon).WithPolling(poll).Should(ConsistOf("Active one", "Active two", "Active three"))
		ready(ctx, first)
		Expect(keys(ctx)()).To(ConsistOf("one", "two", "three"))
		stalled(ctx, second, v1alpha1.ReasonConflict, ContainSubstring(w.namespace+"/first"))

		By("going: the other takes over by itself")
		gone(ctx, first)
		Eventually(phases(ctx, second)).WithTimeout(2 * soon).WithPolling(poll).Should(ContainElement("Active one"))
		look(ctx, second)
		Eventually(phases(ctx, second)).WithTimeout(soon).WithPolling(poll).Should(ConsistOf("Active one", "Active two", "Active three"))
		ready(ctx, second)
	})

	It("is known by its keys: what the issuer makes next is not for another address of its set", func(ctx SpecContext) {
		first := follower("first")
		create(ctx, first)
		ready(ctx, first)
		second := follower("second", func(j *v1alpha1.JWKS) { j.URL += "?x=1" })
		create(ctx, second)
		stalled(ctx, second, v1alpha1.ReasonConflict, And(ContainSubstring("the keys of this issuer"), ContainSubstring(w.namespace+"/first")))

		By("replacing all keys at once, and having the other look first")
		Expect(provider.Add("two", "ES256")).To(Succeed())
		provider.Withdraw("one")
		asked, _ := provider.Asked()
		look(ctx, second)
		Eventually(func() int { all, _ := provider.Asked(); return all }).WithTimeout(soon).WithPolling(poll).Should(BeNumerically(">", asked))
		Consistently(keys(ctx)).WithTimeout(quiet).WithPolling(poll).Should(ConsistOf("one"))
		look(ctx, first)
		Eventually(phases(ctx, first)).WithTimeout(soon).WithPolling(poll).Should(ConsistOf("Retiring one", "Active two"))
		ready(ctx, first)
		stalled(ctx, second, v1alpha1.ReasonConflict, ContainSubstring(w.namespace+"/first"))

		By("going: the other takes over by itself")
		gone(ctx, first)
		Eventually(phases(ctx, second)).WithTimeout(2 * soon).WithPolling(poll).Should(ContainElement("Active two"))
		ready(ctx, second)
	})

	It("has its keys with one of two consumers that were made at once", func(ctx SpecContext) {
		for i := range 6 {
			Expect(provider.Add(fmt.Sprintf("more%d", i), "ES256")).To(Succeed())
		}
		first, second := follower("a"), follower("b")
		create(ctx, first, second)
		Eventually(func(g Gomega) {
			var reasons, owners []string
			for _, consumer := range []*v1alpha1.JwtConsumer{first, second} {
				if said := apimeta.FindStatusCondition(conditionsOf(ctx, g, consumer), v1alpha1.ConditionReady); said != nil {
					reasons = append(reasons, said.Reason)
				}
			}
			g.Expect(reasons).To(ConsistOf(v1alpha1.ReasonSucceeded, v1alpha1.ReasonConflict))
			for _, entity := range w.list(ctx, "jwts") {
				owners = append(owners, fmt.Sprint(entity["consumer"]))
			}
			g.Expect(owners).To(HaveLen(7))
			g.Expect(owners).To(HaveEach(owners[0]))
		}).WithTimeout(2 * soon).WithPolling(poll).Should(Succeed())
	})

	It("has its keys with their follower, whom one key that somebody took first does not make leave", func(ctx SpecContext) {
		By("a thief that is older, and publishes the issuer's next key itself")
		Expect(provider.Add("two", "ES256")).To(Succeed())
		provider.Withdraw("one")
		next, err := provider.Set()
		Expect(err).NotTo(HaveOccurred())
		provider.Serve("/theirs", string(next))
		provider.Withdraw("two")
		provider.Publish("one")
		thief, rightful := follower("a-thief", func(j *v1alpha1.JWKS) { j.URL = provider.Base() + "/theirs" }), follower("rightful")
		theirs := thief.Spec.Credentials
		thief.Spec.Credentials = []v1alpha1.Credential{{Name: "made", Algorithm: "HS256", Generate: &v1alpha1.Generate{SecretName: "thief-made"}}}
		create(ctx, thief)
		ready(ctx, thief)
		create(ctx, rightful)
		ready(ctx, rightful)
		since := rightful.Status.Credentials[0].IssueTime.Time
		Eventually(time.Now).WithTimeout(soon).WithPolling(poll).Should(BeTemporally(">", since.Add(time.Second)))
		change(ctx, thief, func(c *v1alpha1.JwtConsumer) { c.Spec.Credentials = theirs })
		Eventually(phases(ctx, thief)).WithTimeout(soon).WithPolling(poll).Should(ContainElement("Active two"))

		By("which then follows the issuer, first with another credential, then with the one that holds the key")
		provider.Publish("two")
		change(ctx, thief, func(c *v1alpha1.JwtConsumer) {
			too := *c.Spec.Credentials[0].DeepCopy()
			too.Name, too.JWKS.URL = "too", provider.URL()
			c.Spec.Credentials = append(c.Spec.Credentials, too)
		})
		stalled(ctx, thief, v1alpha1.ReasonConflict, ContainSubstring(w.namespace+"/rightful"))
		look(ctx, rightful)
		stalled(ctx, rightful, v1alpha1.ReasonConflict, And(ContainSubstring("two"), ContainSubstring("a-thief")))
		Expect(phases(ctx, rightful)(Default)).To(ContainElement("Active one"))
		change(ctx, thief, func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials = c.Spec.Credentials[:1]
			c.Spec.Credentials[0].JWKS.URL = provider.URL()
		})
		Eventually(phases(ctx, rightful)).WithTimeout(2 * soon).WithPolling(poll).Should(ConsistOf("Active one", "Active two"))
		stalled(ctx, thief, v1alpha1.ReasonConflict, ContainSubstring(w.namespace+"/rightful"))
	})

	It("gives no key of a name that is another namespace's", func(ctx SpecContext) {
		Expect(provider.Add("default.john.default", "ES256")).To(Succeed())
		consumer := follower("follows")
		create(ctx, consumer)
		ready(ctx, consumer)
		Eventually(degraded(ctx, consumer)).WithTimeout(soon).WithPolling(poll).
			Should(Equal(v1alpha1.ReasonKeysLeftOut + ": credential idp: keys of the set are left out (a key has a kid that begins with the name of another namespace)"))
		Expect(keys(ctx)()).To(ConsistOf("one"))
	})

	It("has its keys with their follower, whom policy forbids something else", func(ctx SpecContext) {
		first, second := follower("first"), follower("second")
		first.Spec.Plugins = []v1alpha1.PluginSpec{{Name: "size", Plugin: "request-size-limiting"}}
		create(ctx, first)
		ready(ctx, first)
		create(ctx, second)
		stalled(ctx, second, v1alpha1.ReasonConflict, ContainSubstring(w.namespace+"/first"))
		change(ctx, w.gateway, func(g *v1alpha1.KongGateway) { g.Spec.Policy.ConsumerPlugins = nil })
		stalled(ctx, first, v1alpha1.ReasonPolicyViolation, ContainSubstring("spec.plugins"))
		Expect(provider.Add("two", "ES256")).To(Succeed())
		look(ctx, second)
		stalled(ctx, second, v1alpha1.ReasonConflict, ContainSubstring(w.namespace+"/first"))
		Consistently(keys(ctx)).WithTimeout(quiet).WithPolling(poll).ShouldNot(ContainElement("two"))
	})

	It("says what keeps a set from being followed", func(ctx SpecContext) {
		bad := follower("untrusted", func(j *v1alpha1.JWKS) { j.CASecretRef = nil })
		create(ctx, bad)
		reconciling(ctx, bad, v1alpha1.ReasonKeySetUnreachable, ContainSubstring("not trusted"))
		noCA := follower("no-ca", func(j *v1alpha1.JWKS) { j.CASecretRef.Name = "missing" })
		create(ctx, noCA)
		stalled(ctx, noCA, v1alpha1.ReasonSecretNotFound, ContainSubstring("caSecretRef"))
		create(ctx, w.secret("odd-ca", map[string]string{"ca.crt": "canary"}))
		oddCA := follower("odd-ca", func(j *v1alpha1.JWKS) { j.CASecretRef.Name = "odd-ca" })
		create(ctx, oddCA)
		stalled(ctx, oddCA, v1alpha1.ReasonSecretInvalid, And(ContainSubstring("caSecretRef"), Not(ContainSubstring("canary"))))
		plain := follower("plain", func(j *v1alpha1.JWKS) { j.URL = strings.Replace(j.URL, "https", "http", 1) })
		create(ctx, plain)
		stalled(ctx, plain, v1alpha1.ReasonPolicyViolation, ContainSubstring("allowHTTP"))

		By("withdrawing what the policy allows from one that is followed")
		good := follower("good")
		create(ctx, good)
		ready(ctx, good)
		change(ctx, w.gateway, func(g *v1alpha1.KongGateway) {
			g.Spec.Policy.JWKS = &v1alpha1.JWKSPolicy{AllowPrivateAddresses: true, Issuers: []v1alpha1.AllowedIssuer{{URL: "https://login.example.com/"}}}
		})
		stalled(ctx, good, v1alpha1.ReasonPolicyViolation, ContainSubstring("policy.jwks.issuers"))
		Expect(keys(ctx)()).To(ConsistOf("one"), "what was there stays until somebody decides")

		By("taking private addresses away")
		change(ctx, w.gateway, func(g *v1alpha1.KongGateway) { g.Spec.Policy.JWKS = nil })
		Eventually(degraded(ctx, good)).WithTimeout(soon).WithPolling(poll).Should(ContainSubstring("not public"))
		fresh := follower("fresh")
		create(ctx, fresh)
		stalled(ctx, fresh, v1alpha1.ReasonPolicyViolation, ContainSubstring("allowPrivateAddresses"))
	})
})

// notes collects the notes of an object's events of a reason.
func notes(ctx context.Context, object client.Object, reason string) func() []string {
	return func() []string {
		var list eventsv1.EventList
		Expect(kube.List(ctx, &list, client.InNamespace(object.GetNamespace()))).To(Succeed())
		var found []string
		for _, e := range list.Items {
			if e.Regarding.Name == object.GetName() && e.Reason == reason {
				found = append(found, e.Note)
			}
		}
		return found
	}
}
