package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kicsim"
)

// handWritten is a consumer as people write it for an ingress controller: namespace, name, class, key, material,
// group.
const handWritten = `
apiVersion: v1
kind: Secret
metadata: {namespace: %[1]s, name: %[2]s-jwt, labels: {konghq.com/credential: jwt}}
stringData: {key: "%[4]s", algorithm: HS256, secret: "%[5]s"}
---
apiVersion: v1
kind: Secret
metadata: {namespace: %[1]s, name: %[2]s-group, labels: {konghq.com/credential: acl}}
stringData: {group: "%[6]s"}
---
apiVersion: configuration.konghq.com/v1
kind: KongConsumer
metadata: {namespace: %[1]s, name: %[2]s, annotations: {kubernetes.io/ingress.class: %[3]s}}
username: %[4]s
credentials: [%[2]s-jwt, %[2]s-group]
`

var _ = Describe("A KongConsumer that somebody wrote by hand", Ordered, Serial, Label("ingress"), func() {
	const material = "a secret by hand, longer than thirty-two bytes"
	var (
		kongs     *controlled
		namespace string
		owned     *v1alpha1.KongGateway
		caller    *v1alpha1.JwtConsumer
	)
	path := func() call { return at(pathOfService(namespace, "api")) }
	consumerObject := func(ctx SpecContext, name string) *unstructured.Unstructured {
		o := &unstructured.Unstructured{}
		o.SetAPIVersion(kicsim.Group + "/v1")
		o.SetKind("KongConsumer")
		Expect(env.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, o)).To(Succeed())
		return o
	}
	write := func(ctx SpecContext, name string) {
		applyAll(ctx, fmt.Appendf(nil, handWritten, namespace, name, kongs.class, named(name), material, named("staff")))
	}

	BeforeAll(func(ctx SpecContext) {
		kongs = newControlled(ctx)
		owned = kongs.gateway(ctx, "takeover")
		namespace = newNamespace(ctx, "takeover")
		service := newService(namespace, "api", func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.GatewayRef.Name, s.Access = owned.Name, &v1alpha1.Access{Groups: []string{named("staff")}}
		})
		create(ctx, service)
		write(ctx, "caller")
		awaitReady(ctx, owned, service)
		expectPassed(ctx, path().with(sign("HS256", []byte(material), named("caller"))))
	})

	It("becomes a JwtConsumer's, by import --keep, with nothing refused", func(ctx SpecContext) {
		before := consumerObject(ctx, "caller")
		clients, living := startTraffic(ctx, env.ProxyURL+path().path)
		DeferCleanup(clients.stop)
		Expect(clients.add(living, namespace, "caller-jwt", signing)).To(Succeed())

		secrets := &unstructured.UnstructuredList{}
		secrets.SetAPIVersion("v1")
		secrets.SetKind("SecretList")
		Expect(env.Client.List(ctx, secrets, client.InNamespace(namespace))).To(Succeed())
		list := map[string]any{"apiVersion": "v1", "kind": "List", "items": append(secrets.Items, *before)}
		manifests, err := json.Marshal(list)
		Expect(err).NotTo(HaveOccurred())
		dir := filepath.Join(GinkgoT().TempDir(), "out")
		kongjwt(ctx, string(manifests), "import", "--from-kic", "-", "--keep", "-n", namespace, "--gateway", owned.Name,
			"--output-dir", dir)
		files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
		Expect(err).NotTo(HaveOccurred())
		for _, file := range files {
			content, err := os.ReadFile(file)
			Expect(err).NotTo(HaveOccurred())
			if !strings.HasSuffix(file, "kustomization.yaml") {
				applyAll(ctx, content)
			}
		}
		var all v1alpha1.JwtConsumerList
		Expect(env.Client.List(ctx, &all, client.InNamespace(namespace))).To(Succeed())
		Expect(all.Items).To(HaveLen(1))
		caller = &all.Items[0]
		awaitReady(ctx, caller)
		expectPassed(ctx, path().with(sign("HS256", []byte(material), named("caller"))))
		clients.end("a KongConsumer is taken over")
		Expect(clients.refused.Load()).To(BeZero(), clients.firstRefusal())

		after := consumerObject(ctx, "caller")
		Expect(after.GetUID()).To(Equal(before.GetUID()), "it is the same object")
		Expect(after.GetLabels()).To(HaveKeyWithValue("app.kubernetes.io/managed-by", v1alpha1.ManagedBy))
		Expect(after.Object["credentials"]).To(ContainElements("caller-jwt", "caller-group"))
	})

	It("is then changed as all are: what leaves its list is out of Kong", func(ctx SpecContext) {
		another := "another secret, of more than thirty-two bytes"
		source := readSecret(ctx, namespace, caller.Spec.Credentials[0].SecretRef.Name)
		update(ctx, source, func(s *corev1.Secret) { s.Data["secret"] = []byte(another) })
		expectPassed(ctx, path().with(sign("HS256", []byte(another), named("caller"))))
		expectRefused(ctx, path().with(sign("HS256", []byte(material), named("caller"))), http.StatusUnauthorized,
			"Invalid signature")
		awaitReady(ctx, caller)
		Expect(consumerObject(ctx, "caller").Object["credentials"]).NotTo(ContainElement("caller-jwt"))
		awaitGone(ctx, newSecret(namespace, "caller-jwt", nil))
		remove(ctx, caller)
		awaitGone(ctx, newSecret(namespace, "caller-group", nil))
	})

	It("stays as it is where the JwtConsumer wants something else", func(ctx SpecContext) {
		write(ctx, "other")
		stranger := newConsumer(namespace, "stranger", func(s *v1alpha1.JwtConsumerSpec) {
			s.GatewayRef.Name, s.Username = owned.Name, named("other")
			s.Credentials = []v1alpha1.Credential{generated("primary", "HS256", "stranger-made")}
		})
		stranger.Annotations = map[string]string{v1alpha1.AnnotationTakeOver: "other"}
		create(ctx, stranger)
		awaitReason(ctx, stranger, v1alpha1.ReasonConflict,
			"KongConsumer "+namespace+"/other is not taken over, as its Secret other-jwt is no credential")
		expectPassed(ctx, path().with(sign("HS256", []byte(material), named("other"))))
		remove(ctx, stranger)
		expectPassed(ctx, path().with(sign("HS256", []byte(material), named("other"))))
	})
})
