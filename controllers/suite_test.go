package controllers_test

import (
	"context"
	"fmt"
	"net/http"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/controllers"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/jwks"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
	"github.com/kongjwt/kong-jwt-operator/internal/secrets"
	"github.com/kongjwt/kong-jwt-operator/test/testenv"
)

func TestControllers(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "controllers")
}

const (
	// operatorNamespace is where the Secrets of gateways may be.
	operatorNamespace = "kong-jwt-system"
	// soon is within which a change has to be seen: a second, and room for a busy machine.
	soon = 15 * time.Second
	// quiet is how long nothing may happen where nothing should.
	quiet = 1500 * time.Millisecond
	poll  = 25 * time.Millisecond
)

var (
	restConfig *rest.Config
	kube       client.WithWatch
	scheme     *runtime.Scheme
	serial     atomic.Int64
)

var _ = BeforeSuite(func(ctx SpecContext) {
	ctrl.SetLogger(logr.Discard())
	var stop func() error
	var err error
	restConfig, stop, err = testenv.Start(context.WithoutCancel(ctx))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(stop()).To(Succeed()) })
	restConfig.QPS, restConfig.Burst = -1, -1
	scheme = runtime.NewScheme()
	Expect(clientgoscheme.AddToScheme(scheme)).To(Succeed())
	Expect(v1alpha1.AddToScheme(scheme)).To(Succeed())
	kube, err = client.NewWithWatch(restConfig, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	Expect(kube.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: operatorNamespace}})).To(Succeed())
})

// names are the addresses that stand for the names of Services, such as "kong.w1.svc:8001": there is no DNS of a
// cluster here.
var names sync.Map

// connect makes an Admin API client, with the names of Services looked up.
func connect(c kong.Config) (engine.AdminAPI, error) {
	if address, found := names.Load(strings.TrimPrefix(c.URL, "http://")); found {
		c.URL = "http://" + address.(string)
	}
	return kong.New(c)
}

// operator is a manager with all controllers, running in this process.
type operator struct {
	stop   context.CancelFunc
	done   chan error
	writes *atomic.Int64
	// secretWrites are those of writes that are of Secrets, but for the operator's own: the first operator of all makes
	// its seeds.
	secretWrites *atomic.Int64
}

// began is where the clock of hurried does.
var began = time.Now()

// hurried is a clock on which a second is a minute: key sets may be asked for again at once.
func hurried() time.Time { return began.Add(60 * time.Since(began)) }

// startOperator runs the controllers against the API server. installation tells what it makes in Kong from what
// others' operators make. change may alter how it does.
func startOperator(installation string, change ...func(*rest.Config, *ctrl.Options)) *operator {
	GinkgoHelper()
	o := &operator{done: make(chan error, 1), writes: &atomic.Int64{}, secretWrites: &atomic.Int64{}}
	counted := rest.CopyConfig(restConfig)
	counted.Wrap(func(next http.RoundTripper) http.RoundTripper { return countWrites{next, o} })
	skip := true
	options := ctrl.Options{
		Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"},
		Cache:      cache.Options{DefaultTransform: cache.TransformStripManagedFields()},
		Client:     client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}, &discoveryv1.EndpointSlice{}}}},
		Controller: config.Controller{SkipNameValidation: &skip},
	}
	for _, f := range change {
		f(counted, &options)
	}
	mgr, err := ctrl.NewManager(counted, options)
	Expect(err).NotTo(HaveOccurred())
	var ctx context.Context
	ctx, o.stop = context.WithCancel(context.Background())
	gateways := engine.NewRegistry(engine.Options{
		Installation: installation, Log: GinkgoLogr, Heartbeat: 200 * time.Millisecond, Margin: 50 * time.Millisecond, Connect: connect,
	})
	Expect(controllers.Setup(ctx, mgr, controllers.Options{
		Client: mgr.GetClient(), Direct: mgr.GetAPIReader(), Secrets: secrets.NewStore(mgr.GetAPIReader(), mgr.GetClient()), Gateways: gateways,
		Recorder: mgr.GetEventRecorder("kong-jwt-operator"), ClusterDomain: "cluster.local",
		GatewaySecretNamespaces: []string{operatorNamespace}, Workers: 8, Now: time.Now, Objects: kube, Pace: hurriedPace,
		KeySets: jwks.NewRefresher(jwks.Fetcher{UserAgent: "test"}.Fetch, hurried),
	})).To(Succeed())
	go func() {
		defer GinkgoRecover()
		err := mgr.Start(ctx)
		gateways.Close()
		o.done <- err
	}()
	return o
}

func (o *operator) Stop() {
	GinkgoHelper()
	o.stop()
	Eventually(o.done).WithTimeout(time.Minute).Should(Receive(BeNil()), func() string {
		return "the operator stops cleanly; what runs of it:\n" + stacks()
	})
}

