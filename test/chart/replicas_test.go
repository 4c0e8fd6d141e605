package chart

import (
	"context"
	"net/http"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/test/testenv"
)

// container gives the chart's container for a file of values.
func container(ctx context.Context, values string) (corev1.Container, corev1.PodSpec) {
	GinkgoHelper()
	for _, object := range render(ctx, values) {
		if object.GetKind() == "Deployment" {
			var deployment appsv1.Deployment
			Expect(runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, &deployment, true)).To(Succeed())
			return deployment.Spec.Template.Spec.Containers[0], deployment.Spec.Template.Spec
		}
	}
	Fail("there is no Deployment")
	return corev1.Container{}, corev1.PodSpec{}
}

var _ = Describe("Replicas", func() {
	BeforeEach(func() { Expect(testenv.InstallCRDs(config)).To(Succeed()) })

	It("answer the probes at the ports and paths that the Deployment asks", func(ctx SpecContext) {
		running := startOperator(ctx, "values/default.yaml")
		rendered, _ := container(ctx, "values/default.yaml")
		ports := map[string]int32{}
		for _, port := range rendered.Ports {
			ports[port.Name] = port.ContainerPort
		}
		Expect(ports).To(Equal(map[string]int32{"probes": 8081, "metrics": 8443}))
		Expect(rendered.Args).To(ContainElements("--health-probe-bind-address=:8081", "--metrics-bind-address=:8443"))
		for _, probe := range []*corev1.Probe{rendered.StartupProbe, rendered.LivenessProbe, rendered.ReadinessProbe} {
			Expect(probe.HTTPGet.Port.String()).To(Equal("probes"))
			Eventually(func(g Gomega) {
				request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+running.probes+probe.HTTPGet.Path, nil)
				g.Expect(err).NotTo(HaveOccurred())
				response, err := http.DefaultClient.Do(request)
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(response.Body.Close()).To(Succeed())
				g.Expect(response.StatusCode).To(Equal(http.StatusOK), probe.HTTPGet.Path)
			}).WithContext(ctx).Should(Succeed())
		}
	}, SpecTimeout(2*patience))

	It("are two, of which one works; the other takes over when it goes", func(ctx SpecContext) {
		arguments := grant(ctx, "values/default.yaml")
		Expect(arguments).To(ContainElement("--leader-elect"))
		first := run(ctx, arguments)
		// looks makes a consumer of no gateway and waits until somebody has looked at it.
		looks := func(name string) {
			GinkgoHelper()
			consumer := &v1alpha1.JwtConsumer{
				ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: name},
				Spec:       v1alpha1.JwtConsumerSpec{GatewayRef: v1alpha1.GatewayReference{Name: "nowhere"}},
			}
			Expect(kube.Create(ctx, consumer)).To(Succeed())
			DeferCleanup(func(ctx SpecContext) { Expect(client.IgnoreNotFound(kube.Delete(ctx, consumer))).To(Succeed()) })
			Eventually(func(g Gomega) {
				g.Expect(kube.Get(ctx, client.ObjectKeyFromObject(consumer), consumer)).To(Succeed())
				g.Expect(consumer.Status.Conditions).NotTo(BeEmpty())
			}).WithContext(ctx).Should(Succeed())
		}
		looks("of-the-first")
		second := run(ctx, arguments)
		leads := func(o operator) func() (string, error) {
			return func() (string, error) {
				reader := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: release}}
				_, body, err := o.scrape(ctx, tokenOf(ctx, reader))
				return body, err
			}
		}
		bind(ctx, namespace, release)
		Eventually(leads(first)).WithContext(ctx).Should(ContainSubstring(`leader_election_master_status{name="kong-jwt-operator"} 1`))
		Eventually(leads(second)).WithContext(ctx).Should(And(
			ContainSubstring(`leader_election_master_status{name="kong-jwt-operator"} 0`),
			Not(ContainSubstring("\nkongjwt_resources{"))), "what is summed up is told by the one that works")
		first.stop()
		looks("of-the-second")
		Eventually(leads(second)).WithContext(ctx).Should(ContainSubstring(`leader_election_master_status{name="kong-jwt-operator"} 1`))
	}, SpecTimeout(2*patience))

	It("serve metrics with the certificate of a Secret, where the values name one", func(ctx SpecContext) {
		rendered, spec := container(ctx, "values/full.yaml")
		Expect(spec.Volumes).To(ContainElement(And(HaveField("Name", "metrics-certificate"), HaveField("Secret.SecretName", "metrics-tls"))))
		Expect(rendered.VolumeMounts).To(ContainElement(And(HaveField("Name", "metrics-certificate"), HaveField("ReadOnly", true))))
		for _, mount := range rendered.VolumeMounts {
			if mount.Name == "metrics-certificate" {
				Expect(rendered.Args).To(ContainElement("--metrics-cert-dir=" + mount.MountPath))
			}
		}
		plain, spec := container(ctx, "values/default.yaml")
		Expect(spec.Volumes).To(BeEmpty())
		Expect(strings.Join(plain.Args, " ")).NotTo(ContainSubstring("--metrics-cert-dir"))
	}, SpecTimeout(patience))
})
