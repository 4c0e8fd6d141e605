package crds

import (
	"cmp"
	"regexp"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// rule is one CEL rule of a schema: the field that it is reported at, and what it says.
type rule struct{ kind, field, message string }

// wholeObject is what the API server calls the field of a rule on the object itself.
const wholeObject = "<nil>"

// rulesIn walks a schema. Elements of lists and maps have their container's path: a refusal's field without indexes.
func rulesIn(kind, field string, schema apiextensionsv1.JSONSchemaProps) []rule {
	var rules []rule
	for _, validation := range schema.XValidations {
		rules = append(rules, rule{kind, cmp.Or(strings.TrimPrefix(field+validation.FieldPath, "."), wholeObject), validation.Message})
	}
	for name, property := range schema.Properties {
		rules = append(rules, rulesIn(kind, field+"."+name, property)...)
	}
	if schema.Items != nil && schema.Items.Schema != nil {
		rules = append(rules, rulesIn(kind, field, *schema.Items.Schema)...)
	}
	if schema.AdditionalProperties != nil && schema.AdditionalProperties.Schema != nil {
		rules = append(rules, rulesIn(kind, field, *schema.AdditionalProperties.Schema)...)
	}
	return rules
}

var index = regexp.MustCompile(`\[[0-9]+\]`)

// Every rule of every kind has a refusal in a table, which shows that the rule and its message work on the API server.
func TestEveryRuleHasARefusal(t *testing.T) {
	rows := refusals()
	for _, c := range changes() {
		rows = append(rows, c.refusal)
	}
	for _, f := range kongFields() {
		for _, r := range f.refused {
			rows = append(rows, refusal{kind: f.kind, field: f.field, says: r.says})
		}
	}
	for _, d := range durationFields() {
		rows = append(rows, refusal{kind: d.kind, field: d.path, says: d.bounds})
	}
	for _, definition := range readDefinitions(t) {
		for _, r := range rulesIn(definition.Spec.Names.Kind, "", *definition.Spec.Versions[0].Schema.OpenAPIV3Schema) {
			if r.message == "" {
				t.Errorf("%s %s has a rule without a message", r.kind, r.field)
			}
			if !covered(r, rows) {
				t.Errorf("no refusal shows the rule of %s %s: %q", r.kind, r.field, r.message)
			}
		}
	}
}

func covered(r rule, rows []refusal) bool {
	for _, row := range rows {
		if row.kind == r.kind && index.ReplaceAllString(row.field, "") == r.field && row.says != "" && strings.Contains(r.message, row.says) {
			return true
		}
	}
	return false
}
