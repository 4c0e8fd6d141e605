package e2e

import (
	"net/http"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

var _ = Describe("kubectl kongjwt token", Ordered, func() {
	var namespace string
	orders := func() call { return at(pathOfService(namespace, "orders")) }

	BeforeAll(func(ctx SpecContext) {
		namespace = newNamespace(ctx, "tokens")
		service := newService(namespace, "orders")
		caller := newConsumer(namespace, "caller", func(s *v1alpha1.JwtConsumerSpec) {
			s.Credentials = []v1alpha1.Credential{
				generated("shared", "HS256", "shared"), generated("pair", "ES256", "pair"), referenced("theirs", "RS256", named("theirs"), "theirs"),
			}
		})
		create(ctx, newSecret(namespace, "theirs", materialOf(newSigningKey("RS256"))), service, caller)
		awaitReady(ctx, service, caller)
	})

	// made is a token that is printed and nothing else.
	made := func(ctx SpecContext, args ...string) string {
		GinkgoHelper()
		out, code := kongjwt(ctx, "", append([]string{"token", "create", "-n", namespace}, args...)...)
		Expect(code).To(BeZero())
		Expect(out).To(MatchRegexp(`^[\w-]+\.[\w-]+\.[\w-]+\n$`))
		return strings.TrimSpace(out)
	}

	DescribeTable("creates what Kong takes, and verify says so", func(ctx SpecContext, credential string) {
		token := made(ctx, "caller/"+credential)
		expectPassed(ctx, orders().with(token), HaveKeyWithValue("X-Consumer-Username", namespace+".caller"))
		out, code := kongjwt(ctx, token, "token", "verify", "-n", namespace)
		Expect(out).To(HavePrefix("valid, by credential " + credential + " of JwtConsumer " + namespace + "/caller\n"))
		Expect(code).To(BeZero())
		Expect(out).NotTo(ContainSubstring(token[strings.LastIndex(token, ".")+1:]))
	},
		Entry("with a shared secret", "shared"),
		Entry("with a pair of keys", "pair"),
	)

	It("creates one that is expired, which Kong and verify refuse", func(ctx SpecContext) {
		token := made(ctx, "caller/shared", "--ttl=-5m")
		expectRefused(ctx, orders().with(token), http.StatusUnauthorized, "token expired")
		out, code := kongjwt(ctx, token, "token", "verify", "caller/shared", "-n", namespace)
		Expect(code).To(Equal(1))
		Expect(out).To(And(HavePrefix("not valid"), ContainSubstring("ok      signature"), ContainSubstring("FAILED  exp")))
	})

	It("says of a changed one what Kong says", func(ctx SpecContext) {
		token := made(ctx, "caller/shared")
		at := strings.LastIndex(token, ".") + 1
		changed := token[:at] + map[bool]string{true: "B", false: "A"}[token[at] == 'A'] + token[at+1:]
		expectRefused(ctx, orders().with(changed), http.StatusUnauthorized, "Invalid signature")
		out, code := kongjwt(ctx, changed, "token", "verify", "-n", namespace)
		Expect(code).To(Equal(1))
		Expect(out).To(ContainSubstring("FAILED  signature"))
	})

	It("writes the claims that are asked for, and decode shows them, without the signature", func(ctx SpecContext) {
		token := made(ctx, "caller/shared", "--subject", "alice", "--audience", "orders", "--claim", "admin=true", "--claim", "team=blue", "--ttl", "10m")
		expectPassed(ctx, orders().with(token))
		said, code := answered[struct {
			Header, Claims map[string]any
			Signature      string
		}](ctx, "Bearer "+token, "token", "decode")
		Expect(code).To(BeZero())
		Expect(said.Header).To(And(HaveKeyWithValue("alg", "HS256"), HaveKey("kid")))
		Expect(said.Claims).To(And(HaveKeyWithValue("sub", "alice"), HaveKeyWithValue("admin", true), HaveKeyWithValue("team", "blue"), HaveKeyWithValue("iss", said.Header["kid"])))
		Expect(said.Signature).To(BeEmpty())
		out, _ := kongjwt(ctx, token, "token", "decode")
		Expect(out).To(ContainSubstring("expires, in "))
		Expect(out).NotTo(ContainSubstring(token[strings.LastIndex(token, ".")+1:]))
	})

	It("has nothing to sign with where only a public key is in the cluster", func(ctx SpecContext) {
		run := runPlugin(ctx, "", "token", "create", "caller/theirs", "-n", namespace)
		Expect(run.code).To(Equal(2))
		Expect(run.stdout).To(BeEmpty())
		Expect(run.stderr).To(HavePrefix("error: "))
	})

	It("takes no token from the command line unless it is forced", func(ctx SpecContext) {
		token := made(ctx, "caller/shared")
		run := runPlugin(ctx, "", "token", "decode", "--token", token)
		Expect(run.code).To(Equal(2))
		Expect(run.stderr).To(ContainSubstring("--unsafe-token"))
		Expect(run.stderr).NotTo(ContainSubstring(token))
		Expect(runPlugin(ctx, "", "token", "decode", "--unsafe-token", token).code).To(BeZero())
	})
})
