package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kicsim"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
	"github.com/kongjwt/kong-jwt-operator/test/testenv"
)

// Variables that name a real ingress controller. All but the last are needed; without the first a stand-in is used.
const (
	// ingressKubeconfig is the path of a kubeconfig, an administrator's, of the cluster that the controller is in.
	ingressKubeconfig = "KONG_INGRESS_KUBECONFIG"
	// ingressClass is the ingress class that the controller takes.
	ingressClass = "KONG_INGRESS_CLASS"
	// ingressProxies are the proxies of its Kongs, http://host:port, with commas between them.
	ingressProxies = "KONG_INGRESS_PROXY_URLS"
	// ingressAdmins are their Admin APIs, which are read only.
	ingressAdmins = "KONG_INGRESS_ADMIN_URLS"
)

// hurriedPeriod is how often the stand-in for the ingress controller looks: a tenth of the real time.
const hurriedPeriod = kicsim.SyncPeriod / 10

// inIngresses are the gateways whose probe routes are Ingresses: whoever reads these in the operator's namespace sees
// how a question gets to a data plane. The proof, by which an answer is known, is in a Secret.
var inIngresses = map[string]bool{}

// controlled is an ingress controller, and the Kongs that it owns.
type controlled struct {
	class           string
	proxies, admins []string
	// start and stop are nil of a real controller.
	start, stop func()
}

// newControlled gives the controller that the environment names, or starts a stand-in for one, until the container
// ends; change is about the stand-in. The operator gets the rights that an installation has where this is on, and
// calls go to one Kong after the other.
func newControlled(ctx context.Context, change ...func(*kicsim.Options)) *controlled {
	GinkgoHelper()
	root, err := testenv.RepositoryRoot()
	Expect(err).NotTo(HaveOccurred())
	rights, err := os.ReadFile(filepath.Join(root, "config", "ingress-controller", "rights.yaml"))
	Expect(err).NotTo(HaveOccurred())
	applyAll(ctx, rights)
	c := &controlled{class: os.Getenv(ingressClass), proxies: urlsIn(ingressProxies), admins: urlsIn(ingressAdmins)}
	if os.Getenv(ingressKubeconfig) == "" {
		c = newStandIn(ctx, change...)
	}
	Expect(c.class).NotTo(BeEmpty(), "%s names the controller's class", ingressClass)
	Expect(c.proxies).NotTo(BeEmpty(), "%s names the Kongs", ingressProxies)
	former := env.ProxyURL
	env.ProxyURL = balanced(c.proxies)
	DeferCleanup(func() { env.ProxyURL = former })
	return c
}

// urlsIn reads a variable with commas between URLs.
func urlsIn(variable string) (urls []string) {
	for text := range strings.SplitSeq(os.Getenv(variable), ",") {
		if text = strings.TrimSuffix(strings.TrimSpace(text), "/"); text != "" {
			urls = append(urls, text)
		}
	}
	return urls
}

// newStandIn starts two simulated Kongs, and a stand-in for the controller, of a class of its own.
func newStandIn(ctx context.Context, change ...func(*kicsim.Options)) *controlled {
	GinkgoHelper()
	files, err := fs.Glob(kicsim.CRDs, "crds/*.yaml")
	Expect(err).NotTo(HaveOccurred())
	for _, file := range files {
		content, err := kicsim.CRDs.ReadFile(file)
		Expect(err).NotTo(HaveOccurred())
		applyAll(ctx, content)
		awaitServed(ctx, content)
	}
	c := &controlled{class: anotherClass()}
	for range 2 {
		kong, err := kongsim.Start(kongsim.Options{Database: "off"})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(kong.Close)
		c.admins, c.proxies = append(c.admins, kong.AdminURL()), append(c.proxies, kong.ProxyURL())
	}
	end, running := func() {}, &sync.WaitGroup{}
	c.stop = func() { end(); running.Wait() }
	c.start = func() {
		working, cancel := context.WithCancel(context.Background())
		end = cancel
		options := kicsim.Options{Class: c.class, Nodes: c.admins, Pod: "default/ingress-controller"}
		for _, f := range change {
			f(&options)
		}
		controller := kicsim.New(kicsim.Cluster{Client: env.Client}, options)
		running.Go(func() {
			controller.Run(working, hurriedPeriod, func(err error) { GinkgoLogr.Error(err, "the stand-in failed") })
		})
	}
	c.start()
	DeferCleanup(func() { c.stop() })
	return c
}

// awaitServed waits until the API server knows the kind of a custom resource definition.
func awaitServed(ctx context.Context, definition []byte) {
	GinkgoHelper()
	var crd apiextensionsv1.CustomResourceDefinition
	Expect(yaml.Unmarshal(definition, &crd)).To(Succeed())
	kind := schema.GroupVersionKind{
		Group: crd.Spec.Group, Version: crd.Spec.Versions[0].Name, Kind: crd.Spec.Names.ListKind,
	}
	if kind.Kind == "" {
		kind.Kind = crd.Spec.Names.Kind + "List"
	}
	Eventually(func() error {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(kind)
		return env.Client.List(ctx, list, client.Limit(1))
	}).WithContext(ctx).Should(Succeed(), "%s is served", crd.Name)
}