// stacks are those of the goroutines that are in this module's code.
func stacks() string {
	var all strings.Builder
	_ = pprof.Lookup("goroutine").WriteTo(&all, 1)
	var ours []string
	for stack := range strings.SplitSeq(all.String(), "\n\n") {
		if strings.Contains(stack, "/kong-jwt-operator/") {
			ours = append(ours, stack)
		}
	}
	return strings.Join(ours, "\n\n")
}

// countWrites counts the requests that change something, but for events: they are no part of a resource.
type countWrites struct {
	next     http.RoundTripper
	operator *operator
}

func (c countWrites) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet {
		c.operator.writes.Add(1)
		if strings.Contains(r.URL.Path, "/secrets") && !strings.Contains(r.URL.Path, "/namespaces/"+operatorNamespace+"/") {
			c.operator.secretWrites.Add(1)
		}
	}
	return c.next.RoundTrip(r)
}

// world is what one spec works with: its own Kong, gateway, namespace and operator.
type world struct {
	kong      *kongsim.Server
	operator  *operator
	gateway   *v1alpha1.KongGateway
	namespace string
	name      string
}

// newWorld starts all of it, and takes it down after the spec. change may alter the gateway before it is created.
func newWorld(ctx context.Context, kong kongsim.Options, change ...func(*v1alpha1.KongGateway)) *world {
	GinkgoHelper()
	w := &world{name: fmt.Sprintf("w%d", serial.Add(1))}
	w.namespace = w.name
	var err error
	if kong.DBUpdateFrequency == 0 {
		kong.DBUpdateFrequency, kong.WorkerStateUpdateFrequency = 50*time.Millisecond, 50*time.Millisecond
	}
	w.kong, err = kongsim.Start(kong)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(w.kong.Close()).To(Succeed()) })
	Expect(kube.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace, Labels: map[string]string{"team": w.name}}})).To(Succeed())
	w.gateway = &v1alpha1.KongGateway{
		ObjectMeta: metav1.ObjectMeta{Name: w.name},
		Spec: v1alpha1.KongGatewaySpec{
			AdminAPI:          v1alpha1.AdminAPI{URL: w.kong.AdminURL()},
			AllowedNamespaces: v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesAll},
			Policy: v1alpha1.GatewayPolicy{
				Identities:      v1alpha1.IdentitiesAny,
				Upstreams:       v1alpha1.UpstreamPolicy{Allow: []v1alpha1.AllowedUpstream{{CIDRs: []string{"127.0.0.0/8"}}}},
				ConsumerPlugins: []string{"cors", "http-log", "request-size-limiting", "rate-limiting", "ip-restriction"}, RegularExpressions: true, Retain: true,
			},
		},
	}
	for _, f := range change {
		f(w.gateway)
	}
	w.operator = startOperator(w.name)
	DeferCleanup(func() { w.operator.Stop() })
	DeferCleanup(func(ctx SpecContext) { w.cleanUp(ctx) })
	Expect(kube.Create(ctx, w.gateway)).To(Succeed())
	return w
}

// cleanUp deletes what the spec made, so that the operators of other specs do not see it. Without a controller
// manager a namespace stays.
func (w *world) cleanUp(ctx context.Context) {
	GinkgoHelper()
	w.kong.Faults.Set(0)
	w.kong.Faults.SetDatabaseDown(false)
	for _, list := range []client.ObjectList{&v1alpha1.JwtTokenList{}, &v1alpha1.JwtProtectedServiceList{}, &v1alpha1.JwtConsumerList{}} {
		Expect(kube.List(ctx, list, client.InNamespace(w.namespace))).To(Succeed())
		Expect(apimeta.EachListItem(list, func(item runtime.Object) error {
			object := item.(client.Object)
			unsuspend(ctx, object)
			return client.IgnoreNotFound(kube.Delete(ctx, object))
		})).To(Succeed())
	}
	gone(ctx, w.gateway)
}

func unsuspend(ctx context.Context, object client.Object) {
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"suspend":false}}`))
	Expect(client.IgnoreNotFound(kube.Patch(ctx, object.DeepCopyObject().(client.Object), patch))).To(Succeed())
}

// gone deletes an object and waits until it is.
func gone(ctx context.Context, object client.Object) {
	GinkgoHelper()
	Expect(client.IgnoreNotFound(kube.Delete(ctx, object))).To(Succeed())
	Eventually(func(g Gomega) {
		err := kube.Get(ctx, client.ObjectKeyFromObject(object), object.DeepCopyObject().(client.Object))
		g.Expect(client.IgnoreNotFound(err)).To(Succeed())
		g.Expect(err).To(HaveOccurred(), "still there")
	}).WithTimeout(soon).WithPolling(poll).Should(Succeed())
}
