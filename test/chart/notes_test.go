package chart

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
	"github.com/kongjwt/kong-jwt-operator/test/testenv"
)

// step is the line above the commands of a step of NOTES.txt.
var step = regexp.MustCompile(`(?m)^\d\. .*:$`)

var _ = Describe("The notes after an installation", func() {
	BeforeEach(func() { Expect(testenv.InstallCRDs(config)).To(Succeed()) })

	DescribeTable("are commands that do what they say, pasted into a shell as they are", func(ctx SpecContext, settings, makes []string, works bool, says ...string) {
		kong, err := kongsim.Start(kongsim.Options{})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(kong.Close)
		arguments := []string{"install", release, chartPath, "--set", "crds.enabled=false"}
		for _, setting := range settings {
			arguments = append(arguments, "--set", strings.ReplaceAll(setting, "KONG", kong.AdminURL()))
		}
		_, text, found := strings.Cut(mustHelm(ctx, arguments...), "\nNOTES:\n")
		Expect(found).To(BeTrue())
		made := named(makes)
		DeferCleanup(func(ctx SpecContext) {
			mustHelm(ctx, "uninstall", release)
			takeAway(ctx, made)
		})
		run(ctx, deployed(ctx))
		podsRun(ctx)

		steps := step.Split(text, -1)[1:]
		Expect(steps).To(HaveLen(3), text)
		for _, commands := range steps {
			text += paste(ctx, commands)
		}
		for _, words := range says {
			Expect(text).To(ContainSubstring(words))
		}
		expected := Equal(status.CurrentStatus)
		if !works {
			expected = Not(expected)
		}
		for _, object := range made {
			Eventually(func(g Gomega) {
				result := fares(ctx, g, object)
				g.Expect(result.Status).To(expected, result.Message)
			}).WithContext(ctx).Should(Succeed(), object.GetKind())
		}
	},
		// There is no Kong at the address that the notes have as an example.
		Entry("where the gateway is yours to write", []string{}, []string{"JwtConsumer default/john", "KongGateway /default"}, false,
			`"kong-jwt-operator" successfully rolled out`, "konggateway.kongjwt.dev/default created", SpecTimeout(2*patience)),
		Entry("where it is, under another name", []string{"defaultGateway.name=edge"}, []string{"JwtConsumer default/john", "KongGateway /edge"}, false,
			"konggateway.kongjwt.dev/edge created", SpecTimeout(2*patience)),
		Entry("where the values make it", []string{"defaultGateway.enabled=true", "defaultGateway.spec.adminAPI.url=KONG", "defaultGateway.spec.allowedNamespaces.from=All"},
			[]string{"JwtConsumer default/john", "KongGateway /default"}, true, "konggateway.kongjwt.dev/default condition met", SpecTimeout(2*patience)),
		Entry("where they make it under another name", []string{"defaultGateway.enabled=true", "defaultGateway.name=edge", "defaultGateway.spec.adminAPI.url=KONG",
			"defaultGateway.spec.allowedNamespaces.from=All"}, []string{"JwtConsumer default/john", "KongGateway /edge"}, true,
			"konggateway.kongjwt.dev/edge condition met", SpecTimeout(2*patience)),
		Entry("of some namespaces", []string{"watchNamespaces={team-a,team-b}"}, []string{"JwtConsumer team-a/john", "KongGateway /default"}, false,
			"it acts on team-a, team-b", SpecTimeout(2*patience)),
	)
})

// named gives objects of ours by kind, namespace and name.
func named(names []string) []*unstructured.Unstructured {
	GinkgoHelper()
	var objects []*unstructured.Unstructured
	for _, name := range names {
		kind, key, _ := strings.Cut(name, " ")
		object := &unstructured.Unstructured{}
		object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
		namespace, name, found := strings.Cut(key, "/")
		Expect(found).To(BeTrue(), key)
		object.SetNamespace(namespace)
		object.SetName(name)
		objects = append(objects, object)
	}
	return objects
}

// paste gives a shell some lines, as a terminal does, and returns what it showed.
func paste(ctx context.Context, lines string) string {
	GinkgoHelper()
	bin := GinkgoT().TempDir()
	Expect(os.Symlink(environment("KJO_KUBECTL"), filepath.Join(bin, "kubectl"))).To(Succeed())
	command := exec.CommandContext(ctx, "bash", "--noprofile", "--norc", "-e")
	command.Env = []string{"PATH=" + bin, "HOME=" + bin, "KUBECONFIG=" + kubeconfig}
	command.Stdin = strings.NewReader(lines)
	out, err := command.CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), "%s\n%s", lines, out)
	// Of a heredoc that does not end bash only warns, and takes what it has.
	Expect(string(out)).NotTo(ContainSubstring("here-document"), lines)
	return string(out)
}

// podsRun says of the operator's pods that they are ready, as a kubelet would.
func podsRun(ctx context.Context) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		var pods corev1.PodList
		g.Expect(kube.List(ctx, &pods, client.InNamespace(namespace))).To(Succeed())
		g.Expect(pods.Items).To(HaveLen(2))
		for i := range pods.Items {
			pods.Items[i].Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
			g.Expect(kube.Status().Update(ctx, &pods.Items[i])).To(Succeed())
		}
	}).WithContext(ctx).Should(Succeed())
}
