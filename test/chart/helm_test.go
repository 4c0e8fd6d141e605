package chart

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// helm runs helm as a user does, in the operator's namespace, and gives what it printed.
func helm(ctx context.Context, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, environment("KJO_HELM"), append(arguments, "--namespace", namespace)...)
	// Not ginkgo's temporary folder: releases are uninstalled by cleanups, which have none.
	home, err := os.MkdirTemp("", "helm-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(home) }()
	command.Env = []string{"KUBECONFIG=" + kubeconfig, "HOME=" + home}
	var out, problems bytes.Buffer
	command.Stdout, command.Stderr = &out, &problems
	if err := command.Run(); err != nil {
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

// render gives the chart's objects for a file of values, without that of helm test.
func render(ctx context.Context, values string) []*unstructured.Unstructured {
	GinkgoHelper()
	return parse(mustHelm(ctx, "template", release, chartPath, "--skip-tests", "--values", values))
}
