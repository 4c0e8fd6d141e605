package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// pluginVariable is the path of the kubectl plugin's binary.
const pluginVariable = "KJO_PLUGIN"

// kongjwt runs the plugin's binary with a token, or whatever else, on its standard input, and gives what it printed and its exit code.
func kongjwt(ctx context.Context, in string, args ...string) (out string, code int) {
	GinkgoHelper()
	binary := os.Getenv(pluginVariable)
	if binary == "" {
		Skip(pluginVariable + " names no binary; make build makes one")
	}
	var stdout, stderr bytes.Buffer
	command := exec.CommandContext(ctx, binary, append(args, "--kubeconfig", env.Kubeconfig)...)
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(in), &stdout, &stderr
	err := command.Run()
	var exit *exec.ExitError
	if err != nil {
		Expect(errors.As(err, &exit)).To(BeTrue(), "%v", err)
		code = exit.ExitCode()
	}
	Expect(code).NotTo(Equal(2), stderr.String())
	GinkgoWriter.Printf("$ kubectl kongjwt %s\n%s(exit %d)\n", strings.Join(args, " "), stdout.String(), code)
	return stdout.String(), code
}

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
		asked.Spec.Proxy = &v1alpha1.Proxy{URLs: []string{env.ProxyURL}}
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
