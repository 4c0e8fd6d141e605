package controllers_test

import (
	"context"
	"io/fs"
	"net/http"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/echo"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/barrier"
	"github.com/kongjwt/kong-jwt-operator/internal/kicsim"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

// hurriedPace fits a stand-in that looks every 100 ms.
var hurriedPace = ingress.Pace{Look: 30 * time.Millisecond, Pace: barrier.Pace{
	Settle: 20 * time.Millisecond, Blame: 500 * time.Millisecond, Late: 5 * time.Second,
}}

// simulatedPeriod is how often the stand-in for the ingress controller looks: a thirtieth of the real time.
const simulatedPeriod = 100 * time.Millisecond

// pushed is how long a change may take that needs two pushes, on a machine that does other things too.
const pushed = time.Minute

// taken waits until objects are Ready: the controller has given Kong what they are made of.
func taken(ctx context.Context, objects ...client.Object) {
	GinkgoHelper()
	for _, object := range objects {
		Eventually(func(g Gomega) {
			condition := apimeta.FindStatusCondition(conditionsOf(ctx, g, object), v1alpha1.ConditionReady)
			g.Expect(condition).NotTo(BeNil())
			g.Expect(string(condition.Status)).To(Equal("True"), "%s: %s", condition.Reason, condition.Message)
		}).WithTimeout(pushed).WithPolling(poll).Should(Succeed(), "%T %s becomes Ready", object, object.GetName())
	}
}

// controlled is a world whose Kongs belong to an ingress controller.
type controlled struct {
	*world
	second   *kongsim.Server
	upstream *echo.Server
	// nodes are the Admin APIs that the controller knows; both Kongs' by default.
	nodes   []string
	stop    context.CancelFunc
	stopped sync.WaitGroup
}

func newControlled(ctx context.Context, change ...func(*v1alpha1.KongGateway)) *controlled {
	GinkgoHelper()
	return newControlledOn(ctx, "", change...)
}

// newControlledOn is newControlled with Kongs of a version.
func newControlledOn(ctx context.Context, version string, change ...func(*v1alpha1.KongGateway)) *controlled {
	GinkgoHelper()
	options := kongsim.Options{Version: version, Database: "off"}
	installCRDs(ctx)
	c := &controlled{}
	var err error
	c.second, err = kongsim.Start(options)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(c.second.Close()).To(Succeed()) })
	c.upstream, err = echo.Start("127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(c.upstream.Close()).To(Succeed()) })
	DeferCleanup(func() { c.stopController() })
	c.world = newWorld(ctx, options,
		append([]func(*v1alpha1.KongGateway){func(g *v1alpha1.KongGateway) {
			g.Spec.AdminAPI = v1alpha1.AdminAPI{}
			g.Spec.IngressController, g.Spec.Policy.Retain = &v1alpha1.IngressController{ClassName: g.Name}, false
		}}, change...)...)
	c.startController()
	return c
}

// startController runs the stand-in; stopController stops it, as an outage does.
func (c *controlled) startController() {
	running, stop := context.WithCancel(context.Background())
	c.stop = stop
	if c.nodes == nil {
		c.nodes = []string{c.kong.AdminURL(), c.second.AdminURL()}
	}
	controller := kicsim.New(kicsim.Cluster{Client: kube}, kicsim.Options{
		Class: c.name, Nodes: c.nodes, Pod: c.namespace + "/controller",
	})
	c.stopped.Go(func() {
		controller.Run(running, simulatedPeriod, func(err error) { GinkgoLogr.Error(err, "the stand-in failed") })
	})
}

func (c *controlled) stopController() {
	if c.stop != nil {
		c.stop()
		c.stopped.Wait()
	}
}

var crdsOnce sync.Once

