package controllers_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

// adminPort is the port of the Service before the pods' own.
const adminPort = 8001

// podWorld is a world whose Kong is pods without a database behind a headless Service.
type podWorld struct {
	*world
	// pods by the names of their slices: they have one address, and so ports, and slices, of their own.
	pods map[string]*kongsim.Server
	// started are all that ever were; they end after the world, which takes out of them what it made.
	started []*kongsim.Server
}

func newPodWorld(ctx context.Context, podNames ...string) *podWorld {
	GinkgoHelper()
	p := &podWorld{pods: map[string]*kongsim.Server{}}
	DeferCleanup(func() {
		for _, pod := range p.started {
			Expect(pod.Close()).To(Succeed())
		}
	})
	p.world = newWorld(ctx, kongsim.Options{Database: "off", AdminAddress: net.JoinHostPort(ownAddress(), "0")}, func(g *v1alpha1.KongGateway) {
		names.Store("kong."+g.Name+".svc:8001", strings.TrimPrefix(g.Spec.AdminAPI.URL, "http://"))
		g.Spec.AdminAPI = v1alpha1.AdminAPI{ServiceRef: &v1alpha1.GatewayServiceReference{Namespace: g.Name, Name: "kong", Port: adminPort, Scheme: "http"}}
	})
	create(ctx, &corev1.Service{ObjectMeta: p.meta("kong"), Spec: corev1.ServiceSpec{
		ClusterIP: corev1.ClusterIPNone, Ports: []corev1.ServicePort{{Name: "admin", Port: adminPort}},
	}})
	for i, name := range podNames {
		if i == 0 {
			p.add(ctx, name, p.kong)
			continue
		}
		p.add(ctx, name, p.newPod())
	}
	return p
}

func (p *podWorld) newPod() *kongsim.Server {
	GinkgoHelper()
	pod, err := kongsim.Start(kongsim.Options{Database: "off", AdminAddress: net.JoinHostPort(ownAddress(), "0")})
	Expect(err).NotTo(HaveOccurred())
	p.started = append(p.started, pod)
	return pod
}

// add puts a pod behind the Service.
func (p *podWorld) add(ctx context.Context, name string, pod *kongsim.Server) {
	GinkgoHelper()
	p.pods[name] = pod
	address, err := net.ResolveTCPAddr("tcp", strings.TrimPrefix(pod.AdminURL(), "http://"))
	Expect(err).NotTo(HaveOccurred())
	create(ctx, p.slice(name, address.IP.String(), address.Port, true))
}

func (p *podWorld) slice(name, address string, port int, isReady bool) *discoveryv1.EndpointSlice {
	slice := endpoints(p.world, name, address, port, isReady)
	slice.Name, slice.Labels = "kong-"+name, map[string]string{discoveryv1.LabelServiceName: "kong"}
	slice.Ports[0].Name = new("admin")
	return slice
}

// on is a pod's content, as that of a world.
func (p *podWorld) on(name string) *world { return &world{kong: p.pods[name]} }

// everywhere waits until every pod has so many consumers and credentials, and no other.
func (p *podWorld) everywhere(ctx context.Context, consumers int) {
	GinkgoHelper()
	for name := range p.pods {
		p.has(ctx, name, consumers)
	}
}

func (p *podWorld) has(ctx context.Context, name string, consumers int) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		g.Expect(p.on(name).list(ctx, "consumers")).To(HaveLen(consumers))
		g.Expect(p.on(name).list(ctx, "jwts")).To(HaveLen(consumers))
	}).WithTimeout(soon).WithPolling(poll).Should(Succeed(), "pod %s has %d consumers", name, consumers)
}

// configurations counts those that a Kong was given.
func configurations(kong *kongsim.Server) int {
	count := 0
	for _, request := range kong.Requests() {
		if request.Method == http.MethodPost && strings.HasPrefix(request.Path, "/config") {
			count++
		}
	}
	return count
}

