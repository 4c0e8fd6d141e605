package e2e

import (
	"net/http"
	"net/url"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

var _ = Describe("What the options of the jwt plugin do", Ordered, func() {
	var namespace, key string
	const secret = "a secret of the options specs, longer than thirty-two bytes"
	// path is a service's, each with an option of its own.
	path := func(name string) string { return pathOfService(namespace, name) }
	good := func(changes ...claims) string { return sign("HS256", []byte(secret), key, changes...) }
	BeforeAll(func(ctx SpecContext) {
		namespace, key = newNamespace(ctx, "options"), named("options-key")
		consumer := newConsumer(namespace, "caller", func(s *v1alpha1.JwtConsumerSpec) {
			s.Credentials = []v1alpha1.Credential{referenced("primary", "HS256", key, "material")}
		})
		nobody := newConsumer(namespace, "nobody", func(s *v1alpha1.JwtConsumerSpec) { s.Username = named("nobody") })
		with := func(name string, change func(*v1alpha1.JWTPlugin)) *v1alpha1.JwtProtectedService {
			return newService(namespace, name, func(s *v1alpha1.JwtProtectedServiceSpec) { change(&s.JWT) })
		}
		services := []*v1alpha1.JwtProtectedService{
			with("iss", func(j *v1alpha1.JWTPlugin) { j.KeyClaimName = "iss" }),
			with("nbf", func(j *v1alpha1.JWTPlugin) { j.ClaimsToVerify = []v1alpha1.TimeClaim{"exp", "nbf"} }),
			with("unlimited", func(j *v1alpha1.JWTPlugin) { j.ClaimsToVerify = []v1alpha1.TimeClaim{} }),
			with("anywhere", func(j *v1alpha1.JWTPlugin) {
				j.HeaderNames, j.URIParamNames, j.CookieNames = &[]string{"x-token"}, &[]string{"t"}, &[]string{"c"}
			}),
			with("realm", func(j *v1alpha1.JWTPlugin) { j.Realm = realm("orders") }),
			with("preflight", func(j *v1alpha1.JWTPlugin) { j.RunOnPreflight = pointer(false) }),
			with("anonymous", func(j *v1alpha1.JWTPlugin) { j.Anonymous = nobody.Spec.Username }),
		}
		create(ctx, newSecret(namespace, "material", map[string]string{"secret": secret}), consumer, nobody)
		for _, service := range services {
			create(ctx, service)
		}
		awaitReady(ctx, consumer, nobody)
		for _, service := range services {
			awaitReady(ctx, service)
		}
	})

	DescribeTable("refuses",
		func(ctx SpecContext, c func() call, message string) {
			expectRefused(ctx, c(), http.StatusUnauthorized, message)
		},
		Entry("two different tokens", func() call {
			c := at(path("anywhere"))
			c.header = http.Header{"X-Token": {"Bearer " + good()}}
			c.query = url.Values{"t": {good(claims{"sub": "other"})}}
			return c
		}, "Multiple tokens provided"),
		Entry("a token in a header that is not named", func() call { return at(path("anywhere")).with(good()) }, "Unauthorized"),
		Entry("a token without the claim that names the key", func() call {
			return at(path("iss")).with(good(claims{"iss": nil}))
		}, "No mandatory 'iss' in claims"),
		Entry("a token whose key is empty", func() call {
			return at(path("iss")).with(good(claims{"iss": ""}))
		}, "Invalid 'iss' in claims"),
		Entry("a token that is not valid yet", func() call {
			return at(path("nbf")).with(good(claims{"nbf": time.Now().Add(time.Hour).Unix()}))
		}, "token not valid yet"),
	)

	DescribeTable("lets pass",
		func(ctx SpecContext, c func() call) { expectPassed(ctx, c()) },
		Entry("a token in another header", func() call {
			c := at(path("anywhere"))
			c.header = http.Header{"X-Token": {"Bearer " + good()}}
			return c
		}),
		Entry("a token in another query parameter", func() call {
			c := at(path("anywhere"))
			c.query = url.Values{"t": {good()}}
			return c
		}),
		Entry("a token in another cookie", func() call {
			c := at(path("anywhere"))
			c.cookies = []*http.Cookie{{Name: "c", Value: good()}}
			return c
		}),
		Entry("an expired token where no claim is verified", func() call { return at(path("unlimited")).with(good(expired())) }),
		Entry("a preflight request without a token, where the plugin leaves those alone", func() call {
			return call{method: http.MethodOptions, path: path("preflight")}
		}),
	)

	It("names the realm in the challenge, or says which Kong it needs", func(ctx SpecContext) {
		if !takes.TakesJWTOption("realm") {
			service := newService(namespace, "realm-refused", func(s *v1alpha1.JwtProtectedServiceSpec) { s.JWT.Realm = "orders" })
			create(ctx, service)
			awaitReason(ctx, service, v1alpha1.ReasonInvalidSpec, "spec.jwt.realm: realm needs Kong 3.8", "runs "+takes.Version)
			return
		}
		expectRefused(ctx, at(path("realm")), http.StatusUnauthorized, "Unauthorized")
		a, err := at(path("realm")).send(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(a.header.Get("WWW-Authenticate")).To(ContainSubstring(`realm="orders"`))
	})

	It("lets everybody in as the anonymous consumer, where there is one", func(ctx SpecContext) {
		expectPassed(ctx, at(path("anonymous")),
			HaveKeyWithValue("X-Anonymous-Consumer", "true"), HaveKeyWithValue("X-Consumer-Username", named("nobody")))
		expectPassed(ctx, at(path("anonymous")).with(good()),
			HaveKeyWithValue("X-Consumer-Username", namespace+".caller"), Not(HaveKey("X-Anonymous-Consumer")))
	})
})
