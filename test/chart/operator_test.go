package chart

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
	"github.com/kongjwt/kong-jwt-operator/test/testenv"
)

// tokenOf gives a token of a ServiceAccount, as a pod would have it.
func tokenOf(ctx context.Context, account *corev1.ServiceAccount) string {
	GinkgoHelper()
	request := &authenticationv1.TokenRequest{}
	Expect(kube.SubResource("token").Create(ctx, account, request)).To(Succeed())
	return request.Status.Token
}

// bind lets a ServiceAccount read metrics, by the chart's role, until the spec ends.
func bind(ctx context.Context, where, name string) {
	GinkgoHelper()
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: where + "-" + name + "-reads"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: release + "-metrics-reader"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: where, Name: name}},
	}
	Expect(kube.Create(ctx, binding)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) { Expect(kube.Delete(ctx, binding)).To(Succeed()) })
}

// newAccount makes a ServiceAccount until the spec ends.
func newAccount(ctx context.Context, where, name string) *corev1.ServiceAccount {
	GinkgoHelper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: where, Name: name}}
	Expect(kube.Create(ctx, account)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) { Expect(kube.Delete(ctx, account)).To(Succeed()) })
	return account
}

// address is one on loopback that is free.
func address() string {
	GinkgoHelper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	Expect(listener.Close()).To(Succeed())
	return listener.Addr().String()
}

// operator is the binary, under the chart's account, with the chart's arguments.
type operator struct {
	metrics, probes, log string
	command              *exec.Cmd
}

// startOperator applies what the chart renders, and runs what its Deployment says: nobody runs Pods here.
func startOperator(ctx context.Context, values string) operator {
	GinkgoHelper()
	return run(ctx, grant(ctx, values))
}

// grant makes the chart's account and roles, and gives the arguments of its Deployment.
func grant(ctx context.Context, values string) []string {
	GinkgoHelper()
	var arguments []string
	for _, object := range render(ctx, values) {
		switch object.GetKind() {
		case "Deployment":
			containers, _, err := unstructured.NestedSlice(object.Object, "spec", "template", "spec", "containers")
			Expect(err).NotTo(HaveOccurred())
			arguments, _, err = unstructured.NestedStringSlice(containers[0].(map[string]any), "args")
			Expect(err).NotTo(HaveOccurred())
		case "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding":
			Expect(kube.Create(ctx, object)).To(Succeed())
			DeferCleanup(func(ctx SpecContext) { Expect(kube.Delete(ctx, object)).To(Succeed()) })
		}
	}
	return arguments
}

// run runs the binary with arguments of the Deployment, on addresses of its own. It stops with the spec, or before by
// stop.
func run(ctx context.Context, arguments []string) operator {
	GinkgoHelper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: release}}
	started := operator{metrics: address(), probes: address(), log: filepath.Join(GinkgoT().TempDir(), "operator.log")}
	arguments = append(slices.DeleteFunc(slices.Clone(arguments), func(argument string) bool {
		return strings.HasPrefix(argument, "--metrics-bind-address=") || strings.HasPrefix(argument, "--health-probe-bind-address=")
	}), "--namespace="+namespace, "--kubeconfig="+kubeconfigOf(tokenOf(ctx, account)),
		"--metrics-bind-address="+started.metrics, "--health-probe-bind-address="+started.probes)

	log, err := os.Create(started.log)
	Expect(err).NotTo(HaveOccurred())
	started.command = exec.Command(environment("KJO_MANAGER"), arguments...)
	started.command.Stdout, started.command.Stderr = log, log
	Expect(started.command.Start()).To(Succeed())
	DeferCleanup(func() {
		started.stop()
		Expect(log.Close()).To(Succeed())
	})
	return started
}

// helmTest runs what the pod of helm test runs, under the chart's account.
func helmTest(ctx context.Context, values string) {
	GinkgoHelper()
	objects := parse(mustHelm(ctx, "template", release, chartPath, "--values", values, "--show-only", "templates/tests/check.yaml"))
	Expect(objects).To(HaveLen(1))
	Expect(objects[0].GetAnnotations()).To(HaveKeyWithValue("helm.sh/hook", "test"))
	var pod corev1.Pod
	Expect(runtime.DefaultUnstructuredConverter.FromUnstructured(objects[0].Object, &pod)).To(Succeed())
	Expect(kube.Create(ctx, pod.DeepCopy(), client.DryRunAll)).To(Succeed(), "the restricted standard admits it")
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: pod.Spec.ServiceAccountName}}
	arguments := append(pod.Spec.Containers[0].Args, "--namespace="+namespace, "--kubeconfig="+kubeconfigOf(tokenOf(ctx, account)))
	out, err := exec.CommandContext(ctx, environment("KJO_MANAGER"), arguments...).CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(out))
	Expect(string(out)).To(ContainSubstring("An operator leads, and every KongGateway is Ready."))
}

