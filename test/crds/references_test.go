package crds

import (
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// What a tenant writes names Secrets, Services, consumers and credentials of the resource's own namespace: there is
// no field for another. Whom a service lets in is the one exception, and gives nothing of the consumer's away.
func TestTenantsReferToTheirOwnNamespaceAlone(t *testing.T) {
	references := 0
	for _, definition := range readDefinitions(t) {
		if definition.Spec.Scope == apiextensionsv1.ClusterScoped {
			continue
		}
		kind := definition.Spec.Names.Kind
		spec := definition.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
		for _, path := range fieldsOf(spec, "spec") {
			if strings.HasSuffix(strings.ToLower(path), "ref.name") {
				references++
			}
			name := strings.ToLower(path[strings.LastIndex(path, ".")+1:])
			if strings.Contains(name, "namespace") && path != "spec.access.consumers[].namespace" && path != "spec.access.consumerNamespaces" {
				t.Errorf("%s has %s: a tenant could name what is another's", kind, path)
			}
		}
	}
	if references < 8 {
		t.Errorf("found %d references only", references)
	}
}

// fieldsOf lists the paths of all fields below a schema.
func fieldsOf(schema apiextensionsv1.JSONSchemaProps, path string) []string {
	paths := []string{path}
	for name, property := range schema.Properties {
		paths = append(paths, fieldsOf(property, path+"."+name)...)
	}
	if schema.Items != nil && schema.Items.Schema != nil {
		paths = append(paths, fieldsOf(*schema.Items.Schema, path+"[]")[1:]...)
	}
	return paths
}
