package controllers_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	gomegatypes "github.com/onsi/gomega/types"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
	"github.com/kongjwt/kong-jwt-operator/test/stack"
)

// dataPlane is a second way to a Kong's proxy, which can be made to answer 503.
type dataPlane struct {
	*httptest.Server
	down atomic.Bool
	// noLua answers questions about claims as a Kong with untrusted_lua = off does.
	noLua atomic.Bool
	asked atomic.Int64
}

func newDataPlane(to func() string) *dataPlane {
	plane := &dataPlane{}
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		target, err := url.Parse(to())
		if err != nil {
			panic(err)
		}
		r.SetURL(target)
		r.Out.Host = r.In.Host
	}}
	plane.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		plane.asked.Add(1)
		if plane.down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if plane.noLua.Load() && r.Header.Get("Authorization") == "" {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	DeferCleanup(plane.Close)
	return plane
}

// verified waits until a consumer's condition Verified has a value, and a message that matches.
func verified(ctx context.Context, consumer *v1alpha1.JwtConsumer, value metav1.ConditionStatus, message gomegatypes.GomegaMatcher) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		condition := apimeta.FindStatusCondition(conditionsOf(ctx, g, consumer), v1alpha1.ConditionVerified)
		g.Expect(condition).NotTo(BeNil())
		g.Expect(condition.Status).To(Equal(value), condition.Message)
		g.Expect(condition.Message).To(message)
	}).WithTimeout(soon).WithPolling(poll).Should(Succeed(), "Verified is %s", value)
}

// worldWithDataPlane is a world whose gateway names a data plane that can be taken down.
func worldWithDataPlane(ctx context.Context, change ...func(*v1alpha1.KongGateway)) (*world, *dataPlane) {
	GinkgoHelper()
	var w *world
	plane := newDataPlane(func() string { return w.kong.ProxyURL() })
	w = newWorld(ctx, kongsim.Options{Workers: 4}, append(change, func(g *v1alpha1.KongGateway) {
		g.Spec.DataPlanes = &v1alpha1.DataPlanes{URLs: []string{plane.URL}}
	})...)
	ready(ctx, w.gateway)
	return w, plane
}

