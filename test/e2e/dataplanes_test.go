package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/test/stack"
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

// condition reads one condition of a consumer anew.
func condition(ctx SpecContext, consumer *v1alpha1.JwtConsumer, kind string) func(Gomega) metav1.Condition {
	return func(g Gomega) metav1.Condition {
		g.Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(consumer), consumer)).To(Succeed())
		found := meta.FindStatusCondition(consumer.Status.Conditions, kind)
		g.Expect(found).NotTo(BeNil(), kind)
		return *found
	}
}

// awaitVerified waits until all of some data planes are said to hold a consumer's credentials.
func awaitVerified(ctx SpecContext, consumer *v1alpha1.JwtConsumer, addresses ...string) {
	GinkgoHelper()
	for _, address := range addresses {
		Eventually(condition(ctx, consumer, v1alpha1.ConditionVerified)).WithContext(ctx).Should(And(
			HaveField("Status", metav1.ConditionTrue), HaveField("Message", ContainSubstring(address))))
	}
}

// asked is a gateway of a spec's own, with the data planes to ask, and a consumer on it with a credential that
// rotates.
func asked(ctx SpecContext, name string, addresses ...string) (*v1alpha1.KongGateway, *v1alpha1.JwtConsumer) {
	GinkgoHelper()
	namespace := newNamespace(ctx, name)
	asking := newGateway(named(name))
	asking.Spec.DataPlanes = &v1alpha1.DataPlanes{URLs: addresses}
	create(ctx, asking)
	DeferCleanup(func() {
		ctx, cancel := background()
		defer cancel()
		remove(ctx, asking)
		Eventually(tagged).WithContext(ctx).WithArguments(gatewayTag(asking.Name)).Should(BeEmpty(), "the route goes with the gateway")
	})
	consumer := newConsumer(namespace, name, func(s *v1alpha1.JwtConsumerSpec) {
		s.GatewayRef.Name = asking.Name
		s.Credentials = []v1alpha1.Credential{generated("made", "ES256", "made")}
		s.Credentials[0].Generate.Rotation = &v1alpha1.Rotation{Interval: "1h", Overlap: "1s"}
	})
	create(ctx, consumer)
	DeferCleanup(func() {
		ctx, cancel := background()
		defer cancel()
		remove(ctx, consumer)
	})
	return asking, consumer
}

// rotate asks for a rotation.
func rotate(ctx SpecContext, consumer *v1alpha1.JwtConsumer, value string) {
	GinkgoHelper()
	update(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Annotations = map[string]string{v1alpha1.AnnotationRotate: value} })
}

