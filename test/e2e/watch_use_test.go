package e2e

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// logServer is what http-log sends to.
type logServer struct {
	url string

	mu      sync.Mutex
	bodies  []string
	headers []http.Header
}

// newLogServer listens where Kong reaches the upstream, until the spec ends.
func newLogServer() *logServer {
	GinkgoHelper()
	upstream, err := url.Parse(env.UpstreamURL)
	Expect(err).NotTo(HaveOccurred())
	listener, err := net.Listen("tcp", net.JoinHostPort(upstream.Hostname(), "0"))
	Expect(err).NotTo(HaveOccurred())
	s := &logServer{url: "http://" + listener.Addr().String() + "/kong"}
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // a part is as good
		s.mu.Lock()
		defer s.mu.Unlock()
		s.bodies, s.headers = append(s.bodies, string(body)), append(s.headers, r.Header)
	})}
	go func() { _ = server.Serve(listener) }() // returns ErrServerClosed in the end
	DeferCleanup(server.Close)
	return s
}

// entries gives what came, one entry a request, be it alone or in a list.
func (s *logServer) entries(g Gomega) []entity {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []entity
	for _, body := range s.bodies {
		if !strings.HasPrefix(body, "[") {
			body = "[" + body + "]"
		}
		var list []entity
		g.Expect(json.Unmarshal([]byte(body), &list)).To(Succeed())
		all = append(all, list...)
	}
	return all
}

var _ = Describe("The sample for watching use", func() {
	It("counts by consumer and logs by credential, with no token in the log", func(ctx SpecContext) {
		namespace, log := newNamespace(ctx, "watch"), newLogServer()
		secret, service := watchSample(namespace, log.url)
		caller := newConsumer(namespace, "caller", func(s *v1alpha1.JwtConsumerSpec) {
			s.Credentials = []v1alpha1.Credential{generated("primary", "HS256", "caller-jwt")}
		})
		create(ctx, secret, service, caller, newToken(namespace, "caller", "primary"))
		awaitReady(ctx, service, caller)

		counts, err := pluginOf(ctx, service, "prometheus")
		Expect(err).NotTo(HaveOccurred())
		Expect(counts.at("config.per_consumer")).To(BeTrue())
		Expect(counts.at("config.status_code_metrics")).To(BeTrue())
		sends, err := pluginOf(ctx, service, "http-log")
		Expect(err).NotTo(HaveOccurred())
		Expect(sends.at("config.http_endpoint")).To(HavePrefix(log.url+"#"), "a queue of the namespace's own")
		Expect(sends.at("config.headers.Authorization")).To(Equal(decoy("log")), "what is in the Secret is merged in")

		if env.Real { // the simulation takes these plugins, and they do nothing
			isCountedAndLogged(ctx, log, service, caller)
		}
	})
})

// isCountedAndLogged sends a request, and looks for it where the page says that it is found.
func isCountedAndLogged(ctx SpecContext, log *logServer, service *v1alpha1.JwtProtectedService, caller *v1alpha1.JwtConsumer) {
	GinkgoHelper()
	username := caller.Namespace + ".caller"
	token := string(readSecret(ctx, caller.Namespace, "caller-primary-token").Data["token"])
	expectPassed(ctx, at(service.Spec.Routes[0].Paths[0]).with(token))
	Eventually(func(g Gomega) {
		g.Expect(log.entries(g)).To(ContainElement(And(
			WithTransform(valueAt("consumer.username"), Equal(username)),
			WithTransform(valueAt("authenticated_entity.id"), Equal(caller.Status.Credentials[0].KongID)),
			WithTransform(valueAt("service.name"), Equal(service.Status.ServiceName)),
			WithTransform(valueAt("request.headers.authorization"), Equal("REDACTED")),
			WithTransform(valueAt("response.status"), BeEquivalentTo(http.StatusOK)),
		)))
	}).WithContext(ctx).Should(Succeed())
	log.mu.Lock()
	defer log.mu.Unlock()
	Expect(strings.Join(log.bodies, "\n")).NotTo(ContainSubstring(token))
	Expect(log.headers[0].Get("Authorization")).To(Equal(decoy("log")))
	Eventually(metricsOfKong).WithContext(ctx).Should(ContainElement(And(
		HavePrefix("kong_http_requests_total{"), ContainSubstring(`service="`+service.Status.ServiceName+`"`),
		ContainSubstring(`code="200"`), ContainSubstring(`consumer="`+username+`"`),
	)))
}

// watchSample gives the objects of config/samples/watch-use, with this run's names and addresses.
func watchSample(namespace, endpoint string) (*corev1.Secret, *v1alpha1.JwtProtectedService) {
	GinkgoHelper()
	content, err := os.ReadFile("../../config/samples/watch-use/orders.yaml")
	Expect(err).NotTo(HaveOccurred())
	first, second, found := strings.Cut(string(content), "\n---\n")
	Expect(found).To(BeTrue())
	secret, service := &corev1.Secret{}, &v1alpha1.JwtProtectedService{}
	Expect(yaml.UnmarshalStrict([]byte(first), secret)).To(Succeed())
	Expect(yaml.UnmarshalStrict([]byte(second), service)).To(Succeed())

	secret.Namespace, service.Namespace = namespace, namespace
	secret.StringData["config"] = strings.Replace(secret.StringData["config"], "Bearer replace-this-with-the-token-of-your-log-server", decoy("log"), 1)
	service.Spec.GatewayRef.Name = gateway.Name
	service.Spec.Upstream.URL = env.UpstreamURL
	service.Spec.Routes[0].Paths = []string{pathOfService(namespace, "watched")}
	service.Spec.Routes[0].Protocols = []v1alpha1.Protocol{"http", "https"}
	log := &service.Spec.Plugins[1]
	log.Config.Raw = []byte(strings.Replace(string(log.Config.Raw), "https://log.example.com/kong", endpoint, 1))
	return secret, service
}

// valueAt gives what a dotted path leads to in an entry.
func valueAt(path string) func(entity) any { return func(e entity) any { return e.at(path) } }

// metricsOfKong are the lines that the node serves whose Admin API this is.
func metricsOfKong(ctx context.Context) ([]string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(env.AdminURL, "/")+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return strings.Split(string(body), "\n"), err
}
