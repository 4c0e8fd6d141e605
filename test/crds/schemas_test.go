package crds

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

const (
	definitions = "../../config/crd/bases/*.yaml"
	samples     = "../../config/samples/*/*.yaml"
)

// readDefinitions reads what make generate wrote.
func readDefinitions(t *testing.T) []apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	files, err := filepath.Glob(definitions)
	if err != nil || len(files) != len(valid) {
		t.Fatalf("got %d definitions, %v; want %d", len(files), err, len(valid))
	}
	var all []apiextensionsv1.CustomResourceDefinition
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var definition apiextensionsv1.CustomResourceDefinition
		if err := yaml.Unmarshal(content, &definition); err != nil {
			t.Fatal(err)
		}
		all = append(all, definition)
	}
	return all
}

func TestSamplesAreAccepted(t *testing.T) {
	kube := newClient(t)
	files, err := filepath.Glob(samples)
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			for _, o := range read(t, file) {
				applied := client.ApplyConfigurationFromUnstructured(o)
				if err := kube.Apply(t.Context(), applied, client.FieldOwner("samples"), client.ForceOwnership); err != nil {
					t.Errorf("%s %s: %v", o.GetKind(), o.GetName(), err)
				}
				// Another sample's of the same name may be of another kind of Kong.
				if o.GetKind() == "KongGateway" {
					t.Cleanup(func() { _ = kube.Delete(context.WithoutCancel(t.Context()), o) })
				}
			}
		})
	}
}

func read(t *testing.T, file string) []*unstructured.Unstructured {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var objects []*unstructured.Unstructured
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096)
	for {
		o := &unstructured.Unstructured{}
		err := decoder.Decode(o)
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, o)
	}
}

// Server-side apply merges a set with what is there and nobody owns, as a default is: a list with one could not be
// made shorter.
func TestNoListWithADefaultIsMerged(t *testing.T) {
	var walk func(t *testing.T, path string, schema *apiextensionsv1.JSONSchemaProps)
	walk = func(t *testing.T, path string, schema *apiextensionsv1.JSONSchemaProps) {
		if kind := schema.XListType; schema.Default != nil && kind != nil && *kind != "atomic" {
			t.Errorf("%s: a %s with a default", path, *kind)
		}
		for name, property := range schema.Properties {
			walk(t, path+"."+name, &property)
		}
		if schema.Items != nil && schema.Items.Schema != nil {
			walk(t, path+"[]", schema.Items.Schema)
		}
	}
	for _, definition := range readDefinitions(t) {
		for _, version := range definition.Spec.Versions {
			walk(t, definition.Spec.Names.Kind, version.Schema.OpenAPIV3Schema)
		}
	}
}

func TestServerSideApplyMakesAListShorter(t *testing.T) {
	kube := newClient(t)
	apply := func(policy map[string]any) *unstructured.Unstructured {
		t.Helper()
		gateway := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "kongjwt.dev/v1alpha1", "kind": "KongGateway", "metadata": map[string]any{"name": "shorter"},
			"spec": map[string]any{"adminAPI": map[string]any{"url": "http://127.0.0.1:8001"}, "policy": policy},
		}}
		applied := client.ApplyConfigurationFromUnstructured(gateway)
		if err := kube.Apply(t.Context(), applied, client.FieldOwner("owner"), client.ForceOwnership); err != nil {
			t.Fatal(err)
		}
		stored := &unstructured.Unstructured{}
		stored.SetGroupVersionKind(gateway.GroupVersionKind())
		if err := kube.Get(t.Context(), client.ObjectKey{Name: "shorter"}, stored); err != nil {
			t.Fatal(err)
		}
		return stored
	}
	plugins := func(o *unstructured.Unstructured) []string {
		list, _, _ := unstructured.NestedStringSlice(o.Object, "spec", "policy", "plugins")
		return list
	}
	if list := plugins(apply(map[string]any{})); len(list) < 2 {
		t.Fatalf("the default is %v", list)
	}
	if list := plugins(apply(map[string]any{"plugins": []any{"cors"}})); len(list) != 1 {
		t.Errorf("%v after one of them was applied", list)
	}
}