// installCRDs installs the ingress controller's definitions.
func installCRDs(ctx context.Context) {
	GinkgoHelper()
	files, err := fs.Glob(kicsim.CRDs, "crds/*.yaml")
	Expect(err).NotTo(HaveOccurred())
	crdsOnce.Do(func() {
		for _, file := range files {
			raw, err := kicsim.CRDs.ReadFile(file)
			Expect(err).NotTo(HaveOccurred())
			crd := &unstructured.Unstructured{}
			Expect(yaml.Unmarshal(raw, &crd.Object)).To(Succeed())
			if err := kube.Create(ctx, crd); !apierrors.IsAlreadyExists(err) {
				Expect(err).NotTo(HaveOccurred())
			}
		}
	})
	Eventually(func() error {
		return kube.List(ctx, kongObjects("KongConsumer"))
	}).WithTimeout(soon).Should(Succeed())
}

func kongObjects(kind string) *unstructured.UnstructuredList {
	return listOf("configuration.konghq.com/v1", kind)
}

func listOf(version, kind string) *unstructured.UnstructuredList {
	list := &unstructured.UnstructuredList{}
	list.SetAPIVersion(version)
	list.SetKind(kind + "List")
	return list
}

// protected is a service with one route, on the echo upstream.
func (c *controlled) protected(name string) *v1alpha1.JwtProtectedService {
	return c.service(name, func(s *v1alpha1.JwtProtectedService) {
		s.Spec.Upstream = &v1alpha1.Upstream{URL: c.upstream.URL()}
		s.Spec.Routes = []v1alpha1.Route{{Name: "main", Hosts: []string{c.name + ".example"}, Paths: []string{"/api"}}}
	})
}

// token is a JwtToken of a consumer, and answers gives what both data planes say to a request with it.
func (c *controlled) token(consumer string) *v1alpha1.JwtToken {
	return &v1alpha1.JwtToken{
		ObjectMeta: c.meta(consumer + "-token"),
		Spec: v1alpha1.JwtTokenSpec{ConsumerRef: v1alpha1.CredentialReference{Name: consumer, Credential: "primary"},
			SecretName: consumer + "-token", TTL: "1h"},
	}
}

func (c *controlled) authorization(ctx context.Context, token *v1alpha1.JwtToken) string {
	GinkgoHelper()
	var secret corev1.Secret
	Expect(kube.Get(ctx, client.ObjectKey{Namespace: c.namespace, Name: token.Spec.SecretName}, &secret)).To(Succeed())
	return string(secret.Data["authorization"])
}

func (c *controlled) answers(ctx context.Context, authorization string) []int {
	var statuses []int
	for _, node := range []*kongsim.Server{c.kong, c.second} {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, node.ProxyURL()+"/api", nil)
		if err != nil {
			return []int{0}
		}
		r.Host, r.Close = c.name+".example", true
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			return []int{0}
		}
		_ = answer.Body.Close()
		statuses = append(statuses, answer.StatusCode)
	}
	return statuses
}

// watchOpen asks without a token until the spec ends, and says whether anything but 401 and 404 was answered.
func (c *controlled) watchOpen(ctx context.Context) (opened func() []int) {
	var mu sync.Mutex
	var seen []int
	asking, stop := context.WithCancel(context.WithoutCancel(ctx))
	var done sync.WaitGroup
	done.Go(func() {
		for asking.Err() == nil {
			for _, status := range c.answers(asking, "") {
				if status != http.StatusUnauthorized && status != http.StatusNotFound && status != 0 {
					mu.Lock()
					seen = append(seen, status)
					mu.Unlock()
				}
			}
		}
	})
	DeferCleanup(func() { stop(); done.Wait() })
	return func() []int {
		mu.Lock()
		defer mu.Unlock()
		return seen
	}
}

// ours counts the objects of a kind that the operator wrote for the gateway.
func (c *controlled) ours(ctx context.Context, g Gomega) int {
	count := 0
	for _, kind := range []string{"KongConsumer", "KongClusterPlugin"} {
		list := kongObjects(kind)
		g.Expect(kube.List(ctx, list)).To(Succeed())
		for _, o := range list.Items {
			if o.GetAnnotations()["kubernetes.io/ingress.class"] == c.name {
				count++
			}
		}
	}
	var ingresses networkingv1.IngressList
	g.Expect(kube.List(ctx, &ingresses, client.InNamespace(c.namespace))).To(Succeed())
	var secrets corev1.SecretList
	g.Expect(kube.List(ctx, &secrets, client.InNamespace(c.namespace),
		client.HasLabels{"kongjwt.dev/scope"})).To(Succeed())
	return count + len(ingresses.Items) + len(secrets.Items)
}

