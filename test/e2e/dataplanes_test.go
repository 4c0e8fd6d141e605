package e2e

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// outage is a way to the Kong's proxy that can be made to answer 503, and that notes the hosts it was asked for.
type outage struct {
	*httptest.Server
	down  atomic.Bool
	mu    sync.Mutex
	hosts map[string]bool
}

func newOutage() *outage {
	GinkgoHelper()
	target, err := url.Parse(env.ProxyURL)
	Expect(err).NotTo(HaveOccurred())
	o := &outage{hosts: map[string]bool{}}
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
	}}
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		o.hosts[r.Host] = true
		o.mu.Unlock()
		if o.down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	DeferCleanup(o.Close)
	return o
}

// seen lists the hosts that were asked for.
func (o *outage) seen() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var hosts []string
	for host := range o.hosts {
		hosts = append(hosts, host)
	}
	return hosts
}

var _ = Describe("Data planes that a gateway names", func() {
	It("are asked before a rotation goes on, by a route that is nobody's but the gateway's", func(ctx SpecContext) {
		namespace := newNamespace(ctx, "planes")
		second := newOutage()
		asking := newGateway(named("planes"))
		asking.Spec.Proxy = &v1alpha1.Proxy{URLs: []string{env.ProxyURL, second.URL}}
		create(ctx, asking)
		DeferCleanup(func() {
			ctx, cancel := background()
			defer cancel()
			remove(ctx, asking)
			Eventually(tagged).WithContext(ctx).WithArguments(gatewayTag(asking.Name)).Should(BeEmpty(), "the route goes with the gateway")
		})
		consumer := &v1alpha1.JwtConsumer{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "planes"},
			Spec: v1alpha1.JwtConsumerSpec{
				GatewayRef: v1alpha1.GatewayReference{Name: asking.Name}, Username: named("planes"),
				Credentials: []v1alpha1.Credential{{
					Name: "made", Algorithm: "ES256",
					Generate: &v1alpha1.Generate{SecretName: "made", Rotation: &v1alpha1.Rotation{Interval: "1h", Overlap: "1s"}},
				}},
			},
		}
		create(ctx, consumer)
		DeferCleanup(func() {
			ctx, cancel := background()
			defer cancel()
			remove(ctx, consumer)
		})
		condition := func(kind string) func(Gomega) metav1.Condition {
			return func(g Gomega) metav1.Condition {
				g.Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(consumer), consumer)).To(Succeed())
				found := meta.FindStatusCondition(consumer.Status.Conditions, kind)
				g.Expect(found).NotTo(BeNil(), kind)
				return *found
			}
		}
		verified := func() {
			GinkgoHelper()
			Eventually(condition(v1alpha1.ConditionVerified)).WithContext(ctx).Should(And(
				HaveField("Status", metav1.ConditionTrue), HaveField("Message", And(ContainSubstring(env.ProxyURL), ContainSubstring(second.URL)))))
		}
		verified()

		second.down.Store(true)
		update(ctx, consumer, func(c *v1alpha1.JwtConsumer) {
			c.Annotations = map[string]string{v1alpha1.AnnotationRotate: "1"}
		})
		Eventually(condition(v1alpha1.ConditionReady)).WithContext(ctx).Should(And(
			HaveField("Reason", v1alpha1.ReasonAwaitingDataPlane), HaveField("Message", ContainSubstring(second.URL+": not known (answered 503)"))))
		phases := func(g Gomega) []v1alpha1.CredentialPhase {
			g.Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(consumer), consumer)).To(Succeed())
			var found []v1alpha1.CredentialPhase
			for _, c := range consumer.Status.Credentials {
				found = append(found, c.Phase)
			}
			return found
		}
		Consistently(phases).WithContext(ctx).Should(Equal([]v1alpha1.CredentialPhase{v1alpha1.CredentialActive, v1alpha1.CredentialPending}),
			"nothing is published, nothing retires")

		second.down.Store(false)
		Eventually(phases).WithContext(ctx).Should(Equal([]v1alpha1.CredentialPhase{v1alpha1.CredentialActive}), "the former is gone from every data plane")
		Expect(consumer.Status.Credentials[0].Generation).To(BeEquivalentTo(2))
		verified()
		Expect(second.seen()).To(HaveEach(Satisfy(func(host string) bool { return strings.HasSuffix(host, ".kongjwt-probe.invalid") })),
			"only the gateway's own route is asked for")
	}, SpecTimeout(4*patience))
})
