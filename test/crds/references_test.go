package crds

import (
	"os"
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

// Each field that names a Secret has a spec which puts something recognizable into such a Secret, goes wrong with it
// where it can, and looks for it at the end in all that was said (expectNoCanary).
func TestEverySecretThatAResourceNamesIsWatched(t *testing.T) {
	specs := map[string]string{
		"JwtConsumer spec.credentials[].secretRef":                   "a public key that is none",
		"JwtConsumer spec.credentials[].jwks.caSecretRef":            "an authority of an issuer that is none",
		"JwtConsumer spec.credentials[].generate.secretName":         "expectNoCanary",
		"JwtConsumer spec.plugins[].configFrom[].secretRef":          "a configuration of a consumer's plugin that is no object",
		"JwtProtectedService spec.plugins[].configFrom[].secretRef":  "a configuration that is no YAML",
		"JwtToken spec.secretName":                                   "expectNoCanary",
		"KongGateway spec.adminAPI.auth.secretRef":                   "a gateway does not show its token, nor its client's key",
		"KongGateway spec.adminAPI.tls.caSecretRef":                  "a gateway does not show its token, nor its client's key",
		"KongGateway spec.adminAPI.tls.clientCertificateSecretRef":   "a gateway does not show its token, nor its client's key",
		"KongGateway spec.dataPlanes.tls.caSecretRef":                "an authority",
		"KongGateway spec.dataPlanes.tls.clientCertificateSecretRef": "a client's key",
		"KongGateway spec.egressProxy.caSecretRef":                   "an authority of a proxy that is none",
		"KongGateway spec.egressProxy.credentialsSecretRef":          "a proxy that refuses its credentials",
		"KongGateway spec.policy.redis[].passwordSecretRef":          "what somebody else changed in Kong is named by its field",
	}
	content, err := os.ReadFile("../e2e/canary_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, definition := range readDefinitions(t) {
		spec := definition.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
		for _, path := range fieldsOf(spec, "spec") {
			field := strings.ToLower(path[strings.LastIndex(path, ".")+1:])
			if !strings.HasSuffix(field, "secretref") && field != "secretname" {
				continue
			}
			reference := definition.Spec.Names.Kind + " " + path
			watched, known := specs[reference]
			if !known || !strings.Contains(string(content), watched) {
				t.Errorf("%s names a Secret, and no spec of test/e2e/canary_test.go watches what is in it (%q)", reference, watched)
			}
			delete(specs, reference)
		}
	}
	for reference := range specs {
		t.Errorf("no resource has %s", reference)
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
