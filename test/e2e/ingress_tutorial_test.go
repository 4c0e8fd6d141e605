package e2e

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	corev1 "k8s.io/api/core/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kicsim"
	"github.com/kongjwt/kong-jwt-operator/test/testenv"
)

// The files of docs/tutorial/kind-ingress-controller.md, with the addresses of this machine in them.
var _ = Describe("The tutorial with an ingress controller", Ordered, Serial, Label("ingress"), func() {
	const namespace = "tutorial"
	var kongs *controlled
	var signed string

	BeforeAll(func(ctx SpecContext) {
		kongs = newControlled(ctx)
		root, err := testenv.RepositoryRoot()
		Expect(err).NotTo(HaveOccurred())
		sample := func(path string) []byte {
			content, err := os.ReadFile(filepath.Join(root, "config", "samples", path))
			Expect(err).NotTo(HaveOccurred())
			return bytes.ReplaceAll(content, []byte("http://127.0.0.1:9000"), []byte(env.UpstreamURL))
		}
		gateways := bytes.SplitN(sample("ingress-controller/01-gateway.yaml"), []byte("\n---\n"), 2)
		g := &v1alpha1.KongGateway{}
		Expect(yaml.UnmarshalStrict(gateways[0], g)).To(Succeed())
		inIngresses[g.Name] = true
		g.Spec.IngressController.ClassName = kongs.class
		g.Spec.DataPlanes = &v1alpha1.DataPlanes{URLs: kongs.proxies}
		g.Spec.Policy.Upstreams.Allow = []v1alpha1.AllowedUpstream{{CIDRs: upstreamNetworks()}}
		create(ctx, g)
		applyAll(ctx, gateways[1])
		DeferCleanup(func() {
			ctx, cancel := background()
			defer cancel()
			remove(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
			remove(ctx, g)
		})
		for _, file := range []string{"02-my-api", "03-john", "04-user-api", "05-admin", "06-worker"} {
			applyAll(ctx, sample("tutorial/"+file+".yaml"))
		}
		named := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: namespace, Name: name} }
		awaitReady(ctx, g)
		for _, o := range []client.Object{
			&v1alpha1.JwtProtectedService{ObjectMeta: named("my-api")}, &v1alpha1.JwtConsumer{ObjectMeta: named("john")},
			&v1alpha1.JwtProtectedService{ObjectMeta: named("user-api")}, &v1alpha1.JwtConsumer{ObjectMeta: named("admin")},
			&v1alpha1.JwtToken{ObjectMeta: named("admin")}, &v1alpha1.JwtConsumer{ObjectMeta: named("worker")},
		} {
			awaitReady(ctx, o)
		}
		signed = sign("HS256", readSecret(ctx, namespace, "john-jwt").Data["secret"], "user-issuer")
	})

	It("answers John, and nobody without a token", func(ctx SpecContext) {
		expectRefused(ctx, at("/api"), http.StatusUnauthorized, "Unauthorized")
		expectPassed(ctx, at("/api").with(signed), HaveKeyWithValue("X-Consumer-Username", "john"))
	})

	It("lets administrators in to users, a few times a minute, and not John", func(ctx SpecContext) {
		expectRefused(ctx, at("/users").with(signed), http.StatusForbidden, "You cannot consume this service")
		admin := strings.TrimPrefix(string(readSecret(ctx, namespace, "admin-token").Data["authorization"]), "Bearer ")
		var all []answer
		for range 16 { // each Kong counts by itself
			a, err := at("/users").with(admin).send(ctx)
			Expect(err).NotTo(HaveOccurred())
			all = append(all, a)
		}
		Expect(statuses(all)).To(Equal([]int{http.StatusOK, http.StatusTooManyRequests}))
	})

	It("step 6: rotates the worker, and has both of its Secrets on its KongConsumer", func(ctx SpecContext) {
		worker := &v1alpha1.JwtConsumer{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "worker"}}
		signedBy := func() string {
			made := readSecret(ctx, namespace, "worker-credential")
			return sign("HS256", signingKeyOf(made), string(made.Data["key"]))
		}
		former := signedBy()
		update(ctx, worker, func(c *v1alpha1.JwtConsumer) {
			c.Annotations = map[string]string{v1alpha1.AnnotationRotate: "now"}
		})
		states := func(g Gomega) []v1alpha1.CredentialState {
			g.Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(worker), worker)).To(Succeed())
			var states []v1alpha1.CredentialState
			for _, c := range worker.Status.Credentials {
				states = append(states, c.State)
			}
			return states
		}
		Eventually(states).WithContext(ctx).
			Should(ConsistOf(v1alpha1.CredentialActive, v1alpha1.CredentialRetiring))
		expectPassed(ctx, at("/api").with(former), HaveKeyWithValue("X-Consumer-Username", "worker"))
		expectPassed(ctx, at("/api").with(signedBy()), HaveKeyWithValue("X-Consumer-Username", "worker"))
		Expect(signedBy()).NotTo(Equal(former))
		consumers := &unstructured.UnstructuredList{}
		consumers.SetAPIVersion(kicsim.Group + "/v1")
		consumers.SetKind("KongConsumerList")
		Expect(env.Client.List(ctx, consumers)).To(Succeed())
		named := 0
		for _, o := range consumers.Items {
			if o.GetAnnotations()["kongjwt.dev/owner"] != v1alpha1.KindJwtConsumer+":"+namespace+":worker" {
				continue
			}
			names, _, _ := unstructured.NestedStringSlice(o.Object, "credentials")
			for _, name := range names {
				var secret corev1.Secret
				Expect(env.Client.Get(ctx, client.ObjectKey{Namespace: o.GetNamespace(), Name: name}, &secret)).To(Succeed())
				if secret.Labels["konghq.com/credential"] == "jwt" {
					named++
				}
			}
		}
		Expect(named).To(Equal(2))
	})

	It("step 7: takes all of it out of Kong, resources first and then the gateway", func(ctx SpecContext) {
		remove(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
		expectRefused(ctx, at("/api").with(signed), http.StatusNotFound, "no Route matched")
		remove(ctx, &v1alpha1.KongGateway{ObjectMeta: metav1.ObjectMeta{Name: "default"}})
		Expect(writtenFor(ctx, "default", namespace)).To(BeEmpty())
		Eventually(kongs.entitiesWith).WithContext(ctx).WithArguments("worker").Should(BeEmpty())
	})
})
