// Package schema holds objects of the operator's kinds to their CustomResourceDefinitions, as the API server does,
// with no cluster: unknown fields, defaults, the OpenAPI schema and the CEL rules.
package schema

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"

	"github.com/kongjwt/kong-jwt-operator/charts"
)

// Fault is one thing for which the API server refuses an object.
type Fault struct {
	// Field is the path of the field, such as spec.routes[0].hosts[1].
	Field string
	// Message says what is wrong with it. It never holds the field's value.
	Message string
}

// String is the fault in one line.
func (f Fault) String() string { return f.Field + ": " + f.Message }

// definition is what one kind is held to.
type definition struct {
	structural *structural.Structural
	openAPI    validation.SchemaValidator
	rules      *cel.Validator
}

// Definitions are the CustomResourceDefinitions that are built in.
func Definitions() ([]apiextensionsv1.CustomResourceDefinition, error) {
	files, err := charts.CRDs.ReadDir(charts.CRDDir)
	if err != nil {
		return nil, fmt.Errorf("list CustomResourceDefinitions: %w", err)
	}
	crds := make([]apiextensionsv1.CustomResourceDefinition, len(files))
	for i, file := range files {
		content, err := charts.CRDs.ReadFile(charts.CRDDir + "/" + file.Name())
		if err == nil {
			err = yaml.Unmarshal(content, &crds[i])
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", file.Name(), err)
		}
	}
	return crds, nil
}

// definitions are those of all kinds, compiled once.
var definitions = sync.OnceValues(func() (map[string]*definition, error) {
	all := map[string]*definition{}
	crds, err := Definitions()
	if err != nil {
		return nil, err
	}
	for _, crd := range crds {
		if all[crd.Spec.Names.Kind], err = compile(crd); err != nil {
			return nil, fmt.Errorf("compile %s: %w", crd.Name, err)
		}
	}
	return all, nil
})

func compile(crd apiextensionsv1.CustomResourceDefinition) (*definition, error) {
	if len(crd.Spec.Versions) != 1 {
		return nil, fmt.Errorf("it has %d versions", len(crd.Spec.Versions))
	}
	var schema apiextensions.JSONSchemaProps
	published := crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(published, &schema, nil); err != nil {
		return nil, err
	}
	var d definition
	var err error
	if d.structural, err = structural.NewStructural(&schema); err != nil {
		return nil, err
	}
	if d.openAPI, _, err = validation.NewSchemaValidator(&schema); err != nil {
		return nil, err
	}
	d.rules = cel.NewValidator(d.structural, true, celconfig.PerCallLimit)
	return &d, nil
}

// ErrKind says that there is no such kind.
var ErrKind = errors.New("there is no such kind")

// Check gives all that is wrong with an object that is created, which stays as it is. Status is left out, as the API
// server leaves it.
func Check(ctx context.Context, kind string, object map[string]any) ([]Fault, error) {
	all, err := definitions()
	if err != nil {
		return nil, err
	}
	d := all[kind]
	if d == nil {
		return nil, ErrKind
	}
	object, faults := d.admit(object)
	faults = append(faults, nameFaults(object)...)
	found := validation.ValidateCustomResource(nil, object, d.openAPI)
	found = append(found, listtype.ValidateListSetsAndMaps(nil, d.structural, object)...)
	if !slices.ContainsFunc(found, blocks) {
		broken, _ := d.rules.Validate(ctx, nil, d.structural, object, nil, celconfig.RuntimeCELCostBudget)
		found = append(found, broken...)
	}
	for _, fault := range found {
		faults = append(faults, Fault{Field: strings.TrimPrefix(fault.Field, "<nil>."), Message: message(fault)})
	}
	return oneAField(faults), nil
}

// Admitted is a copy of an object as admission policies see it when it is created: without status, unknown fields and
// nulls, and with defaults.
func Admitted(kind string, object map[string]any) (map[string]any, error) {
	all, err := definitions()
	if err != nil {
		return nil, err
	}
	d := all[kind]
	if d == nil {
		return nil, ErrKind
	}
	object, _ = d.admit(object)
	leaveOutNulls(object)
	return object, nil
}

// leaveOutNulls takes out the nulls that a schema lets be, which are as fields that are not there.
func leaveOutNulls(object map[string]any) {
	for name, value := range object {
		switch typed := value.(type) {
		case nil:
			delete(object, name)
		case map[string]any:
			leaveOutNulls(typed)
		case []any:
			for _, item := range typed {
				if inner, is := item.(map[string]any); is {
					leaveOutNulls(inner)
				}
			}
		}
	}
}

// admit makes the copy; the faults are the unknown fields.
func (d *definition) admit(object map[string]any) (map[string]any, []Fault) {
	object = runtime.DeepCopyJSON(object)
	delete(object, "status")
	faults := unknownFields(object, d.structural)
	defaulting.PruneNonNullableNullsWithoutDefaults(object, d.structural)
	defaulting.Default(object, d.structural)
	return object, faults
}

// pattern begins what the OpenAPI schema says of a text: a rule says it in words.
const pattern = "should match '"

// oneAField joins the faults of each field, and leaves the pattern out where a rule says more.
func oneAField(faults []Fault) []Fault {
	var joined []Fault
	for _, fault := range faults {
		i := slices.IndexFunc(joined, func(f Fault) bool { return f.Field == fault.Field })
		switch {
		case i < 0:
			joined = append(joined, fault)
		case strings.HasPrefix(joined[i].Message, pattern):
			joined[i] = fault
		case !strings.Contains(joined[i].Message, fault.Message) && !strings.HasPrefix(fault.Message, pattern):
			joined[i].Message += "; " + fault.Message
		}
	}
	return joined
}

// unknownFields are those that the schema does not have; they are taken out.
func unknownFields(object map[string]any, s *structural.Structural) []Fault {
	var faults []Fault
	options := structural.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
	for _, path := range pruning.PruneWithOptions(object, s, true, options) {
		faults = append(faults, Fault{Field: path, Message: "there is no such field"})
	}
	return faults
}

func nameFaults(object map[string]any) []Fault {
	metadata, _ := object["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	if name == "" {
		return []Fault{{Field: "metadata.name", Message: "it is missing"}}
	}
	var faults []Fault
	for _, fault := range apivalidation.NameIsDNSSubdomain(name, false) {
		faults = append(faults, Fault{Field: "metadata.name", Message: fault})
	}
	return faults
}

// blocks says whether a fault keeps the API server from looking at the rules: they may rely on what is wrong.
func blocks(fault *field.Error) bool {
	return slices.Contains([]field.ErrorType{
		field.ErrorTypeNotSupported, field.ErrorTypeRequired, field.ErrorTypeTooLong, field.ErrorTypeTooMany, field.ErrorTypeTypeInvalid,
	}, fault.Type)
}

// message is what a fault says without the value: it may be a secret.
func message(fault *field.Error) string {
	detail := fault.Detail
	if _, rule, cannot := strings.Cut(detail, " evaluating rule: "); cannot {
		detail = rule // what it cannot compare is for programmers; what the rule asks for is for people
	}
	if _, after, found := strings.Cut(detail, " in body "); found {
		detail = after
	}
	switch fault.Type {
	case field.ErrorTypeRequired:
		return strings.TrimSuffix("it is missing; "+detail, "; ")
	case field.ErrorTypeDuplicate:
		return "it is there twice"
	case field.ErrorTypeNotSupported:
		return detail
	case field.ErrorTypeTooLong, field.ErrorTypeTooMany:
		return "too long: " + detail
	}
	return detail
}
