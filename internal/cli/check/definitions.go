package check

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/schema"
)

// definitions says whether the cluster's CustomResourceDefinitions have the fields and rules of the plugin's. What is
// not there at all is left to kinds.
func definitions(ctx context.Context, kube client.Reader) []Finding {
	f := Finding{Name: "definitions", Outcome: passed, Detail: "they are those of this plugin"}
	embedded, err := schema.Definitions()
	if err != nil {
		f.Outcome, f.Detail = unknown, err.Error()
		return []Finding{f}
	}
	var older, other []string
	for _, want := range embedded {
		var have apiextensionsv1.CustomResourceDefinition
		switch err := kube.Get(ctx, client.ObjectKey{Name: want.Name}, &have); {
		case apierrors.IsNotFound(err):
			continue
		case err != nil:
			f.Outcome, f.Detail = unknown, err.Error()
			f.Remedy = "To ask takes the right to get customresourcedefinitions."
			return []Finding{f}
		}
		kind := want.Spec.Names.Kind
		wanted, had := schemaOf(want), schemaOf(have)
		switch lacking := lacks(fieldsOf(wanted), fieldsOf(had)); {
		case len(lacking) > 0:
			older = append(older, kind+" has no "+few(lacking))
		case !same(wanted, had):
			other = append(other, kind)
		}
	}
	switch {
	case len(older) > 0:
		f.Outcome, f.Detail = failed, "they are older than this plugin: "+strings.Join(older, "; ")
		f.Remedy = "Bring the CustomResourceDefinitions to the operator's version (kubectl kongjwt version), " +
			"or take the plugin of that version."
	case len(other) > 0:
		f.Outcome, f.Detail = unknown, "they are others than this plugin's: "+strings.Join(other, ", ")
		f.Remedy = "Take the plugin of the operator's version: kubectl kongjwt version."
	}
	return []Finding{f}
}

// schemaOf is the schema of the version that the plugin knows; nil where there is none.
func schemaOf(crd apiextensionsv1.CustomResourceDefinition) *apiextensionsv1.JSONSchemaProps {
	for _, version := range crd.Spec.Versions {
		if version.Name == v1alpha1.GroupVersion.Version && version.Schema != nil {
			return version.Schema.OpenAPIV3Schema
		}
	}
	return nil
}

// fieldsOf are the paths of all fields of a schema, such as spec.routes.hosts.
func fieldsOf(s *apiextensionsv1.JSONSchemaProps) []string {
	var fields []string
	var walk func(path string, s *apiextensionsv1.JSONSchemaProps)
	walk = func(path string, s *apiextensionsv1.JSONSchemaProps) {
		if s == nil {
			return
		}
		for name, property := range s.Properties {
			at := strings.TrimPrefix(path+"."+name, ".")
			fields = append(fields, at)
			walk(at, &property)
		}
		if s.Items != nil {
			walk(path, s.Items.Schema)
		}
		if s.AdditionalProperties != nil {
			walk(path, s.AdditionalProperties.Schema)
		}
	}
	walk("", s)
	slices.Sort(fields)
	return fields
}

// lacks are the fields of want that have lacks, without those below them.
func lacks(want, have []string) []string {
	var lacking []string
	for _, field := range want {
		_, is := slices.BinarySearch(have, field)
		below := slices.ContainsFunc(lacking, func(above string) bool { return strings.HasPrefix(field, above+".") })
		if !is && !below {
			lacking = append(lacking, field)
		}
	}
	return lacking
}

// few are the first names of a list, with how many more there are.
func few(names []string) string {
	const most = 3
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// same says whether two schemas say the same, in whichever order.
func same(a, b *apiextensionsv1.JSONSchemaProps) bool {
	return reflect.DeepEqual(plain(a), plain(b))
}

// plain is a schema as JSON is decoded: what holds raw JSON may be written in several ways.
func plain(s *apiextensionsv1.JSONSchemaProps) (value any) {
	content, err := json.Marshal(s)
	if err == nil {
		err = json.Unmarshal(content, &value)
	}
	if err != nil { // what came from JSON goes to JSON
		return err
	}
	return value
}
