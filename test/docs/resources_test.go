package docs

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

// ofOthers are the resources that pages name and that are not the operator's, as kubectl takes them.
var ofOthers = strings.Fields("configmap customresourcedefinitions deployment events ingressclass ingresses kongclusterplugins kongconsumers " +
	"kongplugins namespace pod pods secret secrets service services")

// onResource matches a command of kubectl about resources, and what it names: a resource, several, or RESOURCE/NAME.
var onResource = regexp.MustCompile(`\bkubectl (?:-n \S+ )?(?:get|describe|annotate|delete|patch|edit|wait|label) (?:-[nA] ?\S* )?([a-z][a-z,./-]*)`)

// TestResourcesThatPagesNameExist: a resource in a command is one that the cluster has, once the chart is installed.
func TestResourcesThatPagesNameExist(t *testing.T) {
	known := slices.Clone(ofOthers)
	files, err := filepath.Glob(filepath.Join(root, "config/crd/bases/*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %d definitions", err, len(files))
	}
	for _, file := range files {
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.Unmarshal([]byte(read(t, strings.TrimPrefix(file, root+"/"))), &crd); err != nil {
			t.Fatal(err)
		}
		names := crd.Spec.Names
		known = append(append(append(known, names.Plural, names.Singular), names.ShortNames...), names.Categories...)
	}
	checked := 0
	commands(t, func(page string, line int, text string) {
		for _, found := range onResource.FindAllStringSubmatch(text, -1) {
			name, _, _ := strings.Cut(found[1], "/")
			for _, resource := range strings.Split(name, ",") {
				resource, _, _ = strings.Cut(resource, ".")
				if checked++; !slices.Contains(known, resource) {
					t.Errorf("%s:%d: kubectl knows no resource %s", page, line, resource)
				}
			}
		}
	})
	if checked < 20 {
		t.Errorf("%d resources found", checked)
	}
}
