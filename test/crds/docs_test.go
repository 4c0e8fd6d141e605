package crds

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/kongjwt/kong-jwt-operator/test/docs"
)

// mistakes is the page of what is wrong, with what is said of it; controllers applies it.
const mistakes = "docs/reference/messages.md"

// What readers copy from a page is accepted: whole objects of ours, and parts of one over a valid object of the kind.
func TestYAMLOfTheDocsIsAccepted(t *testing.T) {
	kube := newClient(t)
	pages, err := docs.Pages("../..")
	if err != nil {
		t.Fatal(err)
	}
	applied := 0
	for _, page := range pages {
		for _, block := range page.Blocks {
			if block.Language != "yaml" || page.Path == mistakes {
				continue
			}
			t.Run(fmt.Sprintf("%s:%d", page.Path, block.Line), func(t *testing.T) {
				for _, o := range objectsOf(t, block) {
					applied++
					dryRun(t, kube, o)
				}
			})
		}
	}
	if applied == 0 {
		t.Error("nothing was applied")
	}
}

// objectsOf gives the objects of ours in a block.
func objectsOf(t *testing.T, block docs.Block) []*unstructured.Unstructured {
	t.Helper()
	if kind := block.PartOf(); kind != "" {
		part, err := yaml.YAMLToJSON([]byte(block.Text))
		if err != nil {
			t.Fatal(err)
		}
		return []*unstructured.Unstructured{object(t, kind, string(part))}
	}
	var ours []*unstructured.Unstructured
	for _, document := range strings.Split("\n"+block.Text, "\n---\n") {
		if !strings.Contains(document, "\napiVersion: kongjwt.dev/") {
			continue
		}
		o := &unstructured.Unstructured{}
		if err := yaml.UnmarshalStrict([]byte(document), &o.Object); err != nil {
			t.Fatal(err)
		}
		ours = append(ours, o)
	}
	return ours
}

// dryRun applies an object as `kubectl apply --server-side --dry-run=server` does.
func dryRun(t *testing.T, kube client.Client, o *unstructured.Unstructured) {
	t.Helper()
	o.SetGenerateName("")
	if o.GetName() == "" {
		o.SetName("part")
	}
	if o.GetKind() != "KongGateway" {
		o.SetNamespace("default") // the page's is not there
	}
	strict := client.WithFieldValidation(kube, "Strict")
	err := strict.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(o), client.FieldOwner("docs"), client.ForceOwnership, client.DryRunAll)
	if err != nil {
		t.Errorf("%s %s: %v", o.GetKind(), o.GetName(), err)
	}
}