var classes atomic.Int64

// anotherClass is an ingress class that nobody else uses.
func anotherClass() string { return named(fmt.Sprintf("class-%d", classes.Add(1))) }

// gateway makes a KongGateway for the controller's Kongs, which goes when the container ends.
func (c *controlled) gateway(ctx context.Context, name string) *v1alpha1.KongGateway {
	GinkgoHelper()
	g := newGateway(named(name))
	inIngresses[g.Name] = true
	g.Spec.AdminAPI, g.Spec.Policy.Retain = v1alpha1.AdminAPI{}, false
	g.Spec.IngressController = &v1alpha1.IngressController{ClassName: c.class}
	g.Spec.DataPlanes = &v1alpha1.DataPlanes{URLs: c.proxies}
	create(ctx, g)
	DeferCleanup(func() {
		ctx, cancel := background()
		defer cancel()
		remove(ctx, g)
	})
	return g
}

// balanced gives one address for several proxies: each connection goes to the next of them, as behind a Service.
func balanced(proxies []string) string {
	GinkgoHelper()
	var hosts []string
	for _, proxy := range proxies {
		u, err := url.Parse(proxy)
		Expect(err).NotTo(HaveOccurred())
		Expect(u.Scheme).To(Equal("http"), proxy)
		if u.Port() == "" {
			u.Host = net.JoinHostPort(u.Host, "80")
		}
		hosts = append(hosts, u.Host)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(listener.Close)
	go func() {
		for n := 0; ; n++ {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			go connect(from, hosts[n%len(hosts)])
		}
	}()
	return "http://" + listener.Addr().String()
}

// connect passes on what both sides say, until one of them has said all.
func connect(from net.Conn, host string) {
	defer func() { _ = from.Close() }()
	to, err := net.Dial("tcp", host)
	if err != nil {
		return
	}
	defer func() { _ = to.Close() }()
	done := make(chan error, 2)
	for _, pair := range [][2]net.Conn{{from, to}, {to, from}} {
		go func() {
			_, err := io.Copy(pair[0], pair[1])
			done <- err
		}()
	}
	<-done
}

// applyAll creates the objects of YAML documents; those that are there stay as they are.
func applyAll(ctx context.Context, content []byte) {
	GinkgoHelper()
	for _, document := range bytes.Split(content, []byte("\n---\n")) {
		o := &unstructured.Unstructured{}
		Expect(yaml.Unmarshal(document, &o.Object)).To(Succeed())
		if o.GetKind() == "" {
			continue
		}
		if err := env.Client.Create(ctx, o); !apierrors.IsAlreadyExists(err) {
			Expect(err).NotTo(HaveOccurred())
		}
	}
}

// writtenKinds are those that the operator writes for a Kong of an ingress controller.
var writtenKinds = []schema.GroupVersionKind{
	{Version: "v1", Kind: "Secret"},
	{Version: "v1", Kind: "Service"},
	{Group: "networking.k8s.io", Version: "v1", Kind: "Ingress"},
	{Group: kicsim.Group, Version: "v1", Kind: "KongConsumer"},
	{Group: kicsim.Group, Version: "v1", Kind: "KongClusterPlugin"},
}

// writtenFor names the objects that the operator wrote for a gateway itself, or for the resources of a namespace.
func writtenFor(ctx context.Context, gateway, namespace string) (names []string) {
	GinkgoHelper()
	for _, kind := range writtenKinds {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
		Expect(env.Client.List(ctx, list, client.MatchingLabels{
			"app.kubernetes.io/managed-by": v1alpha1.ManagedBy,
		})).To(Succeed())
		for _, o := range list.Items {
			owner := o.GetAnnotations()["kongjwt.dev/owner"]
			if strings.Contains(owner, ":"+namespace+":") || strings.HasPrefix(o.GetName(), gateway+"-") {
				names = append(names, kind.Kind+" "+o.GetNamespace()+"/"+o.GetName())
			}
		}
	}
	return names
}

// entitiesWith names what the Kongs hold that says a text; nothing where their Admin APIs are not known.
func (c *controlled) entitiesWith(ctx context.Context, text string) (found []string, err error) {
	for _, admin := range c.admins {
		for _, kind := range []string{"consumers", "jwts", "acls", "services", "routes", "plugins"} {
			content, failed := read(ctx, admin+"/"+kind+"?size=1000")
			if err = errors.Join(err, failed); strings.Contains(string(content), text) {
				found = append(found, admin+"/"+kind)
			}
		}
	}
	return found, err
}

func read(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	return io.ReadAll(response.Body)
}
