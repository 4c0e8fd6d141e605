package chart

import (
	"os"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

func read(path string) map[string]any {
	GinkgoHelper()
	content, err := os.ReadFile(path)
	Expect(err).NotTo(HaveOccurred())
	object := map[string]any{}
	Expect(yaml.Unmarshal(content, &object)).To(Succeed())
	return object
}

// rights lists what roles of a kind allow, one line a group, resource and verb.
func rights(objects []*unstructured.Unstructured, kind string, which func(*unstructured.Unstructured) bool) []string {
	GinkgoHelper()
	var lines []string
	for _, object := range objects {
		if object.GetKind() != kind || !which(object) {
			continue
		}
		var role rbacv1.ClusterRole
		Expect(runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &role)).To(Succeed())
		for _, rule := range role.Rules {
			for _, path := range rule.NonResourceURLs {
				lines = append(lines, path+" "+strings.Join(rule.Verbs, ","))
			}
			for _, group := range rule.APIGroups {
				for _, resource := range rule.Resources {
					for _, verb := range rule.Verbs {
						lines = append(lines, strings.Join([]string{group, resource, verb}, " "))
					}
				}
			}
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

var _ = Describe("The rights", func() {
	all := func(*unstructured.Unstructured) bool { return true }
	operators := func(o *unstructured.Unstructured) bool { return o.GetName() == release }
	inNamespace := func(name string) func(*unstructured.Unstructured) bool {
		return func(o *unstructured.Unstructured) bool { return o.GetNamespace() == name }
	}

	It("are those that the controllers say they need, and no more", func(ctx SpecContext) {
		content, err := os.ReadFile("../../config/rbac/role.yaml")
		Expect(err).NotTo(HaveOccurred())
		generated := parse(string(content))
		objects := render(ctx, "values/default.yaml")
		Expect(rights(objects, "ClusterRole", operators)).To(Equal(rights(generated, "ClusterRole", all)),
			"templates/_rules.tpl against config/rbac/role.yaml, which is generated from the markers in controllers/ and cmd/")
		Expect(rights(objects, "Role", inNamespace(namespace))).To(Equal(rights(generated, "Role", all)))
	}, SpecTimeout(patience))

	It("are the same in each watched namespace, and none on Secrets of others", func(ctx SpecContext) {
		wide := render(ctx, "values/default.yaml")
		narrow := render(ctx, "values/namespaced.yaml")
		cluster := rights(narrow, "ClusterRole", operators)
		for _, right := range cluster {
			Expect(right).NotTo(ContainSubstring("secrets"))
		}
		for _, name := range []string{"team-a", "team-b"} {
			together := append(slices.Clone(cluster), rights(narrow, "Role", inNamespace(name))...)
			slices.Sort(together)
			Expect(slices.Compact(together)).To(Equal(rights(wide, "ClusterRole", operators)))
		}
		// The namespace of its own is not watched: of Secrets it reads those of gateways there, and makes one.
		Expect(rights(narrow, "Role", inNamespace(namespace))).To(ContainElements(" secrets get", " secrets create"))
		Expect(rights(narrow, "Role", inNamespace(namespace))).NotTo(ContainElement(Or(Equal(" secrets update"), Equal(" secrets delete"))))
		Expect(rights(narrow, "Role", inNamespace("kong"))).To(Equal([]string{" secrets get", " secrets list", " secrets watch"}))
	}, SpecTimeout(patience))

	It("let the objects of an ingress controller be watched, also where few namespaces are", func(ctx SpecContext) {
		rendered := parse(mustHelm(ctx, "template", release, chartPath, "--set", "ingressController.enabled=true,watchNamespaces={team-a}"))
		Expect(rights(rendered, "ClusterRole", all)).To(ContainElements(
			"configuration.konghq.com kongconsumers watch", "configuration.konghq.com kongclusterplugins watch",
			"configuration.konghq.com kongplugins watch", "gateway.networking.k8s.io httproutes watch",
			"networking.k8s.io ingresses watch", " services watch", " secrets watch",
		))
	}, SpecTimeout(patience))

	It("hold no wildcard", func(ctx SpecContext) {
		for _, values := range valueSets() {
			for _, kind := range []string{"ClusterRole", "Role"} {
				for _, right := range rights(render(ctx, values), kind, all) {
					Expect(right).NotTo(ContainSubstring("*"))
				}
			}
		}
	}, SpecTimeout(patience))

	It("are explained, each rule by a comment above it", func(ctx SpecContext) {
		for _, values := range valueSets() {
			lines := strings.Split(mustHelm(ctx, "template", release, chartPath, "--values", values, "--show-only", "templates/rbac.yaml"), "\n")
			rules := 0
			for i, line := range lines {
				if strings.HasPrefix(line, "- apiGroups:") {
					rules++
					Expect(lines[i-1]).To(HavePrefix("# "), "%s: %s %s", values, line, lines[i+1])
				}
			}
			Expect(rules).To(BeNumerically(">", 10), values)
		}
	}, SpecTimeout(patience))

	It("of people are added to the cluster's own roles: to see, and to write, what belongs to a team, and no gateway", func(ctx SpecContext) {
		objects := render(ctx, "values/default.yaml")
		for role, writes := range map[string]bool{"view": false, "edit": true, "admin": true} {
			lines := rights(objects, "ClusterRole", func(o *unstructured.Unstructured) bool {
				return o.GetLabels()["rbac.authorization.k8s.io/aggregate-to-"+role] == "true"
			})
			var expected []string
			for _, resource := range []string{"jwtconsumers", "jwtprotectedservices", "jwttokens"} {
				verbs := []string{"get", "list", "watch"}
				if writes {
					verbs = append(verbs, "create", "update", "patch", "delete", "deletecollection")
				}
				for _, verb := range verbs {
					expected = append(expected, "kongjwt.dev "+resource+" "+verb)
				}
				expected = append(expected, "kongjwt.dev "+resource+"/status get")
			}
			Expect(lines).To(ConsistOf(expected), role)
		}
		Expect(rights(objects, "ClusterRole", func(o *unstructured.Unstructured) bool { return o.GetName() == release+"-gateway-view" })).To(ConsistOf(
			"kongjwt.dev konggateways get", "kongjwt.dev konggateways list", "kongjwt.dev konggateways watch",
			"kongjwt.dev konggateways/status get", "kongjwt.dev konggateways/status list", "kongjwt.dev konggateways/status watch"))
		seen := rights(render(ctx, "values/full.yaml"), "ClusterRole", func(o *unstructured.Unstructured) bool {
			return o.GetLabels()["rbac.authorization.k8s.io/aggregate-to-view"] == "true"
		})
		Expect(seen).To(ContainElements("kongjwt.dev konggateways list", "kongjwt.dev konggateways/status get"), "rbac.gatewayView")
		Expect(seen).NotTo(ContainElement(ContainSubstring("konggateways update")))
		Expect(render(ctx, "values/namespaced.yaml")).NotTo(ContainElement(HaveField("GetLabels()", HaveKey(HavePrefix("rbac.authorization.k8s.io/aggregate-to")))), "rbac.aggregate=false")
	}, SpecTimeout(patience))
})
