package chart

import (
	"context"
	"regexp"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/test/testenv"
)

// step is one of the numbered steps of NOTES.txt.
var step = regexp.MustCompile(`(?m)^  (\d)\. (.*)$`)

// heredoc is what a step pipes into kubectl apply.
var heredoc = regexp.MustCompile(`(?s)kubectl apply -f - <<EOF\n(.*?)\n *EOF`)

var _ = Describe("The notes after an installation", func() {
	BeforeEach(func() { Expect(testenv.InstallCRDs(config)).To(Succeed()) })

	// notes gives what helm prints after an installation for trial.
	notes := func(ctx context.Context, settings ...string) string {
		GinkgoHelper()
		arguments := []string{"install", release, chartPath, "--dry-run=client"}
		for _, setting := range settings {
			arguments = append(arguments, "--set", setting)
		}
		_, text, found := strings.Cut(mustHelm(ctx, arguments...), "\nNOTES:\n")
		Expect(found).To(BeTrue())
		return text
	}

	DescribeTable("say the next three commands, and what they apply is taken", func(ctx SpecContext, settings []string, applied []string, says ...string) {
		text := notes(ctx, settings...)
		Expect(step.FindAllStringSubmatch(text, -1)).To(HaveLen(3), text)
		Expect(text).To(ContainSubstring("kubectl -n kong-jwt-system rollout status deployment/kong-jwt-operator"))
		for _, words := range says {
			Expect(text).To(ContainSubstring(words))
		}
		var kinds []string
		strict := client.WithFieldValidation(kube, metav1.FieldValidationStrict)
		for _, document := range heredoc.FindAllStringSubmatch(text, -1) {
			for _, object := range parse(strings.ReplaceAll(document[1], "\n     ", "\n")[5:]) {
				Expect(strict.Patch(ctx, object, client.Apply, client.DryRunAll, client.FieldOwner("notes"))).To(Succeed(), document[1]) //nolint:staticcheck // Of any kind.
				kinds = append(kinds, object.GetKind()+" "+object.GetNamespace()+"/"+object.GetName())
			}
		}
		Expect(kinds).To(Equal(applied))
	},
		Entry("where the gateway is yours to write", []string{}, []string{"KongGateway /default", "JwtConsumer default/john"},
			"kubectl -n default get jwtconsumer john", SpecTimeout(patience)),
		Entry("where the values make it", []string{"defaultGateway.enabled=true", "defaultGateway.name=edge", "defaultGateway.spec.adminAPI.url=http://127.0.0.1:1"},
			[]string{"JwtConsumer default/john"}, "kubectl wait --for=condition=Ready konggateway/edge", SpecTimeout(patience)),
		Entry("of some namespaces", []string{"watchNamespaces={team-a,team-b}"}, []string{"KongGateway /default", "JwtConsumer team-a/john"},
			"kubectl -n team-a get jwtconsumer john", "it acts on team-a, team-b", SpecTimeout(patience)),
	)
})