var _ = Describe("Kong pods without a database, behind a headless Service", func() {
	It("each get one configuration for many changes, a new one and a restarted one at once", func(ctx SpecContext) {
		p := newPodWorld(ctx, "a", "b")
		const count = 20
		consumers := p.many(ctx, "john", count)
		ready(ctx, p.gateway)
		Expect(p.gateway.Status.Mode).To(Equal(v1alpha1.ModeDBLess))
		ready(ctx, consumers...)
		p.everywhere(ctx, count)
		for name, pod := range p.pods {
			Expect(configurations(pod)).To(BeNumerically("<", count), "pod %s is not given one for each change", name)
		}

		By("adding a pod")
		p.add(ctx, "c", p.newPod())
		p.has(ctx, "c", count)

		By("restarting one")
		Expect(p.on("b").send(ctx, http.MethodPost, "/config", map[string]any{"_format_version": "3.0"})).To(Equal(http.StatusCreated))
		p.has(ctx, "b", count)

		By("replacing one")
		Expect(p.pods["c"].Close()).To(Succeed())
		delete(p.pods, "c")
		Expect(kube.Delete(ctx, p.slice("c", "192.0.2.1", 1, true))).To(Succeed())
		p.add(ctx, "d", p.newPod())
		p.has(ctx, "d", count)

		By("adding one that is not there yet: nobody waits for it")
		create(ctx, p.slice("coming", "192.0.2.1", adminPort, false))
		change(ctx, consumers[0].(*v1alpha1.JwtConsumer), func(c *v1alpha1.JwtConsumer) { c.Spec.Groups = []string{"late"} })
		for name := range p.pods {
			Eventually(func() []any { return p.on(name).groups(ctx) }).WithTimeout(soon).WithPolling(poll).Should(ConsistOf("late"))
		}
		ready(ctx, consumers[0])
	})
})

