package controllers_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// laggard is before a Kong's Admin API: while it lags it takes configurations, and keeps them to itself.
type laggard struct {
	admin string
	proxy http.Handler

	mu   sync.Mutex
	lags bool
	kept []byte
}

// lagging puts a laggard before the second Kong, which the controller takes for that Kong.
func (c *controlled) lagging() *laggard {
	GinkgoHelper()
	admin, err := url.Parse(c.second.AdminURL())
	Expect(err).NotTo(HaveOccurred())
	l := &laggard{admin: c.second.AdminURL(), proxy: httputil.NewSingleHostReverseProxy(admin)}
	server := httptest.NewServer(l)
	DeferCleanup(server.Close)
	c.stopController()
	c.nodes = []string{c.kong.AdminURL(), server.URL}
	c.startController()
	return l
}

func (l *laggard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lags && r.URL.Path == "/config" {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		l.kept = body
		w.WriteHeader(http.StatusCreated)
		return
	}
	l.proxy.ServeHTTP(w, r)
}

// lag begins; catchUp ends it.
func (l *laggard) lag() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lags, l.kept = true, nil
}

func (l *laggard) catchUp(ctx context.Context) {
	GinkgoHelper()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lags = false
	if l.kept == nil {
		return
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, l.admin+"/config", bytes.NewReader(l.kept))
	Expect(err).NotTo(HaveOccurred())
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	Expect(err).NotTo(HaveOccurred())
	Expect(response.Body.Close()).To(Succeed())
	Expect(response.StatusCode).To(Equal(http.StatusCreated))
}

// barrierSecrets are those of the gateway's barrier.
func (c *controlled) barrierSecrets(ctx context.Context) (names []string) {
	GinkgoHelper()
	var list corev1.SecretList
	Expect(kube.List(ctx, &list, client.InNamespace(operatorNamespace), client.HasLabels{"kongjwt.dev/barrier"})).To(Succeed())
	for _, o := range list.Items {
		if strings.HasPrefix(o.Name, c.name+"-") {
			names = append(names, o.Name)
		}
	}
	return names
}

var _ = Describe("two Kongs of an ingress controller of which one lags", func() {
	It("is done with nothing before the other has it too", func(ctx SpecContext) {
		c := newControlled(ctx)
		node := c.lagging()
		change(ctx, c.gateway, func(g *v1alpha1.KongGateway) {
			g.Spec.DataPlanes = &v1alpha1.DataPlanes{URLs: []string{c.kong.ProxyURL(), c.second.ProxyURL()}}
		})
		service, consumer, token := c.protected("api"), c.generated("app"), c.token("app")
		consumer.Spec.Groups, service.Spec.Access = []string{"staff"}, &v1alpha1.Access{Groups: []string{"staff"}}
		create(ctx, service, consumer, token)
		taken(ctx, c.gateway, service, consumer, token)
		authorization := c.authorization(ctx, token)
		Expect(c.answers(ctx, authorization)).To(Equal([]int{200, 200}))
		behind := ContainSubstring(c.second.ProxyURL() + " does not hold it")

		By("a group that is taken away")
		node.lag()
		change(ctx, consumer, func(o *v1alpha1.JwtConsumer) { o.Spec.Groups = nil })
		Eventually(func() []int { return c.answers(ctx, authorization) }).WithTimeout(pushed).Should(Equal([]int{403, 200}))
		reconciling(ctx, consumer, v1alpha1.ReasonRevocationPending, behind)
		Expect(c.flags(ctx, consumer)).To(ContainElement(v1alpha1.ConditionRevocationPending))
		node.catchUp(ctx)
		taken(ctx, consumer)
		Expect(c.answers(ctx, authorization)).To(Equal([]int{403, 403}))

		By("a route that comes")
		node.lag()
		late := c.protected("late")
		late.Spec.Routes[0].Paths = []string{"/late"}
		create(ctx, late)
		reconciling(ctx, late, v1alpha1.ReasonAwaitingDataPlane, behind)
		var routes networkingv1.IngressList
		Expect(kube.List(ctx, &routes, client.InNamespace(c.namespace), client.HasLabels{"kongjwt.dev/scope"})).To(Succeed())
		Expect(routes.Items).To(ContainElement(And(HaveField("Name", HavePrefix("late-")),
			HaveField("Annotations", HaveKey("kongjwt.dev/guarded")))), "nobody gets to it before its plugins are everywhere")
		node.catchUp(ctx)
		taken(ctx, late)

		Eventually(func() []string { return c.barrierSecrets(ctx) }).WithTimeout(pushed).
			Should(HaveLen(1), "one is named, and those of before are gone")

		By("leaving nothing of what data planes were asked for")
		for _, o := range []client.Object{token, consumer, late, service, c.gateway} {
			gone(ctx, o)
		}
		Eventually(func(g Gomega) int { return c.ours(ctx, g) }).WithTimeout(pushed).Should(BeZero())
		Expect(c.barrierSecrets(ctx)).To(BeEmpty())
	})
})
