package e2e

import (
	"encoding/json"
	"net/http"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

var _ = Describe("kubectl kongjwt explain", Ordered, func() {
	var namespace string
	const material = "a secret that the test knows, and is long enough"
	key := func() string { return named("explained") }
	URL := func(service string) string {
		return strings.TrimSuffix(env.ProxyURL, "/") + pathOfService(namespace, service)
	}

	BeforeAll(func(ctx SpecContext) {
		namespace = newNamespace(ctx, "explain")
		asked := newGateway(named("explained"))
		asked.Spec.DataPlanes = &v1alpha1.DataPlanes{URLs: []string{env.ProxyURL}}
		create(ctx, asked)
		DeferCleanup(func() {
			ctx, cancel := background()
			defer cancel()
			remove(ctx, asked)
		})
		caller := newConsumer(namespace, "worker", func(s *v1alpha1.JwtConsumerSpec) {
			s.GatewayRef.Name = asked.Name
			s.Credentials = []v1alpha1.Credential{referenced("primary", "HS256", key(), "material")}
		})
		orders := newService(namespace, "orders", func(s *v1alpha1.JwtProtectedServiceSpec) { s.GatewayRef.Name = asked.Name })
		closed := newService(namespace, "closed", func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.GatewayRef.Name, s.Access = asked.Name, &v1alpha1.Access{Groups: []string{named("others")}}
		})
		create(ctx, newSecret(namespace, "material", map[string]string{"secret": material}), caller, orders, closed)
		awaitReady(ctx, asked, caller, orders, closed)
		valid := sign("HS256", []byte(material), key())
		expectPassed(ctx, at(pathOfService(namespace, "orders")).with(valid))
		expectRefused(ctx, at(pathOfService(namespace, "closed")).with(valid), http.StatusForbidden, "You cannot consume this service")
		DeferCleanup(func() {
			ctx, cancel := background()
			defer cancel()
			for _, o := range []*v1alpha1.JwtProtectedService{orders, closed} {
				remove(ctx, o)
			}
			remove(ctx, caller)
		})
	})

	DescribeTable("says what Kong says", func(ctx SpecContext, service string, token func() string) {
		text, path := token(), pathOfService(namespace, service)
		if !strings.Contains(text, ".") {
			text = "not.a.token"
		}
		a, err := at(path).with(text).send(ctx)
		Expect(err).NotTo(HaveOccurred())
		out, code := kongjwt(ctx, text, "explain", "--url", URL(service), "-o", "json")
		var said struct {
			Verdict, Service string
			Answer           struct {
				Status int
				Body   map[string]string
			}
		}
		Expect(json.Unmarshal([]byte(out), &said)).To(Succeed())
		Expect(said.Service).To(Equal(namespace + "/" + service))
		if a.status == http.StatusOK {
			Expect(said.Verdict).To(Equal("accepted"), out)
			Expect(code).To(Equal(0))
			return
		}
		Expect(said.Verdict).To(Equal("refused"), out)
		Expect(code).To(Equal(1))
		Expect(said.Answer.Status).To(Equal(a.status))
		if message, there := said.Answer.Body["message"]; there {
			Expect(a.message).To(Equal(message))
		} else {
			Expect(a.message).To(MatchJSON(mustJSON(said.Answer.Body)))
		}
		words, _ := kongjwt(ctx, text, "explain", "--url", URL(service))
		Expect(words).To(HavePrefix("REFUSED  Kong answers"))
		Expect(words).NotTo(ContainSubstring(material))
	},
		Entry("of a valid token", "orders", func() string { return sign("HS256", []byte(material), key()) }),
		Entry("of one that expired", "orders", func() string { return sign("HS256", []byte(material), key(), expired()) }),
		Entry("of one without exp", "orders", func() string { return sign("HS256", []byte(material), key(), claims{"exp": nil}) }),
		Entry("of another secret", "orders", func() string { return sign("HS256", []byte("another secret, which is long enough too"), key()) }),
		Entry("of another algorithm", "orders", func() string { return sign("HS512", []byte(material), key()) }),
		Entry("of a key that nobody has", "orders", func() string { return sign("HS256", []byte(material), named("nobody")) }),
		Entry("of what is no token", "orders", func() string { return "" }),
		Entry("of a consumer that is not let in", "closed", func() string { return sign("HS256", []byte(material), key()) }),
	)

	It("says what is not known to who may not read the Secret", func(ctx SpecContext) {
		role := &rbacv1.Role{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "no-secrets"},
			Rules: []rbacv1.PolicyRule{{
				APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"jwtconsumers", "jwtprotectedservices"}, Verbs: []string{"list"},
			}},
		}
		binding := &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "no-secrets"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "on-call"}},
		}
		create(ctx, role, binding)
		asked := func(token string) plugin {
			return runPlugin(ctx, token, "explain", "--service", namespace+"/orders", "--as", "somebody", "--as-group", "on-call")
		}
		Eventually(func(g Gomega) {
			run := asked(sign("HS256", []byte(material), key()))
			g.Expect(run.code).To(Equal(1), run.stderr)
			g.Expect(run.stdout).To(And(HavePrefix("UNKNOWN  for "), MatchRegexp(`unknown  signature +.*you may not read Secret `+namespace+`/`)))
		}).WithContext(ctx).Should(Succeed())
		run := asked(sign("HS256", []byte(material), key(), expired()))
		Expect(run.code).To(Equal(1))
		Expect(run.stdout).To(HavePrefix(`REFUSED  Kong answers 401 {"exp":"token expired"}`), "whoever signed it")
	})

	It("asks the data planes, and sends them no token that is valid", func(ctx SpecContext) {
		Eventually(func(g Gomega) {
			out, _ := kongjwt(ctx, sign("HS256", []byte(material), key()), "explain", "--service", namespace+"/orders", "--live")
			g.Expect(out).To(MatchRegexp(`ok +data planes +they hold the credential: ` + env.ProxyURL))
		}).WithContext(ctx).Should(Succeed(), "the probe route is served")
	})
})

func mustJSON(v any) string {
	GinkgoHelper()
	content, err := json.Marshal(v)
	Expect(err).NotTo(HaveOccurred())
	return string(content)
}
