package e2e

import (
	"os"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// statusAnswer is what status says with -o json.
type statusAnswer struct {
	Works     bool
	Resources []struct{ Kind, Namespace, Name, Health, Reason, Message, Remedy string }
}

// names are "Kind name health", in the order of the answer.
func (a statusAnswer) names() (names []string) {
	for _, r := range a.Resources {
		names = append(names, r.Kind+" "+r.Name+" "+r.Health)
	}
	return names
}

var _ = Describe("kubectl kongjwt status", Ordered, func() {
	var namespace string
	var lacking *v1alpha1.JwtConsumer

	BeforeAll(func(ctx SpecContext) {
		namespace = newNamespace(ctx, "status")
		service := newService(namespace, "orders")
		caller := newConsumer(namespace, "caller", func(s *v1alpha1.JwtConsumerSpec) {
			s.Credentials = []v1alpha1.Credential{{Name: "made", Generate: &v1alpha1.Generate{SecretName: "made", Rotation: &v1alpha1.Rotation{Interval: "720h", Overlap: "24h"}}}}
		})
		token := newToken(namespace, "caller", "made")
		lacking = newConsumer(namespace, "lacking", func(s *v1alpha1.JwtConsumerSpec) {
			s.Credentials = []v1alpha1.Credential{referenced("primary", "HS256", named("lacking"), "not-there")}
		})
		create(ctx, service, caller, token, lacking)
		awaitReady(ctx, service, caller, token)
		awaitReason(ctx, lacking, v1alpha1.ReasonSecretNotFound)
	})

	It("has what is wrong first, with what to do", func(ctx SpecContext) {
		out, code := kongjwt(ctx, "", "status", "-n", namespace)
		Expect(code).To(Equal(1))
		Expect(out).To(MatchRegexp(`(?s)JwtConsumer +2 .*What needs a look\nJwtConsumer ` + namespace + `/lacking: Stalled, SecretNotFound.*not-there.*\n    -> Create the Secret.*Next rotations.*caller +made +in 2\dd`))

		said, code := answered[statusAnswer](ctx, "", "status", "-n", namespace)
		Expect(code).To(Equal(1))
		Expect(said.Works).To(BeFalse())
		Expect(said.names()).To(HaveExactElements(
			"JwtConsumer lacking Stalled", "KongGateway "+gateway.Name+" Ready", "JwtConsumer caller Ready", "JwtProtectedService orders Ready", HavePrefix("JwtToken ")))
	})

	It("finds them in all namespaces", func(ctx SpecContext) {
		said, _ := answered[statusAnswer](ctx, "", "status", "-A")
		Expect(said.names()).To(ContainElements("JwtConsumer lacking Stalled", "KongGateway "+gateway.Name+" Ready"))
	})

	It("reads with the rights of who asks", func(ctx SpecContext) {
		role := &rbacv1.Role{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "reader"},
			Rules:      []rbacv1.PolicyRule{{APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"jwtconsumers"}, Verbs: []string{"list"}}},
		}
		binding := &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "reader"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "reader"},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "somebody"}},
		}
		create(ctx, role, binding)
		Eventually(func(g Gomega) {
			run := runPlugin(ctx, "", "status", "-n", namespace, "--as", "somebody")
			g.Expect(run.code).To(Equal(1), run.stderr)
			g.Expect(run.stdout).To(ContainSubstring("lacking"))
			g.Expect(run.stdout).To(ContainSubstring("Not shown, as you may not list them: KongGateway, JwtProtectedService, JwtToken"))
		}).WithContext(ctx).Should(Succeed())
		run := runPlugin(ctx, "", "status", "-A", "--as", "somebody")
		Expect(run.code).To(Equal(2))
		Expect(run.stderr).To(HavePrefix("error: you may list none of the operator's kinds in all namespaces"))
	})

	It("prints anew with every change, until it is interrupted", func(ctx SpecContext) {
		screen := gbytes.NewBuffer()
		watching := command(ctx, "", "status", "-n", namespace, "--watch")
		watching.Stdout, watching.Stderr = screen, GinkgoWriter
		Expect(watching.Start()).To(Succeed())
		Eventually(screen).WithContext(ctx).Should(gbytes.Say("lacking: Stalled"))
		create(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "not-there"}, StringData: map[string]string{"secret": strings.Repeat("long enough ", 4)},
		})
		Eventually(screen).WithContext(ctx).Should(gbytes.Say("Nothing is wrong."))
		Expect(watching.Process.Signal(os.Interrupt)).To(Succeed())
		Expect(watching.Wait()).To(Succeed())

		out, code := kongjwt(ctx, "", "status", "-n", namespace, "-o", "name")
		Expect(code).To(BeZero())
		Expect(strings.Fields(out)).To(ContainElements("jwtconsumer.kongjwt.dev/lacking", "jwtprotectedservice.kongjwt.dev/orders", "konggateway.kongjwt.dev/"+gateway.Name))
	})
})