var _ = Describe("Data planes", func() {
	It("are asked by a route of the gateway's own, which goes when they are no longer named", func(ctx SpecContext) {
		w, plane := worldWithDataPlane(ctx)
		Expect(w.list(ctx, "routes")).To(HaveLen(1))
		Expect(w.list(ctx, "routes")[0]["tags"]).To(ContainElement("kongjwt-owner:KongGateway::" + w.name))
		Expect(w.values(ctx, "services", "host")).To(ConsistOf("kongjwt-probe.invalid"))
		consumer := w.rotated("r", nil)
		create(ctx, consumer)
		ready(ctx, consumer)
		verified(ctx, consumer, metav1.ConditionTrue, ContainSubstring(plane.URL))
		Expect(consumer.Status.Credentials[0].Verified).To(HaveValue(BeTrue()))
		settled := plane.asked.Load()
		Consistently(plane.asked.Load).WithTimeout(quiet).WithPolling(poll).Should(BeNumerically("<=", settled+64), "what was seen is not asked for again")

		change(ctx, w.gateway, func(g *v1alpha1.KongGateway) { g.Spec.DataPlanes = nil })
		Eventually(func() []map[string]any { return w.list(ctx, "services") }).WithTimeout(soon).WithPolling(poll).Should(BeEmpty())
		Eventually(func(g Gomega) {
			g.Expect(apimeta.FindStatusCondition(conditionsOf(ctx, g, consumer), v1alpha1.ConditionVerified)).To(BeNil())
			g.Expect(consumer.Status.Credentials[0].Verified).To(BeNil())
		}).WithTimeout(soon).WithPolling(poll).Should(Succeed())
	})

	It("take their route along when the gateway is deleted", func(ctx SpecContext) {
		w, _ := worldWithDataPlane(ctx)
		gone(ctx, w.gateway)
		Expect(w.list(ctx, "routes")).To(BeEmpty())
		Expect(w.list(ctx, "services")).To(BeEmpty())
		Expect(w.list(ctx, "plugins")).To(BeEmpty())
	})

	It("are asked whether they check claims, and a service with claims says which one does not", func(ctx SpecContext) {
		w, plane := worldWithDataPlane(ctx)
		checked := func(g Gomega) string {
			condition := apimeta.FindStatusCondition(conditionsOf(ctx, g, w.gateway), v1alpha1.ConditionClaimsChecked)
			if condition == nil {
				return ""
			}
			return string(condition.Status) + " " + condition.Message
		}
		hosts := func() []any { return w.values(ctx, "services", "host") }
		Expect(hosts()).To(ConsistOf("kongjwt-probe.invalid"))
		Expect(checked(Default)).To(BeEmpty(), "no service has claims")

		By("asking a data plane that runs no Lua")
		plane.noLua.Store(true)
		withClaims := func(name string) *v1alpha1.JwtProtectedService {
			return w.service(name, func(s *v1alpha1.JwtProtectedService) {
				s.Spec.Claims = &v1alpha1.ClaimChecks{Audiences: []string{"orders"}}
			})
		}
		first := withClaims("first")
		create(ctx, first)
		stalled(ctx, first, v1alpha1.ReasonAwaitingDataPlane, And(
			HavePrefix("spec.claims: "), ContainSubstring(plane.URL+" answers 500"), ContainSubstring("untrusted_lua")))
		Eventually(checked).WithTimeout(soon).WithPolling(poll).Should(HavePrefix("False "))
		Expect(hosts()).To(HaveEach("kongjwt-probe.invalid"), "nothing is opened")
		Eventually(notes(ctx, w.gateway, v1alpha1.EventClaimsNotChecked)).WithTimeout(soon).WithPolling(poll).
			Should(ContainElement(ContainSubstring(plane.URL)))

		By("correcting its kong.conf")
		plane.noLua.Store(false)
		Eventually(checked).WithTimeout(3 * soon).WithPolling(poll).Should(And(HavePrefix("True "), ContainSubstring(plane.URL)))
		ready(ctx, first)
		Expect(w.list(ctx, "routes")).To(HaveLen(3))

		By("taking the claims out of the spec")
		change(ctx, first, func(s *v1alpha1.JwtProtectedService) { s.Spec.Claims = nil })
		Eventually(checked).WithTimeout(soon).WithPolling(poll).Should(BeEmpty())
		Eventually(func() []map[string]any { return w.list(ctx, "routes") }).WithTimeout(soon).WithPolling(poll).Should(HaveLen(2))
	})

	It("hold a rotation up while one of them is unsure: nothing is published, nothing retires", func(ctx SpecContext) {
		w, plane := worldWithDataPlane(ctx)
		consumer := w.rotated("r", &v1alpha1.Rotation{Interval: "1h", Overlap: "1s"})
		create(ctx, consumer)
		ready(ctx, consumer)
		verified(ctx, consumer, metav1.ConditionTrue, Not(BeEmpty()))
		first, second := w.name+".r.made.1", w.name+".r.made.2"
		plane.down.Store(true)
		annotate(ctx, consumer, v1alpha1.AnnotationRotate, "1")
		reconciling(ctx, consumer, v1alpha1.ReasonAwaitingDataPlane, And(ContainSubstring(plane.URL), ContainSubstring("answered 503")))
		verified(ctx, consumer, metav1.ConditionUnknown, ContainSubstring(plane.URL))
		Consistently(func(g Gomega) {
			g.Expect(w.published(ctx, "r-made", "key")).To(Equal(first))
			g.Expect(phases(ctx, consumer)(g)).To(Equal([]string{"Active " + first, "Pending " + second}))
			g.Expect(w.values(ctx, "jwts", "key")).To(ConsistOf(first, second))
		}).WithTimeout(2 * quiet).WithPolling(poll).Should(Succeed())

		plane.down.Store(false)
		Eventually(phases(ctx, consumer)).WithTimeout(soon).WithPolling(poll).Should(Equal([]string{"Active " + second}))
		Expect(w.published(ctx, "r-made", "key")).To(Equal(second))
		verified(ctx, consumer, metav1.ConditionTrue, Not(BeEmpty()))
	})

	It("keep a retired generation in sight until they are known to have lost it", func(ctx SpecContext) {
		w, plane := worldWithDataPlane(ctx)
		consumer := w.rotated("r", &v1alpha1.Rotation{Interval: "1h", Overlap: "3s"})
		create(ctx, consumer)
		ready(ctx, consumer)
		first, second := w.name+".r.made.1", w.name+".r.made.2"
		annotate(ctx, consumer, v1alpha1.AnnotationRotate, "1")
		Eventually(phases(ctx, consumer)).WithTimeout(soon).WithPolling(poll).Should(Equal([]string{"Active " + second, "Retiring " + first}))
		plane.down.Store(true)
		Eventually(func() []any { return w.values(ctx, "jwts", "key") }).WithTimeout(soon).WithPolling(poll).Should(ConsistOf(second))
		reconciling(ctx, consumer, v1alpha1.ReasonAwaitingDataPlane, ContainSubstring("no data plane holds it any more"))
		Expect(phases(ctx, consumer)(Default)).To(ContainElement("Retiring " + first))
		plane.down.Store(false)
		Eventually(phases(ctx, consumer)).WithTimeout(soon).WithPolling(poll).Should(Equal([]string{"Active " + second}))
		ready(ctx, consumer)
	})

	It("that hang keep no consumer of another gateway waiting", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		ready(ctx, w.gateway)
		release := make(chan struct{})
		hanging := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
		DeferCleanup(hanging.Close)
		DeferCleanup(func() { close(release) })
		other := &v1alpha1.KongGateway{ObjectMeta: metav1.ObjectMeta{Name: w.name + "-hanging"}, Spec: *w.gateway.Spec.DeepCopy()}
		other.Spec.DataPlanes = &v1alpha1.DataPlanes{URLs: []string{hanging.URL}}
		create(ctx, other)
		DeferCleanup(func(ctx SpecContext) { gone(ctx, other) })
		ready(ctx, other)
		var waiting []*v1alpha1.JwtConsumer
		for i := range 24 {
			consumer := w.rotated(fmt.Sprintf("hangs%d", i), nil)
			consumer.Spec.GatewayRef.Name = other.Name
			create(ctx, consumer)
			waiting = append(waiting, consumer)
		}
		DeferCleanup(func(ctx SpecContext) {
			for _, consumer := range waiting {
				gone(ctx, consumer)
			}
		})
		for _, consumer := range waiting {
			verified(ctx, consumer, metav1.ConditionUnknown, Not(BeEmpty()))
		}
		consumer := w.rotated("c", nil)
		began := time.Now()
		create(ctx, consumer)
		ready(ctx, consumer)
		Expect(time.Since(began)).To(BeNumerically("<", 3*time.Second), "less than a data plane takes that does not answer")
	})

	It("behind one URL do not make a rotation faster than the propagation delay", func(ctx SpecContext) {
		var w *world
		plane := newDataPlane(func() string { return w.kong.ProxyURL() })
		w = newWorld(ctx, kongsim.Options{DBUpdateFrequency: 3 * time.Second, WorkerStateUpdateFrequency: 50 * time.Millisecond},
			func(g *v1alpha1.KongGateway) { g.Spec.DataPlanes = &v1alpha1.DataPlanes{URLs: []string{plane.URL}} })
		consumer := w.rotated("r", &v1alpha1.Rotation{Interval: "1h", Overlap: "1s"})
		create(ctx, consumer)
		verified(ctx, consumer, metav1.ConditionTrue, ContainSubstring(plane.URL))
		ready(ctx, consumer)
		began := time.Now()
		annotate(ctx, consumer, v1alpha1.AnnotationRotate, "1")
		reconciling(ctx, consumer, v1alpha1.ReasonAwaitingDataPlane, ContainSubstring("propagation delay"))
		Eventually(func() string { return w.published(ctx, "r-made", "key") }).WithTimeout(soon).WithPolling(poll).Should(HaveSuffix(".2"))
		Expect(time.Since(began)).To(BeNumerically(">", 3*time.Second))
	})

	It("are the ready endpoints of a Service", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		plane := newDataPlane(w.kong.ProxyURL)
		// The API server takes no loopback address in a slice.
		address := ownAddress()
		listener, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
		Expect(err).NotTo(HaveOccurred())
		server := &http.Server{Handler: plane.Config.Handler, ReadHeaderTimeout: time.Minute}
		go func() { _ = server.Serve(listener) }()
		DeferCleanup(server.Close)
		port := listener.Addr().(*net.TCPAddr).Port
		create(ctx,
			&corev1.Service{ObjectMeta: w.meta("proxy"), Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "proxy", Port: 80}}}},
			endpoints(w, "ready", address, port, true), endpoints(w, "unready", "192.0.2.1", port, false))
		change(ctx, w.gateway, func(g *v1alpha1.KongGateway) {
			g.Spec.DataPlanes = &v1alpha1.DataPlanes{ServiceRef: &v1alpha1.GatewayServiceReference{Namespace: w.namespace, Name: "proxy", Port: 80, Scheme: "http"}}
		})
		ready(ctx, w.gateway)
		consumer := w.rotated("r", nil)
		create(ctx, consumer)
		ready(ctx, consumer)
		verified(ctx, consumer, metav1.ConditionTrue, HaveSuffix(": http://"+listener.Addr().String()))
	})
})

// ownAddress is an address of this machine that an EndpointSlice takes.
func ownAddress() string {
	GinkgoHelper()
	address := stack.PodAddress()
	if address == "" {
		Skip("this machine has no address but loopback")
	}
	return address
}

func endpoints(w *world, name, address string, port int, isReady bool) *discoveryv1.EndpointSlice {
	portName, number := "proxy", int32(port)
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: w.meta("proxy-" + name), AddressType: discoveryv1.AddressTypeIPv4,
		Ports:     []discoveryv1.EndpointPort{{Name: &portName, Port: &number}},
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{address}, Conditions: discoveryv1.EndpointConditions{Ready: &isReady}}},
	}
	slice.Labels = map[string]string{discoveryv1.LabelServiceName: "proxy"}
	return slice
}
