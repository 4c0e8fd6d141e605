package e2e

import (
	"net/http"
	"net/url"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	corev1 "k8s.io/api/core/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

var _ = Describe("The tutorial", Ordered, func() {
	var (
		secret  *corev1.Secret
		service *v1alpha1.JwtProtectedService
		john    *v1alpha1.JwtConsumer
		path    string
		key     string
		other   string
	)
	const johns = "secret-key"
	good := func() string { return sign("HS256", []byte(johns), key) }

	BeforeAll(func(ctx SpecContext) {
		namespace := newNamespace(ctx, "tutorial")
		path, key, other = pathOfService(namespace, "my-api"), named("user-issuer"), named("other-issuer")
		secret = newSecret(namespace, "john-jwt", map[string]string{"secret": johns})
		service = newService(namespace, "my-api", func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.ServiceName = named("my-api")
			s.JWT.MaximumExpiration = "1h"
			s.JWT.URIParamNames, s.JWT.CookieNames = &[]string{"jwt"}, &[]string{"jwt"}
		})
		john = newConsumer(namespace, "john", func(s *v1alpha1.JwtConsumerSpec) {
			s.Username = named("john")
			s.Credentials = []v1alpha1.Credential{referenced("primary", "HS256", key, secret.Name)}
		})
		jane := newConsumer(namespace, "jane", func(s *v1alpha1.JwtConsumerSpec) {
			s.Username = named("jane")
			s.Credentials = []v1alpha1.Credential{referenced("primary", "HS512", other, secret.Name)}
		})
		create(ctx, secret, service, john, jane)
		awaitReady(ctx, service, john, jane)
		expectPassed(ctx, at(path).with(good()))
	})

	DescribeTable("lets a good token pass, wherever it is, and tells the upstream who calls",
		func(ctx SpecContext, place func(token string) call) {
			seen := expectPassed(ctx, place(good()))
			Expect(seen.Headers).To(HaveKeyWithValue("X-Consumer-Username", named("john")))
			Expect(seen.Headers).To(HaveKeyWithValue("X-Credential-Identifier", key))
			Expect(seen.Headers).To(HaveKeyWithValue("X-Consumer-Id", john.Status.ConsumerID))
		},
		Entry("in the Authorization header", func(token string) call { return at(path).with(token) }),
		Entry("in the query", func(token string) call {
			c := at(path)
			c.query = url.Values{"jwt": {token}}
			return c
		}),
		Entry("in a cookie", func(token string) call {
			c := at(path)
			c.cookies = []*http.Cookie{{Name: "jwt", Value: token}}
			return c
		}),
	)

	DescribeTable("refuses",
		func(ctx SpecContext, token func() string, message string) {
			c := at(path)
			if token != nil {
				c = c.with(token())
			}
			expectRefused(ctx, c, http.StatusUnauthorized, message)
		},
		Entry("no token", nil, "Unauthorized"),
		Entry("a bad signature", func() string { return sign("HS256", []byte("not the secret"), key) }, "Invalid signature"),
		Entry("an expired token", func() string { return sign("HS256", []byte(johns), key, expired()) }, "token expired"),
		Entry("an unknown key", func() string { return sign("HS256", []byte(johns), named("nobody")) }, "No credentials found for given 'kid'"),
		Entry("another algorithm than the credential's", func() string { return sign("HS384", []byte(johns), key) }, "Invalid algorithm"),
		Entry("the algorithm of another's credential", func() string { return sign("HS256", []byte(johns), other) }, "Invalid algorithm"),
		Entry("a token that never expires", func() string { return sign("HS256", []byte(johns), key, claims{"exp": nil}) }, "must be a number"),
		Entry("a token that is valid for too long", func() string {
			return sign("HS256", []byte(johns), key, claims{"exp": farAway()})
		}, "exceeds maximum allowed expiration"),
		Entry("garbage", func() string { return "not.a.token" }, "Bad token"),
	)

	It("says that the secret is short, and programs it all the same", func() {
		Expect(john.Status.Conditions).To(ContainElement(And(
			HaveField("Type", v1alpha1.ConditionWeakSecret), HaveField("Status", BeEquivalentTo("True")))))
	})

	It("follows a change of the Secret: the old token is refused, the new one passes", func(ctx SpecContext) {
		const changed = "another-secret-key"
		update(ctx, secret, func(s *corev1.Secret) { s.Data["secret"] = []byte(changed) })
		expectRefused(ctx, at(path).with(good()), http.StatusUnauthorized, "Invalid signature")
		seen := expectPassed(ctx, at(path).with(sign("HS256", []byte(changed), key)))
		Expect(seen.Headers).To(HaveKeyWithValue("X-Consumer-Username", named("john")))
	})

	It("leaves nothing behind when it is deleted", func(ctx SpecContext) {
		remove(ctx, service)
		remove(ctx, john)
		for _, owner := range []string{ownerTag(service), ownerTag(john)} {
			Expect(tagged(ctx, owner)).To(BeEmpty())
		}
		expectRefused(ctx, at(path), http.StatusNotFound, "no Route matched")
	})
})