var _ = Describe("A Kong without a database", func() {
	settled := func(ctx context.Context) (*world, *v1alpha1.JwtConsumer, *v1alpha1.JwtProtectedService) {
		GinkgoHelper()
		w := newWorld(ctx, kongsim.Options{Database: "off"})
		consumer := w.rotated("john", &v1alpha1.Rotation{Interval: "1h", Overlap: "3s"})
		consumer.Spec.Groups = []string{"readers"}
		service := w.service("api")
		create(ctx, consumer, service)
		ready(ctx, w.gateway, consumer, service)
		// The counts of a gateway are written a heartbeat later. An operator that stops before leaves that to
		// the next one.
		Eventually(func(g Gomega) {
			g.Expect(kube.Get(ctx, client.ObjectKeyFromObject(w.gateway), w.gateway)).To(Succeed())
			managed := w.gateway.Status.Managed
			g.Expect(managed).NotTo(BeNil())
			g.Expect([]int32{managed.Consumers, managed.Credentials, managed.Services, managed.Routes}).To(HaveEach(int32(1)))
			g.Expect(managed.Groups).To(Equal(int32(3)), "its own, and the two reserved ones")
		}).WithTimeout(soon).WithPolling(poll).Should(Succeed())
		return w, consumer, service
	}

	It("that gets a database, behind the same address, is filled", func(ctx SpecContext) {
		w, consumer, service := settled(ctx)
		before := idsOf(w.content(ctx))
		Expect(w.gateway.Status.Mode).To(Equal(v1alpha1.ModeDBLess))
		admin, proxy := strings.TrimPrefix(w.kong.AdminURL(), "http://"), strings.TrimPrefix(w.kong.ProxyURL(), "http://")
		Expect(w.kong.Close()).To(Succeed())
		var err error
		w.kong, err = kongsim.Start(kongsim.Options{AdminAddress: admin, ProxyAddress: proxy})
		Expect(err).NotTo(HaveOccurred())
		Eventually(func(g Gomega) {
			g.Expect(kube.Get(ctx, client.ObjectKeyFromObject(w.gateway), w.gateway)).To(Succeed())
			g.Expect(w.gateway.Status.Mode).To(Equal(v1alpha1.ModeDatabase))
			g.Expect(idsOf(w.content(ctx))).To(Equal(before), "what it had without one")
		}).WithTimeout(soon).WithPolling(poll).Should(Succeed())
		ready(ctx, w.gateway, consumer, service)
	})

	It("is put right when somebody posts another configuration, and events name what it was and no value", func(ctx SpecContext) {
		w, consumer, service := settled(ctx)
		before := idsOf(w.content(ctx))
		configuration := w.configuration(ctx)
		meddled := strings.Replace(configuration, "key_claim_name: iss", "key_claim_name: sub", 1)
		Expect(meddled).NotTo(Equal(configuration))
		meddled = strings.Replace(meddled, "acls:", "_ignore:", 1)
		Expect(w.send(ctx, http.MethodPost, "/config", map[string]any{"config": meddled})).To(Equal(http.StatusCreated))
		Eventually(func(g Gomega) {
			g.Expect(w.configuration(ctx)).To(And(ContainSubstring("key_claim_name: iss"), Not(ContainSubstring("key_claim_name: sub"))))
			g.Expect(idsOf(w.content(ctx))).To(Equal(before))
		}).WithTimeout(soon).WithPolling(poll).Should(Succeed())
		Eventually(told(ctx, service, v1alpha1.EventDriftCorrected)).WithTimeout(soon).WithPolling(poll).Should(ConsistOf(
			"Somebody else changed this in Kong, and it was put back: plugin jwt was changed in config.key_claim_name"))
		Eventually(told(ctx, consumer, v1alpha1.EventDriftCorrected)).WithTimeout(soon).WithPolling(poll).Should(ConsistOf(And(
			HavePrefix("Somebody else changed this in Kong, and it was put back: "),
			ContainSubstring("acl group group:kongjwt:"+w.namespace+".john was deleted"),
			ContainSubstring("acl group group:kongjwt:"+w.namespace+" was deleted"),
			ContainSubstring("acl group group:readers was deleted"))))
		ready(ctx, w.gateway, consumer, service)
	})

	It("costs no configuration and no write to Kubernetes across a restart of the operator", func(ctx SpecContext) {
		w, consumer, service := settled(ctx)
		w.operator.Stop()
		w.kong.ResetRequests()
		w.operator = startOperator(w.name)
		Eventually(func() int { return len(w.kong.Requests()) }).WithTimeout(soon).WithPolling(poll).Should(BeNumerically(">", 6), "it reads what Kong holds")
		Consistently(func(g Gomega) {
			g.Expect(w.writes()).To(BeZero(), "writes to Kong: %v", w.kong.Requests())
			g.Expect(w.operator.writes.Load()).To(BeZero(), "writes to Kubernetes")
		}).WithTimeout(2 * quiet).WithPolling(poll).Should(Succeed())
		ready(ctx, w.gateway, consumer, service)
	})

	It("has both generations while clients change over, publishes what it runs, and loses the former after the overlap", func(ctx SpecContext) {
		w, consumer, _ := settled(ctx)
		first, second := w.name+".john.made.1", w.name+".john.made.2"
		Expect(w.published(ctx, "john-made", "key")).To(Equal(first))
		annotate(ctx, consumer, v1alpha1.AnnotationRotate, "1")
		Eventually(func() string {
			published := w.published(ctx, "john-made", "key")
			running := w.values(ctx, "jwts", "key")
			if published == w.published(ctx, "john-made", "key") { // and was so when Kong was asked
				Expect(running).To(ContainElement(published), "what clients are told is what Kong runs")
			}
			return published
		}).WithTimeout(soon).WithPolling(poll).Should(Equal(second))
		Expect(w.values(ctx, "jwts", "key")).To(ConsistOf(first, second))
		Eventually(func() []any { return w.values(ctx, "jwts", "key") }).WithTimeout(soon).WithPolling(poll).Should(ConsistOf(second))
		ready(ctx, consumer)
	})

	It("that has started again, and is empty, is given everything under the same ids", func(ctx SpecContext) {
		w, consumer, service := settled(ctx)
		before := idsOf(w.content(ctx))
		Expect(w.send(ctx, http.MethodPost, "/config", map[string]any{"_format_version": "3.0"})).To(Equal(http.StatusCreated))
		Eventually(func() map[string][]any { return idsOf(w.content(ctx)) }).WithTimeout(soon).WithPolling(poll).Should(Equal(before))
		ready(ctx, w.gateway, consumer, service)
		Expect(told(ctx, consumer, v1alpha1.EventDriftCorrected)()).To(BeEmpty(), "a restart is nobody's change")
	})
})

// configuration reads what a Kong without a database runs, as YAML.
func (w *world) configuration(ctx context.Context) string {
	GinkgoHelper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.kong.AdminURL()+"/config", nil)
	Expect(err).NotTo(HaveOccurred())
	response, err := http.DefaultClient.Do(request)
	Expect(err).NotTo(HaveOccurred())
	defer func() { Expect(response.Body.Close()).To(Succeed()) }()
	content, err := io.ReadAll(response.Body)
	Expect(err).NotTo(HaveOccurred())
	var body struct {
		Config string `json:"config"`
	}
	Expect(json.Unmarshal(content, &body)).To(Succeed())
	return body.Config
}