var _ = Describe("a gateway that an ingress controller owns", func() {
	It("protects a service, rotates with nothing refused, revokes, and leaves nothing", func(ctx SpecContext) {
		c := newControlled(ctx)
		taken(ctx, c.gateway)
		opened := c.watchOpen(ctx)
		service, consumer, token := c.protected("api"), c.generated("app"), c.token("app")
		create(ctx, service, consumer, token)
		taken(ctx, service, consumer, token)
		Expect(c.answers(ctx, "")).To(Equal([]int{401, 401}))
		first := c.authorization(ctx, token)
		Expect(c.answers(ctx, first)).To(Equal([]int{200, 200}))

		By("rotating under requests")
		refused := c.underRequests(ctx, token, func() {
			annotate(ctx, consumer, v1alpha1.AnnotationRotate, "1")
			Eventually(func() string {
				return c.authorization(ctx,
					token)
			}).WithTimeout(30 * time.Second).ShouldNot(Equal(first))
		})
		Expect(refused()).To(BeZero())

		By("revoking")
		second := c.authorization(ctx, token)
		change(ctx, consumer, func(o *v1alpha1.JwtConsumer) { o.Spec.Revoked = true })
		Eventually(func() []int { return c.answers(ctx, second) }).WithTimeout(pushed).Should(Equal([]int{401, 401}))

		By("deleting all of it")
		gone(ctx, token)
		gone(ctx, consumer)
		gone(ctx, service)
		Expect(opened()).To(BeEmpty())
		gone(ctx, c.gateway)
		Eventually(func(g Gomega) int { return c.ours(ctx, g) }).WithTimeout(pushed).Should(BeZero())
	})

	It("goes on after a restart, and writes nothing again", func(ctx SpecContext) {
		c := newControlled(ctx)
		service, consumer := c.protected("api"), c.generated("app")
		create(ctx, service, consumer)
		taken(ctx, c.gateway, service, consumer)
		before := c.versions(ctx)
		c.operator.Stop()
		c.operator = startOperator(c.name)
		taken(ctx, c.gateway, service, consumer)
		Consistently(func() map[string]string { return c.versions(ctx) }).WithTimeout(time.Second).Should(Equal(before))
	})

	It("says that nothing is taken while the controller is away, and goes on when it is back", func(ctx SpecContext) {
		c := newControlled(ctx)
		taken(ctx, c.gateway)
		c.stopController()
		consumer := c.generated("app")
		create(ctx, consumer)
		reconciling(ctx, consumer, v1alpha1.ReasonAwaitingController, ContainSubstring("not taken for"))
		Expect(c.flags(ctx, consumer)).To(Equal([]string{v1alpha1.ConditionAwaitingController}))
		Eventually(func() []string { return c.flags(ctx, c.gateway) }).WithTimeout(soon).
			Should(Equal([]string{v1alpha1.ConditionAwaitingController}))
		c.startController()
		taken(ctx, c.gateway, consumer)
		Expect(c.flags(ctx, consumer)).To(BeEmpty())
	})

	It("says that a revocation is pending while the controller is away", func(ctx SpecContext) {
		c := newControlled(ctx)
		consumer := c.generated("app")
		create(ctx, consumer)
		taken(ctx, c.gateway, consumer)
		c.stopController()
		change(ctx, consumer, func(o *v1alpha1.JwtConsumer) { o.Spec.Revoked = true })
		reconciling(ctx, consumer, v1alpha1.ReasonRevocationPending, ContainSubstring("not taken for"))
		Expect(c.flags(ctx, consumer)).To(ConsistOf(
			v1alpha1.ConditionAwaitingController, v1alpha1.ConditionRevocationPending))
		c.startController()
		Eventually(func() []string { return c.flags(ctx, consumer) }).WithTimeout(pushed).Should(BeEmpty())
	})

	It("names the object of somebody else that holds up every change", func(ctx SpecContext) {
		c := newControlled(ctx)
		service := c.protected("api")
		create(ctx, service)
		taken(ctx, c.gateway, service)
		bad := kongObject("KongClusterPlugin", c.name+"-bad", map[string]any{"plugin": "rate-limiting",
			"config": map[string]any{"minute": "many"}})
		bad.SetAnnotations(map[string]string{"kubernetes.io/ingress.class": c.name})
		bad.SetLabels(map[string]string{"global": "true"})
		create(ctx, bad)
		consumer := c.generated("app")
		create(ctx, consumer)
		reconciling(ctx, consumer, v1alpha1.ReasonAwaitingController,
			ContainSubstring("Kong refuses KongClusterPlugin "+c.name+"-bad: invalid config.minute"))
		Expect(kube.Delete(ctx, bad)).To(Succeed())
		taken(ctx, consumer)
	})

	It("takes out again what Kong refuses of one service, and goes on for all others", func(ctx SpecContext) {
		c := newControlled(ctx)
		taken(ctx, c.gateway)
		bad := c.protected("bad")
		bad.Spec.Plugins = []v1alpha1.ServicePlugin{{PluginSpec: v1alpha1.PluginSpec{
			Name: "limit", Plugin: "request-size-limiting", Config: rawJSON(`{"allowed_payload_size":"many"}`),
		}}}
		create(ctx, bad)
		stalled(ctx, bad, v1alpha1.ReasonKongRejected, ContainSubstring("invalid config.allowed_payload_size"))
		consumer := c.generated("app")
		create(ctx, consumer)
		taken(ctx, consumer)
		change(ctx, bad, func(o *v1alpha1.JwtProtectedService) { o.Spec.Plugins = nil })
		taken(ctx, bad)
	})

	It("does not blame a correction that comes before Kong's refusal is known", func(ctx SpecContext) {
		c := newControlled(ctx)
		service := c.protected("api")
		limit := func(size string) []v1alpha1.ServicePlugin {
			return []v1alpha1.ServicePlugin{{PluginSpec: v1alpha1.PluginSpec{
				Name: "limit", Plugin: "request-size-limiting", Config: rawJSON(`{"allowed_payload_size":` + size + `}`),
			}}}
		}
		create(ctx, service)
		taken(ctx, c.gateway, service)
		change(ctx, service, func(o *v1alpha1.JwtProtectedService) { o.Spec.Plugins = limit(`"many"`) })
		By("waiting until the refused plugin is named, and with it in every push")
		Eventually(func(g Gomega) {
			plugins := kongObjects("KongClusterPlugin")
			g.Expect(kube.List(ctx, plugins)).To(Succeed())
			var refused string
			for _, o := range plugins.Items {
				if o.GetAnnotations()["kubernetes.io/ingress.class"] == c.name && o.Object["plugin"] == "request-size-limiting" {
					refused = o.GetName()
				}
			}
			var services corev1.ServiceList
			g.Expect(kube.List(ctx, &services, client.InNamespace(c.namespace), client.HasLabels{"kongjwt.dev/scope"})).
				To(Succeed())
			g.Expect(services.Items).To(HaveLen(1))
			g.Expect(refused).NotTo(BeEmpty())
			g.Expect(services.Items[0].Annotations["konghq.com/plugins"]).To(ContainSubstring(refused))
		}).WithTimeout(soon).WithPolling(10 * time.Millisecond).Should(Succeed())
		change(ctx, service, func(o *v1alpha1.JwtProtectedService) { o.Spec.Plugins = limit("1") })
		taken(ctx, service)
	})

	It("refuses a username that another KongConsumer has, and harms nobody", func(ctx SpecContext) {
		c := newControlled(ctx)
		taken(ctx, c.gateway)
		other := kongObject("KongConsumer", "other", map[string]any{"username": "taken"})
		other.SetNamespace(c.namespace)
		other.SetAnnotations(map[string]string{"kubernetes.io/ingress.class": c.name})
		create(ctx, other)
		consumer := c.generated("app")
		consumer.Spec.Username = "taken"
		create(ctx, consumer)
		stalled(ctx, consumer, v1alpha1.ReasonConflict,
			ContainSubstring("spec.username: username taken is held by KongConsumer "+c.namespace+"/other"))
		Expect(kube.Delete(ctx, other)).To(Succeed())
	})
})