// stop asks it to end, and waits until it has.
func (o operator) stop() {
	GinkgoHelper()
	if o.command.ProcessState != nil {
		return
	}
	Expect(o.command.Process.Signal(syscall.SIGTERM)).To(Succeed())
	_ = o.command.Wait()
}

func kubeconfigOf(token string) string {
	GinkgoHelper()
	file := clientcmdapi.NewConfig()
	file.Clusters["c"] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	file.AuthInfos["c"] = &clientcmdapi.AuthInfo{Token: token}
	file.Contexts["c"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "c"}
	file.CurrentContext = "c"
	path := filepath.Join(GinkgoT().TempDir(), "kubeconfig")
	Expect(clientcmd.WriteToFile(*file, path)).To(Succeed())
	return path
}

// scrape reads the metrics with a token.
func (o operator) scrape(ctx context.Context, token string) (int, string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+o.metrics+"/metrics", nil)
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	insecure := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	response, err := insecure.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}

var _ = Describe("The operator under the chart's rights", func() {
	var kong *kongsim.Server
	var gateway *v1alpha1.KongGateway

	BeforeEach(func(ctx SpecContext) {
		Expect(testenv.InstallCRDs(config)).To(Succeed())
		var err error
		kong, err = kongsim.Start(kongsim.Options{})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(kong.Close)
		gateway = &v1alpha1.KongGateway{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("rights-%d", time.Now().UnixNano())},
			Spec: v1alpha1.KongGatewaySpec{
				AdminAPI: v1alpha1.AdminAPI{URL: kong.AdminURL(), Auth: &v1alpha1.AdminAuth{
					SecretRef: v1alpha1.SecretKeyReference{SecretReference: v1alpha1.SecretReference{Namespace: namespace, Name: "admin-" + release}, Key: "token"},
				}},
				AllowedNamespaces: v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesAll},
				DataPlanes:        &v1alpha1.DataPlanes{URLs: []string{kong.ProxyURL()}},
			},
		}
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "admin-" + release}, StringData: map[string]string{"token": "t"}}
		Expect(kube.Create(ctx, secret)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) {
			Expect(kube.Delete(ctx, secret)).To(Succeed())
			// Each run makes what probes are derived from anew.
			seed := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "kong-jwt-operator-probe"}}
			Expect(client.IgnoreNotFound(kube.Delete(ctx, seed))).To(Succeed())
		})
	}, NodeTimeout(patience))

	// ready waits until a resource is as its spec is.
	ready := func(ctx context.Context, object client.Object, of func() (int64, []metav1.Condition)) {
		GinkgoHelper()
		Eventually(func(g Gomega) {
			g.Expect(kube.Get(ctx, client.ObjectKeyFromObject(object), object)).To(Succeed())
			observed, conditions := of()
			g.Expect(observed).To(Equal(object.GetGeneration()))
			g.Expect(apimeta.IsStatusConditionTrue(conditions, v1alpha1.ConditionReady)).To(BeTrue(), "%v", conditions)
		}).WithContext(ctx).Should(Succeed())
	}

	// works does all that takes a right: a consumer and a token are made, change the names of their Secrets, and
	// are deleted, and the gateway with them.
	works := func(ctx context.Context, where string, before func()) {
		GinkgoHelper()
		meta := metav1.ObjectMeta{Namespace: where, Name: "worker"}
		consumer := &v1alpha1.JwtConsumer{ObjectMeta: meta, Spec: v1alpha1.JwtConsumerSpec{
			GatewayRef:  v1alpha1.GatewayReference{Name: gateway.Name},
			Credentials: []v1alpha1.Credential{{Name: "a", Algorithm: "HS256", Generate: &v1alpha1.Generate{SecretName: "worker-secret"}}},
		}}
		signed := &v1alpha1.JwtToken{ObjectMeta: meta, Spec: v1alpha1.JwtTokenSpec{
			ConsumerRef: v1alpha1.CredentialReference{Name: "worker", Credential: "a"}, SecretName: "worker-token",
		}}
		ofConsumer := func() (int64, []metav1.Condition) {
			return consumer.Status.ObservedGeneration, consumer.Status.Conditions
		}
		ofToken := func() (int64, []metav1.Condition) { return signed.Status.ObservedGeneration, signed.Status.Conditions }
		Expect(kube.Create(ctx, consumer)).To(Succeed())
		Expect(kube.Create(ctx, signed)).To(Succeed())
		ready(ctx, consumer, ofConsumer)
		ready(ctx, signed, ofToken)
		consumer.Spec.Credentials[0].Generate.SecretName, signed.Spec.SecretName = "worker-secret-2", "worker-token-2"
		Expect(kube.Update(ctx, consumer)).To(Succeed())
		Expect(kube.Update(ctx, signed)).To(Succeed())
		ready(ctx, consumer, ofConsumer)
		ready(ctx, signed, ofToken)
		for _, former := range []string{"worker-secret", "worker-token"} {
			Expect(kube.Get(ctx, client.ObjectKey{Namespace: where, Name: former}, &corev1.Secret{})).To(Succeed(), "pods that start mount it")
		}
		before()
		for _, object := range []client.Object{signed, consumer, gateway} {
			Expect(kube.Delete(ctx, object)).To(Succeed())
		}
		Eventually(func(g Gomega) {
			g.Expect(client.IgnoreNotFound(kube.Get(ctx, client.ObjectKeyFromObject(consumer), consumer))).To(Succeed())
			g.Expect(kube.Get(ctx, client.ObjectKeyFromObject(gateway), gateway)).NotTo(Succeed(), "the finalizer goes")
		}).WithContext(ctx).Should(Succeed())
	}

	It("works in the whole cluster, and shows its metrics to whom the API server lets", func(ctx SpecContext) {
		running := startOperator(ctx, "values/default.yaml")
		Expect(kube.Create(ctx, gateway)).To(Succeed())

		reader := newAccount(ctx, "kong", "prometheus")
		token := tokenOf(ctx, reader)
		Eventually(func(g Gomega) {
			code, _, err := running.scrape(ctx, token)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(code).To(Equal(http.StatusForbidden), "known, but without the right")
		}).WithContext(ctx).Should(Succeed())
		code, _, err := running.scrape(ctx, "")
		Expect(err).NotTo(HaveOccurred())
		Expect(code).To(Equal(http.StatusUnauthorized))

		bind(ctx, reader.Namespace, reader.Name)
		var served string
		// A refusal is remembered for some seconds.
		Eventually(func(g Gomega) {
			code, body, err := running.scrape(ctx, token)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(code).To(Equal(http.StatusOK))
			g.Expect(body).To(ContainSubstring(`kongjwt_gateway_ready{gateway="` + gateway.Name + `"} 1`))
			served = body
		}).WithContext(ctx).Should(Succeed())
		Expect(served).To(ContainSubstring(`leader_election_master_status{name="kong-jwt-operator"} 1`))
		Expect(served).To(ContainSubstring(`kongjwt_admin_api_requests_total{code="200"`))
		reference, err := os.ReadFile("../../docs/reference/metrics.md")
		Expect(err).NotTo(HaveOccurred())
		for _, line := range strings.Split(served, "\n") {
			if ours, found := strings.CutPrefix(line, "# TYPE kongjwt_"); found {
				name, kind, _ := strings.Cut(ours, " ")
				Expect(string(reference)).To(ContainSubstring("| `kongjwt_%s` | %s |", name, kind))
			}
		}
		works(ctx, "default", func() { helmTest(ctx, "values/default.yaml") })
		Expect(os.ReadFile(running.log)).NotTo(ContainSubstring("forbidden"))
	}, SpecTimeout(2*patience))

	It("works in the namespaces that it is to watch, and looks at no other", func(ctx SpecContext) {
		running := startOperator(ctx, "values/namespaced.yaml")
		Expect(kube.Create(ctx, gateway)).To(Succeed())
		elsewhere := &v1alpha1.JwtConsumer{
			ObjectMeta: metav1.ObjectMeta{Namespace: "kong", Name: "elsewhere"},
			Spec:       v1alpha1.JwtConsumerSpec{GatewayRef: v1alpha1.GatewayReference{Name: gateway.Name}},
		}
		Expect(kube.Create(ctx, elsewhere)).To(Succeed())
		works(ctx, "team-a", func() {
			helmTest(ctx, "values/namespaced.yaml")
			Expect(kube.Get(ctx, client.ObjectKeyFromObject(elsewhere), elsewhere)).To(Succeed())
			Expect(elsewhere.Status.Conditions).To(BeEmpty())
			// The gateway would wait for it.
			Expect(kube.Delete(ctx, elsewhere)).To(Succeed())
		})
		Expect(os.ReadFile(running.log)).NotTo(ContainSubstring("forbidden"))
	}, SpecTimeout(2*patience))
})
