package e2e

import (
	"bytes"
	"context"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kicsim"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
	"github.com/kongjwt/kong-jwt-operator/test/testenv"
)

// hurriedPeriod is how often the stand-in for the ingress controller looks: a tenth of the real time.
const hurriedPeriod = kicsim.SyncPeriod / 10

// inIngresses are the gateways whose probe routes are Ingresses: whoever reads these in the operator's namespace sees
// how a question gets to a data plane. The proof, by which an answer is known, is in a Secret.
var inIngresses = map[string]bool{}

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

// startIngressController installs a stand-in for the ingress controller, with two Kongs of its own, and gives the
// operator the rights that an installation has where this is on. It gives the Kongs' proxies.
func startIngressController(ctx context.Context, class string) (proxies []string) {
	GinkgoHelper()
	files, err := fs.Glob(kicsim.CRDs, "crds/*.yaml")
	Expect(err).NotTo(HaveOccurred())
	for _, file := range files {
		content, err := kicsim.CRDs.ReadFile(file)
		Expect(err).NotTo(HaveOccurred())
		applyAll(ctx, content)
	}
	root, err := testenv.RepositoryRoot()
	Expect(err).NotTo(HaveOccurred())
	rights, err := os.ReadFile(filepath.Join(root, "config", "ingress-controller", "rights.yaml"))
	Expect(err).NotTo(HaveOccurred())
	applyAll(ctx, rights)
	var admins []string
	for range 2 {
		kong, err := kongsim.Start(kongsim.Options{Database: "off"})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(kong.Close)
		admins, proxies = append(admins, kong.AdminURL()), append(proxies, kong.ProxyURL())
	}
	running, stop := context.WithCancel(context.Background())
	var stopped sync.WaitGroup
	DeferCleanup(func() { stop(); stopped.Wait() })
	controller := kicsim.New(kicsim.Cluster{Client: env.Client}, kicsim.Options{
		Class: class, Nodes: admins, Pod: "default/ingress-controller",
	})
	stopped.Go(func() {
		controller.Run(running, hurriedPeriod, func(err error) { GinkgoLogr.Error(err, "the stand-in failed") })
	})
	return proxies
}