var _ = Describe("Data planes that a gateway names", func() {
	It("are asked before a rotation goes on, by a route that is nobody's but the gateway's", func(ctx SpecContext) {
		second := newOutage()
		_, consumer := asked(ctx, "planes", env.ProxyURL, second.URL)
		awaitVerified(ctx, consumer, env.ProxyURL, second.URL)

		second.down.Store(true)
		rotate(ctx, consumer, "1")
		Eventually(condition(ctx, consumer, v1alpha1.ConditionReady)).WithContext(ctx).Should(And(
			HaveField("Reason", v1alpha1.ReasonAwaitingDataPlane), HaveField("Message", ContainSubstring(second.URL+": not known (answered 503)"))))
		states := func(g Gomega) []v1alpha1.CredentialState {
			g.Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(consumer), consumer)).To(Succeed())
			var found []v1alpha1.CredentialState
			for _, c := range consumer.Status.Credentials {
				found = append(found, c.State)
			}
			return found
		}
		Consistently(states).WithContext(ctx).Should(Equal([]v1alpha1.CredentialState{v1alpha1.CredentialActive, v1alpha1.CredentialPending}),
			"nothing is published, nothing retires")

		second.down.Store(false)
		Eventually(states).WithContext(ctx).Should(Equal([]v1alpha1.CredentialState{v1alpha1.CredentialActive}), "the former is gone from every data plane")
		Expect(consumer.Status.Credentials[0].Revision).To(BeEquivalentTo(2))
		awaitVerified(ctx, consumer, env.ProxyURL, second.URL)
		Expect(second.seen()).To(HaveEach(Satisfy(func(host string) bool { return strings.HasSuffix(host, ".kongjwt-probe.invalid") })),
			"only the gateway's own route is asked for")
	}, SpecTimeout(4*patience))

	It("are asked before a consumer is called revoked", func(ctx SpecContext) {
		second := newOutage()
		_, consumer := asked(ctx, "planes-revoked", env.ProxyURL, second.URL)
		awaitVerified(ctx, consumer, env.ProxyURL, second.URL)

		second.down.Store(true)
		update(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Spec.Revoked = true })
		awaitReason(ctx, consumer, v1alpha1.ReasonAwaitingDataPlane, second.URL+": not known (answered 503)")
		Expect(list(ctx, "jwts", ownerTag(consumer))).To(BeEmpty(), "what is waited for is that nobody holds it any more")
		Consistently(condition(ctx, consumer, v1alpha1.ConditionReady)).WithContext(ctx).Should(HaveField("Status", metav1.ConditionFalse))

		second.down.Store(false)
		awaitReady(ctx, consumer)
		Expect(condition(ctx, consumer, v1alpha1.ConditionReady)(Default).Reason).To(Equal(v1alpha1.ReasonRevoked))
		update(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Spec.Revoked = false })
		awaitReady(ctx, consumer)
		awaitVerified(ctx, consumer, env.ProxyURL, second.URL)
	}, SpecTimeout(4*patience))

	It("are asked by TLS, as the gateway says", func(ctx SpecContext) {
		secured, authority, certificate, key := newSecured()
		asking, consumer := asked(ctx, "planes-tls", secured.URL)
		unsure := func(why string) {
			GinkgoHelper()
			Eventually(condition(ctx, consumer, v1alpha1.ConditionVerified)).WithContext(ctx).Should(And(
				HaveField("Status", metav1.ConditionUnknown), HaveField("Message", ContainSubstring(secured.URL+": not known ("+why))))
		}
		unsure("its certificate is not trusted")

		material := newSecret(stack.OperatorNamespace, named("planes-tls"), map[string]string{"ca.crt": authority, "tls.crt": certificate, "tls.key": key})
		create(ctx, material)
		DeferCleanup(func() {
			ctx, cancel := background()
			defer cancel()
			remove(ctx, material)
		})
		ref := v1alpha1.SecretReference{Namespace: material.Namespace, Name: material.Name}
		update(ctx, asking, func(g *v1alpha1.KongGateway) {
			g.Spec.DataPlanes.TLS = &v1alpha1.ClientTLS{CASecretRef: &v1alpha1.SecretKeyReference{SecretReference: ref, Key: "ca.crt"}}
		})
		unsure("it refuses the TLS connection")
		update(ctx, asking, func(g *v1alpha1.KongGateway) { g.Spec.DataPlanes.TLS.ClientCertificateSecretRef = &ref })
		awaitVerified(ctx, consumer, secured.URL)

		for rotation, spoil := range []struct{ wrong, right func() }{{
			func() {
				update(ctx, asking, func(g *v1alpha1.KongGateway) { g.Spec.DataPlanes.TLS.ServerName = "elsewhere.example" })
			},
			func() {
				update(ctx, asking, func(g *v1alpha1.KongGateway) { g.Spec.DataPlanes.TLS.ServerName = "example.com" })
			},
		}, {
			func() { update(ctx, material, func(s *corev1.Secret) { s.Data["ca.crt"] = []byte(certificate) }) },
			func() { update(ctx, material, func(s *corev1.Secret) { s.Data["ca.crt"] = []byte(authority) }) },
		}} {
			spoil.wrong()
			awaitReady(ctx, asking)
			rotate(ctx, consumer, fmt.Sprint(rotation))
			awaitReason(ctx, consumer, v1alpha1.ReasonAwaitingDataPlane, "its certificate is not trusted")
			spoil.right()
			awaitReady(ctx, consumer)
			awaitVerified(ctx, consumer, secured.URL)
		}
	}, SpecTimeout(4*patience))
})

// newSecured stands before the Kong's proxy, with a certificate of its own authority for example.com and this
// machine, and lets in who shows a certificate.
func newSecured() (server *httptest.Server, authority, certificate, key string) {
	GinkgoHelper()
	pair, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	Expect(err).NotTo(HaveOccurred())
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, pair.Public(), pair)
	Expect(err).NotTo(HaveOccurred())
	shown, err := x509.ParseCertificate(der)
	Expect(err).NotTo(HaveOccurred())
	private, err := x509.MarshalPKCS8PrivateKey(pair)
	Expect(err).NotTo(HaveOccurred())
	server = httptest.NewUnstartedServer(newOutage().Config.Handler)
	server.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	server.TLS.ClientCAs.AddCert(shown)
	server.Config.ErrorLog = log.New(GinkgoWriter, "", 0)
	server.StartTLS()
	DeferCleanup(server.Close)
	text := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return server, text("CERTIFICATE", server.Certificate().Raw), text("CERTIFICATE", der), text("PRIVATE KEY", private)
}

var _ = Describe("Data planes of a gateway whose services have claims", func() {
	It("are asked whether they check them", func(ctx SpecContext) {
		plane := newOutage()
		asking, _ := asked(ctx, "claims-planes", plane.URL)
		namespace := newNamespace(ctx, "claims-planes-services")
		service := newService(namespace, "orders", func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.GatewayRef.Name = asking.Name
			s.Claims = &v1alpha1.ClaimChecks{Audiences: []string{"orders"}}
		})
		create(ctx, service)
		DeferCleanup(func() {
			ctx, cancel := background()
			defer cancel()
			remove(ctx, service)
		})
		awaitReady(ctx, service)
		Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(asking), asking)).To(Succeed())
		Expect(meta.FindStatusCondition(asking.Status.Conditions, v1alpha1.ConditionClaimsChecked)).To(And(
			HaveField("Status", metav1.ConditionTrue), HaveField("Message", ContainSubstring(plane.URL))))
		Expect(plane.seen()).NotTo(BeEmpty())
	})
})
