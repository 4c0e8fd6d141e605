package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// The claims of tokens, checked by Kong itself. Every token here is rightly signed, and has not expired.
var _ = Describe("The claims of a token", Ordered, func() {
	const material = "a secret of the claims, longer than thirty-two bytes"
	var namespace, key string

	protect := func(name string, checks v1alpha1.ClaimChecks, change ...func(*v1alpha1.JwtProtectedServiceSpec),
	) *v1alpha1.JwtProtectedService {
		return newService(namespace, name, append(change, func(s *v1alpha1.JwtProtectedServiceSpec) { s.Claims = &checks })...)
	}
	to := func(name string) call { return at(pathOfService(namespace, name)) }
	token := func(changes ...claims) string { return sign("HS256", []byte(material), key, changes...) }

	BeforeAll(func(ctx SpecContext) {
		namespace = newNamespace(ctx, "claims")
		key = named("claims-key")
		caller := newConsumer(namespace, "caller", func(s *v1alpha1.JwtConsumerSpec) {
			s.Credentials = []v1alpha1.Credential{referenced("primary", "HS256", key, "material")}
		})
		create(ctx, newSecret(namespace, "material", map[string]string{"secret": material}), caller)
		awaitReady(ctx, caller)
	})

	Describe("each have a rule", Ordered, func() {
		good := claims{
			"iss": "https://login.example.com/", "aud": "orders", "iat": time.Now().Add(-time.Minute).Unix(), "sub": "somebody",
			"scope": "orders:read profile", "realm_access": map[string]any{"roles": []string{"clerk", "buyer"}}, "email_verified": true,
			"azp": "web", "level": 3, "tier": "gold", "https://example.com/roles": []string{"admin"},
		}
		BeforeAll(func(ctx SpecContext) {
			service := protect("rules", v1alpha1.ClaimChecks{
				Issuers:   []string{"https://login.example.com/", "https://other.example.com/"},
				Audiences: []string{"orders", "invoices"},
				Required: []v1alpha1.RequiredClaim{
					{Claim: "scope", Contains: "orders:read"},
					{Claim: "realm_access.roles", Contains: "clerk"},
					{Claim: `["https://example.com/roles"]`, Contains: "admin"},
					{Claim: "email_verified", Equals: raw(true)},
					{Claim: "level", Equals: raw(3)},
					{Claim: "tier", Equals: raw("gold")},
					{Claim: "azp", In: []string{"web", "app"}},
				},
				NotIssuedInFuture: true, ClockSkew: "30s", ExplainToClient: true,
			})
			create(ctx, service)
			awaitReady(ctx, service)
			expectPassed(ctx, to("rules").with(token(good)))
		})

		DescribeTable("that a token meets", func(ctx SpecContext, change claims) {
			expectPassed(ctx, to("rules").with(token(good, change)))
		},
			Entry("by another issuer of the list", claims{"iss": "https://other.example.com/"}),
			Entry("by one audience of a list", claims{"aud": []string{"x", "invoices"}}),
			Entry("by a scope as a list", claims{"scope": []string{"orders:read"}}),
			Entry("by another value of in", claims{"azp": "app"}),
			Entry("by a clock that is a little ahead", claims{"iat": time.Now().Add(10 * time.Second).Unix()}),
			Entry("with further claims", claims{"x": map[string]any{"y": []any{1, "é😀", nil, false}}}),
		)

		DescribeTable("that a token does not meet", func(ctx SpecContext, status int, message string, change claims) {
			expectRefused(ctx, to("rules").with(token(good, change)), status, message)
			answer, err := to("rules").with(token(good, change)).send(ctx)
			Expect(err).NotTo(HaveOccurred())
			code := map[int]string{401: "invalid_token", 403: "insufficient_scope"}[status]
			Expect(answer.header.Get("WWW-Authenticate")).To(Equal(`Bearer error="` + code + `"`))
		},
			Entry("by another issuer", 401, "The claim iss", claims{"iss": "https://login.example.com"}),
			Entry("without an issuer", 401, "The claim iss", claims{"iss": nil}),
			Entry("for another audience", 401, "The claim aud", claims{"aud": "order"}),
			Entry("for other audiences", 401, "The claim aud", claims{"aud": []string{"x", "y"}}),
			Entry("for a list that is not of strings", 401, "The claim aud", claims{"aud": []any{"orders", 1}}),
			Entry("without an audience", 401, "The claim aud", claims{"aud": nil}),
			Entry("issued in the future", 401, "The claim iat", claims{"iat": time.Now().Add(time.Hour).Unix()}),
			Entry("issued at no time", 401, "The claim iat", claims{"iat": nil}),
			Entry("by a part of a word", 403, "The claim scope", claims{"scope": "orders:reading"}),
			Entry("by an element of a list", 403, "The claim realm_access.roles", claims{"realm_access": map[string]any{"roles": []string{"clerks"}}}),
			Entry("without what the path leads to", 403, "The claim realm_access.roles", claims{"realm_access": nil}),
			Entry("by a claim whose name has dots", 403, "example.com/roles", claims{"https://example.com/roles": []string{}}),
			Entry("by a string for a boolean", 403, "The claim email_verified", claims{"email_verified": "true"}),
			Entry("by another number", 403, "The claim level", claims{"level": 4}),
			Entry("by a number that is not whole", 403, "The claim level", claims{"level": 3.5}),
			Entry("by another string", 403, "The claim tier", claims{"tier": "Gold"}),
			Entry("by none of in", 403, "The claim azp", claims{"azp": "webapp"}),
			Entry("without the claim of in", 403, "The claim azp", claims{"azp": nil}),
			Entry("by objects that are too deep", 401, "cannot be read", claims{"x": nested(17)}),
		)

		DescribeTable("that readers take for different ones", func(ctx SpecContext, field string) {
			text, err := json.Marshal(good)
			Expect(err).NotTo(HaveOccurred())
			payload := fmt.Sprintf(`%s,"exp":%d`, text[:len(text)-1], time.Now().Add(time.Hour).Unix())
			expectPassed(ctx, to("rules").with(signText(material, key, payload+`,"x":"é\ud83d\ude00"}`)))
			expectRefused(ctx, to("rules").with(signText(material, key, payload+","+field+"}")), http.StatusUnauthorized, "")
		},
			Entry("by a name that comes twice", `"aud":"orders"`),
			Entry("by a name that comes twice, escaped", `"\u0061ud":"orders"`),
			Entry("by half a surrogate pair", `"x":"\ud800"`),
			Entry("by bytes that are no UTF-8", "\"x\":\"\xff\""),
		)

		It("that is met in a query too", func(ctx SpecContext) {
			in := to("rules")
			in.query = map[string][]string{"jwt": {token(good, claims{"aud": "x"})}}
			expectRefused(ctx, in, http.StatusUnauthorized, "The claim aud")
			in.query.Set("jwt", token(good))
			expectPassed(ctx, in)
		})
	})

	It("are not told apart to a client, unless the service says so", func(ctx SpecContext) {
		service := protect("silent", v1alpha1.ClaimChecks{
			Audiences: []string{"orders"}, Required: []v1alpha1.RequiredClaim{{Claim: "scope", Contains: "read"}},
		})
		create(ctx, service)
		awaitReady(ctx, service)
		expectRefused(ctx, to("silent").with(token(claims{"aud": "x"})), http.StatusUnauthorized, "Unauthorized")
		expectRefused(ctx, to("silent").with(token(claims{"aud": "orders"})), http.StatusForbidden, "Forbidden")
		expectRefused(ctx, to("silent"), http.StatusUnauthorized, "Unauthorized")
	})

	Describe("become headers", Ordered, func() {
		forged := http.Header{
			"X-Token-Subject": {"admin", "root"}, "X_Token_Subject": {"admin"}, "x-token_SUBJECT": {"admin"}, "X-Token-Roles": {"admin"},
		}
		forging := func(text string) call {
			c := to("headers").with(text)
			for name, values := range forged {
				c.header[name] = values
			}
			return c
		}
		spoken := func(headers map[string]string) map[string]string {
			found := map[string]string{}
			for name, value := range headers {
				if flat := strings.ToLower(strings.ReplaceAll(name, "_", "-")); strings.HasPrefix(flat, "x-token-") {
					found[flat] = value
				}
			}
			return found
		}
		BeforeAll(func(ctx SpecContext) {
			service := protect("headers", v1alpha1.ClaimChecks{ExplainToClient: true, Headers: []v1alpha1.ClaimHeader{
				{Claim: "sub", Header: "X-Token-Subject"}, {Claim: "realm_access.roles", Header: "X-Token-Roles"},
				{Claim: "o", Header: "X-Token-Object"},
			}})
			create(ctx, service)
			awaitReady(ctx, service)
			expectPassed(ctx, to("headers").with(token(claims{"sub": "me"})), HaveKeyWithValue("X-Token-Subject", "me"))
		})

		DescribeTable("of their kinds, whatever the client sends", func(ctx SpecContext, said claims, want map[string]string) {
			seen := expectPassed(ctx, forging(token(said)))
			Expect(spoken(seen.Headers)).To(Equal(want))
		},
			Entry("a string", claims{"sub": "somebody"}, map[string]string{"x-token-subject": "somebody"}),
			Entry("a number", claims{"sub": 42}, map[string]string{"x-token-subject": "42"}),
			Entry("a boolean", claims{"sub": false}, map[string]string{"x-token-subject": "false"}),
			Entry("a list", claims{"sub": []any{"a", 1, true}}, map[string]string{"x-token-subject": "a,1,true"}),
			Entry("below an object", claims{"realm_access": map[string]any{"roles": []string{"clerk", "buyer"}}},
				map[string]string{"x-token-roles": "clerk,buyer"}),
			Entry("an object", claims{"o": map[string]any{"a": "?>~"}}, map[string]string{"x-token-object": "eyJhIjoiP1x1MDAzZX4ifQ"}),
			Entry("none", claims{}, map[string]string{}),
			Entry("null and an empty list", claims{"sub": []any{}, "o": nil}, map[string]string{}),
		)

		DescribeTable("and Connection cannot name one, whose headers Kong removes", func(ctx SpecContext, connection string) {
			named := to("headers").with(token(claims{"sub": "me"}))
			named.header.Set("Connection", connection)
			expectRefused(ctx, named, http.StatusUnauthorized, "The header Connection names one that this service sets")
		},
			Entry("as it is", "X-Token-Subject"),
			Entry("spelled otherwise, among others", "close, x_token_ROLES"),
		)

		DescribeTable("but not where one could pass for another", func(ctx SpecContext, value any) {
			expectRefused(ctx, forging(token(claims{"sub": value})), http.StatusUnauthorized, "The claim sub cannot be made a header")
		},
			Entry("by a line break", "a\r\nX-Token-Roles: admin"),
			Entry("by NUL", "a\x00"),
			Entry("by a space before", " admin"),
			Entry("by a space behind", "admin "),
			Entry("by a comma in an element", []any{"clerk,admin"}),
			Entry("by an object in a list", []any{map[string]any{"a": "b"}}),
		)
	})

	Describe("are asked of requests that nobody signed", Ordered, func() {
		BeforeAll(func(ctx SpecContext) {
			guest := newConsumer(namespace, "guest", func(s *v1alpha1.JwtConsumerSpec) { s.Username = named("claims-guest") })
			anonymous := func(s *v1alpha1.JwtProtectedServiceSpec) {
				s.JWT.Anonymous, s.JWT.RunOnPreflight = named("claims-guest"), pointer(false)
			}
			header := []v1alpha1.ClaimHeader{{Claim: "sub", Header: "X-Token-Subject"}}
			closed := protect("closed", v1alpha1.ClaimChecks{Audiences: []string{"orders"}, Headers: header}, anonymous)
			open := protect("open", v1alpha1.ClaimChecks{Audiences: []string{"orders"}, Headers: header, AllowAnonymous: true}, anonymous)
			create(ctx, guest, closed, open)
			awaitReady(ctx, guest, closed, open)
		})

		It("unless they may be anonymous", func(ctx SpecContext) {
			expectRefused(ctx, to("closed"), http.StatusUnauthorized, "Unauthorized")
			forged := to("open")
			forged.header = http.Header{"X-Token-Subject": {"admin"}}
			expectPassed(ctx, forged, HaveKeyWithValue("X-Consumer-Username", named("claims-guest")), Not(HaveKey("X-Token-Subject")))
			expectRefused(ctx, to("open").with(token(claims{"aud": "x"})), http.StatusUnauthorized, "Unauthorized")
			expectPassed(ctx, to("open").with(token(claims{"aud": "orders"})))
		})

		It("but not of a browser that asks first, where it needs no token", func(ctx SpecContext) {
			ask := to("closed")
			ask.method, ask.header = http.MethodOptions, http.Header{"X-Token-Subject": {"admin"}}
			expectPassed(ctx, ask, Not(HaveKey("X-Token-Subject")))
		})
	})

	It("are checked anew as the spec changes, and on what is somebody else's", func(ctx SpecContext) {
		path := pathOf("claims-attached")
		theirs := foreign(ctx, "services", entity{"name": named("claims-theirs"), "url": env.UpstreamURL})
		foreign(ctx, "routes", entity{"name": named("claims-theirs"), "paths": []string{path}, "service": entity{"id": theirs["id"]}})
		service := protect("attached", v1alpha1.ClaimChecks{Audiences: []string{"orders"}}, func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.Upstream, s.Routes, s.AttachTo = nil, nil, &v1alpha1.AttachTo{ServiceName: named("claims-theirs")}
		})
		create(ctx, service)
		awaitReady(ctx, service)
		expectPassed(ctx, at(path).with(token(claims{"aud": "orders"})))
		expectRefused(ctx, at(path).with(token(claims{"aud": "invoices"})), http.StatusUnauthorized, "Unauthorized")
		update(ctx, service, func(s *v1alpha1.JwtProtectedService) { s.Spec.Claims.Audiences = []string{"invoices"} })
		expectPassed(ctx, at(path).with(token(claims{"aud": "invoices"})))
		expectRefused(ctx, at(path).with(token(claims{"aud": "orders"})), http.StatusUnauthorized, "Unauthorized")
		remove(ctx, service)
	})

	It("are checked again after somebody changed the program, or switched it off", func(ctx SpecContext) {
		service := protect("drifts", v1alpha1.ClaimChecks{Audiences: []string{"orders"}})
		create(ctx, service)
		awaitReady(ctx, service)
		for _, change := range []entity{{"config": entity{"access": []string{"return"}}}, {"enabled": false}} {
			plugin, err := pluginOf(ctx, service, "post-function")
			Expect(err).NotTo(HaveOccurred())
			status, _, err := admin(ctx, http.MethodPatch, fmt.Sprintf("/plugins/%v", plugin["id"]), change)
			Expect(err).NotTo(HaveOccurred())
			Expect(status).To(Equal(http.StatusOK))
			Eventually(func() (entity, error) { return pluginOf(ctx, service, "post-function") }).WithContext(ctx).
				Should(And(HaveKeyWithValue("config", plugin["config"]), HaveKeyWithValue("enabled", true)))
			expectRefused(ctx, to("drifts").with(token(claims{"aud": "x"})), http.StatusUnauthorized, "Unauthorized")
		}
	})

	It("leave somebody else's post-function alone", func(ctx SpecContext) {
		theirs := foreign(ctx, "services", entity{"name": named("claims-scripted"), "url": env.UpstreamURL})
		script := foreign(ctx, "plugins", entity{
			"name": "post-function", "service": entity{"id": theirs["id"]}, "config": entity{"access": []string{"return function() end"}},
		})
		service := protect("scripted", v1alpha1.ClaimChecks{Audiences: []string{"orders"}}, func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.Upstream, s.Routes, s.AttachTo = nil, nil, &v1alpha1.AttachTo{ServiceName: named("claims-scripted")}
		})
		create(ctx, service)
		awaitReason(ctx, service, v1alpha1.ReasonConflict, fmt.Sprint(script["id"]))
		Expect(get(ctx, fmt.Sprintf("/plugins/%v", script["id"]))).To(Equal(script))
		remove(ctx, service)
	})

	It("are not said to be checked where a single route has somebody else's post-function", func(ctx SpecContext) {
		path := pathOf("claims-detour")
		theirs := foreign(ctx, "services", entity{"name": named("claims-detour"), "url": env.UpstreamURL})
		route := foreign(ctx, "routes", entity{"name": named("claims-detour"), "paths": []string{path}, "service": entity{"id": theirs["id"]}})
		service := protect("detour", v1alpha1.ClaimChecks{Audiences: []string{"orders"}}, func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.Upstream, s.Routes, s.AttachTo = nil, nil, &v1alpha1.AttachTo{ServiceName: named("claims-detour")}
		})
		create(ctx, service)
		awaitReady(ctx, service)
		expectRefused(ctx, at(path).with(token(claims{"aud": "x"})), http.StatusUnauthorized, "Unauthorized")
		script := foreign(ctx, "plugins", entity{
			"name": "post-function", "route": entity{"id": route["id"]}, "config": entity{"access": []string{"return function() end"}},
		})
		awaitReason(ctx, service, v1alpha1.ReasonConflict, "route "+named("claims-detour"), fmt.Sprint(script["id"]))
		Expect(get(ctx, fmt.Sprintf("/plugins/%v", script["id"]))).To(Equal(script))
		erase(ctx, fmt.Sprintf("/plugins/%v", script["id"]))
		awaitReady(ctx, service)
		remove(ctx, service)
	})

	It("are not said to be checked where somebody put a post-function on a route of the service's own", func(ctx SpecContext) {
		service := protect("overridden", v1alpha1.ClaimChecks{Audiences: []string{"orders"}})
		create(ctx, service)
		awaitReady(ctx, service)
		route := service.Status.Routes[0].KongID
		script := foreign(ctx, "plugins", entity{
			"name": "post-function", "route": entity{"id": route}, "config": entity{"access": []string{"return function() end"}},
		})
		awaitReason(ctx, service, v1alpha1.ReasonConflict, fmt.Sprint(script["id"]), "spec.claims")
		Expect(get(ctx, fmt.Sprintf("/plugins/%v", script["id"]))).To(Equal(script))
		erase(ctx, fmt.Sprintf("/plugins/%v", script["id"]))
		awaitReady(ctx, service)
		expectRefused(ctx, to("overridden").with(token(claims{"aud": "x"})), http.StatusUnauthorized, "Unauthorized")
	})
})

// nested is a list in a list, and so on.
func nested(depth int) any {
	if depth == 0 {
		return "x"
	}
	return []any{nested(depth - 1)}
}
