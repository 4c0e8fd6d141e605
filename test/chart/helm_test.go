package chart

import (
	"bytes"
	"context"
	"os/exec"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"
)

// helm runs helm as a user does, in the operator's namespace, and gives what it printed.
func helm(ctx context.Context, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, environment("KJO_HELM"), append(arguments, "--namespace", namespace)...)
	home := GinkgoT().TempDir()
	command.Env = []string{"KUBECONFIG=" + kubeconfig, "HOME=" + home}
	var out, problems bytes.Buffer
	command.Stdout, command.Stderr = &out, &problems
	err := command.Run()
	if err != nil {
		return problems.String(), err
	}
	return out.String(), nil
}

// mustHelm is helm where a failure ends the spec.
func mustHelm(ctx context.Context, arguments ...string) string {
	GinkgoHelper()
	out, err := helm(ctx, arguments...)
	Expect(err).NotTo(HaveOccurred(), "helm %s:\n%s", strings.Join(arguments, " "), out)
	return out
}

// parse reads a stream of YAML documents.
func parse(stream string) []*unstructured.Unstructured {
	GinkgoHelper()
	var objects []*unstructured.Unstructured
	for _, document := range strings.Split("\n"+stream, "\n---") {
		object := map[string]any{}
		Expect(yaml.UnmarshalStrict([]byte(document), &object)).To(Succeed(), "%s", document)
		if len(object) > 0 {
			objects = append(objects, &unstructured.Unstructured{Object: object})
		}
	}
	return objects
}

// render gives the chart's objects for a file of values.
func render(ctx context.Context, values string) []*unstructured.Unstructured {
	GinkgoHelper()
	return parse(mustHelm(ctx, "template", release, chartPath, "--values", values))
}

// monitoringKind is a stand-in for a kind of the Prometheus operator, which takes everything.
func monitoringKind(kind string) *apiextensionsv1.CustomResourceDefinition {
	plural := strings.ToLower(kind) + "s"
	return &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: plural + ".monitoring.coreos.com"},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: "monitoring.coreos.com",
			Names: apiextensionsv1.CustomResourceDefinitionNames{Kind: kind, Plural: plural},
			Scope: apiextensionsv1.NamespaceScoped,
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: "v1", Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{
					Type: "object", XPreserveUnknownFields: ptr.To(true),
				}},
			}},
		},
	}
}