var _ = Describe("A Kong of an ingress controller", Ordered, Serial, Label("ingress"), func() {
	var (
		namespace          string
		owned              *v1alpha1.KongGateway
		service            *v1alpha1.JwtProtectedService
		consumer, stranger *v1alpha1.JwtConsumer
		token              *v1alpha1.JwtToken
		opened             func() []answer
	)
	path := func() call { return at(pathOfService(namespace, "api")) }
	tokenOf := func(ctx context.Context, secret string) string {
		return string(readSecret(ctx, namespace, secret).Data["token"])
	}

	BeforeAll(func(ctx SpecContext) {
		proxies := startIngressController(ctx, named("class"))
		former := env.ProxyURL
		env.ProxyURL = proxies[1]
		DeferCleanup(func() { env.ProxyURL = former })
		owned = newGateway(named("ingress"))
		inIngresses[owned.Name] = true
		owned.Spec.AdminAPI, owned.Spec.Policy.Retain = v1alpha1.AdminAPI{}, false
		owned.Spec.IngressController = &v1alpha1.IngressController{ClassName: named("class")}
		owned.Spec.DataPlanes = &v1alpha1.DataPlanes{URLs: proxies}
		create(ctx, owned)
		DeferCleanup(func() {
			ctx, cancel := background()
			defer cancel()
			remove(ctx, owned)
		})
		namespace = newNamespace(ctx, "ingress")
		opened = watch(path())
		DeferCleanup(func() { opened() })
		on := v1alpha1.GatewayReference{Name: owned.Name}
		service = newService(namespace, "api", func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.GatewayRef, s.Access = on, &v1alpha1.Access{Consumers: []v1alpha1.ConsumerReference{{Name: "caller"}}}
		})
		consumers := map[string]*v1alpha1.JwtConsumer{}
		for _, name := range []string{"caller", "stranger"} {
			consumers[name] = newConsumer(namespace, name, func(s *v1alpha1.JwtConsumerSpec) {
				s.GatewayRef, s.Credentials = on, []v1alpha1.Credential{generated("primary", "HS256", name+"-made")}
			})
			create(ctx, consumers[name])
		}
		consumer, stranger = consumers["caller"], consumers["stranger"]
		token = newToken(namespace, "caller", "primary")
		create(ctx, service, token)
		awaitReady(ctx, owned, service, consumer, stranger, token)
	})

	It("lets those in whom the service admits, and nobody else", func(ctx SpecContext) {
		Expect(owned.Status.Mode).To(Equal(v1alpha1.ModeIngressController))
		expectPassed(ctx, path().with(tokenOf(ctx, token.Spec.SecretName)),
			HaveKeyWithValue("X-Consumer-Username", namespace+".caller"))
		expectRefused(ctx, path(), http.StatusUnauthorized, "Unauthorized")
		made := readSecret(ctx, namespace, "stranger-made")
		expectRefused(ctx, path().with(sign("HS256", signingKeyOf(made), string(made.Data["key"]))),
			http.StatusForbidden, "You cannot consume this service")
	})

	It("rotates with nothing refused", func(ctx SpecContext) {
		former := string(readSecret(ctx, namespace, "caller-made").Data["key"])
		refused := make(chan []answer, 1)
		asking, stop := context.WithCancel(ctx)
		go func() {
			defer GinkgoRecover()
			var all []answer
			for asking.Err() == nil {
				a, err := path().with(tokenOf(ctx, token.Spec.SecretName)).send(ctx)
				if err == nil && a.status != http.StatusOK {
					all = append(all, a)
				}
			}
			refused <- all
		}()
		update(ctx, consumer, func(c *v1alpha1.JwtConsumer) {
			c.Annotations = map[string]string{v1alpha1.AnnotationRotate: "1"}
		})
		Eventually(func(g Gomega) {
			secret := &corev1.Secret{}
			g.Expect(env.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "caller-made"}, secret)).To(Succeed())
			g.Expect(string(secret.Data["key"])).NotTo(Equal(former))
		}).WithContext(ctx).Should(Succeed())
		awaitReady(ctx, consumer, token)
		stop()
		Expect(<-refused).To(BeEmpty())
	})

	It("says who holds a username, and harms neither", func(ctx SpecContext) {
		rival := newConsumer(namespace, "rival", func(s *v1alpha1.JwtConsumerSpec) {
			s.GatewayRef.Name, s.Username = owned.Name, namespace+".caller"
			s.Credentials = []v1alpha1.Credential{generated("primary", "HS256", "rival-made")}
		})
		create(ctx, rival)
		awaitReason(ctx, rival, v1alpha1.ReasonConflict, "JwtConsumer "+namespace+"/caller")
		expectPassed(ctx, path().with(tokenOf(ctx, token.Spec.SecretName)))
		remove(ctx, rival)
	})

	It("goes on when the operator is killed", func(ctx SpecContext) {
		Expect(operator.Kill()).To(Succeed())
		expectPassed(ctx, path().with(tokenOf(ctx, token.Spec.SecretName)))
		var err error
		operator, err = env.StartOperator(ctx)
		Expect(err).NotTo(HaveOccurred())
		awaitReady(ctx, owned, service, consumer)
	})

	It("revokes on every node, and leaves nothing", func(ctx SpecContext) {
		held := tokenOf(ctx, token.Spec.SecretName)
		expectPassed(ctx, path().with(held))
		update(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Spec.Revoked = true })
		expectRefused(ctx, path().with(held), http.StatusUnauthorized, "No credentials found")
		for _, o := range []client.Object{token, consumer, stranger, service} {
			remove(ctx, o)
		}
		for _, a := range opened() {
			Expect(a.upstream).To(BeNil(), "nobody got in without a token")
		}
		for _, kind := range []string{"KongConsumer", "KongClusterPlugin"} {
			list := &unstructured.UnstructuredList{}
			list.SetAPIVersion("configuration.konghq.com/v1")
			list.SetKind(kind + "List")
			Expect(env.Client.List(ctx, list)).To(Succeed())
			for _, o := range list.Items {
				Expect(o.GetAnnotations()["kongjwt.dev/owner"]).NotTo(ContainSubstring(":"+namespace+":"), o.GetName())
			}
		}
	})
})
